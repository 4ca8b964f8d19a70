//! The shell integration in real shells on real terminals: what a person sees, and what the shell has afterwards.
//!
//! `RAXX_TEST_BASH32` and `RAXX_TEST_ZSH51` name further shells to run these tests in: old versions above all.

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

/// The shells of a kind: the machine's, and the one named beside it.
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
    /// Without any value.
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

    /// With all values in the environment, as a pane of an old tmux server has them; all good.
    fn with_values(kind: Kind, shell: &Path) -> Machine {
        let mut machine = Machine::new(kind, shell);
        for (name, value) in TOKENS {
            machine.sandbox.env(name, value);
            machine.providers.accept(value);
        }
        machine
    }

    /// The same with Heroku's revoked.
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

    /// The line of the rc file.
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

    /// Options with which the shell reads the rc file of this home and as little else as possible.
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

    /// A new terminal with raxx in its rc file and nothing else.
    fn with_raxx(&self) -> Terminal {
        self.rc(&self.init());
        self.open()
    }

    /// Runs a command in an interactive shell without a terminal: the rc file is read, and no prompt comes.
    fn command(&self, command: &str) -> Output {
        let mut shell = self.sandbox.command(&self.shell);
        let out = shell.args(self.options()).args(["-i", "-c", command]).output().unwrap();
        assert!(!text(&out.stdout).contains("(eval)"), "{}", text(&out.stdout));
        out
    }

    /// What such a command prints on both streams, without what bash itself says where there is no terminal.
    fn prints(&self, command: &str) -> String {
        let out = self.command(&format!("exec 2>&1; {command}"));
        text(&out.stdout)
    }

    /// Every file of this machine but the shell's own, from its root.
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

    /// Puts a program of the test's own between the shell and raxx. `$RAXX` is raxx.
    fn between(&self, script: &str) {
        fs::remove_file(self.raxx_file()).unwrap();
        fs::write(self.raxx_file(), format!("#!/bin/sh\nRAXX='{RAXX}'\n{script}\n")).unwrap();
        fs::set_permissions(self.raxx_file(), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn mark(&self, name: &str) -> PathBuf {
        self.sandbox.root().join(name)
    }

    /// Holds the hook back until `release`, so that it is under way when a test wants it to be.
    fn hold(&self) {
        let [held, ended] = ["held", "ended"].map(|name| self.mark(name).display().to_string());
        fs::write(self.mark("held"), "").unwrap();
        self.between(&format!(
            "[ \"$1\" = hook ] || exec \"$RAXX\" \"$@\"\n\
             while [ -e '{held}' ]; do sleep 0.02; done\n\
             \"$RAXX\" \"$@\"; code=$?; : >'{ended}'; exit \"$code\""
        ));
    }

    /// Lets it go, and waits until it is done and its answer in the pipe.
    fn release(&self) {
        fs::remove_file(self.mark("held")).unwrap();
        wait_until("the end of the hook", || self.mark("ended").exists());
        thread::sleep(Duration::from_millis(300));
    }

    /// Waits for the end of a hook that finds nothing wrong: the time of it is kept.
    fn wait_for_a_good_end(&self) {
        let stamp = self.sandbox.home().join(".raxx-session-bootstrap-last-validated");
        wait_until("the end of the checks", || stamp.exists());
        thread::sleep(Duration::from_millis(300));
    }

    /// Waits until a FAIL was shown. bash has no way to show it before the next prompt.
    #[track_caller]
    fn wait_for_a_fail(&self, terminal: &mut Terminal) {
        if self.kind == Bash {
            let deadline = Instant::now() + Duration::from_secs(30);
            while terminal.times("[FAIL]") == 0 {
                assert!(Instant::now() < deadline, "no FAIL came; the terminal shows\n{}", terminal.screen());
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
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Makes a test of its own for each kind of shell.
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
fn at_a_keyring(kind: Kind, shell: &Path) -> (Machine, Keyring) {
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

/// The words by which a test knows that `raxx unset` is done.
const FOUR_CLEARED: &str = "4 variables";

/// Types `raxx unset`, which succeeds and says in one line how many variables it has cleared.
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
