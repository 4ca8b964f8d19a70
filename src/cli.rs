//! The command line, as clap types.

use std::ffi::OsString;

use clap::builder::styling::Styles;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::schedule::{At, Clock, Scheduler};
use crate::shell::Shell;

/// Check live whether this terminal's API tokens still work, and report those that do not.
#[derive(Debug, Parser)]
#[command(name = "raxx", version, arg_required_else_help = true, max_term_width = 100, help_template = help_page())]
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
    /// clap's own, which include requests for help and the version.
    pub(crate) fn read() -> Result<Cli, clap::Error> {
        let words: Vec<OsString> = std::env::args_os().collect();
        match integration_command(&words) {
            Some(command) => Ok(Cli { color: Color::Auto, command }),
            None => Cli::try_parse_from(words),
        }
    }
}

/// The commands in `raxx --help`, in groups.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Daily", &["check", "load", "unset", "list"]),
    ("Credentials", &["setup", "store", "rotate", "forget", "import", "unlock", "lock"]),
    ("Shell", &["init", "export", "completions", "prompt"]),
    ("Machine", &["schedule"]),
];

/// Returns the template of `raxx --help`: clap has no headings for subcommands.
fn help_page() -> String {
    let commands = Command::augment_subcommands(clap::Command::new("raxx"));
    let styles = Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut page = "{about-with-newline}\n{usage-heading} {usage}\n\n".to_string();
    for (title, names) in GROUPS {
        page += &format!("{header}{title}:{header:#}\n");
        for name in names {
            let about = commands.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map_or_else(String::new, ToString::to_string);
            page += &format!("  {literal}{name:<11}{literal:#}  {about}\n");
        }
        page.push('\n');
    }
    page += &format!("{header}Options:{header:#}\n{{options}}\n\n");
    page + "Run `raxx help COMMAND` for the options of a command."
}

/// Returns the command of a line that the shell integration runs, recognized word for word. A new terminal waits for these
/// commands, and clap takes longer to set up than they take to run.
fn integration_command(words: &[OsString]) -> Option<Command> {
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
    /// Check every credential with its provider now
    Check(CheckArgs),
    /// Check, then export the values that work into this shell
    Load(LoadArgs),
    /// Unset the credentials in this shell
    Unset {
        /// Also unset them in tmux's environment, so that new panes start without them
        #[arg(long)]
        tmux: bool,
    },
    /// Show the last verdict of each credential, without checking
    List(ListArgs),
    /// Load raxx in new terminals: add a line to the rc files of zsh and bash
    Setup(SetupArgs),
    /// Prompt for a value, verify it with its provider, and store it
    Store(StoreArgs),
    /// Replace a token: show how, then verify, store and load the new one
    Rotate(RotateArgs),
    /// Delete a value from the secret store
    Forget(ForgetArgs),
    /// Find values in the environment and in shell files, and store them
    Import(ImportArgs),
    /// Unlock the GNOME keyring, or the store file for 12 hours
    Unlock(UnlockArgs),
    /// Lock the store file
    Lock,
    /// Print the shell integration, for an rc file: eval "$(raxx init zsh)"
    Init {
        /// Shell to print it for
        shell: Shell,
    },
    /// Print an export line for each value found, for `eval`
    Export(ExportArgs),
    /// Print the completion script for a shell
    Completions {
        /// Shell to print it for
        shell: CompletedShell,
    },
    /// Print a status segment for a shell prompt; nothing if all is well
    Prompt,
    /// Check every day, and send an alert when a credential fails
    Schedule {
        #[command(subcommand)]
        action: ScheduleAction,
    },
    /// Check in the background; called by the shell integration
    #[command(hide = true)]
    Hook {
        /// Accepted for the shell integration; the output is the same for every shell
        #[arg(hide = true)]
        shell: Option<Shell>,
        /// Do not repeat what was reported within the last hour: the shell inherited its values from raxx
        #[arg(long, hide = true)]
        nested: bool,
    },
    /// Print the configured names, one per line; called by the completions
    #[command(hide = true)]
    Names,
}

/// When to use colors.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Color {
    // On a terminal, unless NO_COLOR is set or TERM is dumb; CLICOLOR_FORCE turns colors on everywhere.
    Auto,
    Always,
    Never,
}

impl Color {
    /// Applies the choice to all output.
    pub(crate) fn choose(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::AlwaysAnsi,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Shells for `raxx export`, which prints the same code for each.
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
    /// Print only failures
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
    /// Do nothing unless this time of day has passed since the last run; passed by launchd and cron
    #[arg(long, value_name = "HH:MM[Z]", hide = true, conflicts_with_all = ["names", "test"])]
    pub if_due: Option<At>,
    /// Exit with 1 on warnings too
    #[arg(long)]
    pub strict: bool,
    /// Write the verdicts as Prometheus metrics, for the node exporter's textfile collector
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub prometheus: Option<std::path::PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only these credentials
    #[arg(value_name = "NAME", conflicts_with = "history")]
    pub names: Vec<String>,
    /// Print the list as JSON
    #[arg(long)]
    pub json: bool,
    /// Show when the verdict of this credential changed
    #[arg(long, value_name = "NAME")]
    pub history: Option<String>,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // each is a flag
pub(crate) struct SetupArgs {
    /// Only this shell [default: each shell used on this machine]
    #[arg(long)]
    pub shell: Option<Shell>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Remove the lines
    #[arg(long)]
    pub undo: bool,
    /// Show which rc files load raxx; exit 1 if one does not
    #[arg(long, conflicts_with_all = ["yes", "dry_run", "undo"])]
    pub status: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Name of the credential, as shown by raxx list
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub value: ValueArgs,
    /// Recreate an old Keychain item so that macOS stops asking for permission
    #[arg(long, conflicts_with_all = ["stdin", "no_check"])]
    pub repair: bool,
    #[command(flatten)]
    pub caller: Caller,
}

/// Whether the shell function of raxx runs the command, and evaluates its standard output.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Caller {
    /// Print code for this shell; passed by the shell function
    #[arg(long, hide = true)]
    shell: Option<Shell>,
}

impl Caller {
    /// Whether standard output is evaluated as shell code.
    pub(crate) fn is_shell_function(self) -> bool {
        self.shell.is_some()
    }
}

/// How a value is read and whether it is verified.
#[derive(Debug, Args)]
pub(crate) struct ValueArgs {
    /// Read the value from standard input
    #[arg(long)]
    pub stdin: bool,
    /// Store it without verifying it
    #[arg(long)]
    pub no_check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Name of the credential, as shown by raxx list
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub value: ValueArgs,
    /// Open the provider's token page in the browser
    #[arg(long)]
    pub open: bool,
    #[command(flatten)]
    pub caller: Caller,
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// Name of the credential, as shown by raxx list
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files to search [default: the startup files of the shells]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub files: Vec<std::path::PathBuf>,
    /// Store the values without verifying them
    #[arg(long)]
    pub no_check: bool,
    #[command(flatten)]
    pub caller: Caller,
}

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Only these credentials
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub caller: Caller,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Shell that will evaluate the output
    pub shell: ExportShell,
    /// Only these credentials
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Only variables that are unset or have a rejected value
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
    /// Install the daily check in this machine's scheduler
    Install(InstallArgs),
    /// Remove the daily check
    Uninstall,
    /// Show where it is installed, the result of the last run, and the time of the next
    Status,
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Time of day
    #[arg(long, value_name = "HH:MM", default_value = "08:00")]
    pub at: Clock,
    /// The time is in UTC (default)
    #[arg(long)]
    pub utc: bool,
    /// The time is in this machine's time zone
    #[arg(long, conflicts_with = "utc")]
    pub local: bool,
    /// Print what would be installed, and install nothing
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
    fn commands_of_the_shell_integration_parse_as_clap_parses_them() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let mut known = 0;
        for command in ["init", "export", "hook", "prompt", "list", "load"] {
            for shell in ["", " zsh", " bash", " sh", " fish", " --missing"] {
                for more in ["", " --missing", " --nested", " NAME", " --help", " --missing --missing"] {
                    let line = format!("raxx {command}{shell}{more}");
                    let Some(quick) = integration_command(&words(&line)) else { continue };
                    let clap = Cli::try_parse_from(words(&line)).map(|cli| cli.command);
                    assert_eq!(format!("{quick:?}"), format!("{:?}", clap.expect(&line)), "{line}");
                    known += 1;
                }
            }
        }
        assert_eq!(known, 9);
    }

    #[test]
    fn every_visible_command_is_in_one_group_of_the_help() {
        let command = <Cli as clap::CommandFactory>::command();
        let visible = command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(clap::Command::get_name);
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        assert_eq!(visible.collect::<Vec<_>>(), grouped);
    }
}
