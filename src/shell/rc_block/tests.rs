use std::process::Command;

use super::*;

/// The opening line of earlier versions.
const OLD: &str = "# >>> raxx >>> added by raxx's shell/install.sh; its --uninstall removes these lines";
const LINE: &str = "eval \"$(raxx init zsh)\"";

fn add(old: Option<&[u8]>) -> Vec<u8> {
    let block = old.and_then(|old| find(old).unwrap());
    added(old, block.as_ref(), LINE)
}

fn remove(text: &[u8]) -> Option<Vec<u8>> {
    removed(&find(text).unwrap().unwrap())
}

#[test]
fn any_bytes_get_the_block_once_and_come_back() {
    let kinds: [&[u8]; 10] = [
        b"",
        b"a=1\n",
        b"a=1\nb=2",
        b"a=1\r\nb=2\r\n",
        b"a=1\r\nb=2",
        b"a=1\r",
        b"\n\n",
        b"a=\xff\xfe\x00\x01\n\x00",
        b"a=1 \\\n",
        b"a=1\n\n",
    ];
    for old in kinds {
        let new = add(Some(old));
        assert!(new.starts_with(old), "{}", new.escape_ascii());
        assert_eq!(find(&new).unwrap().map(|block| block.has(LINE)), Some(true));
        assert_eq!(add(Some(&new)), new, "the second time changes nothing");
        assert_eq!(remove(&new).as_deref(), Some(old), "{}", old.escape_ascii());
    }
    assert_eq!(remove(&add(None)), None, "a file that raxx made is deleted");
    let more = [add(None), b"alias ll='ls -l'\n".to_vec()].concat();
    assert_eq!(remove(&more).unwrap(), b"alias ll='ls -l'\n", "unless there is something else in it");
}

#[test]
fn lines_after_the_block_stay_and_so_does_the_newline_before_it() {
    let new = [add(Some(b"a=1")), b"b=2\n".to_vec()].concat();
    assert_eq!(remove(&new).unwrap(), b"a=1\nb=2\n");
}

#[test]
fn a_block_of_an_earlier_version_is_replaced_where_it_is_with_its_note() {
    for note in ["", " and the newline before them", " and this file if nothing else is in it"] {
        let old = format!("a=1\n{OLD}{note}\neval \"$(raxx init zsh --old)\"\n{CLOSING}\nb=2");
        let new = String::from_utf8(add(Some(old.as_bytes()))).unwrap();
        let opening = format!("a=1\n{OPENING} added by raxx setup; raxx setup --undo removes these lines{note}\n");
        assert_eq!(new, format!("{opening}{LINE}\n{CLOSING}\nb=2"));
        // Its line counts, not what its marks say.
        let same = format!("{OLD}{note}\n{LINE}\n{CLOSING}\n");
        assert!(find(same.as_bytes()).unwrap().unwrap().has(LINE));
    }
    let old = format!("a=1{OLD}\n");
    assert!(find(old.as_bytes()).unwrap().is_none(), "a mark starts its line");
    let whole = format!("a=1\n{OLD} and the newline before them\n{LINE}\n{CLOSING}\n");
    assert_eq!(remove(whole.as_bytes()).unwrap(), b"a=1");
    assert_eq!(remove(format!("{OLD} and this file if nothing else is in it\n{LINE}\n{CLOSING}").as_bytes()), None);
}

#[test]
fn an_editor_that_turned_the_file_into_crlf_gets_a_block_that_works() {
    let crlf = format!("a=1\r\n{OLD}\r\n{LINE}\r\n{CLOSING}\r\nb=2\r\n");
    assert!(!find(crlf.as_bytes()).unwrap().unwrap().has(LINE));
    let new = String::from_utf8(add(Some(crlf.as_bytes()))).unwrap();
    assert!(new.starts_with("a=1\r\n# >>>") && new.ends_with("\n# <<< raxx <<<\nb=2\r\n"), "{new:?}");
    assert_eq!(remove(crlf.as_bytes()).unwrap(), b"a=1\r\nb=2\r\n");
}

#[test]
fn damaged_marks_are_refused_with_the_line_and_the_fix() {
    let (open, body, close) = (format!("{OLD}\n"), format!("{LINE}\n"), format!("{CLOSING}\n"));
    let whole = format!("{open}{body}{close}");
    let damaged = [
        format!("a=1\n{open}{body}"),
        format!("a=1\n{body}{close}"),
        format!("{close}{body}{open}"),
        format!("{whole}{whole}"),
        format!("{open}{body}{whole}"),
        format!("{whole}{close}"),
        format!("{open}{body}export MINE=1\n{close}"),
        format!("a=1\n{open}export MINE=1\n{close}"),
    ];
    let said: Vec<String> =
        damaged.iter().map(|text| find(text.as_bytes()).expect_err(text)).map(|damage| damage.to_string()).collect();
    let numbers = said.iter().map(|line| line.split(':').next().unwrap().parse().unwrap()).collect::<Vec<usize>>();
    assert_eq!(numbers, [2, 3, 1, 4, 3, 4, 1, 3]);
    insta::assert_snapshot!(said.join("\n"));
    // Empty, or indented: still one block.
    assert!(find(format!("{open}{close}").as_bytes()).unwrap().unwrap().line.is_none());
    assert!(find(format!("if true; then\n\t{open}\t{body}\t{close}fi\n").as_bytes()).unwrap().is_some());
}

#[test]
fn the_line_finds_a_program_in_any_directory_once() {
    let home = Path::new("/home/op");
    assert_eq!(
        hook_line(Shell::Zsh, "/usr/bin", home),
        "if command -v raxx >/dev/null; then eval \"$(raxx init zsh)\"; fi"
    );
    assert!(
        hook_line(Shell::Zsh, "/home/op/.cargo/bin", home).starts_with("case :${PATH}: in *:\"$HOME/.cargo/bin\":*)")
    );
    assert!(hook_line(Shell::Zsh, "/home/op/my bin", home).contains("PATH=${PATH}:'/home/op/my bin' ;;"));
    assert!(hook_line(Shell::Zsh, "/home/operator/bin", home).contains("PATH=${PATH}:'/home/operator/bin' ;;"));
    let directory = tempfile::tempdir().unwrap();
    for odd in ["it's a $(touch pwned) `x` \"q\" *", "*[a]?{b,c}~", "a\t\r\u{1b}[31m\\", "=ls", "a!b"] {
        let odd = directory.path().join(odd).display().to_string();
        for (shell, program) in [(Shell::Zsh, "zsh"), (Shell::Bash, "bash")] {
            let line = hook_line(shell, &odd, home);
            let twice = format!("PATH=/usr/bin:/bin; {line}; {line}; printf %s \"$PATH\"");
            let options = if shell == Shell::Zsh { "-fc" } else { "-c" };
            let out = Command::new(program).args([options, &twice]).current_dir(directory.path()).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&out.stdout), format!("/usr/bin:/bin:{odd}"), "{program}");
        }
    }
    assert!(!directory.path().join("pwned").exists());
}

/// A raxx that defines the function.
fn stand_in(directory: &Path) {
    let raxx = directory.join("raxx");
    std::fs::write(&raxx, "#!/bin/sh\necho x >>\"$0.calls\"\n[ \"$*\" != 'init bash' ] || echo 'raxx() { :; }'\n")
        .unwrap();
    std::fs::set_permissions(&raxx, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

fn bash(directory: &Path, script: &str) -> String {
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-c", script]).current_dir(directory).env("HOME", directory);
    let out = bash.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stderr), "", "{script}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn the_line_of_the_login_file_loads_raxx_in_an_interactive_bash_alone_and_once() {
    let directory = tempfile::tempdir().unwrap();
    stand_in(directory.path());
    let line = login_line(directory.path().to_str().unwrap(), Path::new("/home/op"));
    std::fs::write(directory.path().join("profile"), format!("{line}\n")).unwrap();
    // bash set BASH to the account's shell; terminals and tmux start a login bash as -bash.
    for (name, loads) in [("bash", true), ("-bash", true), ("/usr/local/bin/bash", true), ("sh", false), ("-sh", false)]
    {
        let inner = "BASH=/bin/zsh; . ./profile; declare -F raxx";
        let start = format!("exec -a {name} bash --noprofile --norc -i -c '{inner}' 2>/dev/null");
        assert_eq!(bash(directory.path(), &start), if loads { "raxx\n" } else { "" }, "{name}");
    }
    // Desktop sessions and sh read the file too.
    assert_eq!(bash(directory.path(), ". ./profile; declare -F raxx"), "");
    assert!(Command::new("sh").args(["-c", ". ./profile"]).current_dir(directory.path()).status().unwrap().success());
    // A login file that reads .bashrc itself does not start raxx a second time.
    let calls = directory.path().join("raxx.calls");
    std::fs::remove_file(&calls).unwrap();
    let twice = "exec bash --noprofile --norc -i -c '. ./profile; . ./profile; declare -F raxx' 2>/dev/null";
    assert_eq!(bash(directory.path(), twice), "raxx\n");
    assert_eq!(std::fs::read_to_string(&calls).unwrap(), "x\n");
}
