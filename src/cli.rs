//! The command line: clap types alone.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::schedule::{At, Clock, Scheduler};
use crate::shell::Shell;

/// Every new terminal holds API tokens that work, and speaks up only when one does not.
#[derive(Debug, Parser)]
#[command(name = "raxx", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// When to use colors
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub color: Color,
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// What clap has to say, help among it.
    pub(crate) fn read() -> Result<Cli, clap::Error> {
        let words: Vec<OsString> = std::env::args_os().collect();
        match of_the_integration(&words) {
            Some(command) => Ok(Cli { color: Color::Auto, command }),
            None => Cli::try_parse_from(words),
        }
    }
}

/// The commands that shell code runs, in the very words it uses. A new terminal waits for them, and clap takes longer to
/// set up all the commands there are than these take to run.
fn of_the_integration(words: &[OsString]) -> Option<Command> {
    let words: Vec<&str> = words.iter().skip(1).map(|word| word.to_str()).collect::<Option<_>>()?;
    let shell = match *words.get(1).unwrap_or(&"") {
        "zsh" => Some((Shell::Zsh, ExportShell::Zsh)),
        "bash" => Some((Shell::Bash, ExportShell::Bash)),
        _ => None,
    };
    match (&words[..], shell) {
        (["init", _], Some((shell, _))) => Some(Command::Init { shell }),
        (["export", _, "--missing"], Some((_, shell))) => {
            Some(Command::Export(ExportArgs { shell, names: Vec::new(), missing: true }))
        }
        (["hook", _], Some((shell, _))) => Some(Command::Hook { shell: Some(shell), nested: false }),
        (["hook", _, "--nested"], Some((shell, _))) => Some(Command::Hook { shell: Some(shell), nested: true }),
        (["prompt"], None) => Some(Command::Prompt),
        _ => None,
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask every provider now whether its credential works
    Check(CheckArgs),
    /// Check, then export the good values into this shell
    Load(LoadArgs),
    /// Clear the credentials from this shell
    Unset {
        /// Also unset them in tmux's environment, so that new panes start without them
        #[arg(long)]
        tmux: bool,
    },
    /// Load raxx in new terminals: add a line to the rc files of zsh and bash
    Setup(SetupArgs),
    /// Prompt for a value, verify it with its provider, and store it
    Store(StoreArgs),
    /// Replace a token: show how, verify the new one, store it, load it here
    Rotate(RotateArgs),
    /// Delete a value from the secret store
    Forget(ForgetArgs),
    /// Find values in the environment and in shell files, and store them
    Import(ImportArgs),
    /// Unlock the GNOME keyring, or the store file for 12 hours
    Unlock(UnlockArgs),
    /// Lock the store file again
    Lock,
    /// Check every day, and send an alert when a credential fails
    Schedule {
        #[command(subcommand)]
        action: ScheduleAction,
    },
    /// Print an export line for each value found, for `eval`
    Export(ExportArgs),
    /// Print the shell integration, for an rc file: eval "$(raxx init zsh)"
    Init {
        /// The shell to print it for
        shell: Shell,
    },
    /// Check in the background; called by the shell integration
    Hook {
        /// The shell that will evaluate it: the same code serves all
        #[arg(hide = true)]
        shell: Option<Shell>,
        /// The shell inherited raxx's values: do not repeat what was said within the hour
        #[arg(long, hide = true)]
        nested: bool,
    },
    /// Print the completions of a shell
    Completions {
        /// The shell to print them for
        shell: CompletedShell,
    },
    /// Show what is known of each credential, without asking a provider
    List(ListArgs),
    /// Print a short segment for a prompt; nothing when all is well
    Prompt,
    /// Print the configured names, one a line (completions call it)
    #[command(hide = true)]
    Names,
}

/// When to use colors.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Color {
    // Not where NO_COLOR is set or TERM is dumb; also elsewhere with CLICOLOR_FORCE.
    Auto,
    Always,
    Never,
}

impl Color {
    /// Has all output follow it.
    pub(crate) fn choose(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::AlwaysAnsi,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// The shells that evaluate exports: one and the same code.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportShell {
    Zsh,
    Bash,
    Sh,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CompletedShell {
    Zsh,
    Bash,
    Fish,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // each is a flag
pub(crate) struct CheckArgs {
    /// Only these credentials
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Print nothing but FAILs
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Print nothing; send an alert on failure (Slack by default)
    #[arg(long, conflicts_with_all = ["quiet", "json"])]
    pub alert: bool,
    /// Send a test alert and report whether it was delivered
    #[arg(long, requires = "alert", conflicts_with_all = ["names", "strict", "prometheus"])]
    pub test: bool,
    /// Do nothing unless this time of the day has passed since the last run (launchd and cron say it)
    #[arg(long, value_name = "HH:MM[Z]", hide = true, conflicts_with_all = ["names", "test"])]
    pub if_due: Option<At>,
    /// Fail on warnings too
    #[arg(long)]
    pub strict: bool,
    /// Write the verdicts as metrics for `node_exporter`'s textfile collector
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub prometheus: Option<std::path::PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only these credentials
    #[arg(value_name = "NAME", conflicts_with = "history")]
    pub names: Vec<String>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    /// Show when the verdict of this credential changed
    #[arg(long, value_name = "NAME")]
    pub history: Option<String>,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // each is a flag
pub(crate) struct SetupArgs {
    /// Only this shell [default: those that are used on this machine]
    #[arg(long)]
    pub shell: Option<Shell>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Print what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Remove the lines again
    #[arg(long)]
    pub undo: bool,
    /// Show which rc files load raxx; exit 1 if one does not
    #[arg(long, conflicts_with_all = ["yes", "dry_run", "undo"])]
    pub status: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The credential, as in raxx list
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub value: ValueArgs,
    /// Make an old Keychain item readable without a question (macOS); takes no value
    #[arg(long, conflicts_with_all = ["stdin", "no_check"])]
    pub repair: bool,
    /// Print code for this shell on stdout (the shell function says it)
    #[arg(long, hide = true)]
    pub shell: Option<Shell>,
}

/// How a value comes in.
#[derive(Debug, Args)]
pub(crate) struct ValueArgs {
    /// Read the value from standard input
    #[arg(long)]
    pub stdin: bool,
    /// Store it without asking the provider
    #[arg(long)]
    pub no_check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The credential, as in raxx list
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub value: ValueArgs,
    /// Open the provider's page in the browser
    #[arg(long)]
    pub open: bool,
    /// Print code for this shell on stdout (the shell function says it)
    #[arg(long, hide = true)]
    pub shell: Option<Shell>,
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// The credential, as in raxx list
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The files to look into; by default the shell's own
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub files: Vec<std::path::PathBuf>,
    /// Store without asking the providers
    #[arg(long)]
    pub no_check: bool,
    /// Print code for this shell on stdout (the shell function says it)
    #[arg(long, hide = true)]
    pub shell: Option<Shell>,
}

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Only these credentials
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Print code for this shell on stdout (the shell function says it)
    #[arg(long, hide = true)]
    pub shell: Option<Shell>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The shell that will evaluate it
    pub shell: ExportShell,
    /// Only these credentials
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Only what this environment lacks or holds stale
    #[arg(long)]
    pub missing: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnlockArgs {
    /// Read the password from standard input
    #[arg(long)]
    pub stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleAction {
    /// Have this machine's scheduler check once a day
    Install(InstallArgs),
    /// Remove the daily check
    Uninstall,
    /// Show where it is installed, what the last run found, and when the next one is due
    Status,
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// The time of the day
    #[arg(long, value_name = "HH:MM", default_value = "08:00")]
    pub at: Clock,
    /// The time is UTC (the default)
    #[arg(long)]
    pub utc: bool,
    /// The time is that of this machine's clock
    #[arg(long, conflicts_with = "utc")]
    pub local: bool,
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub print: bool,
    /// Scheduler to use [default: the system's own]
    #[arg(long)]
    pub via: Option<Scheduler>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_shell_integration_mean_what_clap_takes_them_for() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let mut known = 0;
        for command in ["init", "export", "hook", "prompt", "list", "load"] {
            for shell in ["", " zsh", " bash", " sh", " fish", " --missing"] {
                for more in ["", " --missing", " --nested", " NAME", " --help", " --missing --missing"] {
                    let line = format!("raxx {command}{shell}{more}");
                    let Some(quick) = of_the_integration(&words(&line)) else { continue };
                    let clap = Cli::try_parse_from(words(&line)).map(|cli| cli.command);
                    assert_eq!(format!("{quick:?}"), format!("{:?}", clap.expect(&line)), "{line}");
                    known += 1;
                }
            }
        }
        assert_eq!(known, 9);
    }
}
