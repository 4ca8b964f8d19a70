//! The shell integration in real shells on real terminals: what the user sees, and the shell's state afterwards.
//!
//! `RAXX_TEST_BASH32` and `RAXX_TEST_ZSH51` name more shells for these tests, mainly old versions.

use crate::keyring;
use crate::pty;
use crate::support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use keyring::Keyring;
use pty::{Ran, Terminal, extra, program};
use support::loopback::Loopback;
use support::{RAXX, Sandbox, text};

/// The runbook's credentials, with made-up values.
const TOKENS: [(&str, &str); 4] = [
    ("CLOUDFLARE_ACCESS_MGMT_TOKEN", "cfut_MadeUpForTheTests0123456789abcdefghijklmnopq89ab"),
    ("CF_WORKER_DEPLOY", "cfut_MadeUpForTheTests0123456789abcdefghijklmnopq9f2a"),
    ("HEROKU_API_KEY", "HRKU-AAMadeUpForTheTests0123456789abcdefghijklmnopqrstuvwxyzA1234"),
    ("GITHUB_API_SECRETS_TOKEN", "github_pat_MadeUpForTheTests0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNcdef"),
];
const HEROKU: (&str, &str) = TOKENS[2];
const HEROKU_SERVICE: &str = "raxx-heroku-api-key";

/// The report of a revoked Heroku token, as in the runbook.
const FAIL: &str = "[FAIL] HEROKU_API_KEY    (redacted HRKU…1234) — HTTP 401 (invalid or revoked)\n       rotate via: \
                    docs/ops/runbooks/rotation/heroku-platform-token.md\n       type: raxx rotate HEROKU_API_KEY";

const PROMPT: &str = "P> ";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Zsh,
    Bash,
}
use Kind::{Bash, Zsh};

/// The shells of a kind: the installed one, and the one that the variable names.
fn shells(kind: Kind) -> Vec<PathBuf> {
    let (machine, other) = match kind {
        Zsh => ("zsh", "RAXX_TEST_ZSH51"),
        Bash => ("bash", "RAXX_TEST_BASH32"),
    };
    [Some(program(machine)), extra(other)].into_iter().flatten().collect()
}

/// A machine: a home, a shell, raxx in PATH, and providers.
struct Machine {
    kind: Kind,
    shell: PathBuf,
    sandbox: Sandbox,
    providers: Loopback,
}

impl Machine {
    /// A machine without any value.
    fn new(kind: Kind, shell: &Path) -> Machine {
        let mut sandbox = Sandbox::new();
        let providers = Loopback::start();
        sandbox.config(&providers.config());
        let bin = sandbox.root().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(RAXX, bin.join("raxx")).unwrap();
        sandbox.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display())).env("TERM", "xterm");
        Machine { kind, shell: shell.to_path_buf(), sandbox, providers }
    }

    /// All values are in the environment, like in a pane of an old tmux server, and all are good.
    fn with_values(kind: Kind, shell: &Path) -> Machine {
        let mut machine = Machine::new(kind, shell);
        for (name, value) in TOKENS {
            machine.sandbox.env(name, value);
            machine.providers.accept(value);
        }
        machine
    }

    /// All values are in the environment, and Heroku's is revoked.
    fn with_a_dead_one(kind: Kind, shell: &Path) -> Machine {
        let machine = Machine::with_values(kind, shell);
        machine.providers.revoke(HEROKU.1);
        machine
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Zsh => "zsh",
            Bash => "bash",
        }
    }

    /// raxx's line in the rc file.
    fn init(&self) -> String {
        format!("eval \"$(raxx init {})\"\n", self.name())
    }

    /// Writes the rc file.
    fn rc(&self, text: &str) {
        let file = match self.kind {
            Zsh => ".zshrc",
            Bash => ".bashrc",
        };
        fs::write(self.sandbox.home().join(file), format!("PS1='{PROMPT}'\n{text}")).unwrap();
    }

    /// Options that make the shell read this home's rc file and as little else as possible.
    fn options(&self) -> &'static [&'static str] {
        match self.kind {
            Zsh => &["-d"],
            Bash => &["--noprofile"],
        }
    }

    /// The shell on a terminal, with these options.
    fn start(&self, options: &[&str]) -> Terminal {
        Terminal::open(&self.shell, options, self.sandbox.environment(), &self.sandbox.home())
    }

    /// A new terminal, at its first prompt.
    fn open(&self) -> Terminal {
        let mut options = self.options().to_vec();
        options.push("-i");
        let terminal = self.start(&options);
        terminal.wait_for(PROMPT);
        terminal
    }

    /// A new terminal whose rc file has only raxx's line.
    fn with_raxx(&self) -> Terminal {
        self.rc(&self.init());
        self.open()
    }

    /// Runs a command in an interactive shell without a terminal: the rc file is read, and no prompt is shown.
    fn command(&self, command: &str) -> Output {
        let mut shell = self.sandbox.command(&self.shell);
        let out = shell.args(self.options()).args(["-i", "-c", command]).output().unwrap();
        assert!(!text(&out.stdout).contains("(eval)"), "{}", text(&out.stdout));
        out
    }

    /// The output of such a command on both streams, without bash's own warnings about the missing terminal.
    fn prints(&self, command: &str) -> String {
        let out = self.command(&format!("exec 2>&1; {command}"));
        text(&out.stdout)
    }

    /// All files of this machine except the shell's own, relative to its root.
    fn files(&self) -> Vec<String> {
        let find =
            self.sandbox.command("find").args([".", "-type", "f"]).current_dir(self.sandbox.root()).output().unwrap();
        let files = text(&find.stdout);
        let mut files: Vec<String> = files.lines().map(|file| file.trim_start_matches("./").to_string()).collect();
        files.retain(|file| !["home/.zshrc", "home/.bashrc", "home/.bash_history"].contains(&file.as_str()));
        files.sort_unstable();
        files
    }

    fn raxx_file(&self) -> PathBuf {
        self.sandbox.root().join("bin/raxx")
    }

    /// Puts a script in place of raxx. `$RAXX` is the real raxx.
    fn wrap_raxx(&self, script: &str) {
        fs::remove_file(self.raxx_file()).unwrap();
        fs::write(self.raxx_file(), format!("#!/bin/sh\nRAXX='{RAXX}'\n{script}\n")).unwrap();
        fs::set_permissions(self.raxx_file(), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn marker(&self, name: &str) -> PathBuf {
        self.sandbox.root().join(name)
    }

    /// Delays the hook until `release`, so that a test controls when it runs.
    fn hold(&self) {
        let [held, ended] = ["held", "ended"].map(|name| self.marker(name).display().to_string());
        fs::write(self.marker("held"), "").unwrap();
        self.wrap_raxx(&format!(
            "[ \"$1\" = hook ] || exec \"$RAXX\" \"$@\"\n\
             while [ -e '{held}' ]; do sleep 0.02; done\n\
             \"$RAXX\" \"$@\"; code=$?; : >'{ended}'; exit \"$code\""
        ));
    }

    /// Lets the hook run, and waits until its answer is in the pipe.
    fn release(&self) {
        fs::remove_file(self.marker("held")).unwrap();
        wait_until("the end of the hook", || self.marker("ended").exists());
        thread::sleep(Duration::from_millis(300));
    }

    /// Waits for a hook that finds nothing wrong, which writes the stamp.
    fn wait_for_a_pass(&self) {
        let stamp = self.sandbox.home().join(".raxx-session-bootstrap-last-validated");
        wait_until("the end of the checks", || stamp.exists());
        thread::sleep(Duration::from_millis(300));
    }

    /// Waits until a FAIL was shown. bash shows it only before the next prompt.
    #[track_caller]
    fn wait_for_a_fail(&self, terminal: &mut Terminal) {
        if self.kind == Bash {
            let deadline = Instant::now() + Duration::from_secs(30);
            while terminal.times("[FAIL]") == 0 {
                assert!(Instant::now() < deadline, "no FAIL was shown; the terminal shows\n{}", terminal.screen());
                terminal.line("");
                thread::sleep(Duration::from_millis(100));
            }
        }
        terminal.wait_for("[FAIL]");
        terminal.settle();
    }
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Makes a separate test for each kind of shell.
macro_rules! in_each_shell {
    ($($test:ident),* $(,)?) => {
        mod zsh {
            use crate::terminal::{Zsh, shells};
            $(#[test] fn $test() { shells(Zsh).iter().for_each(|shell| super::$test(Zsh, shell)); })*
        }
        mod bash {
            use crate::terminal::{Bash, shells};
            $(#[test] fn $test() { shells(Bash).iter().for_each(|shell| super::$test(Bash, shell)); })*
        }
    };
}

/// All four in a real keyring, none in the environment.
fn with_a_keyring(kind: Kind, shell: &Path) -> (Machine, Keyring) {
    let mut machine = Machine::new(kind, shell);
    let keyring = Keyring::start(&mut machine.sandbox);
    let services =
        ["raxx-cf-access-mgmt-token", "raxx-cf-worker-deploy-token", HEROKU_SERVICE, "raxx-github-api-secrets-token"];
    for ((_, value), service) in TOKENS.iter().zip(services) {
        keyring.store(&machine.sandbox, service, "claude-bootstrap", value);
        machine.providers.accept(value);
    }
    (machine, keyring)
}

/// The text that shows that `raxx unset` is done.
const FOUR_CLEARED: &str = "4 variables";

/// Types `raxx unset`, which must succeed and print one line with the number of cleared variables.
#[track_caller]
fn unset(terminal: &mut Terminal, variables: usize) {
    let said = terminal.run("raxx unset");
    let counted = said.output.lines().count() == 1 && said.output.contains(&format!(" {variables} variable"));
    assert!(counted && said.code == 0, "{said:?}\n{}", terminal.screen());
}

mod background;
mod completions;
mod messages;
mod new_terminal;
mod prompt_hooks;
mod traps_and_options;
mod unset_and_load;
