//! raxx checks live whether a terminal's API tokens still work, and reports those that do not.

mod alert;
mod check;
mod cli;
mod command;
mod config;
mod files;
mod process;
mod provider;
mod report;
mod schedule;
mod secret;
mod shell;
mod source;
mod state;
mod store;
mod terminal;
mod text;

use std::process::ExitCode;

use cli::{Cli, Command};

fn main() -> ExitCode {
    process::harden(config::secret_variables);
    terminal::restore_on_panic();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return command::usage::refused(&error),
    };
    cli.color.choose();
    let result = match cli.command {
        Command::Check(args) => command::schedule::watched(&args),
        Command::Load(args) => command::load::run(&args),
        Command::Unset { .. } => command::unset(),
        Command::Store(args) => files::refuse_foreign_home().and_then(|()| command::store::run(&args)),
        Command::Rotate(args) => files::refuse_foreign_home().and_then(|()| command::rotate::run(&args)),
        Command::Forget(args) => files::refuse_foreign_home().and_then(|()| command::forget::run(&args)),
        Command::Import(args) => files::refuse_foreign_home().and_then(|()| command::import::run(&args)),
        Command::Setup(args) => command::setup::run(&args),
        Command::Unlock(args) => command::unlock::unlock(&args),
        Command::Lock => command::unlock::lock(),
        Command::Schedule { action } => command::schedule::run(&action),
        Command::Export(args) => command::export::run(&args),
        Command::Init { shell } => command::init(shell),
        Command::Hook { nested, .. } => command::hook::run(if nested {
            check::announced::Nesting::Nested
        } else {
            check::announced::Nesting::TopLevel
        }),
        Command::Completions { shell } => command::completions::run(shell),
        Command::List(args) => command::list::run(&args),
        Command::Prompt => Ok(command::prompt::run()),
        Command::Names => command::names(),
    };
    result.unwrap_or_else(|error| {
        if let Some(process::Terminated(code)) = error.downcast_ref() {
            return ExitCode::from(*code);
        }
        process::say(&text::output::error(&format!("raxx: {error:#}")));
        ExitCode::from(2)
    })
}
