//! The glue, called in real shells on real terminals: what a person sees, and what the shell has afterwards.
//!
//! `RAXX_TEST_BASH32` and `RAXX_TEST_ZSH51` name further shells to go through, old ones above all.

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

/// What a revoked Heroku token is told.
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

/// A person's desk: a home, a shell, raxx in PATH, providers.
struct Desk {
    kind: Kind,
    shell: PathBuf,
    sandbox: Sandbox,
    providers: Loopback,
}

impl Desk {
    /// Without any value.
    fn new(kind: Kind, shell: &Path) -> Desk {
        let mut sandbox = Sandbox::new();
        let providers = Loopback::start();
        sandbox.config(&providers.config());
        let bin = sandbox.root().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(RAXX, bin.join("raxx")).unwrap();
        sandbox.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display())).env("TERM", "xterm");
        Desk { kind, shell: shell.to_path_buf(), sandbox, providers }
    }

    /// With all values in the environment, as a pane of an old tmux server has them; all good.
    fn with_values(kind: Kind, shell: &Path) -> Desk {
        let mut desk = Desk::new(kind, shell);
        for (name, value) in TOKENS {
            desk.sandbox.env(name, value);
            desk.providers.accept(value);
        }
        desk
    }

    /// The same with Heroku's revoked.
    fn with_a_dead_one(kind: Kind, shell: &Path) -> Desk {
        let desk = Desk::with_values(kind, shell);
        desk.providers.revoke(HEROKU.1);
        desk
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

    /// Every file of this desk but the shell's own, from its root.
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
            $(#[test] fn $test() { super::shells(super::Zsh).iter().for_each(|shell| super::$test(super::Zsh, shell)); })*
        }
        mod bash {
            $(#[test] fn $test() { super::shells(super::Bash).iter().for_each(|shell| super::$test(super::Bash, shell)); })*
        }
    };
}

in_each_shell! {
    a_pass_leaves_no_trace,
    a_fail_stands_above_the_prompt_once,
    a_shell_inside_another_does_not_repeat_what_was_said,
    a_fail_that_comes_while_a_command_runs_stands_above_the_next_prompt,
    the_first_command_has_its_variables,
    a_late_value_arrives_without_a_word,
    a_late_value_does_not_replace_what_was_typed_meanwhile,
    what_a_person_exported_is_not_taken_away,
    what_is_typed_meanwhile_stays_the_persons,
    unset_works_without_the_program,
    unset_stops_what_is_under_way,
    unset_before_the_first_prompt_starts_nothing,
    load_exports_and_passes_its_code,
    the_function_passes_arguments_and_codes,
    reading_the_rc_file_again_is_harmless,
    the_hook_is_no_job,
    the_shell_may_be_replaced,
    a_subshell_keeps_to_itself,
    only_a_prompt_starts_a_check,
    shells_that_nobody_sits_at_do_nothing,
    strict_shells_live_on,
    an_old_pane_gets_the_new_value,
    a_shell_may_end_before_the_checks,
    interrupts_at_the_prompt_are_not_for_the_checks,
    what_is_read_only_stays_and_is_told,
    nothing_of_the_shell_is_trusted,
    names_from_the_environment_are_not_code,
    tracing_shows_no_value,
    an_answer_that_is_none_does_no_harm,
    any_option_of_the_shell_will_do,
    debug_traps_see_no_value,
    unset_refuses_what_a_shell_lives_on,
    switched_off_nothing_comes_by_itself,
    a_shell_may_have_values_and_no_check,
    a_broken_configuration_is_said_at_the_first_prompt,
    an_interrupted_load_gives_130,
    the_checks_leave_the_session,
}

fn a_pass_leaves_no_trace(kind: Kind, shell: &Path) {
    let session = |raxx: bool| {
        let desk = Desk::with_values(kind, shell);
        desk.rc(&if raxx { desk.init() } else { String::new() });
        let mut terminal = desk.open();
        terminal.line("echo one; (exit 3)");
        terminal.wait_for_times(PROMPT, 2);
        terminal.keys("echo \"$? ha");
        terminal.settle();
        if raxx {
            desk.wait_for_a_good_end();
        }
        terminal.line("lf $HEROKU_API_KEY\"");
        terminal.wait_for_times(PROMPT, 3);
        terminal.line("jobs");
        terminal.wait_for_times(PROMPT, 4);
        terminal.line("exit");
        terminal.end();
        assert_eq!(desk.providers.requests().len(), if raxx { 4 } else { 0 });
        String::from_utf8(terminal.transcript()).unwrap()
    };
    let [without, with] = [session(false), session(true)];
    assert!(without.contains(&format!("3 half {}", HEROKU.1)), "{without}");
    assert_eq!(with, without);
}

fn a_fail_stands_above_the_prompt_once(kind: Kind, shell: &Path) {
    let desk = Desk::with_a_dead_one(kind, shell);
    desk.hold();
    let mut terminal = desk.with_raxx();
    terminal.keys("echo ha");
    terminal.settle();
    desk.release();
    match kind {
        Zsh => {
            terminal.wait_for("rotate via");
            terminal.settle();
            assert_eq!(terminal.screen(), format!("{PROMPT}echo ha\n{FAIL}\n{PROMPT}echo ha"));
            terminal.line("lf");
            terminal.wait_for_row("half");
            terminal.settle();
            assert_eq!(
                terminal.screen(),
                format!("{PROMPT}echo ha\n{FAIL}\n{PROMPT}echo half\nhalf\n{PROMPT}").trim_end()
            );
        }
        Bash => {
            terminal.line("lf");
            desk.wait_for_a_fail(&mut terminal);
            let screen = terminal.screen();
            assert!(screen.starts_with(&format!("{PROMPT}echo half\nhalf\n")), "{screen}");
            assert!(screen.contains(&format!("\n{FAIL}\n{}", PROMPT.trim_end())), "{screen}");
        }
    }
    terminal.run("true");
    terminal.run("true");
    assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
    assert_eq!(terminal.run("jobs"), Ran::well(""));
    // It was in the environment before raxx: it is not raxx's to take away.
    assert_eq!(terminal.run("echo $HEROKU_API_KEY"), Ran::well(HEROKU.1));
}

fn a_shell_inside_another_does_not_repeat_what_was_said(kind: Kind, shell: &Path) {
    let mut desk = Desk::with_a_dead_one(kind, shell);
    // As a shell above this one leaves it behind.
    desk.sandbox.env("__RAXX_NAMES", HEROKU.0);
    for said in [1, 0] {
        let mut terminal = desk.with_raxx();
        let deadline = Instant::now() + Duration::from_secs(30);
        // The answer is there when the bad value is gone.
        while !terminal.run("printenv HEROKU_API_KEY").output.is_empty() {
            assert!(Instant::now() < deadline, "no answer came; the terminal shows\n{}", terminal.screen());
            thread::sleep(Duration::from_millis(50));
        }
        terminal.settle();
        assert_eq!(terminal.times("[FAIL]"), said);
    }
    desk.sandbox.unset("__RAXX_NAMES");
    desk.wait_for_a_fail(&mut desk.with_raxx());
}

fn a_fail_that_comes_while_a_command_runs_stands_above_the_next_prompt(kind: Kind, shell: &Path) {
    let desk = Desk::with_a_dead_one(kind, shell);
    desk.hold();
    let mut terminal = desk.with_raxx();
    let go = desk.mark("go");
    terminal.line(&format!("until [ -e {} ]; do sleep 0.02; done; echo do''ne; (exit 4)", go.display()));
    desk.release();
    assert_eq!(terminal.times("[FAIL]"), 0);
    fs::write(go, "").unwrap();
    terminal.wait_for("[FAIL]");
    terminal.settle();
    let screen = terminal.screen();
    let after = screen.split_once("\ndone\n").unwrap_or_else(|| panic!("{screen}")).1;
    match kind {
        // The line editor has to be there before it can look.
        Zsh => assert_eq!(after, format!("{PROMPT}\n{FAIL}\n{PROMPT}").replace("> \n", ">\n").trim_end()),
        Bash => assert_eq!(after, format!("{FAIL}\n{PROMPT}").trim_end()),
    }
    // The exit code is the person's.
    assert_eq!(terminal.run("echo $?"), Ran::well("4"));
}

/// All four in a real keyring, none in the environment.
fn at_a_keyring(kind: Kind, shell: &Path) -> (Desk, Keyring) {
    let mut desk = Desk::new(kind, shell);
    let keyring = Keyring::start(&mut desk.sandbox);
    let services =
        ["raxx-cf-access-mgmt-token", "raxx-cf-worker-deploy-token", HEROKU_SERVICE, "raxx-github-api-secrets-token"];
    for ((_, value), service) in TOKENS.iter().zip(services) {
        keyring.store(&desk.sandbox, service, "claude-bootstrap", value);
        desk.providers.accept(value);
    }
    (desk, keyring)
}

fn the_first_command_has_its_variables(kind: Kind, shell: &Path) {
    let (desk, _keyring) = at_a_keyring(kind, shell);
    let calls = desk.mark("calls");
    desk.between(&format!("echo \"$*\" >>'{}'; exec \"$RAXX\" \"$@\"", calls.display()));
    let mut terminal = desk.with_raxx();
    for (name, value) in TOKENS {
        assert_eq!(terminal.run(&format!("printenv {name}")), Ran::well(value));
    }
    desk.wait_for_a_good_end();
    let all = TOKENS.map(|(name, _)| name).join(" ");
    assert_eq!(sorted(&terminal.run("printenv __RAXX_NAMES").output), sorted(&all));

    // A shell inside it has them already and reads no store.
    fs::remove_file(&calls).unwrap();
    let options = desk.options().join(" ");
    let inner = format!("{} {options} -i -c 'echo $HEROKU_API_KEY'", desk.shell.display());
    assert_eq!(terminal.run(&inner), Ran::well(HEROKU.1));
    assert_eq!(fs::read_to_string(calls).unwrap(), format!("init {}\n", desk.name()));

    let cleared = terminal.run("raxx unset");
    assert_eq!(cleared, Ran::well("raxx: cleared 4 variables"));
    assert_eq!(terminal.run("printenv | grep -c 'MadeUp\\|RAXX_NAMES'").output, "0");
}

fn sorted(names: &str) -> Vec<&str> {
    let mut names: Vec<&str> = names.split(' ').collect();
    names.sort_unstable();
    names
}

fn a_late_value_arrives_without_a_word(kind: Kind, shell: &Path) {
    let (desk, _keyring) = at_a_keyring(kind, shell);
    // The store was too slow for the rc file.
    desk.between("[ \"$1\" = export ] || exec \"$RAXX\" \"$@\"");
    let mut terminal = desk.with_raxx();
    terminal.keys("echo ha");
    desk.wait_for_a_good_end();
    assert_eq!(terminal.screen(), format!("{PROMPT}echo ha"));
    terminal.line("lf");
    terminal.wait_for_row("half");
    assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
    assert_eq!(terminal.run("raxx unset"), Ran::well("raxx: cleared 4 variables"));
    assert_eq!(terminal.run("printenv HEROKU_API_KEY").output, "");
}

fn a_late_value_does_not_replace_what_was_typed_meanwhile(kind: Kind, shell: &Path) {
    let (desk, _keyring) = at_a_keyring(kind, shell);
    let [name, odd] = [HEROKU.0, TOKENS[3].0];
    // One is missing here, one is dead here and rotated in the store; both are on their way.
    desk.hold();
    desk.rc(&format!("export {odd}='a dead $(one)'\n{}unset {name}\n", desk.init()));
    let mut terminal = desk.open();
    assert_eq!(terminal.run(&format!("export {name}='=typed*' {odd}='(typed too)'")), Ran::well(""));
    desk.release();
    terminal.run("true");
    assert_eq!(terminal.run(&format!("printenv {name} {odd}")), Ran::well("=typed*\n(typed too)"));

    // What nobody touched is replaced as ever.
    desk.hold();
    let mut terminal = desk.open();
    desk.release();
    terminal.run("true");
    assert_eq!(terminal.run(&format!("printenv {name} {odd}")), Ran::well(&format!("{}\n{}", HEROKU.1, TOKENS[3].1)));
}

/// `raxx load` between two terminals does not make it raxx's.
fn what_a_person_exported_is_not_taken_away(kind: Kind, shell: &Path) {
    let desk = Desk::with_values(kind, shell);
    let mut terminal = desk.with_raxx();
    desk.wait_for_a_good_end();
    assert_eq!(terminal.run("raxx load 2>/dev/null; raxx load HEROKU_API_KEY 2>/dev/null").code, 0);
    desk.providers.revoke(HEROKU.1);
    let inner = format!("{} {} -i", desk.shell.display(), desk.options().join(" "));
    terminal.line(&inner);
    desk.wait_for_a_fail(&mut terminal);
    assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
    assert_eq!(terminal.run("raxx load 2>/dev/null").code, 1);
    assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
}

/// Nor does an answer that comes after the person has set it: the next one leaves it alone.
fn what_is_typed_meanwhile_stays_the_persons(kind: Kind, shell: &Path) {
    let (desk, _keyring) = at_a_keyring(kind, shell);
    desk.hold();
    desk.rc(&format!("{}unset HEROKU_API_KEY __RAXX_NAMES\n", desk.init()));
    let mut terminal = desk.open();
    assert_eq!(terminal.run("export HEROKU_API_KEY=HRKU-AATyped0123456789"), Ran::well(""));
    desk.release();
    terminal.run("true");
    terminal.run("true");
    let names = terminal.run("echo \"$__RAXX_NAMES\"").output;
    assert!(!names.contains("HEROKU"), "{names}");
}

fn unset_works_without_the_program(kind: Kind, shell: &Path) {
    let desk = Desk::with_values(kind, shell);
    let mut terminal = desk.with_raxx();
    desk.wait_for_a_good_end();
    fs::remove_file(desk.raxx_file()).unwrap();
    assert_eq!(terminal.run("export __RAXX_NAMES='OF_AN_OLDER_CONFIGURATION HEROKU_API_KEY'"), Ran::well(""));
    assert_eq!(terminal.run("export OF_AN_OLDER_CONFIGURATION=MadeUp"), Ran::well(""));
    assert_eq!(terminal.run("raxx unset"), Ran::well("raxx: cleared 5 variables"));
    assert_eq!(terminal.run("printenv | grep -c 'MadeUp\\|RAXX_NAMES'").output, "0");
    assert_eq!(terminal.run("raxx unset"), Ran::well("raxx: cleared 0 variables"));
    assert_eq!(terminal.run("HEROKU_API_KEY=x; raxx unset"), Ran::well("raxx: cleared 1 variable"));
    // Only a person is told.
    assert_eq!(terminal.run("HEROKU_API_KEY=x; raxx unset 2>told; cat told"), Ran::well(""));

    let usage = terminal.run("raxx unset HEROKU_API_KEY");
    assert_eq!(usage.code, 2);
    assert_eq!(
        usage.output,
        "raxx: unset takes no names, it clears every variable that raxx knows; --tmux: in the tmux server too"
    );
    assert_eq!(terminal.run("raxx check").code, 127);
    // A new terminal without the program starts as if raxx had never been.
    desk.rc("command -v raxx >/dev/null && eval \"$(raxx init zsh)\"\n");
    assert_eq!(desk.open().screen(), PROMPT.trim_end());
}

fn unset_stops_what_is_under_way(kind: Kind, shell: &Path) {
    let (desk, _keyring) = at_a_keyring(kind, shell);
    desk.providers.revoke(TOKENS[3].1);
    desk.hold();
    let mut terminal = desk.with_raxx();
    assert_eq!(terminal.run("raxx unset"), Ran::well("raxx: cleared 4 variables"));
    desk.release();
    for _ in 0..3 {
        assert_eq!(terminal.run("printenv HEROKU_API_KEY GITHUB_API_SECRETS_TOKEN __RAXX_NAMES").output, "");
    }
    assert_eq!(terminal.times("[FAIL]"), 0);
    // Nothing of it is left in the shell.
    let left = match kind {
        Zsh => "zle -F -L",
        Bash => "{ : <&60; } 2>/dev/null && echo 'the pipe'",
    };
    assert_eq!(terminal.run(left).output, "");
}

fn unset_before_the_first_prompt_starts_nothing(kind: Kind, shell: &Path) {
    let desk = Desk::with_values(kind, shell);
    desk.rc(&format!("{}raxx unset 2>/dev/null\n", desk.init()));
    let mut terminal = desk.open();
    terminal.run("true");
    terminal.run("true");
    assert_eq!(terminal.run("printenv HEROKU_API_KEY").output, "");
    assert_eq!(desk.providers.requests().len(), 0);
}

fn load_exports_and_passes_its_code(kind: Kind, shell: &Path) {
    let (desk, keyring) = at_a_keyring(kind, shell);
    let hostile = r"HRKU-it's $(touch pwned) `touch pwned` \ ~ {a,b} * ! =x\";
    keyring.store(&desk.sandbox, HEROKU_SERVICE, "claude-bootstrap", hostile);
    desk.providers.accept(hostile);
    desk.rc(&format!("{}raxx unset 2>/dev/null\n", desk.init()));
    let mut terminal = desk.open();

    let loaded = terminal.run("raxx load");
    assert_eq!((loaded.output.matches("[PASS]").count(), loaded.code), (4, 0), "{}", loaded.output);
    assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(hostile));
    assert!(!desk.sandbox.home().join("pwned").exists());
    assert_eq!(terminal.run("raxx unset"), Ran::well("raxx: cleared 4 variables"));

    desk.providers.revoke(hostile);
    let loaded = terminal.run("raxx load");
    assert!(loaded.output.contains("[FAIL] HEROKU_API_KEY"), "{}", loaded.output);
    assert_eq!(loaded.code, 1);
    assert_eq!(terminal.run("printenv HEROKU_API_KEY").output, "");
    assert_eq!(terminal.run("printenv CF_WORKER_DEPLOY"), Ran::well(TOKENS[1].1));
    assert_eq!(terminal.run("raxx load CF_WORKER_DEPLOY 2>/dev/null").code, 0);
    // What raxx had exported goes when it is bad, as a new terminal would have it.
    desk.providers.accept(hostile);
    assert_eq!(terminal.run("raxx load 2>/dev/null; printenv HEROKU_API_KEY"), Ran::well(hostile));
    desk.providers.revoke(hostile);
    assert_eq!(terminal.run("raxx load 2>/dev/null").code, 1);
    assert_eq!(terminal.run("printenv HEROKU_API_KEY").output, "");

    let wrong = terminal.run("raxx load NO_SUCH_NAME");
    assert!(wrong.output.contains("raxx: no credential has that name. There are: "), "{}", wrong.output);
    assert_eq!(wrong.code, 2);
    let help = terminal.run("raxx load --help");
    assert!(help.output.contains("Usage: raxx load"), "{}", help.output);
    assert_eq!(help.code, 0);
    fs::remove_file(desk.raxx_file()).unwrap();
    assert_eq!(terminal.run("raxx load 2>/dev/null"), Ran { output: String::new(), code: 127 });
}

fn the_function_passes_arguments_and_codes(kind: Kind, shell: &Path) {
    let desk = Desk::new(kind, shell);
    desk.rc(&desk.init());
    desk.between(
        "case $1 in init) exec \"$RAXX\" \"$@\" ;; export | hook) exit 0 ;; esac\n\
         printf '[%s]' \"$@\"; echo \" $# $(cat)\"; exit 7",
    );
    let said = desk.prints("echo 'from stdin' | raxx check 'a b' '*' '' --json; echo $?; raxx </dev/null; echo $?");
    // printf prints the format once without arguments.
    assert_eq!(said, "[check][a b][*][][--json] 5 from stdin\n7\n[] 0 \n7\n");
    for help in ["-h", "--help"] {
        for command in ["load", "unset"] {
            assert_eq!(desk.prints(&format!("raxx {command} {help} </dev/null")), format!("[{command}][{help}] 2 \n"));
        }
    }
}

fn reading_the_rc_file_again_is_harmless(kind: Kind, shell: &Path) {
    let desk = Desk::with_a_dead_one(kind, shell);
    desk.hold();
    let mut terminal = desk.with_raxx();
    let (again, hooks) = match kind {
        Zsh => (". ~/.zshrc; . ~/.zshrc", "print -rl -- $precmd_functions"),
        Bash => (". ~/.bashrc; . ~/.bashrc", "printf '%s\\n' \"${PROMPT_COMMAND[@]}\""),
    };
    let hook = if kind == Zsh { "__raxx_prompt" } else { "\"${__raxx_hook-:}\"" };
    assert_eq!(terminal.run(&format!("{again}; {hooks}")).output.matches(hook).count(), 1);
    desk.release();
    desk.wait_for_a_fail(&mut terminal);
    for _ in 0..3 {
        terminal.run("true");
    }
    assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
    assert_eq!(terminal.run(hooks), Ran::well(""));
}

fn the_hook_is_no_job(kind: Kind, shell: &Path) {
    let desk = Desk::with_values(kind, shell);
    desk.hold();
    let mut terminal = desk.with_raxx();
    assert_eq!(terminal.run("jobs"), Ran::well(""));
    // It waits for the jobs of the person, and for nothing else.
    assert_eq!(terminal.run("wait"), Ran::well(""));
    assert_eq!(terminal.run("(sleep 0.1 & sleep 0.1 & wait)"), Ran::well(""));
    desk.release();
    for _ in 0..3 {
        assert_eq!(terminal.run("jobs"), Ran::well(""));
    }
}

fn the_shell_may_be_replaced(kind: Kind, shell: &Path) {
    let desk = Desk::with_a_dead_one(kind, shell);
    desk.hold();
    let mut terminal = desk.with_raxx();
    terminal.line(&format!("exec {} {} -i", desk.shell.display(), desk.options().join(" ")));
    terminal.wait_for_times(PROMPT, 2);
    desk.release();
    desk.wait_for_a_fail(&mut terminal);
    terminal.run("true");
    assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
    assert_eq!(terminal.run("jobs; echo $HEROKU_API_KEY"), Ran::well(HEROKU.1));
}

fn a_subshell_keeps_to_itself(kind: Kind, shell: &Path) {
    let desk = Desk::with_a_dead_one(kind, shell);
    desk.hold();
    let mut terminal = desk.with_raxx();
    let inside = terminal.run("(raxx unset; printenv HEROKU_API_KEY)");
    assert_eq!((inside.output.as_str(), inside.code), ("raxx: cleared 4 variables", 1));
    assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
    assert_eq!(terminal.run("echo $(raxx load HEROKU_API_KEY 2>/dev/null || echo $?)"), Ran::well("1"));
    desk.release();
    desk.wait_for_a_fail(&mut terminal);
    assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
}

fn only_a_prompt_starts_a_check(kind: Kind, shell: &Path) {
    let desk = Desk::with_values(kind, shell);
    desk.rc(&desk.init());
    assert_eq!(
        desk.prints("echo $HEROKU_API_KEY; jobs; type raxx >/dev/null && echo there"),
        format!("{}\nthere\n", HEROKU.1)
    );
    thread::sleep(Duration::from_millis(300));
    assert_eq!(desk.providers.requests().len(), 0);
}

fn shells_that_nobody_sits_at_do_nothing(kind: Kind, shell: &Path) {
    let mut desk = Desk::new(kind, shell);
    let calls = desk.mark("calls");
    desk.between(&format!("echo \"$*\" >>'{}'; exec \"$RAXX\" \"$@\"", calls.display()));
    let file = desk.sandbox.home().join(".zshenv");
    fs::write(&file, desk.init()).unwrap();
    desk.sandbox.env("BASH_ENV", &file);
    let hooks = "echo \"<$PROMPT_COMMAND$precmd_functions>\"; HEROKU_API_KEY=x; raxx unset; echo \"<$HEROKU_API_KEY>\"";
    let out = desk.sandbox.command(&desk.shell).args(["-c", hooks]).output().unwrap();
    assert_eq!((text(&out.stdout).as_str(), text(&out.stderr).as_str()), ("<>\n<>\n", ""));
    assert_eq!(fs::read_to_string(calls).unwrap(), format!("init {}\n", desk.name()));
}

fn strict_shells_live_on(kind: Kind, shell: &Path) {
    let desk = Desk::with_a_dead_one(kind, shell);
    desk.hold();
    desk.rc(&format!("set -eu -o pipefail\n{}", desk.init()));
    let mut terminal = desk.open();
    desk.release();
    desk.wait_for_a_fail(&mut terminal);
    assert_eq!(terminal.run("if raxx load 2>/dev/null; then echo good; else echo $?; fi"), Ran::well("1"));
    assert_eq!(terminal.run("raxx unset"), Ran::well("raxx: cleared 4 variables"));
    assert_eq!(terminal.run("raxx unset; true"), Ran::well("raxx: cleared 0 variables"));
    // Failing is still failing.
    terminal.line("raxx load CF_WORKER_DEPLOY; echo not reached");
    assert_eq!(terminal.end(), 1);
    assert_eq!(terminal.times("\nnot reached"), 0);

    // And so it is where there is no terminal.
    let strict = format!(
        "set -eu -o pipefail\n{}\nraxx unset\nif raxx load NO_SUCH_NAME 2>/dev/null; then :; else echo $?; fi\n\
         raxx check --help >/dev/null\necho the end",
        desk.init()
    );
    let out = desk.sandbox.command(&desk.shell).args(["-c", &strict]).output().unwrap();
    assert_eq!((text(&out.stdout).as_str(), text(&out.stderr).as_str()), ("2\nthe end\n", ""));
}

fn an_old_pane_gets_the_new_value(kind: Kind, shell: &Path) {
    let (mut desk, _keyring) = at_a_keyring(kind, shell);
    let stale = "HRKU-AAMadeUpButStale0123456789abcdefghijklmnopqrstuvwxyzA0000";
    desk.sandbox.env(HEROKU.0, stale);
    desk.rc(&desk.init());
    let socket = desk.mark("tmux").display().to_string();
    let tmux = |args: &[&str]| {
        let mut command = desk.sandbox.command(program("tmux"));
        text(&command.args(["-S", &socket, "-f", "/dev/null"]).args(args).output().unwrap().stdout)
    };
    let pane = format!("{} {} -i", desk.shell.display(), desk.options().join(" "));
    tmux(&["new-session", "-d", "-x", "200", "-y", "50", &pane]);
    let shows = |what: &str| {
        wait_until(what, || tmux(&["capture-pane", "-p"]).contains(what));
    };
    shows(PROMPT.trim_end());
    desk.wait_for_a_good_end();
    // In bash the value comes with the next prompt.
    tmux(&["send-keys", "", "Enter"]);
    thread::sleep(Duration::from_millis(300));
    tmux(&["send-keys", "echo \"<$HEROKU_API_KEY>\"", "Enter"]);
    shows(&format!("<{}>", HEROKU.1));
    assert!(!tmux(&["capture-pane", "-p"]).contains("FAIL"), "{}", tmux(&["capture-pane", "-p"]));
    tmux(&["kill-server"]);
}

fn a_shell_may_end_before_the_checks(kind: Kind, shell: &Path) {
    let session = |raxx: bool| {
        let desk = Desk::with_a_dead_one(kind, shell);
        desk.providers.latency(Duration::from_secs(2));
        desk.rc(&if raxx { desk.init() } else { String::new() });
        let mut terminal = desk.open();
        terminal.settle();
        if raxx {
            wait_until("the checks", || desk.providers.requests().len() == 4);
        }
        terminal.line("exit");
        assert_eq!(terminal.end(), 0);
        if raxx {
            // What was under way ends by itself, having noted its verdicts.
            wait_until("the end of the hook", || desk.files().iter().filter(|f| f.contains("verdicts/")).count() >= 4);
            thread::sleep(Duration::from_millis(500));
            let left: Vec<String> = desk.files().into_iter().filter(|f| !f.contains("verdicts/")).collect();
            assert_eq!(left, ["config.toml", "home/.local/state/raxx/key"]);
        }
        String::from_utf8(terminal.transcript()).unwrap()
    };
    let [with, without] = [session(true), session(false)];
    assert_eq!(with, without);
}

fn interrupts_at_the_prompt_are_not_for_the_checks(kind: Kind, shell: &Path) {
    // A shell in a shell, too: there ^Z stops whoever does not know better.
    for nested in [false, true] {
        let desk = Desk::with_a_dead_one(kind, shell);
        desk.providers.latency(Duration::from_secs(3));
        desk.rc(&desk.init());
        let mut terminal = if nested {
            let outer = if kind == Zsh { "-f" } else { "--norc" };
            let mut terminal = desk.start(&[outer, "-i"]);
            terminal.settle();
            terminal.line(&format!("{} {} -i", desk.shell.display(), desk.options().join(" ")));
            terminal.wait_for(PROMPT);
            terminal
        } else {
            desk.open()
        };
        wait_until("the checks", || desk.providers.requests().len() == 4);
        for key in ["abc\x03", "\x1a", "\x1c", "sleep 60\r"] {
            terminal.keys(key);
            terminal.settle();
        }
        terminal.keys("\x03");
        terminal.settle();
        desk.wait_for_a_fail(&mut terminal);
        assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
        // ^C still does what it should.
        terminal.line("sleep 60");
        terminal.settle();
        terminal.keys("\x03");
        assert_eq!(terminal.run("echo alive").output, "alive");
    }
}

fn what_is_read_only_stays_and_is_told(kind: Kind, shell: &Path) {
    let (desk, _keyring) = at_a_keyring(kind, shell);
    // The first one in the list, so that there is something behind it to lose.
    let name = TOKENS[0].0;
    desk.rc(&format!("{name}=mine; readonly {name}\n{}", desk.init()));
    let mut terminal = desk.open();
    desk.wait_for_a_good_end();
    assert_eq!(terminal.screen(), PROMPT.trim_end());
    assert_eq!(terminal.run(&format!("echo ${name} $HEROKU_API_KEY")), Ran::well(&format!("mine {}", HEROKU.1)));
    let loaded = terminal.run("raxx load 2>&1 | tail -n 1; raxx load 2>/dev/null");
    let kept = format!("raxx: {name} is read-only in this shell and keeps its value");
    assert_eq!(loaded, Ran { output: kept, code: 1 });
    let told =
        format!("raxx: {name} is read-only in this shell and stays set: close the shell\nraxx: cleared 3 variables");
    assert_eq!(terminal.run("raxx unset"), Ran { output: told, code: 1 });
    assert_eq!(terminal.run(&format!("echo ${name} $HEROKU_API_KEY")), Ran::well("mine"));
}

/// Aliases, functions and an IFS that turn each word of the glue into something else.
fn nothing_of_the_shell_is_trusted(kind: Kind, shell: &Path) {
    let (desk, _keyring) = at_a_keyring(kind, shell);
    let words = "export unset eval printf command builtin local read exec shift set return kill type trap sh emulate \
                 setopt zle print typeset autoload whence zmodload break continue";
    let more = match kind {
        Zsh => "alias -g -- --help='| less' -h=H L='| less' G=grep\nunalias emulate\n",
        Bash => "shopt -s expand_aliases\n",
    };
    let hostile = format!(
        "bad() {{ echo \"BAD $*\"; }}\nfor word in {words}; do alias $word=\"bad $word\"; done\n{more}\
         \\builtin unalias builtin 2>/dev/null\n\
         \\builtin eval 'function unset {{ echo BAD; }}; function export {{ echo BAD; }}; function printf {{ echo BAD; }}'\nIFS='aRXE_0/ '\n"
    );
    let init = format!("\\builtin eval \"$(raxx init {})\"\n", desk.name());
    desk.rc(&format!("{hostile}{init}"));
    let mut terminal = desk.open();
    desk.wait_for_a_good_end();
    let value = "\\builtin echo \"<$HEROKU_API_KEY>\"";
    let types = |terminal: &mut Terminal, line: &str, shown: &str| {
        terminal.line(line);
        terminal.wait_for_row(shown);
    };
    types(&mut terminal, value, &format!("<{}>", HEROKU.1));
    types(&mut terminal, "raxx unset", "raxx: cleared 4 variables");
    types(&mut terminal, value, "<>");
    terminal.line("raxx load");
    terminal.wait_for("octo-op");
    terminal.wait_for_times(PROMPT, 5);
    terminal.line("raxx unset");
    terminal.wait_for_times("cleared 4 variables", 2);
    terminal.settle();
    assert_eq!(terminal.times("cleared 4"), 2, "{}", terminal.screen());
    assert_eq!(terminal.times("BAD"), 0, "{}", terminal.screen());
}

fn names_from_the_environment_are_not_code(kind: Kind, shell: &Path) {
    let mut desk = Desk::with_values(kind, shell);
    let hostile =
        "a[$(touch pwned)] $(touch pwned) `touch pwned` * -f 1A KEEP=x KEEP- é HEROKU_API_KEY; touch\tpwned raxx";
    desk.sandbox.env("__RAXX_NAMES", hostile).env("KEEP", "kept");
    // A file called like a variable, for a `*` that would be expanded.
    fs::write(desk.sandbox.home().join("KEEP"), "").unwrap();
    desk.rc(&desk.init());
    let said = desk
        .prints("raxx unset; echo \"$? <$KEEP> <$HEROKU_API_KEY> <${__RAXX_NAMES-gone}>\"; type raxx >/dev/null && ls");
    assert_eq!(said, "0 <kept> <> <gone>\nKEEP\n");
    // Nor through raxx itself, which passes them on.
    let said = desk.prints("unset HEROKU_API_KEY; raxx load >/dev/null 2>&1; echo \"$__RAXX_NAMES\"; raxx unset; ls");
    assert!(said.contains("KEEP") && !said.contains("$("), "{said}");
    assert!(said.ends_with("\nKEEP\n"), "{said}");
}

/// The checks run in a session of their own, also where the shell makes them the leader of a process group.
fn the_checks_leave_the_session(kind: Kind, shell: &Path) {
    let desk = Desk::with_a_dead_one(kind, shell);
    if !cfg!(target_os = "linux") {
        return;
    }
    desk.providers.latency(Duration::from_secs(3));
    let mut terminal = desk.with_raxx();
    let own = terminal.run("echo $$").output;
    wait_until("the checks", || desk.providers.requests().len() == 4);
    let of_the_session = |process: &fs::DirEntry| {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        stat.contains("(raxx)") && stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(3)) == Some(&own)
    };
    assert_eq!(fs::read_dir("/proc").unwrap().flatten().filter(of_the_session).count(), 0);
    desk.wait_for_a_fail(&mut terminal);
}

fn debug_traps_see_no_value(kind: Kind, shell: &Path) {
    let traps: &[&str] = match kind {
        Zsh => &[
            "TRAPDEBUG() { print -r -- \"D:$ZSH_DEBUG_CMD\" }",
            "setopt debug_before_cmd; trap 'print -r -- \"D:$ZSH_DEBUG_CMD\"' DEBUG",
        ],
        Bash => &[
            "set -T; trap 'echo \"D:$BASH_COMMAND\" >&2' DEBUG",
            "shopt -s extdebug; trap 'echo \"D:$BASH_COMMAND\" >&2' DEBUG",
            "set -ET; trap 'echo \"D:$BASH_COMMAND\" >&2' DEBUG RETURN ERR",
        ],
    };
    for trap in traps {
        let (mut desk, _keyring) = at_a_keyring(kind, shell);
        // One in the rc file, one with the hook.
        desk.sandbox.env(HEROKU.0, "HRKU-AAMadeUpButStale0123456789abcdefghijklmnopqrstuvwxyzA0000");
        desk.rc(&format!("{trap}\n{}", desk.init()));
        let terminal = &mut desk.open();
        desk.wait_for_a_good_end();
        terminal.line("");
        terminal.line("raxx load 2>/dev/null");
        terminal.settle();
        terminal.line("[ \"$HEROKU_API_KEY\" = HRKU-AAMade\"\"UpForTheTests0123456789abcdefghijklmnopqrstuvwxyzA1234 ] && echo ri''ght");
        terminal.wait_for("\nright");
        assert!(terminal.times("D:") > 3, "{}", terminal.screen());
        assert_eq!(terminal.times("MadeUpFor") + terminal.times("MadeUpBut"), 0, "{trap}: {}", terminal.screen());
    }
}

fn unset_refuses_what_a_shell_lives_on(kind: Kind, shell: &Path) {
    let mut desk = Desk::with_values(kind, shell);
    let names =
        "PATH HOME IFS TERM PROMPT_COMMAND precmd_functions fpath PS1 LD_PRELOAD path MANPATH psvar __raxx_want";
    desk.sandbox.env("__RAXX_NAMES", format!("{names} OLD_ONE")).env("OLD_ONE", "MadeUp").env("MANPATH", "/man");
    let state = "echo \"$PATH $HOME <$IFS> $TERM $PS1 $MANPATH\"";
    desk.rc(&desk.init());
    let mut terminal = desk.open();
    let before = terminal.run(state);
    assert_eq!(terminal.run("raxx unset"), Ran::well("raxx: cleared 5 variables"));
    assert_eq!(terminal.run(state), before);
    assert_eq!(terminal.run("echo \"<$OLD_ONE>\""), Ran::well("<>"));
}

fn switched_off_nothing_comes_by_itself(kind: Kind, shell: &Path) {
    for (off, is_off) in [("1", true), ("yes", true), ("0", false), ("", false)] {
        let (mut desk, _keyring) = at_a_keyring(kind, shell);
        desk.sandbox.env("RAXX_OFF", off);
        let mut terminal = desk.with_raxx();
        terminal.run("true");
        assert_eq!(terminal.run("echo ${HEROKU_API_KEY:+has}").output, if is_off { "" } else { "has" }, "{off}");
        if !is_off {
            continue;
        }
        assert_eq!(desk.providers.requests().len(), 0);
        // What a person types works, and `load` ends it, here and in what is started from here.
        assert_eq!(terminal.run("raxx check HEROKU_API_KEY >/dev/null").code, 0);
        assert_eq!(
            terminal.run("raxx load 2>/dev/null; echo ${HEROKU_API_KEY:+has} ${RAXX_OFF-on}"),
            Ran::well("has on")
        );
        assert_eq!(terminal.run("raxx unset 2>/dev/null; printenv RAXX_OFF"), Ran::well("1"));
        let inner = format!("{} {} -i -c 'echo <$HEROKU_API_KEY>'", desk.shell.display(), desk.options().join(" "));
        assert_eq!(terminal.run(&inner.replace("<$HEROKU_API_KEY>", "\"<$HEROKU_API_KEY>\"")), Ran::well("<>"));
    }
}

fn a_shell_may_have_values_and_no_check(kind: Kind, shell: &Path) {
    let (desk, _keyring) = at_a_keyring(kind, shell);
    desk.providers.revoke(HEROKU.1);
    let config = desk.sandbox.root().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[hook]\nenabled = false\n")).unwrap();
    let mut terminal = desk.with_raxx();
    for _ in 0..3 {
        assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(desk.providers.requests().len(), 0);
}

fn a_broken_configuration_is_said_at_the_first_prompt(kind: Kind, shell: &Path) {
    let mut desk = Desk::new(kind, shell);
    desk.sandbox.config("timeout = 5\n");
    let mut terminal = desk.with_raxx();
    let first = terminal.screen();
    assert!(first.starts_with("raxx: ") && first.contains("timeout") && first.ends_with(PROMPT.trim_end()), "{first}");
    terminal.run("true");
    terminal.run("true");
    assert_eq!(terminal.times("raxx: "), 1, "{}", terminal.screen());
}

/// The shell passes on how it ended, and takes what was stored until then.
fn an_interrupted_load_gives_130(kind: Kind, shell: &Path) {
    let desk = Desk::new(kind, shell);
    desk.rc(&format!("{}RAXX_OFF=1\n", desk.init()));
    desk.between("case $1 in load) ;; init) exec \"$RAXX\" \"$@\" ;; *) exit ;; esac\ntrap 'echo \"export HEROKU_API_KEY='\\''kept'\\''\"; exit 130' INT\n: >\"$HOME/there\"\nwhile :; do sleep 0.05; done");
    let mut terminal = desk.open();
    terminal.line("raxx load");
    wait_until("raxx", || desk.sandbox.home().join("there").exists());
    terminal.keys("\x03");
    terminal.wait_for_times(PROMPT, 2);
    assert_eq!(terminal.run("echo $?"), Ran::well("130"));
}

/// Nor is a descriptor's number.
#[test]
fn a_descriptor_from_the_environment_is_not_code() {
    for shell in shells(Bash) {
        let mut desk = Desk::with_values(Bash, &shell);
        let trap = desk.mark("trap");
        desk.sandbox.env("__raxx_fd", format!("9</dev/null; touch '{}'; :", trap.display()));
        let mut terminal = desk.with_raxx();
        desk.wait_for_a_good_end();
        terminal.run("true");
        assert_eq!(terminal.run("raxx unset"), Ran::well("raxx: cleared 4 variables"));
        desk.rc("");
        desk.sandbox
            .command(&shell)
            .args(["--norc", "-c", "eval \"$(raxx init bash)\"; raxx unset"])
            .assert()
            .success();
        assert!(!trap.exists());
    }
}

fn tracing_shows_no_value(kind: Kind, shell: &Path) {
    let (desk, _keyring) = at_a_keyring(kind, shell);
    desk.between("[ \"$1\" = export ] && [ -e late ] && exit; exec \"$RAXX\" \"$@\"");
    for late in [false, true] {
        if late {
            fs::write(desk.sandbox.home().join("late"), "").unwrap();
        }
        desk.rc(&format!("set -xv\n{}", desk.init()));
        let mut terminal = desk.open();
        desk.wait_for_a_good_end();
        fs::remove_file(desk.sandbox.home().join(".raxx-session-bootstrap-last-validated")).unwrap();
        terminal.line("");
        terminal.line("raxx load");
        terminal.wait_for("octo-op");
        terminal.line("raxx unset");
        terminal.wait_for("cleared 4 variables");
        // Traced it is, and goes on being.
        terminal.line("echo \"still $-\" end");
        terminal.wait_for(" end\r\n");
        terminal.settle();
        assert!(terminal.times("echo 'still") >= 1, "{}", terminal.screen());
        assert_eq!(terminal.times("MadeUp"), 0, "{}", terminal.screen());
    }
}

fn an_answer_that_is_none_does_no_harm(kind: Kind, shell: &Path) {
    let desk = Desk::new(kind, shell);
    // Cut off in the middle of a line by whoever kills processes; and lines of another program called raxx.
    let answer = desk.mark("answer");
    let lines = "export CF_WORKER_DEPLOY='whole'\n$(touch pwned)\ntouch pwned\nexport HEROKU_API_KEY='cut o";
    fs::write(&answer, lines).unwrap();
    for end in ["kill -9 $$", "exit 0"] {
        let ended = desk.mark("ended");
        let _ = fs::remove_file(&ended);
        desk.between(&format!(
            "[ \"$1\" = hook ] || exec \"$RAXX\" \"$@\"\ncat '{}'; : >'{}'; {end}",
            answer.display(),
            ended.display()
        ));
        let mut terminal = desk.with_raxx();
        wait_until("the end of the hook", || ended.exists());
        thread::sleep(Duration::from_millis(300));
        terminal.run("true");
        // bash has sh to ask whether the hook ended well; zsh has whole lines.
        let whole = if kind == Bash && end != "exit 0" { "" } else { "whole" };
        assert_eq!(terminal.run("echo \"$CF_WORKER_DEPLOY\""), Ran::well(whole), "{end}");
        assert_eq!(terminal.run("echo \"$HEROKU_API_KEY\""), Ran::well(""), "{end}");
        assert!(!terminal.screen().contains("rror"), "{}", terminal.screen());
    }
    assert!(!desk.sandbox.home().join("pwned").exists());
}

/// Each option of the shell, turned round before the glue is read and while it is called.
fn any_option_of_the_shell_will_do(kind: Kind, shell: &Path) {
    let desk = Desk::new(kind, shell);
    // Quick, for there are many options.
    desk.between(
        "case $1 in init) exec \"$RAXX\" \"$@\" ;; hook) exit ;; esac\n\
         printf \"export HEROKU_API_KEY='it'\\\\\\\\''s'\\nexport __RAXX_NAMES='HEROKU_API_KEY'\\n\"\n\
         [ \"$1\" = export ] || exit 1",
    );
    desk.rc("");
    let glue = desk.mark("glue");
    fs::write(&glue, desk.prints(&format!("raxx init {}", desk.name()))).unwrap();
    let (list, hooks) = match kind {
        Zsh => (
            "zmodload zsh/parameter; for option in ${(ok)options}; do\n\
             if [[ -o $option ]]; then echo \"unsetopt $option\"; else echo \"setopt $option\"; fi\ndone",
            "__raxx_prompt",
        ),
        Bash => (
            "shopt | while read -r option is; do [ $is = on ] && echo \"shopt -u $option\" || echo \"shopt -s $option\"; done\n\
             set -o | while read -r option is; do [ $is = on ] && echo \"set +o $option\" || echo \"set -o $option\"; done",
            "\"eval\" \"$PROMPT_COMMAND\"; \"eval\" \"$PROMPT_COMMAND\"",
        ),
    };
    // Those that end the shell, keep it from starting programs, trace, or say who sits at it and how; and bash's
    // keyword, with which `export NAME=value` is nobody's export any more.
    let not = "exec noexec xtrace verbose interactive shinstdin privileged restricted singlecommand onecmd monitor zle \
               login promptcr keyword emacs vi";
    let not: Vec<&str> = not.split(' ').collect();
    let turns = desk.prints(list);
    let turns: Vec<&str> =
        turns.lines().filter(|turn| turn.split(' ').next_back().is_some_and(|o| !not.contains(&o))).collect();
    assert!(turns.len() > 40, "{turns:?}");
    let mut wrong = Vec::new();
    for turn in turns {
        let said = desk.prints(&format!(
            "{turn} 2>/dev/null || {{ echo fixed; exit; }}\n\"eval\" \"$(cat '{}')\" || \"echo\" \"init: $?\"\n\
             \"printf\" '%s ' \"$HEROKU_API_KEY\" \"$__RAXX_NAMES\"\nHEROKU_API_KEY=\n\
             raxx load || \"printf\" '%s ' \"$?\"\n\"printf\" '%s ' \"$HEROKU_API_KEY\"\n\
             raxx unset || \"printf\" 'unset %s ' \"$?\"\n\
             \"printf\" '%s ' \"${{HEROKU_API_KEY-gone}}\" \"${{__RAXX_NAMES-gone}}\"\n{hooks}\n\"echo\" end",
            glue.display(),
        ));
        if said != "it's HEROKU_API_KEY 1 it's gone gone end\n" && said != "fixed\n" {
            wrong.push(format!("{turn}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What others do with PROMPT_COMMAND: each before and after raxx.
#[test]
fn prompt_command_may_have_any_form() {
    let mine = "mine() { seen=\"$seen $?\"; }\n";
    // Small imitations of how the two keep a copy of what they find there.
    let preexec = r#"
        install() {
            local found="${PROMPT_COMMAND//install/:}"
            PROMPT_COMMAND="before${found:+$'\n'}${found%;}"$'\n''after'
            before
        }
        before() { last=$?; for f in ${precmd_functions[@]+"${precmd_functions[@]}"}; do (exit "$last"); "$f"; done; return "$last"; }
        after() { at_prompt=1; }
        trap '[[ -n ${at_prompt-} ]] && at_prompt= && ran=${ran-}.' DEBUG
        precmd_functions=(mine)
        PROMPT_COMMAND="install${PROMPT_COMMAND:+;$PROMPT_COMMAND}"
    "#;
    let starship = r#"
        status() { return "$1"; }
        draw() {
            local last=$?
            status "$last"
            eval "${kept-}"
            PS1='P> '
            status "$last"
        }
        if [[ -n ${PROMPT_COMMAND-} && $PROMPT_COMMAND != *draw* ]]; then kept=$PROMPT_COMMAND; fi
        PROMPT_COMMAND=draw
    "#;
    let starship = format!("PROMPT_COMMAND=\"${{PROMPT_COMMAND:+$PROMPT_COMMAND;}}mine\"\n{starship}");
    let forms: [(&str, &str); 9] = [
        ("", "PROMPT_COMMAND=\"$PROMPT_COMMAND;mine\"\n"),
        ("PROMPT_COMMAND=mine\n", ""),
        ("PROMPT_COMMAND='mine; '\n", ""),
        ("PROMPT_COMMAND=(mine 'true;')\n", ""),
        ("", "PROMPT_COMMAND=(mine \"${PROMPT_COMMAND[@]}\"); PROMPT_COMMAND[0]=\"mine;${PROMPT_COMMAND[1]}\"\n"),
        (preexec, ""),
        ("", preexec),
        (&starship, ""),
        ("", &starship),
    ];
    for shell in shells(Bash) {
        for (before, after) in forms {
            for dead in [true, false] {
                let desk = if dead { Desk::with_a_dead_one(Bash, &shell) } else { Desk::with_values(Bash, &shell) };
                desk.hold();
                let init = desk.init();
                // Read twice: it must not multiply.
                desk.rc(&format!("{mine}{before}{init}{after}{init}"));
                let mut terminal = desk.open();
                terminal.line("(exit 5)");
                terminal.wait_for_times(PROMPT, 2);
                assert_eq!(terminal.run("echo $?"), Ran::well("5"), "{before}{after}");
                desk.release();
                terminal.line("(exit 6)");
                terminal.wait_for_times(PROMPT, 4);
                assert_eq!(terminal.run("echo $?"), Ran::well("6"), "{before}{after}");
                assert_eq!(terminal.times("[FAIL]"), usize::from(dead), "{before}{after}{}", terminal.screen());
                let seen = terminal.run("echo $seen").output;
                assert!(seen.contains(" 5 0 6 "), "{before}{after}: {seen}");
                assert_eq!(terminal.times("not found"), 0, "{}", terminal.screen());
            }
        }
    }
}

/// PIPESTATUS, ERR traps, and a PROMPT_COMMAND that changes itself or is assigned later.
#[test]
fn the_prompts_of_others_see_what_the_person_left() {
    let seen = "seen() { local s=(\"${PIPESTATUS[@]}\"); echo \"pipe=${s[*]}\"; }\n";
    for shell in shells(Bash) {
        let pipe = |before: &str, after: &str| {
            let desk = Desk::with_a_dead_one(Bash, &shell);
            desk.rc(&format!("{seen}{before}{}{after}", desk.init()));
            let mut terminal = desk.open();
            terminal.line("true | false | true");
            terminal.wait_for_times(PROMPT, 2);
            assert!(terminal.times("pipe=0 1 0") > 0, "{before}{after}: {}", terminal.screen());
            desk.wait_for_a_fail(&mut terminal);
        };
        pipe("PROMPT_COMMAND=seen\n", "");
        pipe("export PROMPT_COMMAND='seen; '\n", "");
        if shell == program("bash") {
            pipe("", "PROMPT_COMMAND=seen\n");
            pipe("", "PROMPT_COMMAND=\"$PROMPT_COMMAND;seen\"\n");
            pipe("PROMPT_COMMAND=(true seen)\n", "PROMPT_COMMAND=(\"${PROMPT_COMMAND[@]}\" true)\n");
        }

        let desk = Desk::with_a_dead_one(Bash, &shell);
        desk.rc(&format!("set -E\n{}trap 'echo ERR\"\"TRAP' ERR\n", desk.init()));
        let mut terminal = desk.open();
        terminal.line("false");
        for n in 2..5 {
            terminal.wait_for_times(PROMPT, n);
            terminal.line("");
        }
        terminal.settle();
        assert_eq!(terminal.times("ERRTRAP"), 1, "{}", terminal.screen());

        for itself in ["export PROMPT_COMMAND=:", "PROMPT_COMMAND=", "PROMPT_COMMAND=(true)", "unset PROMPT_COMMAND"] {
            let desk = Desk::with_a_dead_one(Bash, &shell);
            desk.rc(&format!("PROMPT_COMMAND='{itself}'\n{}", desk.init()));
            desk.wait_for_a_fail(&mut desk.open());
        }
    }
}

/// Nothing survives that, so the next command of raxx says it.
#[test]
fn a_prompt_command_that_is_gone_is_told() {
    for shell in shells(Bash) {
        let desk = Desk::with_values(Bash, &shell);
        desk.rc(&format!("{}unset PROMPT_COMMAND\n", desk.init()));
        let mut terminal = desk.open();
        assert!(terminal.run("raxx --version").output.contains("PROMPT_COMMAND was replaced"), "{}", terminal.screen());
        assert!(!terminal.run("raxx --version").output.contains("PROMPT_COMMAND"), "{}", terminal.screen());
    }
}

/// With `set -k`, arguments that look like assignments are none.
#[test]
fn a_bash_with_the_option_keyword_lives_on() {
    for shell in shells(Bash) {
        let (desk, _keyring) = at_a_keyring(Bash, &shell);
        desk.providers.revoke(TOKENS[3].1);
        for rc in [format!("set -k\n{}", desk.init()), format!("{}set -k\n", desk.init())] {
            desk.rc(&rc);
            let mut terminal = desk.open();
            desk.wait_for_a_fail(&mut terminal);
            assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
            assert_eq!(terminal.run("raxx unset 2>/dev/null; printenv HEROKU_API_KEY").output, "");
            assert_eq!(terminal.run("raxx load 2>/dev/null; printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
        }
    }
}

/// A global alias of zsh may have any name.
#[test]
fn global_aliases_change_nothing() {
    for shell in shells(Zsh) {
        let (desk, _keyring) = at_a_keyring(Zsh, &shell);
        let aliases =
            "for word in 0 1 2 3 8 130 in next true INT zle interactive; do alias -g $word='echo BAD'; done\n";
        desk.rc(&format!("{aliases}{}", desk.init()));
        let mut terminal = desk.open();
        desk.wait_for_a_good_end();
        terminal.line("printenv HEROKU_API_KEY");
        terminal.wait_for_row(HEROKU.1);
        terminal.line("raxx unset");
        terminal.wait_for_row("raxx: cleared 4 variables");
        assert_eq!(terminal.times("BAD"), 0, "{}", terminal.screen());
    }
}

/// People export PROMPT_COMMAND, and a shell that does not read the rc file inherits it.
#[test]
fn a_shell_without_raxx_inside_has_a_quiet_prompt() {
    for shell in shells(Bash) {
        let desk = Desk::with_values(Bash, &shell);
        desk.rc(&format!("export PROMPT_COMMAND=mine\nmine() {{ :; }}\nexport -f mine\n{}", desk.init()));
        let mut terminal = desk.open();
        terminal.line(&format!("PS1='in> ' {} --norc --noprofile -u -i", desk.shell.display()));
        terminal.line("echo 'with''in'");
        terminal.wait_for_row("within");
        terminal.wait_for("in> ");
        terminal.line("exit");
        terminal.wait_for_times(PROMPT, 2);
        assert_eq!(terminal.times("not found"), 0, "{}", terminal.screen());
        assert_eq!(terminal.times("unbound"), 0, "{}", terminal.screen());
    }
}

/// An auditor's PROMPT_COMMAND stays as it is; the values are there all the same.
#[test]
fn a_read_only_prompt_command_stays() {
    for shell in shells(Bash) {
        let (desk, _keyring) = at_a_keyring(Bash, &shell);
        desk.rc(&format!("PROMPT_COMMAND='audited=1'; readonly PROMPT_COMMAND\n{}alive=yes\n", desk.init()));
        let mut terminal = desk.open();
        assert_eq!(terminal.screen(), PROMPT.trim_end());
        assert_eq!(terminal.run("echo $HEROKU_API_KEY $alive $audited"), Ran::well(&format!("{} yes 1", HEROKU.1)));
        assert_eq!(terminal.run("raxx unset"), Ran::well("raxx: cleared 4 variables"));
    }
}

/// In posix mode, bash before 5.1 does not even parse what starts the checks.
#[test]
fn posix_mode_is_no_obstacle() {
    for shell in shells(Bash) {
        for (mode, exported) in [("set -o posix", 0), ("export POSIXLY_CORRECT=y", 1)] {
            let desk = Desk::with_a_dead_one(Bash, &shell);
            desk.hold();
            desk.rc(&format!("{mode}\n{}", desk.init()));
            let mut terminal = desk.open();
            terminal.run("true");
            let screen = terminal.screen();
            assert_eq!(screen.lines().filter(|line| line.contains("bash")).count(), 0, "{screen}");
            assert_eq!(terminal.run("shopt -qo posix && printenv | grep -c POSIXLY").output, exported.to_string());
            desk.release();
            desk.wait_for_a_fail(&mut terminal);
            assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
            assert_eq!(terminal.run("raxx unset"), Ran::well("raxx: cleared 4 variables"));
        }
    }
}

#[test]
fn other_precmd_functions_see_the_exit_code() {
    for shell in shells(Zsh) {
        let desk = Desk::with_a_dead_one(Zsh, &shell);
        desk.rc(&format!(
            "precmd() {{ seen=\"$seen $?\" }}\nmine() {{ seen=\"$seen $?\" }}\nprecmd_functions=(mine)\n{}\
             yours() {{ seen=\"$seen $?,\" }}\nprecmd_functions+=(yours)\n",
            desk.init()
        ));
        let mut terminal = desk.open();
        desk.wait_for_a_fail(&mut terminal);
        terminal.line("(exit 5)");
        terminal.wait_for_times(PROMPT, 3);
        assert_eq!(terminal.run("echo $? $seen"), Ran::well("5  0 0 0, 5 5 5,"));
        assert_eq!(terminal.run("echo $precmd_functions"), Ran::well("mine yours"));
    }
}

/// The options that change most of zsh, in force when the line editor calls back.
#[test]
fn an_odd_zsh_hears_of_a_fail() {
    let options = "setopt ksh_arrays sh_word_split glob_subst no_nomatch no_unset warn_create_global err_exit\n";
    for shell in shells(Zsh) {
        for odd in [options, "emulate sh\n", "emulate ksh\n", "emulate csh\n"] {
            let desk = Desk::with_a_dead_one(Zsh, &shell);
            desk.rc(&format!("{odd}{}", desk.init()));
            let mut terminal = desk.open();
            terminal.wait_for("rotate via");
            terminal.settle();
            let screen = terminal.screen();
            let words = format!("{}\n{FAIL}\n{}", PROMPT.trim_end(), PROMPT.trim_end());
            assert!(screen.ends_with(&words) && screen.matches("[FAIL]").count() == 1, "{odd}{screen}");
            assert_eq!(terminal.run("raxx unset"), Ran::well("raxx: cleared 4 variables"), "{odd}");
        }
    }
}

/// powerlevel10k's instant prompt takes the streams away while the rc file runs, and complains of anything that was said.
#[test]
fn nothing_is_said_below_an_instant_prompt() {
    for shell in shells(Zsh) {
        let (desk, _keyring) = at_a_keyring(Zsh, &shell);
        desk.providers.revoke(HEROKU.1);
        desk.rc(&format!(
            "exec {{in}}<&0 {{out}}>&1 {{err}}>&2 </dev/null >said 2>&1\n\
             restore() {{ exec <&$in >&$out 2>&$err {{in}}<&- {{out}}>&- {{err}}>&-; precmd_functions=(${{precmd_functions:#restore}}) }}\n\
             {}precmd_functions+=(restore)\n",
            desk.init()
        ));
        let mut terminal = desk.open();
        terminal.wait_for("rotate via");
        terminal.settle();
        assert_eq!(terminal.screen(), format!("{PROMPT}\n{FAIL}\n{PROMPT}").replace("> \n", ">\n").trim_end());
        assert_eq!(fs::read_to_string(desk.sandbox.home().join("said")).unwrap(), "");
        // Rejected, and it was raxx that had put it there.
        assert_eq!(terminal.run("printenv HEROKU_API_KEY").output, "");
    }
}

/// A shell inside Emacs has no line editor to call back.
#[test]
fn without_the_line_editor_a_later_prompt_tells() {
    let desk = Desk::with_a_dead_one(Zsh, &program("zsh"));
    desk.hold();
    desk.rc(&format!("unsetopt zle\n{}", desk.init()));
    let mut terminal = desk.open();
    terminal.run("true");
    assert_eq!(terminal.times("[FAIL]"), 0);
    desk.release();
    terminal.run("true");
    terminal.wait_for("[FAIL]");
    terminal.run("true");
    assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
    assert_eq!(terminal.run("echo $precmd_functions"), Ran::well(""));
}

/// What a person starts while the checks run has no business with their pipe.
#[cfg(target_os = "linux")]
#[test]
fn commands_do_not_inherit_the_pipe() {
    let desk = Desk::with_values(Zsh, &program("zsh"));
    desk.hold();
    let mut terminal = desk.with_raxx();
    assert_eq!(terminal.run("ls -l /proc/self/fd >list; grep -c pipe: list").output, "0");
    desk.release();
}

/// A window closes, and an ssh ends, when nobody holds the terminal any more. (zsh before 5.9 has a second process there.)
#[cfg(target_os = "linux")]
#[test]
fn the_checks_do_not_hold_the_terminal() {
    // The terminal of a process, by its number; `?` where it has ended.
    let terminal_of = |process: &str| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(4)).unwrap_or("?").to_string()
    };
    for (kind, shell) in [(Zsh, program("zsh")), (Bash, program("bash"))] {
        let desk = Desk::with_values(kind, &shell);
        desk.hold();
        let mut terminal = desk.with_raxx();
        if terminal.run("[[ ${ZSH_VERSION-5.9} == 5.[0-8]* ]] && echo old").output == "old" {
            continue;
        }
        let own = terminal_of(&terminal.run("echo $$").output);
        assert!(!["0", "?"].contains(&own.as_str()));
        // zsh has a descriptor of /dev/tty beside those of the terminal's own name.
        let names = [terminal.run("tty").output, "/dev/tty".into()].map(PathBuf::from);
        let holds = |process: &fs::DirEntry| {
            let open = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
            open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|to| names.contains(&to))
                && terminal_of(&process.file_name().to_string_lossy()) == own
        };
        let there = || fs::read_dir("/proc").unwrap().flatten().filter(holds).count();
        wait_until("nobody but the shell at the terminal", || there() == 1);
        assert!(desk.mark("held").exists() && !desk.mark("ended").exists());
        desk.release();
    }
}

/// bash cannot keep its pipe from the commands that it starts. What is started after the emergency clear has no answer to read.
#[cfg(target_os = "linux")]
#[test]
fn after_unset_nothing_inherits_the_pipe() {
    for shell in shells(Bash) {
        let desk = Desk::with_values(Bash, &shell);
        desk.hold();
        let mut terminal = desk.with_raxx();
        assert_eq!(terminal.run("raxx unset 2>/dev/null; ls -l /proc/self/fd >list; grep -c pipe: list").output, "0");
        desk.release();
    }
}

/// Nothing is read from the current directory, whatever the variable says.
#[test]
fn only_an_absolute_directory_has_completions() {
    for shell in shells(Zsh) {
        let mut desk = Desk::new(Zsh, &shell);
        let dir = desk.sandbox.home().join("zsh/site-functions");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("_raxx"), "#compdef raxx\n").unwrap();
        for (place, found) in [(".", "0"), ("", "0"), ("zsh/..", "0"), (desk.sandbox.home().to_str().unwrap(), "1")]
            .map(|(place, found)| (place.to_string(), found))
        {
            desk.sandbox.env("XDG_DATA_HOME", &place);
            desk.rc(&desk.init());
            assert_eq!(
                desk.prints("echo ${#${(M)fpath:#*zsh/site-functions}:#/usr*}"),
                format!("{found}\n"),
                "{place}"
            );
        }
    }
}

/// Where install.sh puts the completions, zsh does not look by itself.
#[test]
fn zsh_finds_the_completions_before_and_after_compinit() {
    for shell in shells(Zsh) {
        let desk = Desk::new(Zsh, &shell);
        let dir = desk.sandbox.home().join(".local/share/zsh/site-functions");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("_raxx"), "#compdef raxx\n").unwrap();
        let compinit = "autoload -Uz compinit; compinit -u\n";
        for rc in [format!("{compinit}{}", desk.init()), format!("{}{compinit}", desk.init())] {
            desk.rc(&rc);
            assert_eq!(desk.prints("echo $_comps[raxx] ${#${(M)fpath:#$HOME/.local/*}}"), "_raxx 1\n", "{rc}");
        }
    }
}
