//! All messages of the shell integration itself. zsh and bash print the same ones, so they share the snapshots.

use super::*;
use crate::snapshot::snapshot;

in_each_shell! {
    unset_counts_and_names_the_tools_that_can_set_values_again,
    unset_with_arguments,
    read_only_variables,
    a_subshell,
    a_broken_configuration,
}

/// Types a command and returns its output and exit code.
fn typed(terminal: &mut Terminal, command: &str) -> String {
    let ran = terminal.run(command);
    let output = if ran.output.is_empty() { String::new() } else { ran.output + "\n" };
    format!("$ {command}\n{output}exit: {}\n\n", ran.code)
}

fn unset_counts_and_names_the_tools_that_can_set_values_again(kind: Kind, shell: &Path) {
    let machine = Machine::with_values(kind, shell);
    let mut terminal = machine.with_raxx();
    let mut all = typed(&mut terminal, "raxx unset");
    all += &typed(&mut terminal, "raxx unset");
    all += &typed(&mut terminal, "HEROKU_API_KEY=x; raxx unset");
    for others in [
        "DIRENV_DIFF=x; raxx unset",
        "unset DIRENV_DIFF; __MISE_DIFF=x; raxx unset",
        "DIRENV_DIFF=x; __SHADOWENV_DATA=x; raxx unset",
    ] {
        all += &typed(&mut terminal, others);
    }
    snapshot!(machine.sandbox, "unset", all);
}

fn unset_with_arguments(kind: Kind, shell: &Path) {
    let mut machine = Machine::with_values(kind, shell);
    // The test must not reach a tmux server of the user who runs it.
    let sockets = machine.marker("tmux");
    fs::create_dir(&sockets).unwrap();
    machine.sandbox.env("TMUX_TMPDIR", &sockets);
    let mut terminal = machine.with_raxx();
    let mut all = typed(&mut terminal, "raxx unset HEROKU_API_KEY");
    assert_eq!(terminal.run("printenv HEROKU_API_KEY"), Ran::well(HEROKU.1));
    all += &typed(&mut terminal, "raxx unset --tmux");
    assert_eq!(terminal.run("printenv HEROKU_API_KEY").output, "");
    snapshot!(machine.sandbox, "unset_with_arguments", all);
}

fn read_only_variables(kind: Kind, shell: &Path) {
    let (machine, _keyring) = with_a_keyring(kind, shell);
    let name = TOKENS[0].0;
    machine.rc(&format!("{name}=mine; readonly {name}\n{}", machine.init()));
    let mut terminal = machine.open();
    machine.wait_for_a_pass();
    let mut all = typed(&mut terminal, &format!("raxx load {name} 2>&1 | tail -n 1"));
    all += &typed(&mut terminal, "raxx unset");
    snapshot!(machine.sandbox, "read_only_variables", all);
}

fn a_subshell(kind: Kind, shell: &Path) {
    let (machine, _keyring) = with_a_keyring(kind, shell);
    let mut terminal = machine.with_raxx();
    machine.wait_for_a_pass();
    snapshot!(machine.sandbox, "a_subshell", typed(&mut terminal, "raxx load HEROKU_API_KEY | cat"));
}

fn a_broken_configuration(kind: Kind, shell: &Path) {
    let mut machine = Machine::new(kind, shell);
    machine.sandbox.config("timeout = 5\n");
    snapshot!(machine.sandbox, "a_broken_configuration", machine.with_raxx().screen());
}

/// bash only: an rc file that replaces the whole PROMPT_COMMAND after raxx's line.
#[test]
fn a_replaced_prompt_command() {
    for shell in shells(Bash) {
        let machine = Machine::with_values(Bash, &shell);
        machine.rc(&format!("{}unset PROMPT_COMMAND\n", machine.init()));
        let mut terminal = machine.open();
        snapshot!(machine.sandbox, "a_replaced_prompt_command", typed(&mut terminal, "raxx --version >/dev/null"));
    }
}
