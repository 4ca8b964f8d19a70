//! The user's options, traps, aliases and functions: none of them changes what raxx does or sees a value.

use super::*;

in_each_shell! {
    strict_shells_keep_running,
    aliases_and_functions_of_the_user_change_nothing,
    tracing_shows_no_value,
    debug_traps_see_no_value,
    every_shell_option_works,
}

fn strict_shells_keep_running(kind: Kind, shell: &Path) {
    let machine = Machine::with_a_dead_one(kind, shell);
    machine.hold();
    machine.rc(&format!("set -eu -o pipefail\n{}", machine.init()));
    let mut terminal = machine.open();
    machine.release();
    machine.wait_for_a_fail(&mut terminal);
    assert_eq!(terminal.run("if raxx load 2>/dev/null; then echo good; else echo $?; fi"), Ran::well("1"));
    unset(&mut terminal, 4);
    unset(&mut terminal, 0);
    // A failing command still fails.
    terminal.line("raxx load CF_WORKER_DEPLOY; echo not reached");
    assert_eq!(terminal.end(), 1);
    assert_eq!(terminal.times("\nnot reached"), 0);

    // The same without a terminal.
    let strict = format!(
        "set -eu -o pipefail\n{}\nraxx unset\nif raxx load NO_SUCH_NAME 2>/dev/null; then :; else echo $?; fi\n\
         raxx check --help >/dev/null\necho the end",
        machine.init()
    );
    let out = machine.sandbox.command(&machine.shell).args(["-c", &strict]).output().unwrap();
    assert_eq!((text(&out.stdout).as_str(), text(&out.stderr).as_str()), ("2\nthe end\n", ""));
}

/// Aliases, functions and an IFS that change the meaning of every word of the shell integration.
fn aliases_and_functions_of_the_user_change_nothing(kind: Kind, shell: &Path) {
    let (machine, _keyring) = with_a_keyring(kind, shell);
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
    let init = format!("\\builtin eval \"$(raxx init {})\"\n", machine.name());
    machine.rc(&format!("{hostile}{init}"));
    let mut terminal = machine.open();
    machine.wait_for_a_pass();
    let value = "\\builtin echo \"<$HEROKU_API_KEY>\"";
    let types = |terminal: &mut Terminal, line: &str, shown: &str| {
        terminal.line(line);
        terminal.wait_for_row(shown);
    };
    types(&mut terminal, value, &format!("<{}>", HEROKU.1));
    terminal.line("raxx unset");
    terminal.wait_for(FOUR_CLEARED);
    types(&mut terminal, value, "<>");
    terminal.line("raxx load");
    terminal.wait_for("octo-op");
    terminal.wait_for_times(PROMPT, 5);
    terminal.line("raxx unset");
    terminal.wait_for_times(FOUR_CLEARED, 2);
    terminal.settle();
    assert_eq!(terminal.times(FOUR_CLEARED), 2, "{}", terminal.screen());
    assert_eq!(terminal.times("BAD"), 0, "{}", terminal.screen());
}

/// A global alias of zsh can have any name.
#[test]
fn global_aliases_change_nothing() {
    for shell in shells(Zsh) {
        let (machine, _keyring) = with_a_keyring(Zsh, &shell);
        let aliases =
            "for word in 0 1 2 3 8 130 in next true INT zle interactive; do alias -g $word='echo BAD'; done\n";
        machine.rc(&format!("{aliases}{}", machine.init()));
        let mut terminal = machine.open();
        machine.wait_for_a_pass();
        terminal.line("printenv HEROKU_API_KEY");
        terminal.wait_for_row(HEROKU.1);
        terminal.line("raxx unset");
        terminal.wait_for(FOUR_CLEARED);
        assert_eq!(terminal.times("BAD"), 0, "{}", terminal.screen());
    }
}

fn tracing_shows_no_value(kind: Kind, shell: &Path) {
    let (machine, _keyring) = with_a_keyring(kind, shell);
    machine.wrap_raxx("[ \"$1\" = export ] && [ -e late ] && exit; exec \"$RAXX\" \"$@\"");
    for late in [false, true] {
        if late {
            fs::write(machine.sandbox.home().join("late"), "").unwrap();
        }
        machine.rc(&format!("set -xv\n{}", machine.init()));
        let mut terminal = machine.open();
        machine.wait_for_a_pass();
        fs::remove_file(machine.sandbox.home().join(".raxx-session-bootstrap-last-validated")).unwrap();
        terminal.line("");
        terminal.line("raxx load");
        terminal.wait_for("octo-op");
        terminal.line("raxx unset");
        terminal.wait_for(FOUR_CLEARED);
        // Tracing is on, and stays on.
        terminal.line("echo \"still $-\" end");
        terminal.wait_for(" end\r\n");
        terminal.settle();
        assert!(terminal.times("echo 'still") >= 1, "{}", terminal.screen());
        assert_eq!(terminal.times("MadeUp"), 0, "{}", terminal.screen());
    }
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
        let (mut machine, _keyring) = with_a_keyring(kind, shell);
        // One in the rc file, one while the hook runs.
        machine.sandbox.env(HEROKU.0, "HRKU-AAMadeUpButStale0123456789abcdefghijklmnopqrstuvwxyzA0000");
        machine.rc(&format!("{trap}\n{}", machine.init()));
        let terminal = &mut machine.open();
        machine.wait_for_a_pass();
        terminal.line("");
        terminal.line("raxx load 2>/dev/null");
        terminal.settle();
        terminal.line("[ \"$HEROKU_API_KEY\" = HRKU-AAMade\"\"UpForTheTests0123456789abcdefghijklmnopqrstuvwxyzA1234 ] && echo ri''ght");
        terminal.wait_for("\nright");
        assert!(terminal.times("D:") > 3, "{}", terminal.screen());
        assert_eq!(terminal.times("MadeUpFor") + terminal.times("MadeUpBut"), 0, "{trap}: {}", terminal.screen());
    }
}

/// Each shell option, toggled before the shell integration is sourced and while it runs.
fn every_shell_option_works(kind: Kind, shell: &Path) {
    let machine = Machine::new(kind, shell);
    // No latency, because there are many options.
    machine.wrap_raxx(
        "case $1 in init) exec \"$RAXX\" \"$@\" ;; hook) exit ;; esac\n\
         printf \"export HEROKU_API_KEY='it'\\\\\\\\''s'\\nexport __RAXX_NAMES='HEROKU_API_KEY'\\n\"\n\
         [ \"$1\" = export ] || exit 1",
    );
    machine.rc("");
    let integration = machine.marker("integration");
    fs::write(&integration, machine.prints(&format!("raxx init {}", machine.name()))).unwrap();
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
    // Excluded: options that end the shell, keep it from starting programs, trace, or change who uses it and how; and bash's
    // `keyword`, with which `export NAME=value` no longer exports.
    let not = "exec noexec xtrace verbose interactive shinstdin privileged restricted singlecommand onecmd monitor zle \
               login promptcr keyword emacs vi";
    let not: Vec<&str> = not.split(' ').collect();
    let turns = machine.prints(list);
    let turns: Vec<&str> =
        turns.lines().filter(|turn| turn.split(' ').next_back().is_some_and(|o| !not.contains(&o))).collect();
    assert!(turns.len() > 40, "{turns:?}");
    let mut wrong = Vec::new();
    for turn in turns {
        let said = machine.prints(&format!(
            "{turn} 2>/dev/null || {{ echo fixed; exit; }}\n\"eval\" \"$(cat '{}')\" || \"echo\" \"init: $?\"\n\
             \"printf\" '%s ' \"$HEROKU_API_KEY\" \"$__RAXX_NAMES\"\nHEROKU_API_KEY=\n\
             raxx load || \"printf\" '%s ' \"$?\"\n\"printf\" '%s ' \"$HEROKU_API_KEY\"\n\
             raxx unset || \"printf\" 'unset %s ' \"$?\"\n\
             \"printf\" '%s ' \"${{HEROKU_API_KEY-gone}}\" \"${{__RAXX_NAMES-gone}}\"\n{hooks}\n\"echo\" end",
            integration.display(),
        ));
        if said != "it's HEROKU_API_KEY 1 it's gone gone end\n" && said != "fixed\n" {
            wrong.push(format!("{turn}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// With `set -k`, arguments that look like assignments are not arguments.
#[test]
fn bash_with_set_k_works() {
    for shell in shells(Bash) {
        let (machine, _keyring) = with_a_keyring(Bash, &shell);
        machine.providers.revoke(TOKENS[3].1);
        for rc in [format!("set -k\n{}", machine.init()), format!("{}set -k\n", machine.init())] {
            machine.rc(&rc);
            let mut terminal = machine.open();
            machine.wait_for_a_fail(&mut terminal);
            assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
            assert_eq!(terminal.run("raxx unset 2>/dev/null; printenv HEROKU_API_KEY").output, "");
            assert_eq!(terminal.run("raxx load 2>/dev/null; printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
        }
    }
}

/// In posix mode, bash before 5.1 cannot even parse the code that starts the checks.
#[test]
fn posix_mode_works() {
    for shell in shells(Bash) {
        for (mode, exported) in [("set -o posix", 0), ("export POSIXLY_CORRECT=y", 1)] {
            let machine = Machine::with_a_dead_one(Bash, &shell);
            machine.hold();
            machine.rc(&format!("{mode}\n{}", machine.init()));
            let mut terminal = machine.open();
            terminal.run("true");
            let screen = terminal.screen();
            assert_eq!(screen.lines().filter(|line| line.contains("bash")).count(), 0, "{screen}");
            assert_eq!(terminal.run("shopt -qo posix && printenv | grep -c POSIXLY").output, exported.to_string());
            machine.release();
            machine.wait_for_a_fail(&mut terminal);
            assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
            unset(&mut terminal, 4);
        }
    }
}

/// The options with the largest effect on zsh, set when the line editor calls back.
#[test]
fn zsh_with_unusual_options_shows_a_fail() {
    let options = "setopt ksh_arrays sh_word_split glob_subst no_nomatch no_unset warn_create_global err_exit\n";
    for shell in shells(Zsh) {
        for odd in [options, "emulate sh\n", "emulate ksh\n", "emulate csh\n"] {
            let machine = Machine::with_a_dead_one(Zsh, &shell);
            machine.rc(&format!("{odd}{}", machine.init()));
            let mut terminal = machine.open();
            terminal.wait_for("rotate via");
            terminal.settle();
            let screen = terminal.screen();
            let words = format!("{}\n{FAIL}\n{}", PROMPT.trim_end(), PROMPT.trim_end());
            assert!(screen.ends_with(&words) && screen.matches("[FAIL]").count() == 1, "{odd}{screen}");
            unset(&mut terminal, 4);
        }
    }
}
