//! raxx together with other users of PROMPT_COMMAND and precmd functions.

use super::*;

/// What other tools do with PROMPT_COMMAND, each before and after raxx.
#[test]
fn prompt_command_can_have_any_form() {
    let mine = "mine() { seen=\"$seen $?\"; }\n";
    // Simplified versions of how the two tools copy an existing PROMPT_COMMAND.
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
                let machine =
                    if dead { Machine::with_a_dead_one(Bash, &shell) } else { Machine::with_values(Bash, &shell) };
                machine.hold();
                let init = machine.init();
                // Sourced twice: it must not be added twice.
                machine.rc(&format!("{mine}{before}{init}{after}{init}"));
                let mut terminal = machine.open();
                terminal.line("(exit 5)");
                terminal.wait_for_times(PROMPT, 2);
                assert_eq!(terminal.run("echo $?"), Ran::well("5"), "{before}{after}");
                machine.release();
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
fn other_prompt_commands_see_the_users_exit_status() {
    let seen = "seen() { local s=(\"${PIPESTATUS[@]}\"); echo \"pipe=${s[*]}\"; }\n";
    for shell in shells(Bash) {
        let pipe = |before: &str, after: &str| {
            let machine = Machine::with_a_dead_one(Bash, &shell);
            machine.rc(&format!("{seen}{before}{}{after}", machine.init()));
            let mut terminal = machine.open();
            terminal.line("true | false | true");
            terminal.wait_for_times(PROMPT, 2);
            assert!(terminal.times("pipe=0 1 0") > 0, "{before}{after}: {}", terminal.screen());
            machine.wait_for_a_fail(&mut terminal);
        };
        pipe("PROMPT_COMMAND=seen\n", "");
        pipe("export PROMPT_COMMAND='seen; '\n", "");
        if shell == program("bash") {
            pipe("", "PROMPT_COMMAND=seen\n");
            pipe("", "PROMPT_COMMAND=\"$PROMPT_COMMAND;seen\"\n");
            pipe("PROMPT_COMMAND=(true seen)\n", "PROMPT_COMMAND=(\"${PROMPT_COMMAND[@]}\" true)\n");
        }

        let machine = Machine::with_a_dead_one(Bash, &shell);
        machine.rc(&format!("set -E\n{}trap 'echo ERR\"\"TRAP' ERR\n", machine.init()));
        let mut terminal = machine.open();
        terminal.line("false");
        for n in 2..5 {
            terminal.wait_for_times(PROMPT, n);
            terminal.line("");
        }
        terminal.settle();
        assert_eq!(terminal.times("ERRTRAP"), 1, "{}", terminal.screen());

        for itself in ["export PROMPT_COMMAND=:", "PROMPT_COMMAND=", "PROMPT_COMMAND=(true)", "unset PROMPT_COMMAND"] {
            let machine = Machine::with_a_dead_one(Bash, &shell);
            machine.rc(&format!("PROMPT_COMMAND='{itself}'\n{}", machine.init()));
            machine.wait_for_a_fail(&mut machine.open());
        }
    }
}

/// No hook survives this, so the next raxx command reports it.
#[test]
fn a_replaced_prompt_command_is_reported() {
    for shell in shells(Bash) {
        let machine = Machine::with_values(Bash, &shell);
        machine.rc(&format!("{}unset PROMPT_COMMAND\n", machine.init()));
        let mut terminal = machine.open();
        let first = terminal.run("raxx --version").output;
        assert!(first.contains("PROMPT_COMMAND") && first.contains("raxx load"), "{}", terminal.screen());
        assert!(!terminal.run("raxx --version").output.contains("PROMPT_COMMAND"), "{}", terminal.screen());
    }
}

/// People export PROMPT_COMMAND, and a shell that does not read the rc file inherits it.
#[test]
fn a_nested_shell_without_raxx_has_a_quiet_prompt() {
    for shell in shells(Bash) {
        let machine = Machine::with_values(Bash, &shell);
        machine.rc(&format!("export PROMPT_COMMAND=mine\nmine() {{ :; }}\nexport -f mine\n{}", machine.init()));
        let mut terminal = machine.open();
        terminal.line(&format!("PS1='in> ' {} --norc --noprofile -u -i", machine.shell.display()));
        terminal.line("echo 'with''in'");
        terminal.wait_for_row("within");
        terminal.wait_for("in> ");
        terminal.line("exit");
        terminal.wait_for_times(PROMPT, 2);
        assert_eq!(terminal.times("not found"), 0, "{}", terminal.screen());
        assert_eq!(terminal.times("unbound"), 0, "{}", terminal.screen());
    }
}

/// A read-only PROMPT_COMMAND, as auditors set it, stays unchanged; the values are loaded anyway.
#[test]
fn a_read_only_prompt_command_stays() {
    for shell in shells(Bash) {
        let (machine, _keyring) = with_a_keyring(Bash, &shell);
        machine.rc(&format!("PROMPT_COMMAND='audited=1'; readonly PROMPT_COMMAND\n{}alive=yes\n", machine.init()));
        let mut terminal = machine.open();
        assert_eq!(terminal.screen(), PROMPT.trim_end());
        assert_eq!(terminal.run("echo $HEROKU_API_KEY $alive $audited"), Ran::well(&format!("{} yes 1", HEROKU.1)));
        unset(&mut terminal, 4);
    }
}

#[test]
fn other_precmd_functions_see_the_exit_code() {
    for shell in shells(Zsh) {
        let machine = Machine::with_a_dead_one(Zsh, &shell);
        machine.rc(&format!(
            "precmd() {{ seen=\"$seen $?\" }}\nmine() {{ seen=\"$seen $?\" }}\nprecmd_functions=(mine)\n{}\
             yours() {{ seen=\"$seen $?,\" }}\nprecmd_functions+=(yours)\n",
            machine.init()
        ));
        let mut terminal = machine.open();
        machine.wait_for_a_fail(&mut terminal);
        terminal.line("(exit 5)");
        terminal.wait_for_times(PROMPT, 3);
        assert_eq!(terminal.run("echo $? $seen"), Ran::well("5  0 0 0, 5 5 5,"));
        assert_eq!(terminal.run("echo $precmd_functions"), Ran::well("mine yours"));
    }
}
