//! The function `raxx`: `unset`, `load`, and what it passes on to the program.

use super::*;

in_each_shell! {
    unset_works_without_the_program,
    unset_stops_the_checks_that_are_running,
    unset_before_the_first_prompt_starts_nothing,
    unset_keeps_variables_that_the_shell_needs,
    names_from_the_environment_are_never_evaluated,
    load_exports_and_passes_its_code,
    an_interrupted_load_gives_130,
    the_function_passes_arguments_and_codes,
    a_subshell_changes_only_its_own_variables,
    read_only_variables_stay_and_are_reported,
}

fn unset_works_without_the_program(kind: Kind, shell: &Path) {
    let machine = Machine::with_values(kind, shell);
    let mut terminal = machine.with_raxx();
    machine.wait_for_a_pass();
    fs::remove_file(machine.raxx_file()).unwrap();
    assert_eq!(terminal.run("export __RAXX_NAMES='OF_AN_OLDER_CONFIGURATION HEROKU_API_KEY'"), Ran::well(""));
    assert_eq!(terminal.run("export OF_AN_OLDER_CONFIGURATION=MadeUp"), Ran::well(""));
    unset(&mut terminal, 5);
    assert_eq!(terminal.run("printenv | grep -c 'MadeUp\\|RAXX_NAMES'").output, "0");
    unset(&mut terminal, 0);
    let one = terminal.run("HEROKU_API_KEY=x; raxx unset");
    assert!(one.output.contains(" 1 ") && one.code == 0, "{one:?}");
    // It prints to a terminal only.
    assert_eq!(terminal.run("HEROKU_API_KEY=x; raxx unset 2>said; cat said"), Ran::well(""));

    let usage = terminal.run("raxx unset HEROKU_API_KEY");
    assert!(usage.output.contains("--tmux") && usage.code == 2, "{usage:?}");
    assert_eq!(terminal.run("raxx check").code, 127);
    // Without the program, a new terminal starts as if raxx were not installed.
    machine.rc("command -v raxx >/dev/null && eval \"$(raxx init zsh)\"\n");
    assert_eq!(machine.open().screen(), PROMPT.trim_end());
}

fn unset_stops_the_checks_that_are_running(kind: Kind, shell: &Path) {
    let (machine, _keyring) = with_a_keyring(kind, shell);
    machine.providers.revoke(TOKENS[3].1);
    machine.hold();
    let mut terminal = machine.with_raxx();
    unset(&mut terminal, 4);
    machine.release();
    for _ in 0..3 {
        assert_eq!(terminal.run("printenv HEROKU_API_KEY GITHUB_API_SECRETS_TOKEN __RAXX_NAMES").output, "");
    }
    assert_eq!(terminal.times("[FAIL]"), 0);
    // Nothing of it remains in the shell.
    let left = match kind {
        Zsh => "zle -F -L",
        Bash => "{ : <&60; } 2>/dev/null && echo 'the pipe'",
    };
    assert_eq!(terminal.run(left).output, "");
}

fn unset_before_the_first_prompt_starts_nothing(kind: Kind, shell: &Path) {
    let machine = Machine::with_values(kind, shell);
    machine.rc(&format!("{}raxx unset 2>/dev/null\n", machine.init()));
    let mut terminal = machine.open();
    terminal.run("true");
    terminal.run("true");
    assert_eq!(terminal.run("printenv HEROKU_API_KEY").output, "");
    assert_eq!(machine.providers.requests().len(), 0);
}

fn unset_keeps_variables_that_the_shell_needs(kind: Kind, shell: &Path) {
    let mut machine = Machine::with_values(kind, shell);
    let names =
        "PATH HOME IFS TERM PROMPT_COMMAND precmd_functions fpath PS1 LD_PRELOAD path MANPATH psvar __raxx_want";
    machine.sandbox.env("__RAXX_NAMES", format!("{names} OLD_ONE")).env("OLD_ONE", "MadeUp").env("MANPATH", "/man");
    let state = "echo \"$PATH $HOME <$IFS> $TERM $PS1 $MANPATH\"";
    machine.rc(&machine.init());
    let mut terminal = machine.open();
    let before = terminal.run(state);
    unset(&mut terminal, 5);
    assert_eq!(terminal.run(state), before);
    assert_eq!(terminal.run("echo \"<$OLD_ONE>\""), Ran::well("<>"));
}

fn names_from_the_environment_are_never_evaluated(kind: Kind, shell: &Path) {
    let mut machine = Machine::with_values(kind, shell);
    let hostile =
        "a[$(touch pwned)] $(touch pwned) `touch pwned` * -f 1A KEEP=x KEEP- é HEROKU_API_KEY; touch\tpwned raxx";
    machine.sandbox.env("__RAXX_NAMES", hostile).env("KEEP", "kept");
    // A file named like a variable, in case a `*` is expanded.
    fs::write(machine.sandbox.home().join("KEEP"), "").unwrap();
    machine.rc(&machine.init());
    let said = machine
        .prints("raxx unset; echo \"$? <$KEEP> <$HEROKU_API_KEY> <${__RAXX_NAMES-gone}>\"; type raxx >/dev/null && ls");
    assert_eq!(said, "0 <kept> <> <gone>\nKEEP\n");
    // The same through raxx itself, which passes them on.
    let said =
        machine.prints("unset HEROKU_API_KEY; raxx load >/dev/null 2>&1; echo \"$__RAXX_NAMES\"; raxx unset; ls");
    assert!(said.contains("KEEP") && !said.contains("$("), "{said}");
    assert!(said.ends_with("\nKEEP\n"), "{said}");
}

/// A descriptor number is not evaluated either.
#[test]
fn a_descriptor_from_the_environment_is_never_evaluated() {
    for shell in shells(Bash) {
        let mut machine = Machine::with_values(Bash, &shell);
        let trap = machine.marker("trap");
        machine.sandbox.env("__raxx_fd", format!("9</dev/null; touch '{}'; :", trap.display()));
        let mut terminal = machine.with_raxx();
        machine.wait_for_a_pass();
        terminal.run("true");
        unset(&mut terminal, 4);
        machine.rc("");
        machine
            .sandbox
            .command(&shell)
            .args(["--norc", "-c", "eval \"$(raxx init bash)\"; raxx unset"])
            .assert()
            .success();
        assert!(!trap.exists());
    }
}

fn load_exports_and_passes_its_code(kind: Kind, shell: &Path) {
    let (machine, keyring) = with_a_keyring(kind, shell);
    let hostile = r"HRKU-it's $(touch pwned) `touch pwned` \ ~ {a,b} * ! =x\";
    keyring.store(&machine.sandbox, HEROKU_SERVICE, "claude-bootstrap", hostile);
    machine.providers.accept(hostile);
    machine.rc(&format!("{}raxx unset 2>/dev/null\n", machine.init()));
    let mut terminal = machine.open();

    let loaded = terminal.run("raxx load");
    assert_eq!((loaded.output.matches("[PASS]").count(), loaded.code), (4, 0), "{}", loaded.output);
    assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(hostile));
    assert!(!machine.sandbox.home().join("pwned").exists());
    unset(&mut terminal, 4);

    machine.providers.revoke(hostile);
    let loaded = terminal.run("raxx load");
    assert!(loaded.output.contains("[FAIL] HEROKU_API_KEY"), "{}", loaded.output);
    assert_eq!(loaded.code, 1);
    assert_eq!(terminal.run("printenv HEROKU_API_KEY").output, "");
    assert_eq!(terminal.run("printenv CF_WORKER_DEPLOY"), Ran::well(TOKENS[1].1));
    assert_eq!(terminal.run("raxx load CF_WORKER_DEPLOY 2>/dev/null").code, 0);
    // A bad value that raxx had exported is unset, as in a new terminal.
    machine.providers.accept(hostile);
    assert_eq!(terminal.run("raxx load 2>/dev/null; printenv HEROKU_API_KEY"), Ran::well(hostile));
    machine.providers.revoke(hostile);
    assert_eq!(terminal.run("raxx load 2>/dev/null").code, 1);
    assert_eq!(terminal.run("printenv HEROKU_API_KEY").output, "");

    let wrong = terminal.run("raxx load NO_SUCH_NAME");
    assert!(wrong.output.contains("HEROKU_API_KEY") && wrong.code == 2, "{wrong:?}");
    let help = terminal.run("raxx load --help");
    assert!(help.output.contains("Usage: raxx load"), "{}", help.output);
    assert_eq!(help.code, 0);
    fs::remove_file(machine.raxx_file()).unwrap();
    assert_eq!(terminal.run("raxx load 2>/dev/null"), Ran { output: String::new(), code: 127 });
}

/// The function passes on the exit code, and takes the values that arrived before.
fn an_interrupted_load_gives_130(kind: Kind, shell: &Path) {
    let machine = Machine::new(kind, shell);
    machine.rc(&format!("{}RAXX_OFF=1\n", machine.init()));
    machine.wrap_raxx("case $1 in load) ;; init) exec \"$RAXX\" \"$@\" ;; *) exit ;; esac\ntrap 'echo \"export HEROKU_API_KEY='\\''kept'\\''\"; exit 130' INT\n: >\"$HOME/there\"\nwhile :; do sleep 0.05; done");
    let mut terminal = machine.open();
    terminal.line("raxx load");
    wait_until("raxx", || machine.sandbox.home().join("there").exists());
    terminal.keys("\x03");
    terminal.wait_for_times(PROMPT, 2);
    assert_eq!(terminal.run("echo $?"), Ran::well("130"));
}

fn the_function_passes_arguments_and_codes(kind: Kind, shell: &Path) {
    let machine = Machine::new(kind, shell);
    machine.rc(&machine.init());
    machine.wrap_raxx(
        "case $1 in init) exec \"$RAXX\" \"$@\" ;; export | hook) exit 0 ;; esac\n\
         printf '[%s]' \"$@\"; echo \" $# $(cat)\"; exit 7",
    );
    let said = machine.prints("echo 'from stdin' | raxx check 'a b' '*' '' --json; echo $?; raxx </dev/null; echo $?");
    // printf prints the format once without arguments.
    assert_eq!(said, "[check][a b][*][][--json] 5 from stdin\n7\n[] 0 \n7\n");
    for help in ["-h", "--help"] {
        for command in ["load", "unset"] {
            assert_eq!(
                machine.prints(&format!("raxx {command} {help} </dev/null")),
                format!("[{command}][{help}] 2 \n")
            );
        }
    }
}

fn a_subshell_changes_only_its_own_variables(kind: Kind, shell: &Path) {
    let machine = Machine::with_a_dead_one(kind, shell);
    machine.hold();
    let mut terminal = machine.with_raxx();
    let inside = terminal.run("(raxx unset; printenv HEROKU_API_KEY)");
    assert!(inside.output.contains(FOUR_CLEARED) && inside.code == 1, "{inside:?}");
    assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
    assert_eq!(terminal.run("echo $(raxx load HEROKU_API_KEY 2>/dev/null || echo $?)"), Ran::well("1"));
    machine.release();
    machine.wait_for_a_fail(&mut terminal);
    assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
}

fn read_only_variables_stay_and_are_reported(kind: Kind, shell: &Path) {
    let (machine, _keyring) = with_a_keyring(kind, shell);
    // The first one in the list, so that others follow it.
    let name = TOKENS[0].0;
    machine.rc(&format!("{name}=mine; readonly {name}\n{}", machine.init()));
    let mut terminal = machine.open();
    machine.wait_for_a_pass();
    assert_eq!(terminal.screen(), PROMPT.trim_end());
    assert_eq!(terminal.run(&format!("echo ${name} $HEROKU_API_KEY")), Ran::well(&format!("mine {}", HEROKU.1)));
    let loaded = terminal.run("raxx load 2>&1 | tail -n 1; raxx load 2>/dev/null");
    assert!(loaded.output.contains(name) && loaded.output.lines().count() == 1 && loaded.code == 1, "{loaded:?}");
    let cleared = terminal.run("raxx unset");
    let [kept, counted] = cleared.output.lines().collect::<Vec<_>>()[..] else { panic!("{cleared:?}") };
    assert!(kept.contains(name) && counted.contains(" 3 ") && cleared.code == 1, "{cleared:?}");
    assert_eq!(terminal.run(&format!("echo ${name} $HEROKU_API_KEY")), Ran::well("mine"));
}
