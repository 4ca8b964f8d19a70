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
pub(crate) fn run(shell: CompletedShell) -> Result<ExitCode> {
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
        CompletedShell::Zsh => zsh(&generated(Shell::Zsh), &shown(&Cli::command())),
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

/// What a subcommand takes: its arguments that are names, and whether the vault's row is one of them.
struct Named<'c> {
    command: &'c str,
    /// Behind this option; else as positional arguments.
    option: Option<&'c str>,
    vault: bool,
}

/// The subcommands that take names.
fn named(command: &Command) -> Vec<Named<'_>> {
    let is_name = |arg: &&clap::Arg| matches!(arg.get_id().as_str(), "names" | "name" | "history");
    let mut all = Vec::new();
    for sub in command.get_subcommands() {
        let vault = matches!(sub.get_name(), "check" | "load" | "list");
        for arg in sub.get_arguments().filter(is_name) {
            all.push(Named { command: sub.get_name(), option: arg.get_long(), vault });
        }
    }
    all
}

fn zsh(text: &str, command: &Command) -> String {
    let function = format!(
        "(( $+functions[_raxx_names] )) ||\n_raxx_names() {{\n    local -a names\n    names=(${{(f)\"$({NAMES})\"}} $@)\n    compadd -a names\n}}\n\n"
    );
    let named = named(command);
    let mut current = None;
    let mut out = String::new();
    for line in text.lines() {
        if let Some(name) = line.trim_start().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            current = named.iter().find(|named| named.command == name);
        }
        // The leading space keeps zsh from passing its own options to the function before these arguments.
        let action = current.map(|named| if named.vault { ": _raxx_names infisical" } else { ": _raxx_names" });
        let is_name = ["names -- Only these credentials:_default", "':name -- ", ":NAME:_default"];
        match action.filter(|_| is_name.iter().any(|part| line.contains(part))) {
            Some(action) => out += &line.replacen(":_default", action, 1),
            None => out += line,
        }
        out.push('\n');
    }
    out.replacen("_raxx() {", &format!("{function}_raxx() {{"), 1)
}

fn bash(text: &str, command: &Command) -> String {
    named(command).iter().fold(text.to_string(), |text, named| {
        if let Some(option) = named.option {
            let files = format!("--{option})\n                    COMPREPLY=($(compgen -f \"${{cur}}\"))");
            text.replace(&files, &files.replace("-f \"", &format!("-W \"$({NAMES})\" -- \"")))
        } else {
            let vault = if named.vault { "infisical " } else { "" };
            let block = format!("raxx__subcmd__{})\n            opts=\"", named.command);
            text.replace(&block, &format!("{block}$({NAMES}) {vault}"))
        }
    })
}

fn fish(text: &str, command: &Command) -> String {
    let named = named(command);
    let mut out = String::new();
    for line in text.lines() {
        let is_name = |named: &&Named<'_>| {
            let option = named.option.map(|option| format!("subcommand {}\" -l {option} ", named.command));
            option.is_some_and(|option| line.contains(&option))
        };
        out += line;
        if named.iter().any(|n| is_name(&n)) {
            out += &format!(" -f -a \"({NAMES})\"");
        }
        out.push('\n');
    }
    // clap gives fish no values for positional arguments.
    for sub in command.get_subcommands() {
        let values = sub.get_positionals().flat_map(clap::Arg::get_possible_values);
        let values: Vec<String> = values.map(|value| value.get_name().to_string()).collect();
        if !values.is_empty() {
            out += &format!(
                "complete -c raxx -n \"__fish_raxx_using_subcommand {}\" -f -a \"{}\"\n",
                sub.get_name(),
                values.join(" ")
            );
        }
    }
    let those = |wanted: &dyn Fn(&&Named<'_>) -> bool| {
        named.iter().filter(wanted).map(|named| named.command).collect::<Vec<_>>().join(" ")
    };
    for (commands, values) in [
        (those(&|named| named.option.is_none()), format!("({NAMES})")),
        (those(&|named| named.vault && named.option.is_none()), "infisical".into()),
    ] {
        out += &format!("complete -c raxx -n \"__fish_raxx_using_subcommand {commands}\" -f -a \"{values}\"\n");
    }
    out
}
