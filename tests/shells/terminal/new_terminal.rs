//! A new terminal: its variables, its checks, and what it shows of them.

use super::*;

in_each_shell! {
    a_pass_leaves_no_trace,
    a_fail_is_shown_once_above_the_prompt,
    a_nested_shell_does_not_repeat_a_report,
    a_fail_during_a_command_is_shown_above_the_next_prompt,
    the_first_command_has_its_variables,
    a_late_value_arrives_silently,
    a_late_value_does_not_replace_one_set_meanwhile,
    a_value_set_meanwhile_is_not_raxxs,
    a_value_that_the_user_exported_is_not_unset,
    reading_the_rc_file_again_is_harmless,
    only_a_prompt_starts_a_check,
    noninteractive_shells_do_nothing,
    an_old_pane_gets_the_new_value,
    raxx_off_disables_the_shell_integration,
    a_shell_can_have_values_and_no_check,
    a_broken_configuration_is_reported_at_the_first_prompt,
    an_invalid_answer_does_no_harm,
}

fn a_pass_leaves_no_trace(kind: Kind, shell: &Path) {
    let session = |raxx: bool| {
        let machine = Machine::with_values(kind, shell);
        machine.rc(&if raxx { machine.init() } else { String::new() });
        let mut terminal = machine.open();
        terminal.line("echo one; (exit 3)");
        terminal.wait_for_times(PROMPT, 2);
        terminal.keys("echo \"$? ha");
        terminal.settle();
        if raxx {
            machine.wait_for_a_pass();
        }
        terminal.line("lf $HEROKU_API_KEY\"");
        terminal.wait_for_times(PROMPT, 3);
        terminal.line("jobs");
        terminal.wait_for_times(PROMPT, 4);
        terminal.line("exit");
        terminal.end();
        assert_eq!(machine.providers.requests().len(), if raxx { 4 } else { 0 });
        String::from_utf8(terminal.transcript()).unwrap()
    };
    let [without, with] = [session(false), session(true)];
    assert!(without.contains(&format!("3 half {}", HEROKU.1)), "{without}");
    assert_eq!(with, without);
}

fn a_fail_is_shown_once_above_the_prompt(kind: Kind, shell: &Path) {
    let machine = Machine::with_a_dead_one(kind, shell);
    machine.hold();
    let mut terminal = machine.with_raxx();
    terminal.keys("echo ha");
    terminal.settle();
    machine.release();
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
            machine.wait_for_a_fail(&mut terminal);
            let screen = terminal.screen();
            assert!(screen.starts_with(&format!("{PROMPT}echo half\nhalf\n")), "{screen}");
            assert!(screen.contains(&format!("\n{FAIL}\n{}", PROMPT.trim_end())), "{screen}");
        }
    }
    terminal.run("true");
    terminal.run("true");
    assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
    assert_eq!(terminal.run("jobs"), Ran::well(""));
    // It was in the environment before raxx, so raxx does not unset it.
    assert_eq!(terminal.run("echo $HEROKU_API_KEY"), Ran::well(HEROKU.1));
}

fn a_nested_shell_does_not_repeat_a_report(kind: Kind, shell: &Path) {
    let mut machine = Machine::with_a_dead_one(kind, shell);
    // As in a shell started from another one.
    machine.sandbox.env("__RAXX_NAMES", HEROKU.0);
    for said in [1, 0] {
        let mut terminal = machine.with_raxx();
        let deadline = Instant::now() + Duration::from_secs(30);
        // The answer has arrived once the bad value is unset.
        while !terminal.run("printenv HEROKU_API_KEY").output.is_empty() {
            assert!(Instant::now() < deadline, "no answer arrived; the terminal shows\n{}", terminal.screen());
            thread::sleep(Duration::from_millis(50));
        }
        terminal.settle();
        assert_eq!(terminal.times("[FAIL]"), said);
    }
    machine.sandbox.unset("__RAXX_NAMES");
    machine.wait_for_a_fail(&mut machine.with_raxx());
}

fn a_fail_during_a_command_is_shown_above_the_next_prompt(kind: Kind, shell: &Path) {
    let machine = Machine::with_a_dead_one(kind, shell);
    machine.hold();
    let mut terminal = machine.with_raxx();
    let go = machine.marker("go");
    terminal.line(&format!("until [ -e {} ]; do sleep 0.02; done; echo do''ne; (exit 4)", go.display()));
    machine.release();
    assert_eq!(terminal.times("[FAIL]"), 0);
    fs::write(go, "").unwrap();
    terminal.wait_for("[FAIL]");
    terminal.settle();
    let screen = terminal.screen();
    let after = screen.split_once("\ndone\n").unwrap_or_else(|| panic!("{screen}")).1;
    match kind {
        // The line editor must be active before it can poll the pipe.
        Zsh => assert_eq!(after, format!("{PROMPT}\n{FAIL}\n{PROMPT}").replace("> \n", ">\n").trim_end()),
        Bash => assert_eq!(after, format!("{FAIL}\n{PROMPT}").trim_end()),
    }
    // The exit code is the user's.
    assert_eq!(terminal.run("echo $?"), Ran::well("4"));
}

fn the_first_command_has_its_variables(kind: Kind, shell: &Path) {
    let (machine, _keyring) = with_a_keyring(kind, shell);
    let calls = machine.marker("calls");
    machine.wrap_raxx(&format!("echo \"$*\" >>'{}'; exec \"$RAXX\" \"$@\"", calls.display()));
    let mut terminal = machine.with_raxx();
    for (name, value) in TOKENS {
        assert_eq!(terminal.run(&format!("printenv {name}")), Ran::well(value));
    }
    machine.wait_for_a_pass();
    let all = TOKENS.map(|(name, _)| name).join(" ");
    assert_eq!(sorted(&terminal.run("printenv __RAXX_NAMES").output), sorted(&all));

    // A nested shell inherits them and does not read the store.
    fs::remove_file(&calls).unwrap();
    let options = machine.options().join(" ");
    let inner = format!("{} {options} -i -c 'echo $HEROKU_API_KEY'", machine.shell.display());
    assert_eq!(terminal.run(&inner), Ran::well(HEROKU.1));
    assert_eq!(fs::read_to_string(calls).unwrap(), format!("init {}\n", machine.name()));

    unset(&mut terminal, 4);
    assert_eq!(terminal.run("printenv | grep -c 'MadeUp\\|RAXX_NAMES'").output, "0");
}

fn sorted(names: &str) -> Vec<&str> {
    let mut names: Vec<&str> = names.split(' ').collect();
    names.sort_unstable();
    names
}

fn a_late_value_arrives_silently(kind: Kind, shell: &Path) {
    let (machine, _keyring) = with_a_keyring(kind, shell);
    // The store was too slow for the rc file.
    machine.wrap_raxx("[ \"$1\" = export ] || exec \"$RAXX\" \"$@\"");
    let mut terminal = machine.with_raxx();
    terminal.keys("echo ha");
    machine.wait_for_a_pass();
    assert_eq!(terminal.screen(), format!("{PROMPT}echo ha"));
    terminal.line("lf");
    terminal.wait_for_row("half");
    assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
    unset(&mut terminal, 4);
    assert_eq!(terminal.run("printenv HEROKU_API_KEY").output, "");
}

fn a_late_value_does_not_replace_one_set_meanwhile(kind: Kind, shell: &Path) {
    let (machine, _keyring) = with_a_keyring(kind, shell);
    let [name, odd] = [HEROKU.0, TOKENS[3].0];
    // One is missing here; another is revoked here and rotated in the store. Both are on their way.
    machine.hold();
    machine.rc(&format!("export {odd}='a dead $(one)'\n{}unset {name}\n", machine.init()));
    let mut terminal = machine.open();
    assert_eq!(terminal.run(&format!("export {name}='=typed*' {odd}='(typed too)'")), Ran::well(""));
    machine.release();
    terminal.run("true");
    assert_eq!(terminal.run(&format!("printenv {name} {odd}")), Ran::well("=typed*\n(typed too)"));

    // A value that was not changed is replaced as usual.
    machine.hold();
    let mut terminal = machine.open();
    machine.release();
    terminal.run("true");
    assert_eq!(terminal.run(&format!("printenv {name} {odd}")), Ran::well(&format!("{}\n{}", HEROKU.1, TOKENS[3].1)));
}

/// The same for an answer that arrives after the user has set the value: the next one does not change it either.
fn a_value_set_meanwhile_is_not_raxxs(kind: Kind, shell: &Path) {
    let (machine, _keyring) = with_a_keyring(kind, shell);
    machine.hold();
    machine.rc(&format!("{}unset HEROKU_API_KEY __RAXX_NAMES\n", machine.init()));
    let mut terminal = machine.open();
    assert_eq!(terminal.run("export HEROKU_API_KEY=HRKU-AATyped0123456789"), Ran::well(""));
    machine.release();
    terminal.run("true");
    terminal.run("true");
    let names = terminal.run("echo \"$__RAXX_NAMES\"").output;
    assert!(!names.contains("HEROKU"), "{names}");
}

/// `raxx load` in between does not make the value raxx's.
fn a_value_that_the_user_exported_is_not_unset(kind: Kind, shell: &Path) {
    let machine = Machine::with_values(kind, shell);
    let mut terminal = machine.with_raxx();
    machine.wait_for_a_pass();
    assert_eq!(terminal.run("raxx load 2>/dev/null; raxx load HEROKU_API_KEY 2>/dev/null").code, 0);
    machine.providers.revoke(HEROKU.1);
    let inner = format!("{} {} -i", machine.shell.display(), machine.options().join(" "));
    terminal.line(&inner);
    machine.wait_for_a_fail(&mut terminal);
    assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
    assert_eq!(terminal.run("raxx load 2>/dev/null").code, 1);
    assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
}

fn reading_the_rc_file_again_is_harmless(kind: Kind, shell: &Path) {
    let machine = Machine::with_a_dead_one(kind, shell);
    machine.hold();
    let mut terminal = machine.with_raxx();
    let (again, hooks) = match kind {
        Zsh => (". ~/.zshrc; . ~/.zshrc", "print -rl -- $precmd_functions"),
        Bash => (". ~/.bashrc; . ~/.bashrc", "printf '%s\\n' \"${PROMPT_COMMAND[@]}\""),
    };
    let hook = if kind == Zsh { "__raxx_prompt" } else { "\"${__raxx_hook-:}\"" };
    assert_eq!(terminal.run(&format!("{again}; {hooks}")).output.matches(hook).count(), 1);
    machine.release();
    machine.wait_for_a_fail(&mut terminal);
    for _ in 0..3 {
        terminal.run("true");
    }
    assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
    assert_eq!(terminal.run(hooks), Ran::well(""));
}

fn only_a_prompt_starts_a_check(kind: Kind, shell: &Path) {
    let machine = Machine::with_values(kind, shell);
    machine.rc(&machine.init());
    assert_eq!(
        machine.prints("echo $HEROKU_API_KEY; jobs; type raxx >/dev/null && echo there"),
        format!("{}\nthere\n", HEROKU.1)
    );
    thread::sleep(Duration::from_millis(300));
    assert_eq!(machine.providers.requests().len(), 0);
}

fn noninteractive_shells_do_nothing(kind: Kind, shell: &Path) {
    let mut machine = Machine::new(kind, shell);
    let calls = machine.marker("calls");
    machine.wrap_raxx(&format!("echo \"$*\" >>'{}'; exec \"$RAXX\" \"$@\"", calls.display()));
    let file = machine.sandbox.home().join(".zshenv");
    fs::write(&file, machine.init()).unwrap();
    machine.sandbox.env("BASH_ENV", &file);
    let hooks = "echo \"<$PROMPT_COMMAND$precmd_functions>\"; HEROKU_API_KEY=x; raxx unset; echo \"<$HEROKU_API_KEY>\"";
    let out = machine.sandbox.command(&machine.shell).args(["-c", hooks]).output().unwrap();
    assert_eq!((text(&out.stdout).as_str(), text(&out.stderr).as_str()), ("<>\n<>\n", ""));
    assert_eq!(fs::read_to_string(calls).unwrap(), format!("init {}\n", machine.name()));
}

fn an_old_pane_gets_the_new_value(kind: Kind, shell: &Path) {
    let (mut machine, _keyring) = with_a_keyring(kind, shell);
    let stale = "HRKU-AAMadeUpButStale0123456789abcdefghijklmnopqrstuvwxyzA0000";
    machine.sandbox.env(HEROKU.0, stale);
    machine.rc(&machine.init());
    let socket = machine.marker("tmux").display().to_string();
    let tmux = |args: &[&str]| {
        let mut command = machine.sandbox.command(program("tmux"));
        text(&command.args(["-S", &socket, "-f", "/dev/null"]).args(args).output().unwrap().stdout)
    };
    let pane = format!("{} {} -i", machine.shell.display(), machine.options().join(" "));
    tmux(&["new-session", "-d", "-x", "200", "-y", "50", &pane]);
    let shows = |what: &str| {
        wait_until(what, || tmux(&["capture-pane", "-p"]).contains(what));
    };
    shows(PROMPT.trim_end());
    machine.wait_for_a_pass();
    // In bash the value arrives at the next prompt.
    tmux(&["send-keys", "", "Enter"]);
    thread::sleep(Duration::from_millis(300));
    tmux(&["send-keys", "echo \"<$HEROKU_API_KEY>\"", "Enter"]);
    shows(&format!("<{}>", HEROKU.1));
    assert!(!tmux(&["capture-pane", "-p"]).contains("FAIL"), "{}", tmux(&["capture-pane", "-p"]));
    tmux(&["kill-server"]);
}

fn raxx_off_disables_the_shell_integration(kind: Kind, shell: &Path) {
    for (off, is_off) in [("1", true), ("yes", true), ("0", false), ("", false)] {
        let (mut machine, _keyring) = with_a_keyring(kind, shell);
        machine.sandbox.env("RAXX_OFF", off);
        let mut terminal = machine.with_raxx();
        terminal.run("true");
        assert_eq!(terminal.run("echo ${HEROKU_API_KEY:+has}").output, if is_off { "" } else { "has" }, "{off}");
        if !is_off {
            continue;
        }
        assert_eq!(machine.providers.requests().len(), 0);
        // Commands still work when typed, and `load` turns raxx on again, here and in child shells.
        assert_eq!(terminal.run("raxx check HEROKU_API_KEY >/dev/null").code, 0);
        assert_eq!(
            terminal.run("raxx load 2>/dev/null; echo ${HEROKU_API_KEY:+has} ${RAXX_OFF-on}"),
            Ran::well("has on")
        );
        assert_eq!(terminal.run("raxx unset 2>/dev/null; printenv RAXX_OFF"), Ran::well("1"));
        let inner =
            format!("{} {} -i -c 'echo <$HEROKU_API_KEY>'", machine.shell.display(), machine.options().join(" "));
        assert_eq!(terminal.run(&inner.replace("<$HEROKU_API_KEY>", "\"<$HEROKU_API_KEY>\"")), Ran::well("<>"));
    }
}

fn a_shell_can_have_values_and_no_check(kind: Kind, shell: &Path) {
    let (machine, _keyring) = with_a_keyring(kind, shell);
    machine.providers.revoke(HEROKU.1);
    let config = machine.sandbox.root().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[hook]\nenabled = false\n")).unwrap();
    let mut terminal = machine.with_raxx();
    for _ in 0..3 {
        assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(machine.providers.requests().len(), 0);
}

fn a_broken_configuration_is_reported_at_the_first_prompt(kind: Kind, shell: &Path) {
    let mut machine = Machine::new(kind, shell);
    machine.sandbox.config("timeout = 5\n");
    let mut terminal = machine.with_raxx();
    let first = terminal.screen();
    assert!(first.starts_with("raxx: ") && first.contains("timeout") && first.ends_with(PROMPT.trim_end()), "{first}");
    terminal.run("true");
    terminal.run("true");
    assert_eq!(terminal.times("raxx: "), 1, "{}", terminal.screen());
}

fn an_invalid_answer_does_no_harm(kind: Kind, shell: &Path) {
    let machine = Machine::new(kind, shell);
    // A write that was killed in the middle of a line; and output of another program called raxx.
    let answer = machine.marker("answer");
    let lines = "export CF_WORKER_DEPLOY='whole'\n$(touch pwned)\ntouch pwned\nexport HEROKU_API_KEY='cut o";
    fs::write(&answer, lines).unwrap();
    for end in ["kill -9 $$", "exit 0"] {
        let ended = machine.marker("ended");
        let _ = fs::remove_file(&ended);
        machine.wrap_raxx(&format!(
            "[ \"$1\" = hook ] || exec \"$RAXX\" \"$@\"\ncat '{}'; : >'{}'; {end}",
            answer.display(),
            ended.display()
        ));
        let mut terminal = machine.with_raxx();
        wait_until("the end of the hook", || ended.exists());
        thread::sleep(Duration::from_millis(300));
        terminal.run("true");
        // In bash, sh tests whether the hook succeeded; zsh accepts only complete lines.
        let whole = if kind == Bash && end != "exit 0" { "" } else { "whole" };
        assert_eq!(terminal.run("echo \"$CF_WORKER_DEPLOY\""), Ran::well(whole), "{end}");
        assert_eq!(terminal.run("echo \"$HEROKU_API_KEY\""), Ran::well(""), "{end}");
        assert!(!terminal.screen().contains("rror"), "{}", terminal.screen());
    }
    assert!(!machine.sandbox.home().join("pwned").exists());
}

/// powerlevel10k's instant prompt redirects the streams while the rc file runs, and complains about any output.
#[test]
fn nothing_is_printed_during_an_instant_prompt() {
    for shell in shells(Zsh) {
        let (machine, _keyring) = with_a_keyring(Zsh, &shell);
        machine.providers.revoke(HEROKU.1);
        machine.rc(&format!(
            "exec {{in}}<&0 {{out}}>&1 {{err}}>&2 </dev/null >said 2>&1\n\
             restore() {{ exec <&$in >&$out 2>&$err {{in}}<&- {{out}}>&- {{err}}>&-; precmd_functions=(${{precmd_functions:#restore}}) }}\n\
             {}precmd_functions+=(restore)\n",
            machine.init()
        ));
        let mut terminal = machine.open();
        terminal.wait_for("rotate via");
        terminal.settle();
        assert_eq!(terminal.screen(), format!("{PROMPT}\n{FAIL}\n{PROMPT}").replace("> \n", ">\n").trim_end());
        assert_eq!(fs::read_to_string(machine.sandbox.home().join("said")).unwrap(), "");
        // Rejected, and exported by raxx.
        assert_eq!(terminal.run("printenv HEROKU_API_KEY").output, "");
    }
}

/// A shell inside Emacs has no line editor for a callback.
#[test]
fn without_the_line_editor_a_later_prompt_shows_the_fail() {
    let machine = Machine::with_a_dead_one(Zsh, &program("zsh"));
    machine.hold();
    machine.rc(&format!("unsetopt zle\n{}", machine.init()));
    let mut terminal = machine.open();
    terminal.run("true");
    assert_eq!(terminal.times("[FAIL]"), 0);
    machine.release();
    terminal.run("true");
    terminal.wait_for("[FAIL]");
    terminal.run("true");
    assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
    assert_eq!(terminal.run("echo $precmd_functions"), Ran::well(""));
}
