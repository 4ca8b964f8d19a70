//! The demo that the README offers: it must work for everyone and leave nothing behind.

use crate::support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::snapshot::snapshot;
use support::{RAXX, Sandbox, text};

/// The example, built.
fn demo() -> &'static Path {
    static DEMO: OnceLock<PathBuf> = OnceLock::new();
    DEMO.get_or_init(|| {
        let profile = Path::new(RAXX).parent().expect("the binary's directory");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "demo", "--manifest-path"]);
        build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        // With cargo's variables for this test, the build would recompile ring, now and again in the next build outside.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST") {
                build.env_remove(name);
            }
        }
        if profile.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo").success());
        profile.join("examples/demo")
    })
}

/// The example with this shell and temporary directory, and a token of the user's own in the environment.
fn demo_in(shell: &str, dir: &Path) -> Command {
    let mut command = Command::new(demo());
    // Uses the binary next to the example, so it does not need to be built again.
    command.env_remove("CARGO").env("TMPDIR", dir);
    // The transcript has em dashes, which need a UTF-8 locale.
    command.env_remove("LC_ALL").env_remove("LC_CTYPE").env("LANG", "C.UTF-8");
    let found = ["/bin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(|dir| Path::new(dir).join(shell));
    let found = found.into_iter().find(|path| path.is_file()).expect("the shell");
    command.env("SHELL", found);
    command.env("GITHUB_API_SECRETS_TOKEN", "a token of one's own").env("INFISICAL_CLIENT_ID", "an id of one's own");
    command
}

fn remaining(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).expect("the temporary directory").flatten().map(|entry| entry.path()).collect()
}

#[test]
fn the_script_prints_the_same_transcript_in_both_shells() {
    for shell in ["zsh", "bash"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let out = demo_in(shell, dir.path()).arg("--script").output().expect("the demo starts");
        let story = text(&out.stdout);
        assert!(out.status.success(), "{shell}: {story}{}", text(&out.stderr));
        let fail = "[FAIL] HEROKU_API_KEY    (redacted HRKU…1234) — HTTP 401 (invalid or revoked)\n       rotate via: docs/ops/runbooks/rotation/heroku-platform-token.md\n       type: raxx rotate HEROKU_API_KEY\n";
        let (before, after) = story.split_once("raxx-demo$ raxx check").unwrap_or_else(|| panic!("{shell}: {story}"));
        for verdict in ["[PASS] CF_WORKER_DEPLOY ", fail, "[PASS] GITHUB_API_SECRETS_TOKEN ", "[SKIP] infisical auth "]
        {
            assert!(after.contains(verdict), "{shell}: {after}");
        }
        assert!(after.ends_with("}\"\nit is gone\n"), "{shell}: {after}");
        // Both shells print the same transcript.
        snapshot!(Sandbox::new(), "story", format!("raxx-demo$ raxx check{after}"));
        // The first command had its variables, and the FAIL was shown without a command, once.
        assert!(before.contains("\nmy token has 96 characters\n"), "{shell}: {story}");
        assert_eq!(before.matches(fail).count(), 1, "{shell}: {story}");
        assert!(!story.contains('\u{1b}') && !story.contains('\r'), "{shell}: {story:?}");
        assert_eq!(remaining(dir.path()), [] as [PathBuf; 0], "{shell}");
    }
}

/// Types into the demo's shell and leaves it.
#[test]
fn it_opens_a_shell_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = demo_in("bash", dir.path());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the demo starts");
    let typed = "echo \"$HOME has ${#HEROKU_API_KEY}\"\nraxx check HEROKU_API_KEY\nexit 3\n";
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), typed.as_bytes()).expect("typed");
    let out = child.wait_with_output().expect("its output");
    let said = text(&out.stdout);
    assert!(out.status.success(), "the last command's exit code is ignored: {said}");
    assert!(said.contains(&format!("{}/raxx-demo-", dir.path().display())) && said.contains(" has 65\n"), "{said}");
    assert!(said.contains("[FAIL] HEROKU_API_KEY"), "{said}");
    assert_eq!(remaining(dir.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_closed_window_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = demo_in("bash", dir.path());
    // It waits for its first line forever.
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the demo starts");
    // `wait` would otherwise close the pipe, and the shell inside would exit.
    let open = child.stdin.take();
    // The signal handlers are installed before files are written to the home.
    while !remaining(dir.path()).iter().any(|home| home.join(".hushlogin").exists()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::HUP)
        .expect("a signal");
    assert_eq!(child.wait().expect("an exit status").code(), Some(129));
    drop(open);
    assert_eq!(remaining(dir.path()), [] as [PathBuf; 0]);
}

#[test]
fn help_prints_the_usage() {
    let out = Command::new(demo()).arg("--help").output().expect("the demo starts");
    assert_eq!(out.status.code(), Some(2));
    snapshot!(Sandbox::new(), text(&out.stderr));
}
