//! The command line: clap types alone.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::shell::Shell;

/// Every new terminal holds API tokens that work, and speaks up only when one does not.
#[derive(Debug, Parser)]
#[command(name = "raxx", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask every provider now whether its credential works
    Check(CheckArgs),
    /// Check, then export the good values into this shell
    Load(LoadArgs),
    /// Clear the credentials from this shell
    Unset {
        /// Out of the tmux server too, so that new panes do not get them
        #[arg(long)]
        tmux: bool,
    },
    /// Take a value, prove it, and put it into the secret store
    Store(StoreArgs),
    /// Show how to make a new token, take it, prove it, store it, and load it into this shell
    Rotate(RotateArgs),
    /// Take a value out of the secret store
    Forget(ForgetArgs),
    /// Find configured names in the environment and in shell files, prove their values, and store them
    Import(ImportArgs),
    /// Open the store file with its passphrase, for 12 hours
    Unlock(UnlockArgs),
    /// Close the store file again
    Lock,
    /// Print an export line for each value found, for `eval`
    Export(ExportArgs),
    /// Print the shell's glue, for an rc file: eval "$(raxx init zsh)"
    Init {
        /// The shell to print it for
        shell: Shell,
    },
    /// Check behind the prompt (the glue calls it)
    Hook {
        /// The shell that will evaluate it
        shell: Shell,
    },
    /// Print the completions of a shell
    Completions {
        /// The shell to print them for
        shell: CompletedShell,
    },
    /// Print the configured names, one a line (completions call it)
    #[command(hide = true)]
    Names,
}

/// The shells that evaluate exports: one and the same code.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ExportShell {
    Zsh,
    Bash,
    Sh,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CompletedShell {
    Zsh,
    Bash,
    Fish,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Only these credentials
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Print nothing but FAILs
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StoreArgs {
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub value: ValueArgs,
    /// Make an old Keychain item readable without a question (macOS); takes no value
    #[arg(long, conflicts_with_all = ["stdin", "no_check"])]
    pub repair: bool,
}

/// How a value comes in.
#[derive(Debug, Args)]
pub struct ValueArgs {
    /// Read the value from standard input
    #[arg(long)]
    pub stdin: bool,
    /// Store it without asking the provider
    #[arg(long)]
    pub no_check: bool,
}

#[derive(Debug, Args)]
pub struct RotateArgs {
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
pub struct ForgetArgs {
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The files to look into; by default the shell's own
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub files: Vec<std::path::PathBuf>,
    /// Store without asking the providers
    #[arg(long)]
    pub no_check: bool,
}

#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Only these credentials
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Print code for this shell on stdout (the shell function says it)
    #[arg(long, hide = true)]
    pub shell: Option<Shell>,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
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
pub struct UnlockArgs {
    /// Read the passphrase from standard input
    #[arg(long)]
    pub stdin: bool,
}
