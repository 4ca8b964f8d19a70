//! raxx: every new terminal holds API tokens that work, and speaks up only when one does not.

mod check;
mod cli;
mod command;
mod config;
mod http;
mod process;
mod provider;
mod report;
mod secret;
mod shell;
mod source;
mod state;
mod store;
mod vault;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

fn main() -> ExitCode {
    process::harden();
    let result = match Cli::parse().command {
        Command::Check(args) => command::check::run(&args),
        Command::Load(args) => command::load::run(&args),
        Command::Unset => command::unset(),
        Command::Export(args) => command::export::run(&args),
        Command::Init { shell } => command::init(shell),
        Command::Hook { .. } => command::hook::run(),
        Command::Completions { shell } => command::completions::run(shell),
        Command::Names => command::names(),
    };
    result.unwrap_or_else(|error| {
        process::say(&format!("raxx: {error:#}"));
        ExitCode::from(2)
    })
}
