//! shell/install.sh and shell/raxx.plugin.zsh: the real scripts with the real binary, in throw-away homes, byte for byte.

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use support::{RAXX, Sandbox, text};

const OPENING: &str = "# >>> raxx >>> added by raxx's shell/install.sh; its --uninstall removes these lines";
const CLOSING: &str = "# <<< raxx <<<";
/// What /bin/sh is here (dash on Debian), what it is on macOS, and what somebody types who thinks of zsh.
const SHELLS: [&[&str]; 3] = [&["sh"], &["bash", "--posix"], &["zsh"]];

fn checkout(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// What a run of the script, or of a shell, did.
struct Done {
    code: i32,
    out: String,
    err: String,
}

/// A home as it is on a fresh Debian: no ZDOTDIR, no XDG variable, and neither cargo nor raxx on the PATH.
struct Home(Sandbox);

impl Home {
    fn new() -> Home {
        let mut sandbox = Sandbox::new();
        for name in
            ["ZDOTDIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"]
        {
            sandbox.unset(name);
        }
        sandbox.env("SHELL", "/bin/zsh");
        let mut home = Home(sandbox);
        for entry in fs::read_dir(home.dir()).expect("a directory").flatten() {
            fs::remove_dir_all(entry.path()).expect("an empty directory");
        }
        // The daily check of whoever runs the tests is not in reach.
        home.fake("systemctl", "exit 1").fake("launchctl", "exit 1");
        let crontab = home.crontab();
        let script = format!(
            "case $1 in -l) cat '{0}' 2>/dev/null || {{ echo 'no crontab for op' >&2; exit 1; }} ;;\n\
             -r) rm '{0}' ;; *) cat >'{0}.new' && mv '{0}.new' '{0}' ;; esac",
            crontab.display()
        );
        home.fake("crontab", &script);
        home
    }

    fn dir(&self) -> PathBuf {
        self.0.home()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir().join(file)
    }

    fn write(&self, file: &str, bytes: impl AsRef<[u8]>) -> &Home {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, bytes).expect("a file");
        self
    }

    fn read(&self, file: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}")))
            .into_owned()
    }

    /// An executable of this name that comes before the real one.
    fn fake(&mut self, name: &str, script: &str) -> &mut Home {
        let bin = self.0.root().join("fakes");
        fs::create_dir_all(&bin).expect("a directory");
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).expect("its mode");
        self.0.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        self
    }

    /// Where the stand-in for `crontab` keeps it.
    fn crontab(&self) -> PathBuf {
        self.0.root().join("crontab")
    }

    /// Puts a raxx on the PATH that writes down how it is called; gives the file.
    fn count_calls(&mut self) -> PathBuf {
        let calls = self.0.root().join("calls");
        self.fake("raxx", &format!("echo \"$*\" >>'{}'; exec '{RAXX}' \"$@\"", calls.display()));
        calls
    }

    fn run(&self, command: &[&str]) -> Done {
        let output = self.0.command(command[0]).args(&command[1..]).output().expect("it starts");
        Done { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    fn install_sh_with(&self, shell: &[&str], args: &[&str]) -> Done {
        let script = checkout("shell/install.sh");
        self.run(&[shell, &[script.to_str().expect("UTF-8")], args].concat())
    }

    fn install_sh(&self, args: &[&str]) -> Done {
        self.install_sh_with(&["sh"], args)
    }

    /// The rc lines and completions only, around the binary where cargo has built it: its copy is the slow part.
    fn hook_up(&self) -> Done {
        self.install_sh(&["--no-build", "--bin-dir", built().to_str().expect("UTF-8")])
    }

    /// Everything under the home, but for what raxx itself remembers.
    fn tree(&self) -> BTreeMap<PathBuf, String> {
        let mut tree = BTreeMap::new();
        let mut open = vec![self.dir()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).expect("a directory").flatten() {
                let (path, meta) = (entry.path(), entry.path().symlink_metadata().expect("metadata"));
                let content = if meta.is_symlink() {
                    format!("-> {}", fs::read_link(&path).expect("a link").display())
                } else if meta.is_dir() {
                    open.push(path.clone());
                    String::from("directory")
                } else {
                    format!("{:o} {}", meta.mode(), fs::read(&path).expect("a file").escape_ascii())
                };
                tree.insert(path, content);
            }
        }
        let (local, state) = (self.path(".local"), self.path(".local/state"));
        tree.retain(|path, _| {
            !path.starts_with(&state) && *path != local && !path.ends_with(".raxx-session-bootstrap-last-validated")
        });
        tree
    }
}

fn built() -> &'static Path {
    Path::new(RAXX).parent().expect("the binary's directory")
}

/// How often the raxx of `count_calls` was started with these words.
fn calls_of(calls: &Path, words: &str) -> usize {
    fs::read_to_string(calls).expect("raxx was started").lines().filter(|line| *line == words).count()
}

/// The one line in the block, for a binary in `directory` (as the script writes it).
fn hook_line(shell: &str, directory: &str) -> String {
    format!(
        "case :${{PATH}}: in *:{directory}:*) ;; *) PATH=${{PATH}}:{directory} ;; esac; \
         if command -v raxx >/dev/null; then eval \"$(raxx init {shell})\"; fi"
    )
}

fn block(shell: &str, note: &str) -> String {
    let mut directory = built().display().to_string();
    if directory.contains(|c: char| !c.is_ascii_alphanumeric() && !"/._-".contains(c)) || directory.starts_with('/') {
        directory = format!("'{directory}'");
    }
    format!("{OPENING}{note}\n{}\n{CLOSING}\n", hook_line(shell, &directory))
}

#[test]
fn the_whole_way_there_and_back() {
    let home = Home::new();
    home.write(".bashrc", "alias ll='ls -l'\n").write(".zshrc", "setopt no_beep");
    let before = home.tree();

    let first = home.install_sh(&["--binary", RAXX]);
    assert_eq!(first.code, 0, "a FAIL of the check does not fail the install: {}", first.err);
    assert!(first.out.contains("[FAIL] GITHUB_API_SECRETS_TOKEN    (not in env"), "{}", first.out);
    let end = first
        .out
        .split("raxx is installed, and each new terminal is checked. What to type next:\n    exec zsh\n")
        .nth(1);
    let end: Vec<_> = end.unwrap_or_else(|| panic!("no word on what to type next: {}", first.out)).lines().collect();
    assert_eq!((end.len(), end[1]), (3, "    raxx check"), "{end:?}");
    assert_eq!(end[0], "    raxx store NAME");
    assert!(end[2].ends_with("docs/runbook.md"), "{end:?}");

    let line = |shell| hook_line(shell, "\"$HOME/.cargo/bin\"");
    assert_eq!(home.read(".bashrc"), format!("alias ll='ls -l'\n{OPENING}\n{}\n{CLOSING}\n", line("bash")));
    let note = " and the newline before them";
    assert_eq!(home.read(".zshrc"), format!("setopt no_beep\n{OPENING}{note}\n{}\n{CLOSING}\n", line("zsh")));
    for (from, to) in [
        ("_raxx", ".local/share/zsh/site-functions/_raxx"),
        ("raxx.bash", ".local/share/bash-completion/completions/raxx"),
    ] {
        assert_eq!(fs::read(checkout("completions").join(from)).expect(from), fs::read(home.path(to)).expect(to));
    }
    assert_eq!(fs::metadata(home.path(".cargo/bin/raxx")).expect("the binary").mode() & 0o777, 0o755);

    // A fresh terminal has a bare PATH, and the hook runs all the same.
    for shell in ["zsh", "bash"] {
        let done = home.run(&[shell, "-i", "-c", "typeset -f raxx >/dev/null && command raxx --version"]);
        assert_eq!((done.code, done.out.starts_with("raxx ")), (0, true), "{shell}: {}{}", done.out, done.err);
    }

    assert_eq!(home.install_sh(&["--status"]).code, 0);
    let installed = home.tree();
    let receipt = home.read(".local/state/raxx/installed");
    assert_eq!(home.install_sh(&["--binary", RAXX]).code, 0);
    assert_eq!(home.tree(), installed, "the second run changes nothing");
    assert_eq!(home.read(".local/state/raxx/installed"), receipt);

    let dry = home.install_sh(&["--uninstall", "--dry-run"]);
    assert_eq!((dry.code, home.tree()), (0, installed));
    assert!(dry.out.contains("~/.cargo/bin/raxx") && dry.out.contains("would lose lines 2-4"), "{}", dry.out);

    let back = home.install_sh(&["--uninstall"]);
    assert_eq!(back.code, 0, "{}", back.err);
    assert_eq!(home.tree(), before);
    assert!(!home.path(".local/state/raxx/installed").exists());
    assert!(back.out.contains("What stays: your tokens"), "{}", back.out);
    let status = home.install_sh(&["--status"]);
    assert_eq!(status.code, 1);
    assert!(
        status.out.contains("not in ~/.cargo/bin") && status.out.contains("does not have the line"),
        "{}",
        status.out
    );
}

#[test]
fn rc_files_of_every_kind_get_the_block_once_and_their_bytes_back() {
    let newline = " and the newline before them";
    let kinds: [(&str, &[u8], &str); 9] = [
        ("empty", b"", ""),
        ("a line", b"a=1\n", ""),
        ("no final newline", b"a=1\nb=2", newline),
        ("CRLF", b"a=1\r\nb=2\r\n", ""),
        ("CRLF, no final newline", b"a=1\r\nb=2", newline),
        ("ends in CR", b"a=1\r", newline),
        ("newlines only", b"\n\n", ""),
        ("bytes that are no text", b"a=\xff\xfe\x00\x01\n\x00", newline),
        ("ends in a backslash", b"a=1 \\\n", ""),
    ];
    for shell in SHELLS {
        for (kind, bytes, note) in kinds {
            // Each run takes its time: the other shells are given what needs most care.
            if shell != SHELLS[0] && note.is_empty() {
                continue;
            }
            let home = Home::new();
            home.write(".zshrc", bytes).write(".bashrc", bytes);
            let with = ["--no-build", "--bin-dir", built().to_str().expect("UTF-8")];
            let done = home.install_sh_with(shell, &with);
            assert_eq!(done.code, 0, "{shell:?}, {kind}: {}", done.err);
            for (file, name) in [(".zshrc", "zsh"), (".bashrc", "bash")] {
                let mut expected = bytes.to_vec();
                expected.extend_from_slice(if note.is_empty() { b"" } else { b"\n" });
                expected.extend_from_slice(block(name, note).as_bytes());
                let found = fs::read(home.path(file)).expect("the rc file");
                assert_eq!(found.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{shell:?}, {kind}");
            }
            let installed = home.tree();
            assert_eq!(home.install_sh_with(shell, &with).code, 0);
            assert_eq!(home.tree(), installed, "{shell:?}, {kind}: the second run changes nothing");
            assert_eq!(home.install_sh_with(shell, &["--uninstall"]).code, 0);
            for file in [".zshrc", ".bashrc"] {
                let found = fs::read(home.path(file)).expect("the rc file");
                assert_eq!(found.escape_ascii().to_string(), bytes.escape_ascii().to_string(), "{shell:?}, {kind}");
            }
        }
    }
}

#[test]
fn rc_files_that_were_not_there_go_again_unless_something_else_is_in_them() {
    let home = Home::new();
    assert_eq!(home.hook_up().code, 0);
    assert_eq!(home.read(".zshrc"), block("zsh", " and this file if nothing else is in it"));
    home.write(".bashrc", home.read(".bashrc") + "alias ll='ls -l'\n");
    assert_eq!(home.install_sh(&["--uninstall"]).code, 0);
    assert!(!home.path(".zshrc").exists());
    assert_eq!(home.read(".bashrc"), "alias ll='ls -l'\n");
}

#[test]
fn lines_after_the_block_stay_and_the_newline_between_them_too() {
    let home = Home::new();
    home.write(".zshrc", "a=1");
    home.hook_up();
    home.write(".zshrc", home.read(".zshrc") + "b=2\n");
    assert_eq!(home.install_sh(&["--uninstall"]).code, 0);
    assert_eq!(home.read(".zshrc"), "a=1\nb=2\n");
}

#[test]
fn an_older_line_is_renewed_where_it_stands() {
    let home = Home::new();
    let old = format!("{OPENING}\neval \"$(raxx init zsh)\"\n{CLOSING}\n");
    // As an editor leaves it that turned the whole file into CRLF.
    let crlf = block("bash", "").replace('\n', "\r\n");
    home.write(".zshrc", format!("a=1\n{old}b=2")).write(".bashrc", format!("a=1\r\n{crlf}b=2\r\n"));
    assert!(home.install_sh(&["--status"]).out.contains("has another line than this version writes (line 3)"));
    assert_eq!(home.hook_up().code, 0);
    assert_eq!(home.read(".zshrc"), format!("a=1\n{}b=2", block("zsh", "")));
    assert_eq!(home.read(".bashrc"), format!("a=1\r\n{}b=2\r\n", block("bash", "")));
}

#[test]
fn links_modes_and_inodes_survive() {
    let home = Home::new();
    home.write("dotfiles/zshrc", "a=1\n").write("dotfiles/bashrc", "b=1\n");
    fs::set_permissions(home.path("dotfiles/zshrc"), fs::Permissions::from_mode(0o600)).expect("its mode");
    fs::hard_link(home.path("dotfiles/bashrc"), home.path("other-name")).expect("a hard link");
    symlink("dotfiles/link", home.path(".zshrc")).expect("a link");
    symlink("zshrc", home.path("dotfiles/link")).expect("a link");
    symlink(home.path("dotfiles/bashrc"), home.path(".bashrc")).expect("a link");
    let (before, inode) = (home.tree(), fs::metadata(home.path(".zshrc")).expect("metadata").ino());

    assert_eq!(home.hook_up().code, 0);
    assert_eq!(home.read("dotfiles/zshrc"), format!("a=1\n{}", block("zsh", "")));
    assert_eq!(home.read("other-name"), format!("b=1\n{}", block("bash", "")));
    let meta = fs::metadata(home.path(".zshrc")).expect("metadata");
    assert_eq!((meta.ino(), meta.mode() & 0o777), (inode, 0o600));

    assert_eq!(home.install_sh(&["--uninstall"]).code, 0);
    assert_eq!(home.tree(), before);
}

#[test]
fn a_link_into_nothing_gets_its_file_and_loses_it_again() {
    let home = Home::new();
    fs::create_dir(home.path("dotfiles")).expect("a directory");
    symlink("dotfiles/zshrc", home.path(".zshrc")).expect("a link");
    symlink("nowhere/bashrc", home.path(".bashrc")).expect("a link");
    let before = home.tree();
    let done = home.hook_up();
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains("install.sh: ~/.bashrc: its directory does not exist; put these lines at its end"),
        "{}",
        done.err
    );
    assert_eq!(home.read("dotfiles/zshrc"), block("zsh", " and this file if nothing else is in it"));
    assert_eq!(home.install_sh(&["--uninstall"]).code, 0);
    assert_eq!(home.tree(), before);
}

#[test]
fn a_read_only_rc_file_is_left_alone_and_the_lines_are_handed_over() {
    // Also for root, who could write it.
    let home = Home::new();
    home.write("generated/zshrc", "a=1\n").write(".bashrc", "b=1\n");
    fs::set_permissions(home.path("generated/zshrc"), fs::Permissions::from_mode(0o444)).expect("its mode");
    symlink("generated/zshrc", home.path(".zshrc")).expect("a link");

    let done = home.hook_up();
    let real = fs::canonicalize(home.path(".zshrc")).expect("the file");
    let said = format!(
        "install.sh: ~/.zshrc ({}): read-only; put these lines at its end yourself, where that file is made:\n{}",
        real.display(),
        block("zsh", "")
    );
    assert_eq!((done.code, done.err), (1, said));
    assert_eq!(
        (home.read(".zshrc"), home.read(".bashrc")),
        (String::from("a=1\n"), format!("b=1\n{}", block("bash", "")))
    );

    // Whoever makes that file has put the lines into it: all is well then.
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).expect("its mode");
    fs::write(&real, format!("a=1\n{}", block("zsh", ""))).expect("the file");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o444)).expect("its mode");
    assert_eq!(home.hook_up().code, 0);
    let gone = home.install_sh(&["--uninstall"]);
    assert_eq!(gone.code, 1);
    assert!(gone.err.contains("/.zshrc:2: read-only; delete lines 2-4 yourself"), "{}", gone.err);
    assert_eq!(
        (home.read(".zshrc"), home.read(".bashrc")),
        (format!("a=1\n{}", block("zsh", "")), String::from("b=1\n"))
    );
}

#[test]
fn damaged_markers_are_refused_with_the_line_and_the_mend() {
    let (open, body, close) = (format!("{OPENING}\n"), "eval \"$(raxx init zsh)\"\n", format!("{CLOSING}\n"));
    let whole = format!("{open}{body}{close}");
    let cases = [
        (
            format!("a=1\n{open}{body}"),
            "2: a raxx block begins here and does not end; delete line 2 and what is left of the block",
        ),
        (
            format!("a=1\n{body}{close}"),
            "3: a raxx block ends here that has not begun; delete line 3 and what is left of the block",
        ),
        (
            format!("{close}{body}{open}"),
            "1: a raxx block ends here that has not begun; delete line 1 and what is left of the block",
        ),
        (
            format!("{whole}{whole}"),
            "4: a second raxx block begins here (the first is lines 1-3); delete one of the two",
        ),
        (
            format!("{open}{body}{whole}"),
            "3: a raxx block begins here, but the one of line 1 has no end; delete line 1 and what is left of that block",
        ),
        (format!("{whole}{close}"), "4: a raxx block ends here a second time (the block is lines 1-3); delete line 4"),
        (
            format!("{open}{body}export MINE=1\n{close}"),
            "1: lines that are not raxx's stand in the raxx block (lines 1-4); move them out of it",
        ),
        (
            format!("a=1\n{open}export MINE=1\n{close}"),
            "3: this line in the raxx block is not raxx's; move it out of the block",
        ),
    ];
    for (content, said) in cases {
        let home = Home::new();
        home.write(".zshrc", &content).write(".bashrc", "b=1\n");
        let before = home.tree();
        let expected = format!(
            "install.sh: {}:{said}, then run this again\ninstall.sh: nothing was changed\n",
            home.path(".zshrc").display()
        );
        for args in [&["--binary", RAXX][..], &["--uninstall"]] {
            let done = home.install_sh(args);
            assert_eq!((done.code, &done.err), (1, &expected), "{args:?} on {content:?}");
            assert_eq!(home.tree(), before);
        }
        let status = home.install_sh(&["--status"]);
        assert_eq!(status.code, 1);
        assert!(status.out.contains(said.split_once(": ").expect("a line number").1), "{}", status.out);
    }
    let home = Home::new();
    fs::create_dir(home.path(".bashrc")).expect("a directory");
    let done = home.hook_up();
    assert!(done.err.contains("/.bashrc:1: this is no file that can be read"), "{}", done.err);
}

#[test]
fn zdotdir_counts_also_where_it_is_not_exported() {
    let home = Home::new();
    home.write(".zshenv", "echo noise\nZDOTDIR=$HOME/.config/zsh\n").write(".config/zsh/.zshrc", "a=1\n");
    assert_eq!(home.hook_up().code, 0);
    assert_eq!(home.read(".config/zsh/.zshrc"), format!("a=1\n{}", block("zsh", "")));
    assert!(!home.path(".zshrc").exists());
    // It has moved since: the old block is found all the same.
    home.write(".zshenv", "");
    assert_eq!(home.install_sh(&["--uninstall"]).code, 0);
    assert_eq!(home.read(".config/zsh/.zshrc"), "a=1\n");

    let mut home = Home::new();
    home.write("exported/.zshrc", "");
    let exported = home.path("exported");
    home.0.env("ZDOTDIR", exported);
    assert_eq!(home.hook_up().code, 0);
    assert_eq!(home.read("exported/.zshrc"), block("zsh", ""));
}

#[test]
fn on_macos_the_login_file_of_bash_gets_the_line_too() {
    for (there, written) in
        [(&[][..], ".bash_profile"), (&[".profile"], ".profile"), (&[".profile", ".bash_login"], ".bash_login")]
    {
        let mut home = Home::new();
        home.fake("uname", "echo Darwin");
        if there.is_empty() {
            home.0.env("SHELL", "/bin/bash");
        }
        for file in there {
            home.write(file, "export A=1\n");
        }
        let before = home.tree();
        let done = home.hook_up();
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(done.out.contains("\n    raxx store NAME\n"), "{}", done.out);
        assert!(home.read(written).contains("raxx init bash"));
        let login = home.run(&["bash", "-l", "-i", "-c", "declare -F raxx"]);
        assert_eq!(login.out, "raxx\n", "{}", login.err);
        // Desktops and sh read some of these files, too.
        for shell in [&["sh", "-c"][..], &["bash", "-c"], &["bash", "--posix", "-i", "-c"]] {
            let file = home.path(written);
            let done = home.run(&[shell, &[&format!(". '{}'", file.display())]].concat());
            assert_eq!((done.code, done.out.as_str()), (0, ""), "{shell:?}: {}", done.err);
        }
        let installed = home.tree();
        home.hook_up();
        assert_eq!(home.tree(), installed);
        assert_eq!(home.install_sh(&["--uninstall"]).code, 0);
        assert_eq!(home.tree(), before);
    }
    // A login file that reads .bashrc itself starts raxx no second time.
    let mut home = Home::new();
    home.fake("uname", "echo Darwin");
    let calls = home.count_calls();
    // /etc/profile has set the PATH anew by then.
    home.write(".bash_profile", format!("PATH={}:$PATH\n. ~/.bashrc\n", home.0.root().join("fakes").display()));
    assert_eq!(home.hook_up().code, 0);
    assert_eq!(home.run(&["bash", "-l", "-i", "-c", "declare -F raxx"]).out, "raxx\n");
    assert_eq!(calls_of(&calls, "init bash"), 1);
    // One file under both names gets one block.
    let mut home = Home::new();
    home.fake("uname", "echo Darwin");
    home.write(".bashrc", "a=1\n");
    symlink(".bashrc", home.path(".bash_profile")).expect("a link");
    assert_eq!(home.hook_up().code, 0);
    assert_eq!(home.read(".bashrc"), format!("a=1\n{}", block("bash", "")));
}

#[test]
fn on_macos_a_login_bash_gets_raxx_whatever_the_shell_of_the_account() {
    let mut home = Home::new();
    home.fake("uname", "echo Darwin").write(".bash_profile", "export A=1\n");
    assert_eq!(home.hook_up().code, 0);
    // bash set BASH to the shell of the account; terminals and tmux start a login bash as -bash.
    for (name, loads) in [("bash", true), ("-bash", true), ("/usr/local/bin/bash", true), ("sh", false), ("-sh", false)]
    {
        let inner = "BASH=/bin/zsh; . ~/.bash_profile; declare -F raxx";
        let start = format!("exec -a {name} bash --noprofile --norc -i -c '{inner}'");
        let done = home.run(&["bash", "-c", &start]);
        assert_eq!(done.out, if loads { "raxx\n" } else { "" }, "{name}: {}", done.err);
    }
    // The line of an earlier version, which looked at BASH, is replaced.
    let current = home.read(".bash_profile");
    let old = current.replace("case ${BASH_VERSION:+${0##*/}}:$- in *bash:*i*)", "case ${BASH-}:$- in */bash:*i*)");
    assert_ne!(old, current);
    home.write(".bash_profile", old);
    assert!(home.install_sh(&["--status"]).out.contains("has another line than this version writes (line 3)"));
    assert_eq!(home.hook_up().code, 0);
    assert_eq!(home.read(".bash_profile"), current);
}

#[test]
fn on_macos_people_who_use_zsh_alone_get_no_files_for_bash() {
    // rustup makes the last one on every Mac.
    for there in [None, Some(".zshrc"), Some(".profile")] {
        let mut home = Home::new();
        home.fake("uname", "echo Darwin");
        if there.is_none() {
            home.0.unset("SHELL");
        }
        if let Some(file) = there {
            home.write(file, ". \"$HOME/.cargo/env\"\n");
        }
        let done = home.hook_up();
        assert_eq!(done.code, 0, "{}", done.err);
        let files = [".bashrc", ".bash_profile", ".local/share/bash-completion"].map(|file| home.path(file).exists());
        assert_eq!(files, [false; 3], "{there:?}");
        assert!(!home.path(".profile").exists() || !home.read(".profile").contains("raxx"));
        let line = done.out.lines().skip_while(|line| !line.ends_with("add this line to ~/.bash_profile:")).nth(1);
        let line = line.expect("the line is named").to_owned();
        assert!(home.read(".zshrc").contains("raxx init zsh"), "{there:?}");
        home.write(".bash_profile", line + "\n");
        assert_eq!(home.run(&["bash", "-l", "-i", "-c", "declare -F raxx"]).out, "raxx\n");
    }
}

#[test]
fn completions_are_not_put_where_an_old_bash_does_not_look() {
    let mut home = Home::new();
    home.fake("uname", "echo Darwin").fake("bash", "exit 1").write(".bash_profile", "");
    let done = home.hook_up();
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(!home.path(".local/share/bash-completion").exists());
    assert!(done.out.contains("completions  none for bash, which is older than 4.2\n"), "{}", done.out);
    assert_eq!(home.install_sh(&["--status"]).code, 0);
}

#[test]
fn rc_files_are_not_touched_with_profile_dev_null() {
    let mut home = Home::new();
    home.write(".zshrc", "a=1").write(".bashrc", "# >>> raxx >>> damaged\n");
    home.0.env("PROFILE", "/dev/null");
    let done = home.hook_up();
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("eval \"$(raxx init zsh)\""), "{}", done.out);
    assert_eq!((home.read(".zshrc"), home.read(".bashrc")), ("a=1".into(), "# >>> raxx >>> damaged\n".into()));
    assert!(home.path(".local/share/zsh/site-functions/_raxx").exists());
    assert_eq!(home.install_sh(&["--uninstall"]).code, 0);
    assert!(!home.path(".local/share").exists());
}

#[test]
fn a_dry_run_says_everything_and_does_nothing() {
    let home = Home::new();
    home.write(".zshrc", "a=1");
    let before = home.tree();
    let done = home.install_sh(&["--binary", RAXX, "--dry-run"]);
    assert_eq!((done.code, home.tree(), home.path(".local").exists()), (0, before, false), "{}", done.err);
    for said in [
        "~/.cargo/bin/raxx",
        "~/.local/share/zsh/site-functions/_raxx",
        &format!("{OPENING} and the newline before them\n"),
        &hook_line("bash", "\"$HOME/.cargo/bin\""),
    ] {
        assert!(done.out.contains(said), "no {said} in {}", done.out);
    }
}

#[test]
fn only_shells_that_exist_get_a_line() {
    let mut home = Home::new();
    let tools = only(&home, &[]);
    home.0.env("PATH", &tools);
    let bin = ["--no-build", "--bin-dir", built().to_str().expect("UTF-8")];
    let sh = tools.join("sh");
    let done = home.install_sh_with(&[sh.to_str().expect("UTF-8")], &bin);
    assert_eq!(
        (done.code, home.path(".zshrc").exists(), home.path(".bashrc").exists()),
        (0, false, false),
        "{}",
        done.err
    );
    // A home that is shared with a machine which has it.
    home.write(".bashrc", "");
    assert_eq!(home.install_sh_with(&[sh.to_str().expect("UTF-8")], &bin).code, 0);
    assert_eq!((home.path(".zshrc").exists(), home.read(".bashrc")), (false, block("bash", "")));
}

/// A PATH with what every Unix has, and `more`.
fn only(home: &Home, more: &[&str]) -> PathBuf {
    let tools = home.0.root().join("tools");
    fs::create_dir_all(&tools).expect("a directory");
    let always = "sh awk basename cat chmod cksum cp cut dirname grep head id ls mkdir mktemp mv readlink rm rmdir sed tail tr uname wc";
    for name in always.split(' ').chain(more.iter().copied()) {
        let real = ["/bin", "/usr/bin"].map(|bin| Path::new(bin).join(name)).into_iter().find(|path| path.exists());
        symlink(real.unwrap_or_else(|| panic!("{name} is missing")), tools.join(name)).expect("a link");
    }
    tools
}

#[test]
fn without_cargo_it_says_what_to_type_and_changes_nothing() {
    let mut home = Home::new();
    let tools = only(&home, &["zsh"]);
    home.0.env("PATH", &tools);
    let before = home.tree();
    let missing = home.install_sh_with(&[tools.join("sh").to_str().expect("UTF-8")], &[]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.err.starts_with("install.sh: cargo is missing, and raxx is built with it (Rust 1."),
        "{}",
        missing.err
    );
    assert!(
        missing.err.ends_with("    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh\n"),
        "{}",
        missing.err
    );

    for (says, expected) in [
        ("echo cargo 1.63.0", "install.sh: cargo is 1.63.0, and raxx needs Rust 1."),
        ("echo cargo 0.999.0-nightly", "install.sh: cargo is 0.999.0, and raxx needs Rust 1."),
        (
            "echo 'error: no default toolchain' >&2; exit 1",
            "install.sh: cargo does not work: error: no default toolchain.",
        ),
    ] {
        home.fake("cargo", says);
        let old = home.install_sh(&[]);
        assert_eq!((old.code, old.err.starts_with(expected)), (1, true), "{}", old.err);
    }
    assert_eq!(home.tree(), before);

    // And without a compiler, where no package manager has one.
    if cfg!(target_os = "linux") {
        home.0.env("PATH", &tools);
        fs::write(tools.join("cargo"), "#!/bin/sh\necho cargo 1.999.0\n").expect("a script");
        fs::set_permissions(tools.join("cargo"), fs::Permissions::from_mode(0o755)).expect("its mode");
        let none = home.install_sh_with(&[tools.join("sh").to_str().expect("UTF-8")], &[]);
        let said = "install.sh: a C compiler (the command cc) is missing; install one and run this again\n";
        assert_eq!((none.code, none.err.as_str(), home.tree()), (1, said, before));
    }
}

#[test]
fn cargo_builds_the_checkout_of_the_script_wherever_it_is_run() {
    let mut home = Home::new();
    let calls = home.0.root().join("calls");
    // Does what the real one does: a build takes minutes.
    let script = format!(
        "[ \"$1\" != --version ] || {{ echo 'cargo 1.999.0 (abc 2026-01-01)'; exit; }}\n\
         echo \"$PWD: $*\" >>'{calls}'\n\
         while [ $# -gt 0 ]; do [ \"$1\" = --root ] && into=$2; job=${{job:-$1}}; shift; done\n\
         case $job in\n\
         install) mkdir -p \"$into/bin\"; cp '{RAXX}' \"$into/bin/raxx\"; echo '\"raxx 0.1.0 (path)\" = [\"raxx\"]' >\"$into/.crates.toml\" ;;\n\
         uninstall) rm \"$into/bin/raxx\" \"$into/.crates.toml\" ;;\n\
         esac",
        calls = calls.display()
    );
    home.fake("cargo", &script);
    let done = home.install_sh(&[]);
    assert_eq!(done.code, 0, "{}", done.err);
    let (here, cargo) = (fs::canonicalize(checkout("")).expect("the checkout"), home.path(".cargo"));
    let install = format!("{}: install --locked --path . --root {}\n", here.display(), cargo.display());
    assert_eq!(fs::read_to_string(&calls).expect("cargo was called"), install);
    assert!(home.path(".cargo/bin/raxx").exists());

    // What cargo has installed, cargo takes away.
    assert_eq!(home.install_sh(&["--uninstall"]).code, 0);
    assert_eq!(
        fs::read_to_string(&calls).expect("cargo was called").lines().last().map(|line| line.split(": ").nth(1)),
        Some(Some(format!("uninstall --quiet --root {} raxx", cargo.display()).as_str()))
    );
    assert!(!home.path(".cargo").exists());

    // cargo refuses to write over a file that it does not know; over what this script has put there, it may.
    assert_eq!(home.install_sh(&["--binary", RAXX]).code, 0);
    assert_eq!(home.install_sh(&[]).code, 0);
    let last = fs::read_to_string(&calls).expect("cargo was called");
    assert!(last.trim_end().ends_with(&format!("--root {} --force", cargo.display())), "{last}");
    assert_eq!(home.install_sh(&["--uninstall"]).code, 0);
    assert!(!home.path(".cargo").exists());

    // Elsewhere, on request; a failed build touches nothing.
    assert_eq!(home.install_sh(&["--bin-dir", "my bin"]).code, 0);
    assert!(home.path("my bin/raxx").exists() && !home.path(".cargo").exists());
    assert!(home.read(".zshrc").contains(&format!("PATH=${{PATH}}:'{}'", home.path("my bin").display())));
    assert_eq!(home.install_sh(&["--uninstall"]).code, 0);
    home.fake(
        "cargo",
        "[ \"$1\" != --version ] || { echo cargo 1.999.0; exit; }; echo 'error: no network' >&2; exit 101",
    );
    let failed = home.install_sh(&[]);
    assert_eq!(failed.code, 1);
    assert!(
        failed.err.ends_with("install.sh: cargo could not build raxx (see above); no rc file was touched\n"),
        "{}",
        failed.err
    );
    assert!(!home.path(".zshrc").exists());
}

#[test]
fn a_directory_with_any_name_works() {
    let home = Home::new();
    let odd = "it's a $(touch pwned) `x` \"q\" *";
    assert_eq!(home.install_sh(&["--binary", RAXX, "--bin-dir", odd]).code, 0);
    for shell in ["zsh", "bash"] {
        let done = home.run(&[
            shell,
            "-i",
            "-c",
            "typeset -f raxx >/dev/null && command -v -p true >/dev/null && raxx --version",
        ]);
        assert_eq!((done.code, done.out.starts_with("raxx ")), (0, true), "{shell}: {}{}", done.out, done.err);
    }
    assert!(!home.path("pwned").exists());
    assert_eq!(home.install_sh(&["--status"]).code, 0, "it remembers the directory");
    let colon = home.install_sh(&["--no-build", "--bin-dir", "a:b"]);
    assert_eq!(colon.code, 1);
    assert!(colon.err.contains("a directory with a colon in its name cannot stand on the PATH"), "{}", colon.err);
}

#[test]
fn a_directory_with_a_newline_is_refused_and_any_other_comes_out_again() {
    let odd = ["it's a b", "*[a]?{b,c}~", "$(touch pwned)`x`", "a\t\r\u{1b}[31m\\", "a\nb", "a\n"];
    // The same code writes each of them, so the others are tried with the last three alone.
    let others = ["CARGO_INSTALL_ROOT", "--bin-dir", "ZDOTDIR", "HOME"];
    let others = others.iter().flat_map(|name| odd[3..].iter().map(|odd| (*name, *odd)));
    for (name, odd) in odd.iter().map(|odd| ("CARGO_HOME", *odd)).chain(others) {
        let mut home = Home::new();
        let directory = home.path("odd").join(odd);
        fs::create_dir_all(&directory).expect("a directory");
        let directory = directory.to_str().expect("UTF-8").to_owned();
        match name {
            "--bin-dir" => {}
            "HOME" => drop(home.0.env("HOME", &directory)),
            _ => drop(home.0.env(name, &directory)),
        }
        let binary = home.0.root().join("fakes/raxx");
        home.fake("raxx", "exit 0");
        let before = home.tree();
        let mut words = vec!["--binary", binary.to_str().expect("UTF-8")];
        if name == "--bin-dir" {
            words.extend(["--bin-dir", &directory]);
        }
        let done = home.install_sh(&words);
        if odd.contains('\n') {
            let said = format!("install.sh: {name} contains a newline, which raxx cannot write into an rc file; ");
            assert!(done.code == 1 && done.err.starts_with(&said), "{name} {odd:?}: {}", done.err);
        } else {
            assert_eq!(done.code, 0, "{name} {odd:?}: {}", done.err);
            let done = home.install_sh(&["--uninstall"]);
            assert_eq!(done.code, 0, "{name} {odd:?}: {}", done.err);
        }
        assert_eq!(home.tree(), before, "{name} {odd:?}");
    }
}

#[test]
fn a_write_that_fails_leaves_the_old_bytes() {
    let long = "# a line of an rc file that is worth keeping\n".repeat(500);
    // The disk is full before the rc file is opened: no file may grow past 4 KiB.
    let home = Home::new();
    home.write(".bashrc", &long).write(".zshrc", "a=1\n");
    let script = format!(
        "ulimit -f 8; exec sh '{}' --no-build --bin-dir '{}'",
        checkout("shell/install.sh").display(),
        built().display()
    );
    let done = home.run(&["sh", "-c", &script]);
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains("install.sh: ~/.bashrc: it could not be written (is the disk full?) and is as it was"),
        "{}",
        done.err
    );
    assert_eq!((home.read(".bashrc"), home.read(".zshrc")), (long.clone(), format!("a=1\n{}", block("zsh", ""))));
    no_litter(&home);

    // It is full while the rc file is written: half of it is there by then. The second write, of the old bytes, works or does not.
    for fails in ["once", "always"] {
        let mut home = Home::new();
        home.write(".bashrc", &long).write(".zshrc", block("zsh", ""));
        let tried = home.0.root().join("tried");
        home.fake(
            "cat",
            &format!(
                "case $1 in */.raxx-install-*/new | */.raxx-install-*/old)\n\
                 if [ {fails} = always ] || [ ! -e '{tried}' ]; then echo >>'{tried}'; head -c 100 \"$1\"; exit 1; fi ;;\n\
                 esac; exec /bin/cat \"$@\"",
                tried = tried.display()
            ),
        );
        let done = home.hook_up();
        assert!(tried.exists(), "the write was never tried");
        assert_eq!(done.code, 1);
        assert!(done.err.contains("~/.bashrc: it could not be written"), "{}", done.err);
        assert_eq!(home.read(".bashrc"), long, "fails {fails}");
        no_litter(&home);
    }
}

fn no_litter(home: &Home) {
    let litter: Vec<_> = home.tree().into_keys().filter(|path| path.to_string_lossy().contains(".raxx-")).collect();
    assert!(litter.is_empty(), "{litter:?}");
}

#[test]
fn uninstall_leaves_what_is_not_its_own_and_says_so() {
    let home = Home::new();
    home.hook_up();
    let ours = home.path(".local/share/zsh/site-functions/_raxx");
    fs::write(&ours, "#compdef raxx\n# my own\n").expect("the completion");
    home.write(".config/raxx/config.toml", "").write(".cargo/bin/raxx", "#!/bin/sh\n");
    let done = home.install_sh(&["--uninstall"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(ours.exists() && home.path(".cargo/bin/raxx").exists() && Path::new(RAXX).exists());
    for said in [
        "    ~/.local/share/zsh/site-functions/_raxx    changed since this script put it there\n",
        "    ~/.cargo/bin/raxx    not put there by this script\n",
        "    ~/.config/raxx    your configuration\n",
    ] {
        assert!(done.out.contains(said), "no {said} in {}", done.out);
    }
}

#[test]
fn uninstall_takes_the_daily_check_with_the_program() {
    let home = Home::new();
    let raxx = home.path(".cargo/bin/raxx");
    let schedule = [raxx.to_str().expect("UTF-8"), "schedule", "install", "--via", "cron"];
    let foreign = "0 5 * * * tar\n";
    let crontab = || fs::read_to_string(home.crontab()).expect("a crontab");
    for shell in SHELLS {
        fs::write(home.crontab(), foreign).expect("a crontab");
        assert_eq!(home.install_sh_with(shell, &["--binary", RAXX]).code, 0);
        assert_eq!(home.run(&schedule).code, 0);
        let scheduled = crontab();
        assert!(scheduled.contains("/.cargo/bin/raxx check"), "{scheduled}");

        let dry = home.install_sh_with(shell, &["--uninstall", "--dry-run"]);
        assert_eq!((dry.code, crontab()), (0, scheduled.clone()), "{shell:?}: {}", dry.err);
        assert!(dry.out.contains("would remove the daily check (your crontab)\n"), "{shell:?}: {}", dry.out);

        let done = home.install_sh_with(shell, &["--uninstall"]);
        assert_eq!((done.code, crontab()), (0, foreign.to_string()), "{shell:?}: {}", done.err);
        assert!(done.out.contains("the daily check is removed: crontab\n"), "{shell:?}: {}", done.out);
        assert!(!done.out.contains("    your crontab"), "{shell:?}: {}", done.out);
    }
}

#[test]
fn a_daily_check_that_uninstall_cannot_take_out_is_named() {
    let mut home = Home::new();
    let raxx = home.path(".cargo/bin/raxx");
    let schedule = [raxx.to_str().expect("UTF-8"), "schedule", "install", "--via", "cron"];
    assert_eq!(home.install_sh(&["--binary", RAXX]).code, 0);
    assert_eq!(home.run(&schedule).code, 0);
    fs::remove_file(&raxx).expect("the program");
    let done = home.install_sh(&["--uninstall"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let stays = "    your crontab    the daily check; to take it out: crontab -e\n";
    assert!(done.out.contains(stays), "{}", done.out);

    // The scheduler takes nothing any more.
    assert_eq!(home.install_sh(&["--binary", RAXX]).code, 0);
    let show =
        format!("[ \"$1\" = -l ] && exec cat '{}'; echo 'the disk is full' >&2; exit 1", home.crontab().display());
    home.fake("crontab", &show);
    let done = home.install_sh(&["--uninstall"]);
    assert_eq!((done.code, raxx.exists()), (1, false), "{}", done.err);
    assert!(done.out.contains("the disk is full") && done.out.contains(stays), "{}", done.out);

    // A program that stays can go on doing it.
    home.hook_up();
    let done = home.install_sh(&["--uninstall"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let stays = format!("    your crontab    the daily check; to take it out: {RAXX} schedule uninstall\n");
    assert!(done.out.contains(&stays), "{}", done.out);
    // Another file of the same purpose.
    home.write(".config/systemd/user/raxx-session-bootstrap.timer", "");
    let done = home.install_sh(&["--uninstall"]);
    let unit = "    ~/.config/systemd/user/raxx-session-bootstrap.timer    the daily check; to take it out: ";
    assert_eq!(done.out.matches(unit).count(), 1, "{}", done.out);
}

#[test]
fn what_stays_tells_of_the_identity_that_opens_the_store_file() {
    let home = Home::new();
    home.hook_up();
    home.write(".config/raxx/identity.txt", "made up\n").write(".local/share/raxx/store.age", "made up\n");
    let done = home.install_sh(&["--uninstall"]);
    assert_eq!(done.code, 0, "{}", done.err);
    for said in [
        "What stays: your tokens in the store, ",
        "    ~/.config/raxx    your configuration, and the identity that opens store.age: keep it with that file\n",
        "    ~/.local/share/raxx/store.age    your tokens, encrypted\n",
    ] {
        assert!(done.out.contains(said), "no {said} in {}", done.out);
    }
}

#[test]
fn what_cannot_be_meant_is_refused_in_one_line() {
    let home = Home::new();
    home.write("text", "no program\n");
    let before = home.tree();
    let lines: [(&[&str], i32, &str); 9] = [
        (&["--bogus"], 2, "unknown argument: --bogus (try: sh shell/install.sh --help)"),
        (&["--binary"], 2, "--binary wants a path (try: sh shell/install.sh --help)"),
        (&["--bin-dir="], 2, "--bin-dir wants a directory (try: sh shell/install.sh --help)"),
        (
            &["--binary", RAXX, "--no-build"],
            2,
            "--binary does not go with --no-build (try: sh shell/install.sh --help)",
        ),
        (&["--uninstall", "--status"], 2, "--status does not go with --uninstall (try: sh shell/install.sh --help)"),
        (
            &["--status", "--no-build"],
            2,
            "--binary and --no-build do not go with --status (try: sh shell/install.sh --help)",
        ),
        (&["--binary", "nowhere"], 1, "HOME/nowhere: no such file"),
        (&["--binary=text"], 1, "HOME/text does not run as raxx (tried: HOME/text --version)"),
        (&["--no-build"], 1, "there is no raxx in ~/.cargo/bin, nor on the PATH"),
    ];
    for (args, code, said) in lines {
        let done = home.install_sh(args);
        let said = format!("install.sh: {}\n", said.replace("HOME", home.dir().to_str().expect("UTF-8")));
        assert_eq!((done.code, done.err), (code, said), "{args:?}");
        assert_eq!(home.tree(), before);
    }

    let mut home = Home::new();
    home.write("shellrc", "a=1\n");
    symlink("shellrc", home.path(".zshrc")).expect("a link");
    symlink("shellrc", home.path(".bashrc")).expect("a link");
    let done = home.hook_up();
    assert_eq!(done.code, 1);
    assert!(done.err.starts_with("install.sh: ~/.zshrc and ~/.bashrc are one file"), "{}", done.err);
    assert_eq!(home.read("shellrc"), "a=1\n");

    home.0.env("HOME", "relative");
    assert_eq!(
        home.install_sh(&["--status"]).err,
        "install.sh: HOME is not set to a directory; set it to yours and run this again\n"
    );
    let help = Home::new().install_sh(&["--help"]);
    assert!(help.code == 0 && help.out.contains("usage: sh shell/install.sh"));
}

/// What a zsh is made of, as lines; `show` is a function of the test's own.
const SHOW: &str = r#"
zmodload zsh/parameter zsh/system zsh/zselect zsh/zle
show() {
  local at=$1
  # compdef -d leaves these, whoever it is called for.
  { print -rl -- functions ${(ok)functions} parameters ${${(ok)parameters}:#(#s)(_|at|PPID|RANDOM|SECONDS)(#e)}
    print -rl -- hooks $precmd_functions $preexec_functions $chpwd_functions $zshexit_functions
    print -rl -- fpath $fpath completions ${(kv)_comps[(I)raxx]}
    print -rl -- watched "$(zle -F -L 2>&1)" descriptors /proc/self/fd/*(N:t)
  } >$at
}
"#;

#[test]
fn the_plugin_comes_and_goes_without_a_trace() {
    for compinit in ["", "autoload -Uz compinit; compinit -u -D; "] {
        for options in [
            "",
            "setopt ksh_arrays sh_word_split; ",
            "setopt no_unset err_exit; ",
            "alias -g -- --help='--help | false'; alias eval=false unset=false builtin=false unfunction=false; ",
        ] {
            let home = Home::new();
            let (before, with, after) = (home.path("before"), home.path("with"), home.path("after"));
            let script = format!(
                "setopt extended_glob; {SHOW}{compinit}\n\
                 show '{before}'\n{options}\n. '{plugin}'\n\
                 raxx --version || print raxx failed\n\
                 () {{ emulate -L zsh; setopt extended_glob; show '{with}' }}\n\
                 raxx_plugin_unload\n\
                 () {{ emulate -L zsh; setopt extended_glob; show '{after}' }}\n",
                before = before.display(),
                with = with.display(),
                after = after.display(),
                plugin = checkout("shell/raxx.plugin.zsh").display(),
            );
            home.write("script", script);
            let path = format!("{}:/usr/bin:/bin", built().display());
            let command =
                home.0.command("zsh").env("PATH", path).args(["-f", "-i", "script"]).output().expect("zsh starts");
            let said = format!("{}{}", text(&command.stdout), text(&command.stderr));
            assert!(said.starts_with("raxx ") && said.lines().count() == 1, "{compinit}{options}: {said}");
            let (before, with, after) = (home.read("before"), home.read("with"), home.read("after"));
            assert!(with.lines().any(|line| line == "raxx") && with.contains("__raxx_"), "{with}");
            assert!(with.contains("/completions\n"), "the checkout's completions are found: {with}");
            assert_eq!(before, after, "{compinit}{options}");
        }
    }
}

/// At a prompt, while the check runs: its descriptor and its watcher go, too.
#[test]
fn the_plugin_goes_without_a_trace_while_a_check_runs() {
    // Takes connections and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut home = Home::new();
    home.0.config(&format!(
        "timeout = \"2s\"\n[[credential]]\nname = \"T\"\nprovider = \"github\"\nstore = {{ service = \"s\", account = \"a\" }}\n\
         rotate_via = \"r\"\n[provider.github]\nbase_url = \"http://{}\"\n",
        mute.local_addr().expect("its address")
    ));
    home.0
        .env("PATH", format!("{}:/usr/bin:/bin", built().display()))
        .env("T", "ghp_0123456789abcdefghij0123456789abcdef");
    home.write("show", format!("setopt extended_glob; {SHOW}"));

    let pty =
        native_pty_system().openpty(PtySize { rows: 24, cols: 200, pixel_width: 0, pixel_height: 0 }).expect("a pty");
    let mut zsh = CommandBuilder::new("zsh");
    zsh.args(["-f", "-i"]);
    zsh.env_clear();
    for (name, value) in home.0.environment() {
        zsh.env(name, value);
    }
    zsh.cwd(home.dir());
    let mut shell = pty.slave.spawn_command(zsh).expect("zsh starts");
    drop(pty.slave);
    let mut reader = pty.master.try_clone_reader().expect("the pty's output");
    let screen = thread::spawn(move || {
        let mut bytes = Vec::new();
        // At its end a pty gives an error.
        let _ = reader.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let plugin = checkout("shell/raxx.plugin.zsh");
    let typed = ["unsetopt zle_bracketed_paste", ". ./show", "show before", &format!(". '{}'", plugin.display())];
    let mut keys = pty.master.take_writer().expect("the keyboard");
    for line in typed.into_iter().chain(["show with", "raxx_plugin_unload", "show after", "exit"]) {
        writeln!(keys, "{line}").expect("a line is typed");
    }
    let started = Instant::now();
    while shell.try_wait().expect("zsh").is_none() {
        if started.elapsed() > Duration::from_secs(60) {
            shell.kill().expect("zsh is stopped");
            panic!("zsh hangs");
        }
        thread::sleep(Duration::from_millis(20));
    }
    drop((keys, pty.master));
    let screen = screen.join().expect("the screen");
    assert!(home.read("with").contains("zle -F 1") && home.read("with").contains(" __raxx_done\n"), "{screen}");
    assert_eq!(home.read("before"), home.read("after"), "{screen}");
}

#[test]
fn the_plugin_and_the_rc_line_together_leave_one_hook() {
    let plugin = format!(". '{}'\n", checkout("shell/raxx.plugin.zsh").display());
    let line = block("zsh", "");
    for (rc, times) in [(format!("{plugin}{line}"), 2), (format!("{line}{plugin}"), 1), (plugin.repeat(2), 1)] {
        let mut home = Home::new();
        let calls = home.count_calls();
        home.write(".zshrc", rc);
        let show = "print -l $precmd_functions; raxx_plugin_unload; print -l $precmd_functions; whence -w raxx";
        let done = home.run(&["zsh", "-i", "-c", show]);
        assert_eq!((done.out.as_str(), done.err.as_str()), ("__raxx_prompt\n\nraxx: command\n", ""));
        assert_eq!(calls_of(&calls, "init zsh"), times);
    }
}

#[test]
fn the_plugin_is_silent_where_raxx_is_not_installed() {
    let home = Home::new();
    home.write(".zshrc", format!(". '{}'\nraxx() {{ echo my own }}\n", checkout("shell/raxx.plugin.zsh").display()));
    let done = home.run(&["zsh", "-i", "-c", "print hooks: $precmd_functions; raxx_plugin_unload; raxx"]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "hooks:\nmy own\n", ""));
}
