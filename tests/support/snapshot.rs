//! Snapshots of all user-visible text: a changed word changes a file in `snapshots/`, which is reviewed as a diff.
//!
//! To accept a new text: run `INSTA_UPDATE=always cargo nextest run`, read the diff, and commit it.

#![allow(dead_code, unused_macros, unused_imports)] // each test program uses its own part

use std::process::Output;

use crate::support::{Sandbox, text};

/// The command, its output on each stream, and its exit code.
pub fn transcript(typed: &str, out: &Output) -> String {
    let mut lines = format!("$ {typed}\n{}", text(&out.stdout));
    for line in text(&out.stderr).lines() {
        lines += &format!("stderr: {line}\n");
    }
    match out.status.code() {
        Some(code) => lines + &format!("exit: {code}\n"),
        None => lines + &format!("{}\n", out.status),
    }
}

/// Runs `raxx ARGS` in the sandbox and returns the transcript.
pub fn ran(sandbox: &Sandbox, args: &[&str]) -> String {
    let out = sandbox.run(args);
    transcript(&format!("raxx {}", args.join(" ")), &out)
}

/// Replaces what differs between two runs of the same test: the sandbox, ports, times, process ids.
pub fn settings(sandbox: &Sandbox) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(true);
    settings.set_omit_expression(true);
    let real = std::fs::canonicalize(sandbox.root()).expect("the sandbox");
    for root in [real.as_path(), sandbox.root()] {
        settings.add_filter(&regex_of(&root.display().to_string()), "[SANDBOX]");
    }
    // One text can contain several sandboxes.
    settings.add_filter(r"(/[\w.-]+)*/raxx-test-\w+", "[SANDBOX]");
    settings.add_filter(r"(127\.0\.0\.1|localhost):\d+", "$1:[PORT]");
    settings.add_filter(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?UTC|Z)?", "[TIME]");
    settings.add_filter(
        r"\[TIME\]( [\w+-]+)? \((in \d+ \w+|\d+ \w+ ago|just now|in less than a minute)\)",
        "[TIME] ([DISTANCE])",
    );
    settings.add_filter(r"\b\d\d:\d\d UTC", "[CLOCK]");
    settings.add_filter(r#""latency_ms": ?\d+"#, r#""latency_ms": [MS]"#);
    settings
}

fn regex_of(literal: &str) -> String {
    literal
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '/' { c.to_string() } else { format!("\\{c}") })
        .collect()
}

/// `snapshot!(sandbox, text)` and `snapshot!(sandbox, "a_name", text)`: compares the text with the file named after the test.
macro_rules! snapshot {
    ($sandbox:expr, $text:expr) => {
        $crate::snapshot::settings(&$sandbox).bind(|| insta::assert_snapshot!($text))
    };
    ($sandbox:expr, $name:expr, $text:expr) => {
        $crate::snapshot::settings(&$sandbox).bind(|| insta::assert_snapshot!($name, $text))
    };
}
pub(crate) use snapshot;
