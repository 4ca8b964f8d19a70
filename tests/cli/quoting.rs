//! Values that look like code to a shell: they go through `raxx export` and the `eval` of a real shell, and arrive unchanged.

use crate::snapshot::snapshot;
use crate::support;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use support::loopback::{Answer, Loopback};
use support::{Sandbox, text};

const SHELLS: [(&str, &str); 3] = [("bash", "bash"), ("zsh", "zsh"), ("dash", "sh")];

/// A machine with a credential for each of these values. No provider is contacted.
fn machine(values: &[Vec<u8>]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let mut config = String::new();
    for (i, value) in values.iter().enumerate() {
        config += &format!("[[credential]]\nname = \"VALUE_{i}\"\nprovider = \"github\"\n");
        sandbox.env(format!("VALUE_{i}"), OsString::from_vec(value.clone()));
    }
    sandbox.config(&config);
    sandbox
}

/// Evaluates `code` in a shell that has none of the values, with the options that catch most mistakes. Returns the variables'
/// values. Any output of the shell is an error.
fn evaluated(sandbox: &Sandbox, shell: &str, code: &[u8], names: &[String]) -> Vec<Option<Vec<u8>>> {
    let file = sandbox.root().join("code");
    std::fs::write(&file, code).expect("the code");
    // Evaluated through $( … ), as in the shell integration. The file only passes the bytes on unchanged, and another program
    // prints the variables, because that shows whether they are exported.
    let script = "set -eu\neval \"$(cat \"$1\")\"\nexec sh -c \"$2\"";
    let show = |name: &String| {
        format!("if [ -n \"${{{name}+x}}\" ]; then printf '+%s\\0' \"${name}\"; else printf '%s\\0' -; fi\n")
    };
    let shown: String = names.iter().map(show).collect();
    let clean = Sandbox::new();
    let out = clean.command(shell).args(["-c", script, "shell"]).arg(&file).arg(shown).output().expect("a shell");
    assert!(out.status.success() && out.stderr.is_empty(), "{shell}: {}", String::from_utf8_lossy(&out.stderr));
    assert!(
        std::fs::read_dir(clean.home()).expect("its home").flatten().all(|e| e.path().is_dir()),
        "{shell} ran something"
    );
    let mut said: Vec<&[u8]> = out.stdout.split(|b| *b == 0).collect();
    assert_eq!(said.pop(), Some(b"".as_slice()));
    assert_eq!(said.len(), names.len(), "{shell}: {}", String::from_utf8_lossy(&out.stdout));
    said.into_iter().map(|value| value.strip_prefix(b"+").map(Vec::from)).collect()
}

/// Checks that each value arrives unchanged in every shell.
fn arrives(values: &[Vec<u8>]) -> Result<(), String> {
    let sandbox = machine(values);
    let names: Vec<String> = (0..values.len()).map(|i| format!("VALUE_{i}")).collect();
    for (shell, argument) in SHELLS {
        let out = sandbox.run(&["export", argument]);
        if !out.status.success() || !out.stderr.is_empty() {
            return Err(format!("raxx export {argument}: {}", text(&out.stderr)));
        }
        for ((value, got), name) in values.iter().zip(evaluated(&sandbox, shell, &out.stdout, &names)).zip(&names) {
            if got.as_ref() != Some(value) {
                let got = got.map(|got| String::from_utf8_lossy(&got).into_owned());
                return Err(format!("{shell}: {name} is {got:?}, must be {:?}", String::from_utf8_lossy(value)));
            }
        }
    }
    Ok(())
}

#[test]
fn hostile_values_arrive() {
    let hostile = [
        "'",
        "''",
        "'\\''",
        "\"",
        "\"\"",
        "`",
        "`touch pwned`",
        "$(touch pwned)",
        "${HOME}",
        "$HOME",
        "$((1+1))",
        "$",
        "$$",
        "$'a'",
        "=x",
        "=ls",
        "==",
        "~",
        "~root",
        "~+",
        "a=~",
        "{a,b}",
        "{1..9}",
        "*",
        "?",
        "[a-z]*",
        "!",
        "!!",
        "!$",
        "a!b",
        "\\",
        "\\\\",
        "a\\",
        "\\'",
        "'; touch pwned; '",
        "\\'; touch pwned; #",
        "\"; touch pwned; \"",
        "a; touch pwned",
        "a & touch pwned",
        "a | touch pwned",
        "a > pwned",
        "<(touch pwned)",
        ">(touch pwned)",
        "-",
        "-n",
        "-e",
        "--",
        "-x y",
        "#",
        "# a",
        "a #b",
        " ",
        "  two  spaces  ",
        " x",
        "x ",
        "%s",
        "%n%s",
        "%",
        "a%",
        "@",
        "^",
        "^a^b",
        "(",
        ")",
        "()",
        "[[",
        "]]",
        "{",
        "}",
        "|",
        "&",
        ";",
        "<",
        ">",
        "a b",
        "0",
        "true",
        "unset HOME",
        "export X=1",
        "ünïcode",
        "日本語",
        "🦀",
        "e\u{301}",
        "\u{202e}gnp",
        "\u{feff}bom",
        "\u{a0}",
        "é'ß\"$(ü)`ö`\\",
        "$IFS",
        "${VALUE_0}",
        "$VALUE_1",
        "a$",
        "\\n",
        "\\t",
        "\\0",
        "\\x41",
        "\\u0041",
        "\\033[31m",
        "'$(touch pwned)'",
        "'`touch pwned`'",
        "*'*\"*",
        "HRKU-AA_-",
        "eyJ.e30.x==",
        "a+b/c=",
    ];
    let values: Vec<Vec<u8>> = hostile.iter().map(|value| value.as_bytes().to_vec()).collect();
    arrives(&values).unwrap();
}

#[test]
fn a_very_long_value_arrives() {
    let long: Vec<u8> = "'$(x)`\"\\ü".bytes().cycle().take(100_000).collect();
    let long = String::from_utf8_lossy(&long).replace('\u{fffd}', "").into_bytes();
    assert!(long.len() > 99_990);
    arrives(&[long]).unwrap();
}

/// One line end belongs to the pipe or file that the value came through, not to the value.
#[test]
fn one_line_end_is_dropped() {
    let sandbox = machine(&[b"token\n".to_vec(), b"token\r\n".to_vec()]);
    for (shell, argument) in SHELLS {
        let out = sandbox.run(&["export", argument]);
        let got = evaluated(&sandbox, shell, &out.stdout, &["VALUE_0".into(), "VALUE_1".into()]);
        assert_eq!(got, [Some(b"token".to_vec()), Some(b"token".to_vec())], "{shell}");
    }
}

/// A malformed value is reported, never exported and never sent.
#[test]
fn a_malformed_value_is_not_exported() {
    let mut values: Vec<Vec<u8>> = vec![
        b"two\nlines".to_vec(),
        b"a\n\n".to_vec(),
        b"a\rb".to_vec(),
        b"\xff\xfe".to_vec(),
        b"a\xc3".to_vec(),
        b"\n".to_vec(),
        "a\u{85}b".into(),
        "a\u{9b}31mb".into(),
    ];
    // A variable can contain every control character except NUL.
    for control in (1..0x20_u8).chain([0x7f]).filter(|c| !b"\r\n".contains(c)) {
        values.push(vec![b'a', control, b'b']);
    }
    let sandbox = machine(&values);
    let names: Vec<String> = (0..values.len()).map(|i| format!("VALUE_{i}")).collect();
    for (shell, argument) in SHELLS {
        let out = sandbox.run(&["export", argument]);
        let got = evaluated(&sandbox, shell, &out.stdout, &names);
        assert!(got.iter().all(Option::is_none), "{shell}: {got:?}");
        assert!(!out.stdout.contains(&b'\x1b'));
    }
    let out = sandbox.run(&["check"]);
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(1));
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("[FAIL]")).collect();
    assert_eq!(lines.len(), names.len(), "{said}");
    for (name, line) in names.iter().zip(lines) {
        assert!(line.starts_with(&format!("[FAIL] {name}    (redacted) — ")), "{line}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    assert!(!said.contains("rotate via"), "a malformed value needs no rotation");
    snapshot!(sandbox, said);
}

/// Text from a provider or a configuration appears in a new terminal's code only as quoted text.
#[test]
fn messages_are_never_run_as_code() {
    let words = "it's '$(touch pwned)' `touch pwned` \\' ; touch pwned # %s %n !! {a,b} =ls ~ * \\";
    let server = Loopback::start();
    let body = serde_json::json!({"message": words}).to_string();
    server.react("ghp_MadeUpForTheTests0123456789abcdebeef", Answer::json(403, &body));
    let mut reports = std::collections::BTreeSet::new();
    for (shell, _) in &SHELLS[..2] {
        let mut sandbox = Sandbox::new();
        let page = "docs/it's $(touch pwned)";
        sandbox.env("LIMITED", "ghp_MadeUpForTheTests0123456789abcdebeef");
        sandbox.env("REJECTED", "ghp_MadeUpForTheTests0123456789abcdedead");
        let credential =
            |name: &str| format!("[[credential]]\nname = \"{name}\"\nprovider = \"github\"\nrotate_via = \"{page}\"\n");
        sandbox.config(&format!(
            "{}{}{}enabled = false\n",
            credential("LIMITED"),
            credential("REJECTED"),
            server.config()
        ));
        let code = sandbox.run(&["hook", shell]);
        let out = sandbox.command(shell).args(["-c", &text(&code.stdout)]).output().expect("a shell");
        let said = text(&out.stderr);
        assert!(said.starts_with("[FAIL] LIMITED    (redacted ghp_…beef) — "), "{said}");
        assert!(said.contains(words) && said.contains(page), "{said}");
        assert!(
            std::fs::read_dir(sandbox.home()).expect("its home").flatten().all(|e| e.path().is_dir()),
            "{shell} ran something"
        );
        reports.insert(said);
    }
    assert_eq!(reports.len(), 1, "{reports:#?}");
    snapshot!(Sandbox::new(), reports.pop_first().expect("a report"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Any text without control characters, forty at a time.
    #[test]
    fn any_value_arrives(values in proptest::collection::vec("[^\\pC]{1,40}", 40)) {
        let values: Vec<Vec<u8>> = values.into_iter().map(String::into_bytes).collect();
        prop_assert_eq!(arrives(&values), Ok(()));
    }

    /// Shell syntax in any order.
    #[test]
    fn any_shell_syntax_arrives(values in proptest::collection::vec("['\"`$(){}\\[\\]<>|&;*?!~#=%\\\\^ @:/,.+a0-]{1,16}", 40)) {
        let values: Vec<Vec<u8>> = values.into_iter().map(String::into_bytes).collect();
        prop_assert_eq!(arrives(&values), Ok(()));
    }

    /// Any bytes: they arrive unchanged, or they are not a token and do not arrive at all.
    #[test]
    fn any_bytes_arrive_or_do_not(values in proptest::collection::vec(proptest::collection::vec(1..=255_u8, 1..6), 40)) {
        let sandbox = machine(&values);
        let names: Vec<String> = (0..values.len()).map(|i| format!("VALUE_{i}")).collect();
        for (shell, argument) in SHELLS {
            let code = sandbox.run(&["export", argument]).stdout;
            for (value, got) in values.iter().zip(evaluated(&sandbox, shell, &code, &names)) {
                let end = value.len() - usize::from(value.ends_with(b"\n"));
                let end = end - usize::from(value[..end].ends_with(b"\r"));
                let is_token = std::str::from_utf8(&value[..end]).is_ok_and(|v| !v.is_empty() && !v.contains(char::is_control));
                prop_assert_eq!(got, is_token.then(|| value[..end].to_vec()), "{}: {:?}", shell, value);
            }
        }
    }
}
