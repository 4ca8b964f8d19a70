//! `raxx completions`: clap's, without what is hidden, and with the configured names where a NAME goes.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::{Cli, CompletedShell};
use crate::process::write_whole;

/// Prints the configured names, one a line; nothing when the configuration is broken.
const NAMES: &str = "command raxx names 2>/dev/null";

/// # Errors
/// stdout cannot be written.
pub fn run(shell: CompletedShell) -> Result<ExitCode> {
    write_whole(&text(shell))?;
    Ok(ExitCode::SUCCESS)
}

fn text(shell: CompletedShell) -> String {
    let mut command = shown(&Cli::command());
    let mut generated = |shell| {
        let mut out = Vec::new();
        clap_complete::generate(shell, &mut command, "raxx", &mut out);
        String::from_utf8(out).expect("clap writes text")
    };
    match shell {
        CompletedShell::Zsh => zsh(&generated(Shell::Zsh)),
        CompletedShell::Bash => bash(&generated(Shell::Bash), &shown(&Cli::command())),
        CompletedShell::Fish => fish(&generated(Shell::Fish), &shown(&Cli::command())),
    }
}

/// The command without its hidden parts: clap's generators complete those too.
fn shown(whole: &Command) -> Command {
    let mut part = Command::new(whole.get_name().to_string()).disable_help_subcommand(true);
    if let Some(about) = whole.get_about() {
        part = part.about(about.clone());
    }
    if let Some(version) = whole.get_version() {
        part = part.version(version.to_string());
    }
    part.args(whole.get_arguments().filter(|arg| !arg.is_hide_set()).cloned())
        .subcommands(whole.get_subcommands().filter(|sub| !sub.is_hide_set()).map(shown))
}

/// The subcommands that take NAMEs.
fn named(command: &Command) -> impl Iterator<Item = &str> {
    let takes_names = |sub: &&Command| sub.get_positionals().any(|arg| arg.get_id() == "names");
    command.get_subcommands().filter(takes_names).map(Command::get_name)
}

fn zsh(text: &str) -> String {
    let names = format!(
        "(( $+functions[_raxx_names] )) ||\n_raxx_names() {{\n    local -a names\n    names=(${{(f)\"$({NAMES})\"}})\n    compadd -a names\n}}\n\n"
    );
    let text = text.replace("names -- Only these credentials:_default", "names -- Only these credentials:_raxx_names");
    text.replacen("_raxx() {", &format!("{names}_raxx() {{"), 1)
}

fn bash(text: &str, command: &Command) -> String {
    named(command).fold(text.to_string(), |text, name| {
        let block = format!("raxx__subcmd__{name})\n            opts=\"");
        text.replace(&block, &format!("{block}$({NAMES}) "))
    })
}

fn fish(text: &str, command: &Command) -> String {
    let mut text = text.to_string();
    // clap gives fish no values for positional arguments.
    for sub in command.get_subcommands() {
        let values = sub.get_positionals().flat_map(|arg| arg.get_possible_values());
        let values: Vec<String> = values.map(|value| value.get_name().to_string()).collect();
        if !values.is_empty() {
            text += &format!(
                "complete -c raxx -n \"__fish_raxx_using_subcommand {}\" -f -a \"{}\"\n",
                sub.get_name(),
                values.join(" ")
            );
        }
    }
    let named: Vec<&str> = named(command).collect();
    text + &format!("complete -c raxx -n \"__fish_raxx_using_subcommand {}\" -f -a \"({NAMES})\"\n", named.join(" "))
}
