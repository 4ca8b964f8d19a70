use std::fs;

use std::process::Command;

use super::*;

fn item(service: &str) -> Item {
    Item { service: service.into(), account: "claude-bootstrap".into() }
}

/// Creates a program to run in place of `security`. Another process writes the file: it cannot be executed while this process,
/// or a child that another test is about to start, has it open for writing.
fn program(directory: &Path, script: &str) -> std::path::PathBuf {
    let path = directory.join("security");
    let write = r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#;
    assert!(Command::new("sh").args(["-c", write, "sh"]).arg(&path).arg(script).status().unwrap().success());
    path
}

fn run_script(script: &str, limit: Duration) -> Security {
    let directory = tempfile::tempdir().unwrap();
    run_security(&program(directory.path(), script), &item("-s v c"), limit)
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn security_receives_its_arguments_and_no_input() {
    let Security::Exit(0, output) = run_script(r#"printf '%s|' "$@"; if read line; then echo input; fi"#, LONG) else {
        panic!()
    };
    let output = String::from_utf8_lossy(&output).into_owned();
    assert_eq!(output, "find-generic-password|-s|-s v c|-a|claude-bootstrap|-w|");
}

#[test]
fn the_form_that_marks_hex_digits_is_read_from_stderr() {
    let directory = tempfile::tempdir().unwrap();
    let path = program(directory.path(), r#"echo attributes; printf '%s|' "$@" >&2; exit 0"#);
    let Security::Exit(0, output) = run_security_shown(&path, &item("-s v c"), LONG) else { panic!() };
    assert_eq!(*output, b"find-generic-password|-s|-s v c|-a|claude-bootstrap|-g|");
    for (shown, value) in [
        ("keychain: \"x\"\npassword: \"a \"b\"\n", Some("a \"b")),
        ("password: \"\"\n", Some("")),
        ("password: 0x615C62  \"a\\134b\"\n", Some("a\\b")),
        ("password: 0x74C3B6  \"t\\303\\266\"\n", Some("tö")),
        ("password: 0x61  \n", Some("a")),
        ("password: 0x6  \"\"\n", None),
        ("password: 0xzz  \"\"\n", None),
        ("password: \"a\\303\"\n", None),
        ("password: \n", None),
        ("", None),
    ] {
        let read = shown_value(shown.as_bytes()).map(|value| String::from_utf8(value.to_vec()).unwrap());
        assert_eq!(read.as_deref(), value, "{shown:?}");
    }
}

#[test]
fn the_exit_code_and_all_output_are_returned() {
    let Security::Exit(44, output) = run_script("echo lost >&2; exit 44", LONG) else { panic!() };
    assert!(output.is_empty());
    let Security::Exit(0, output) = run_script("head -c 300000 /dev/zero; exit 0", LONG) else { panic!() };
    assert_eq!(output.len(), 300_000);
}

#[test]
fn a_security_that_hangs_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    for wait in ["exec sleep 60", "exec sleep 60 >&-"] {
        let path = program(directory.path(), &format!("echo $$ > '{}'\n{wait}", pid.display()));
        let started = Instant::now();
        assert!(matches!(run_security(&path, &item("x"), Duration::from_millis(700)), Security::TimedOut), "{wait}");
        assert!(started.elapsed() < Duration::from_secs(10), "{wait}");
        let pid = fs::read_to_string(&pid).unwrap();
        let alive = Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status().unwrap();
        assert!(!alive.success(), "{wait}: {pid} is still running");
    }
}

#[test]
fn a_security_that_cannot_be_run_is_an_error() {
    let Security::Failed(why) = run_security(Path::new("/nonexistent/security"), &item("x"), LONG) else { panic!() };
    insta::assert_snapshot!("a_security_that_is_not_there", why);
    let Security::Failed(why) = run_script("kill -9 $$", LONG) else { panic!() };
    assert!(why.contains("signal: 9"), "{why}");
    insta::assert_snapshot!("a_security_that_is_killed", why);
}

#[test]
fn security_receives_the_line_as_input_and_not_in_its_arguments() {
    let directory = tempfile::tempdir().unwrap();
    let seen = directory.path().join("seen");
    let script = format!("{{ printf '%s|' \"$@\"; echo; cat; ps -o args= -p $$; }} > '{}'; exit 45", seen.display());
    let path = program(directory.path(), &script);
    let line = add_line("TOKEN", &item("raxx token"), b"hunter2-hunter2").unwrap();
    let Security::Exit(45, _) = run_security_add(&path, &line, LONG) else { panic!() };
    let seen = fs::read_to_string(seen).unwrap();
    let mut lines = seen.lines();
    assert_eq!(lines.next(), Some("-i|"));
    assert_eq!(lines.next(), Some(str::from_utf8(&line).unwrap().trim_end()));
    let command_line = lines.next().unwrap();
    assert!(command_line.trim_end().ends_with("security -i"), "{command_line}");
}

#[test]
fn security_receives_the_item_to_delete() {
    let directory = tempfile::tempdir().unwrap();
    let path = program(directory.path(), r#"printf '%s|' "$@"; exit 44"#);
    let Security::Exit(44, output) = run_security_delete(&path, &item("-s v c"), LONG) else { panic!() };
    assert_eq!(*output, b"delete-generic-password|-s|-s v c|-a|claude-bootstrap|");
}

#[test]
fn the_exit_code_counts_even_if_security_does_not_read_its_input() {
    let line = vec![b'x'; LINE_MAX];
    let directory = tempfile::tempdir().unwrap();
    let path = program(directory.path(), "exec <&-; exit 36");
    assert!(matches!(run_security_add(&path, &line, LONG), Security::Exit(36, _)));
    let path = program(directory.path(), "exec sleep 60");
    assert!(matches!(run_security_add(&path, &line, Duration::from_millis(300)), Security::TimedOut));
}
