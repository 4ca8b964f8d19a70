//! One GitHub token in a store file: the start of the tests for `store`, `rotate`, `forget` and `import`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use crate::pty::Terminal;
use crate::snapshot::transcript;
use crate::support::loopback::Loopback;
use crate::support::{Sandbox, text};

pub const NAME: &str = "GITHUB_API_SECRETS_TOKEN";
pub const OLD: &str = "ghp_MadeUpAndStoredBefore0123456789001old";
pub const NEW: &str = "ghp_MadeUpAndMintedJustNow012345678902new";

/// One GitHub token, kept in a store file, checked with this provider.
pub fn sandbox_at(provider: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"5s\"\n{provider}enabled = false\n\
         [store]\nbackend = \"file\"\nidentity = \"~/identity.txt\"\n\
         [[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\nscope = \"Secrets: write\"\n\
         store = {{ service = \"raxx-test\", account = \"test\" }}\n\
         rotate_via = \"docs/ops/runbooks/rotation/github-pat.md\"\n\
         [[credential]]\nname = \"HOMELESS\"\nprovider = \"github\"\n"
    ));
    sandbox
}

pub fn sandbox(server: &Loopback) -> Sandbox {
    sandbox_at(&server.config())
}

pub fn with_input(sandbox: &Sandbox, args: &[&str], input: &str) -> Output {
    sandbox.raxx().args(args).write_stdin(input).output().expect("raxx starts")
}

pub fn terminal(sandbox: &Sandbox, program: &str, args: &[&str]) -> Terminal {
    Terminal::open(Path::new(program), args, sandbox.environment(), &sandbox.home())
}

/// raxx's own lines on a terminal, without the output of a shell or a rotation page.
pub fn said_by_raxx(terminal: &Terminal) -> String {
    let screen = terminal.screen();
    let is_said =
        |line: &&str| ["raxx: ", "      type: ", "[PASS]", "[FAIL]"].iter().any(|start| line.starts_with(start));
    let lines = screen.lines().filter(|line| is_said(line) || line.contains("(hidden):") || line.contains("[y/N]"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Stores a value without checking it.
pub fn store_unchecked(sandbox: &Sandbox, value: &str) {
    let out = with_input(sandbox, &["store", NAME, "--stdin", "--no-check"], value);
    assert!(out.status.success(), "{}", text(&out.stderr));
}

/// The stored value, as a new shell would get it.
pub fn stored_code(sandbox: &Sandbox) -> String {
    text(&sandbox.run(&["export", "sh", NAME]).stdout)
}

pub fn assert_stored(sandbox: &Sandbox, value: &str) {
    assert_eq!(stored_code(sandbox), format!("export {NAME}='{value}'\n"));
}

/// The transcript of `raxx ARGS` for a snapshot. Stderr contains no value; on stdout, values are replaced by a name.
pub fn shown(args: &[&str], out: &Output) -> String {
    let stderr = text(&out.stderr);
    for secret in [OLD, NEW] {
        assert!(!stderr.contains(secret), "a value is shown: {stderr}");
    }
    transcript(&format!("raxx {}", args.join(" ")), out).replace(OLD, "[OLD]").replace(NEW, "[NEW]")
}

/// Runs `raxx ARGS` with this standard input. Returns what [`shown`] returns, and the exit code.
pub fn piped(sandbox: &Sandbox, args: &[&str], input: &str) -> (String, i32) {
    let out = with_input(sandbox, args, input);
    (shown(args, &out), out.status.code().expect("an exit code"))
}

/// Waits for a value; `None` if it takes longer than anything can take on a busy machine.
pub fn in_time<T>(mut is_so: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        if let Some(so) = is_so() {
            return Some(so);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Adds a program with this name at the start of PATH.
pub fn program_first(sandbox: &mut Sandbox, name: &str, script: &str) {
    let bin = sandbox.root().join("first");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    let path = sandbox.environment().iter().find(|(name, _)| name == "PATH").unwrap().1.clone();
    sandbox.env("PATH", format!("{}:{}", bin.display(), path.to_str().unwrap()));
}
