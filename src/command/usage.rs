//! Errors for a command line that raxx does not understand: what is wrong, and what to type. A guess is never run, and a
//! word is repeated only if it cannot be a secret.

use std::error::Error as _;
use std::io;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Command, CommandFactory as _, ValueEnum as _};

use crate::cli::{Cli, Color};
use crate::config;
use crate::text::typed::{is_harmless, looks_like_a_value, may_repeat, nearest, shown_name};
use crate::text::{clean, output};

/// What to do about a secret in the arguments.
pub(super) const TYPED: &str = "it is in the shell history now, so rotate it";

/// Shorter words of the command line are not taken for secrets.
const LONG: usize = 16;

/// Command names that other programs use: the names, what to type instead, and what that does.
const HABITS: &[(&[&str], &str, &str)] = &[
    (&["rm", "delete", "remove", "del", "erase"], "forget NAME", "deletes a value from the secret store"),
    (&["status", "ls", "show", "info", "ps"], "list", "shows the last verdict of each credential"),
    (
        &["login", "set", "add", "save", "put", "create", "new", "auth"],
        "store NAME",
        "prompts for a value, verifies it and stores it",
    ),
    (&["get", "print", "env", "cat", "read"], "export zsh NAME", "prints an export line (also bash, sh)"),
    (&["version"], "--version", "prints the version"),
    (&["test", "verify", "validate", "ping"], "check", "checks every credential now"),
    (&["renew", "refresh", "replace", "update", "change"], "rotate NAME", "replaces a token with a new one"),
    (&["logout", "clear", "unload"], "unset", "unsets the credentials in this shell"),
    (&["cron", "daemon", "timer"], "schedule status", "shows the daily check"),
    (&["hook-env", "activate", "shellenv"], "init zsh", "prints the shell integration (also bash)"),
];

/// [`HABITS`] for `raxx schedule`.
const SCHEDULE_HABITS: &[(&[&str], &str, &str)] = &[
    (&["rm", "delete", "remove", "stop", "disable", "off"], "uninstall", "removes the daily check"),
    (&["add", "set", "start", "enable", "create", "on"], "install", "installs the daily check"),
    (&["list", "ls", "show", "info", "check"], "status", "shows the daily check"),
];

/// Prints the requested help or version, or an error with the command to type.
pub(crate) fn refused(error: &Error) -> ExitCode {
    choose_color();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let text = rendered(error, anstream::AutoStream::choice(&io::stdout()));
            match crate::process::write_whole(&text) {
                Ok(()) => ExitCode::SUCCESS,
                Err(why) => {
                    crate::process::say(&output::error(&format!("raxx: {why:#}")));
                    ExitCode::from(2)
                }
            }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let text = rendered(error, anstream::AutoStream::choice(&io::stderr()));
            crate::process::say_styled(text.trim_end());
            ExitCode::from(2)
        }
        // `raxx help --help`: clap looks for a command of that name.
        ErrorKind::InvalidSubcommand if matches!(error.get(ContextKind::InvalidSubcommand), Some(ContextValue::String(word)) if word == "--help" || word == "-h") => {
            match Cli::command().try_get_matches_from(["raxx", "--help"]) {
                Err(help) => refused(&help),
                Ok(_) => ExitCode::from(2),
            }
        }
        _ => {
            let typed: Vec<String> =
                std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
            let line = Line::new(&typed);
            let (what, next) = line.explain(error);
            let next = line.with_name(next);
            crate::process::say(&output::error(&format!("raxx: {what}; type: {next}")));
            ExitCode::from(2)
        }
    }
}

/// Applies `--color` from a command line that clap rejected.
fn choose_color() {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let separate = words.windows(2).find(|pair| pair[0] == "--color").map(|pair| pair[1].as_str());
    let wanted = words.iter().find_map(|word| word.strip_prefix("--color=")).or(separate);
    if let Some(color) = wanted.and_then(|word| Color::from_str(word, false).ok()) {
        color.choose();
    }
}

fn rendered(error: &Error, choice: anstream::ColorChoice) -> String {
    let text = error.render();
    let text = if choice == anstream::ColorChoice::Never { text.to_string() } else { text.ansi().to_string() };
    output::for_people(&text).into_owned()
}

/// A command line that clap rejected.
struct Line<'t> {
    /// The commands that were recognized, such as `raxx check`.
    path: String,
    command: Command,
    /// The words after it.
    rest: &'t [String],
}

impl Line<'_> {
    fn new(typed: &[String]) -> Line<'_> {
        let mut command = Cli::command();
        let mut path = "raxx".to_string();
        let mut rest = typed;
        // The only option before a command that takes a separate value.
        let mut skip = false;
        while let Some((word, more)) = rest.split_first() {
            if path == "raxx" && (skip || word.starts_with('-')) {
                skip = word == "--color";
                rest = more;
                continue;
            }
            let Some(sub) = command.find_subcommand(word).cloned() else { break };
            path = format!("{path} {word}");
            (command, rest) = (sub, more);
        }
        Line { path, command, rest }
    }

    /// What is wrong, and what to type.
    fn explain(&self, error: &Error) -> (String, String) {
        let path = &self.path;
        let help = format!("{path} --help");
        let word = |kind| match error.get(kind) {
            Some(ContextValue::String(word)) => word.as_str(),
            Some(ContextValue::Strings(words)) => words.first().map_or("", String::as_str),
            _ => "",
        };
        let argument = word(ContextKind::InvalidArg);
        if self.may_hold_a_value(argument) {
            let takes = if self.takes_a_value() { format!("{path} NAME") } else { path.clone() };
            let next = if self.is_for_values() { takes } else { help };
            return (format!("never type a value into a command; if that was one, {TYPED}"), next);
        }
        let name = argument.split(['=', ' ']).next().unwrap_or_default();
        match error.kind() {
            ErrorKind::InvalidSubcommand => self.unknown_command(word(ContextKind::InvalidSubcommand), help),
            ErrorKind::UnknownArgument if name.starts_with('-') => self.unknown_option(name, help),
            ErrorKind::UnknownArgument => {
                let most = self.command.get_positionals().count();
                let takes = if most == 0 { "takes no arguments" } else { "was given too many arguments" };
                (format!("`{path}` {takes}{}", suspicion(argument)), help)
            }
            ErrorKind::InvalidValue => self.wrong_value(argument, word(ContextKind::InvalidValue), error, help),
            ErrorKind::ValueValidation => {
                // The errors of raxx's own parsers do not repeat what was typed.
                let why = error.source().map_or_else(|| "that is not a valid value".into(), ToString::to_string);
                let doubt = suspicion(word(ContextKind::InvalidValue));
                let next = if name == "--at" { format!("{path} --at 08:00") } else { help };
                (format!("{name}: {why}{doubt}"), next)
            }
            ErrorKind::MissingRequiredArgument => {
                let missing = argument.trim_matches(['<', '>', '[', ']', '.']);
                match missing {
                    "NAME" => (
                        format!("`{path}` needs the name of a credential, as shown by raxx list"),
                        format!("{path} NAME"),
                    ),
                    "SHELL" => {
                        (format!("`{path}` needs the name of a shell: {}", self.shells()), format!("{path} zsh"))
                    }
                    _ => (format!("`{path}` needs {missing}"), help),
                }
            }
            ErrorKind::ArgumentConflict => {
                let other = word(ContextKind::PriorArg).split(' ').next().unwrap_or_default();
                (format!("{name} and {other} cannot be used together"), help)
            }
            ErrorKind::TooManyValues => {
                (format!("{name} takes no value{}", suspicion(word(ContextKind::InvalidValue))), help)
            }
            ErrorKind::InvalidUtf8 => ("an argument is not UTF-8 text".into(), help),
            _ => ("raxx does not understand that command".into(), help),
        }
    }

    /// The command to type, with the credential that was typed in place of `NAME`.
    fn with_name(&self, next: String) -> String {
        match (next.strip_suffix(" NAME"), self.name()) {
            (Some(command), Some(name)) => format!("{command} {name}"),
            _ => next,
        }
    }

    /// The first word that is the name of a credential, also in front of an equals sign.
    fn name(&self) -> Option<String> {
        let typed: Vec<&str> = self.rest.iter().filter_map(|word| word.split('=').next()).collect();
        let names = config::names();
        typed.into_iter().find_map(|word| names.iter().find(|name| *name == word).cloned())
    }

    /// The shells that the command takes.
    fn shells(&self) -> String {
        let shell = self.command.get_positionals().next();
        let values = shell.map(clap::Arg::get_possible_values).unwrap_or_default();
        listed(&values.iter().map(clap::builder::PossibleValue::get_name).collect::<Vec<_>>())
    }

    fn unknown_command(&self, word: &str, help: String) -> (String, String) {
        let path = &self.path;
        let habits = if path == "raxx" { HABITS } else { SCHEDULE_HABITS };
        let lower = word.to_ascii_lowercase();
        if let Some((_, next, does)) = habits.iter().find(|(words, ..)| words.contains(&lower.as_str())) {
            let command = next.split(' ').next().unwrap_or_default();
            let after = self.rest.get(1..).unwrap_or_default();
            let set = command == "store" && after.len() > 1 && self.name().is_some();
            let doubt = if set || after.iter().any(|word| !suspicion(word).is_empty() && !is_name(word)) {
                format!("; if a value was typed, {TYPED}")
            } else {
                String::new()
            };
            return (
                format!("there is no `{path} {lower}`: `{path} {command}` {does}{doubt}"),
                format!("{path} {next}"),
            );
        }
        let known: Vec<&str> =
            self.command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(Command::get_name).collect();
        match nearest(word, &known).filter(|_| may_repeat(word, &known)) {
            Some(near) => {
                (format!("there is no `{path} {lower}`: did you mean `{path} {near}`?"), self.command_line(near))
            }
            None if may_repeat(word, &known) => (format!("there is no `{path} {word}`"), help),
            None => (format!("there is no such command{}", suspicion(word)), help),
        }
    }

    /// Returns the command line of a subcommand, with placeholders for its arguments.
    fn command_line(&self, name: &str) -> String {
        let sub = self.command.find_subcommand(name);
        let first = sub.and_then(|sub| sub.get_positionals().find(|arg| arg.is_required_set()));
        let words = match first.map(|arg| arg.get_id().as_str()) {
            Some("shell") => " zsh",
            Some(_) => " NAME",
            None => "",
        };
        format!("{} {name}{words}", self.path)
    }

    fn unknown_option(&self, name: &str, help: String) -> (String, String) {
        let path = &self.path;
        // clap adds these two only while it parses.
        let own: &[&str] = if path == "raxx" { &["help", "version"] } else { &["help"] };
        let longs = self.command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long());
        let longs: Vec<&str> = longs.chain(own.iter().copied()).collect();
        let bare = name.trim_start_matches('-');
        let near = nearest(bare, &longs).filter(|_| bare.len() > 1 && may_repeat(bare, &longs));
        let shown = if may_repeat(bare, &longs) { format!(" {name}") } else { String::new() };
        match near {
            Some(near) => {
                (format!("`{path}` has no option{shown}: did you mean --{near}?"), format!("{path} --{near}"))
            }
            None => (format!("`{path}` has no such option{shown}{}", suspicion(bare)), help),
        }
    }

    fn wrong_value(&self, argument: &str, value: &str, error: &Error, help: String) -> (String, String) {
        let path = &self.path;
        let known: Vec<&str> = match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(words)) => words.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        let option = argument.split(' ').next().filter(|name| name.starts_with('-'));
        let Some(first) = known.first() else {
            return (format!("{} needs a value", option.unwrap_or("that")), help);
        };
        let call = |word: &str| option.map_or_else(|| format!("{path} {word}"), |name| format!("{path} {name} {word}"));
        let subject = option.map_or_else(|| format!("`{path}`"), |name| format!("`{path} {name}`"));
        let known_words = listed(&known);
        if value == "fish" && argument.contains("SHELL") {
            return (format!("fish is not supported yet: {subject} takes {known_words}"), call(first));
        }
        match nearest(value, &known).filter(|_| may_repeat(value, &known)) {
            Some(near) => (format!("{subject} takes {known_words}: did you mean {near}?"), call(near)),
            None => (format!("{subject} takes {known_words}{}", suspicion(value)), call(first)),
        }
    }

    /// Whether the command handles values, so that an extra word is probably one.
    fn is_for_values(&self) -> bool {
        matches!(self.command.get_name(), "store" | "rotate" | "forget" | "unlock")
    }

    fn takes_a_value(&self) -> bool {
        self.command.get_positionals().next().is_some()
    }

    /// Whether a value may have been typed as an argument of a command that prompts for it.
    fn may_hold_a_value(&self, argument: &str) -> bool {
        if !self.is_for_values() {
            return false;
        }
        // The value of the shell function's own option.
        let own = usize::from(self.rest.iter().any(|word| word == "--shell"));
        let words = self.rest.iter().filter(|word| !word.starts_with('-')).count();
        let attached = self.rest.iter().any(|word| word.starts_with('-') && word.contains('='));
        words > self.command.get_positionals().count() + own || attached || looks_like_a_value(argument)
    }
}

/// Returns the error for a name that no credential has. The name is repeated only if it is similar to a known one: otherwise
/// it may be a value.
pub(super) fn unknown(name: &str, known: &[&str]) -> anyhow::Error {
    if may_repeat(name, known)
        && let Some(near) = nearest(name, known)
    {
        return anyhow!("no credential is named {name}: did you mean {near}?; type: {}", corrected(name, near));
    }
    let like_a_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let value = if may_be_a_value(name) && !name.chars().all(like_a_name) {
        format!(" If it was a value, {TYPED}.")
    } else {
        String::new()
    };
    let place = clean(&config::place());
    anyhow!(
        "no credential has that name.{value} Configured: {}. To add one, write a [[credential]] in {place}",
        known.join(", ")
    )
}

/// Whether a word of the command line may be a secret.
pub(super) fn may_be_a_value(word: &str) -> bool {
    word.contains('=') || word.chars().count() >= LONG
}

/// Returns this command line with the wrong word corrected, or `raxx list` if another word may be a secret.
pub(super) fn corrected(wrong: &str, right: &str) -> String {
    let mut words = vec!["raxx".to_string()];
    let mut typed = std::env::args().skip(1);
    while let Some(word) = typed.next() {
        match word.as_str() {
            // The shell function's own option.
            "--shell" => drop(typed.next()),
            word if word == wrong => words.push(right.into()),
            word if is_harmless(word.trim_start_matches('-')) || shown_name(word).is_some() => words.push(word.into()),
            _ => return "raxx list".into(),
        }
    }
    words.join(" ")
}

/// Whether it is the name of a credential.
fn is_name(word: &str) -> bool {
    config::names().iter().any(|name| name == word)
}

/// Returns a warning for a word that may be a secret.
fn suspicion(word: &str) -> String {
    if looks_like_a_value(word) || may_be_a_value(word) {
        format!("; if that was a value, {TYPED}")
    } else {
        String::new()
    }
}

/// `zsh, bash or sh`.
fn listed(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => (*last).into(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
