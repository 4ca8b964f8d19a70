//! Which names a credential can have.

use toml::Spanned;

use super::Credential;
use super::file::{ConfigError, File};
use crate::text::typed::{looks_like_a_value, shown, shown_name};

/// Names that the shell, the loader or raxx itself uses, separated by spaces: to export a token there, or to unset it, would
/// break the shell. The shell functions refuse the same names.
pub(crate) const REFUSED_NAMES: [&str; 6] = [
    // Set by a login, and used by most programs.
    "PATH HOME SHELL USER USERNAME LOGNAME MAIL PWD OLDPWD TMPDIR TERM TERMCAP TERMINFO COLORTERM \
     TERM_PROGRAM LANG LANGUAGE LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_MONETARY LC_NUMERIC LC_TIME TZ \
     EDITOR VISUAL PAGER BROWSER MANPATH INFOPATH HOSTNAME HOST HOSTTYPE OSTYPE MACHTYPE VENDOR CPUTYPE \
     XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR XDG_CONFIG_DIRS \
     XDG_DATA_DIRS DISPLAY WAYLAND_DISPLAY XAUTHORITY DBUS_SESSION_BUS_ADDRESS SSH_AUTH_SOCK SSH_AGENT_PID \
     SSH_CONNECTION SSH_CLIENT SSH_TTY GPG_TTY TMUX TMUX_PANE TMUX_TMPDIR STY",
    // Used by the loader and by interpreters: a value is code or a path to it.
    "LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT LD_DEBUG DYLD_INSERT_LIBRARIES DYLD_LIBRARY_PATH DYLD_FRAMEWORK_PATH \
     DYLD_FALLBACK_LIBRARY_PATH PYTHONPATH PYTHONHOME PYTHONSTARTUP PERL5LIB PERL5OPT RUBYLIB RUBYOPT \
     NODE_OPTIONS NODE_PATH JAVA_TOOL_OPTIONS CLASSPATH",
    // Used by raxx itself and its connections.
    "RAXX_CONFIG RAXX_OFF RAXX_BOOTSTRAP_STATE_FILE HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy \
     https_proxy all_proxy no_proxy SSL_CERT_FILE SSL_CERT_DIR CARGO_HOME",
    // Used by every shell.
    "IFS ENV PS1 PS2 PS3 PS4 PPID UID EUID GID EGID GROUPS OPTIND OPTARG OPTERR CDPATH FPATH RANDOM SRANDOM \
     SECONDS LINENO SHLVL HISTFILE HISTSIZE HISTFILESIZE HISTCONTROL HISTIGNORE HISTTIMEFORMAT HISTCMD \
     HISTCHARS histchars FCEDIT FIGNORE MAILCHECK MAILPATH COLUMNS LINES TIMEFORMAT TMOUT FUNCNEST \
     EPOCHREALTIME EPOCHSECONDS REPLY _",
    // Used by bash.
    "BASH BASHOPTS BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_ARGV0 BASH_CMDS BASH_COMMAND BASH_COMPAT \
     BASH_ENV BASH_EXECUTION_STRING BASH_LINENO BASH_LOADABLES_PATH BASH_REMATCH BASH_SOURCE BASH_SUBSHELL \
     BASH_VERSINFO BASH_VERSION BASH_XTRACEFD CHILD_MAX COMPREPLY COMP_CWORD COMP_KEY COMP_LINE COMP_POINT \
     COMP_TYPE COMP_WORDBREAKS COMP_WORDS COPROC DIRSTACK EMACS EXECIGNORE FUNCNAME GLOBIGNORE GLOBSORT \
     HOSTFILE IGNOREEOF INPUTRC INSIDE_EMACS MAPFILE PIPESTATUS POSIXLY_CORRECT PROMPT_COMMAND PROMPT_DIRTRIM \
     PS0 READLINE_ARGUMENT READLINE_LINE READLINE_MARK READLINE_POINT SHELLOPTS auto_resume",
    // Used by zsh.
    "ZDOTDIR ZSH_ARGZERO ZSH_EVAL_CONTEXT ZSH_EXECUTION_STRING ZSH_NAME ZSH_PATCHLEVEL ZSH_SCRIPT \
     ZSH_SUBSHELL ZSH_VERSION ZLE_LINE_ABORTED ZLE_REMOVE_SUFFIX_CHARS ZLE_RPROMPT_INDENT \
     ZLE_SPACE_SUFFIX_CHARS ARGC ARGV0 BAUD CORRECT_IGNORE CORRECT_IGNORE_FILE DIRSTACKSIZE ERRNO \
     KEYBOARD_HACK KEYTIMEOUT LISTMAX LOGCHECK MATCH MBEGIN MEND MODULE_PATH NULLCMD POSTEDIT PROMPT PROMPT2 \
     PROMPT3 PROMPT4 PROMPT_EOL_MARK PSVAR READNULLCMD REPORTMEMORY REPORTTIME RPROMPT RPROMPT2 RPS1 RPS2 \
     SAVEHIST SPROMPT STTY TIMEFMT TRY_BLOCK_ERROR TRY_BLOCK_INTERRUPT TTY TTYIDLE WATCH WATCHFMT WORDCHARS \
     aliases argv builtins cdpath chpwd_functions commands dirstack errnos fignore fpath funcfiletrace \
     funcsourcetrace funcstack functions functions_source functrace galiases history historywords jobdirs \
     jobstates jobtexts keymaps langinfo mailpath manpath mapfile match mbegin mend module_path modules \
     nameddirs options parameters patchars path periodic_functions pipestatus precmd_functions \
     preexec_functions prompt psvar reply reswords saliases signals status sysparams termcap terminfo \
     userdirs usergroups watch widgets zle_bracketed_paste zle_highlight zsh_directory_name_functions \
     zsh_eval_context zsh_scheduled_events zshaddhistory_functions zshexit_functions",
];

fn refused_names() -> impl Iterator<Item = &'static str> {
    REFUSED_NAMES.iter().flat_map(|names| names.split(' '))
}

/// Whether an identifier is a refused name. The lists are searched as text, because each new terminal checks every name.
fn is_refused(name: &str) -> bool {
    REFUSED_NAMES.iter().any(|names| {
        names.match_indices(name).any(|(at, _)| {
            let is_space = |b: Option<&u8>| b.is_none_or(|b| *b == b' ');
            let bytes = names.as_bytes();
            is_space(at.checked_sub(1).and_then(|before| bytes.get(before))) && is_space(bytes.get(at + name.len()))
        })
    })
}

pub(super) fn check_name(file: &File, name: &Spanned<String>, before: &[Credential]) -> Result<(), ConfigError> {
    let refuse = |why: String| Err(file.error(Some(name.span()), why));
    let text = name.get_ref();
    if file.built_in {
        return Ok(());
    }
    if !is_identifier(text) {
        return refuse("name is not a variable name: use letters, digits and _, not starting with a digit".to_string());
    }
    if looks_like_a_value(text) {
        let why = "name looks like a token, not like a variable name: write the variable's name, \
                   and store the token with: raxx store NAME";
        return refuse(why.into());
    }
    if !may_be_named(text) {
        return refuse(format!(
            "name{} is used by the shell itself: choose another",
            shown(text, &refused_names().collect::<Vec<_>>())
        ));
    }
    if before.iter().any(|c| c.name == *text) {
        let name = shown_name(text).unwrap_or("this credential");
        return refuse(format!("{name} is defined twice: remove one [[credential]]"));
    }
    Ok(())
}

/// Whether a credential can have this name.
pub(crate) fn may_be_named(name: &str) -> bool {
    is_identifier(name)
        && !looks_like_a_value(name)
        && !is_refused(name)
        && !name.to_ascii_lowercase().starts_with("__raxx")
}

/// Whether it is a valid variable name in a shell.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_names_are_refused_and_parts_of_them_are_not() {
        for name in refused_names() {
            assert!(is_refused(name), "{name}");
        }
        for name in ["PAT", "ATH", "ZDOTDI", "PATH_", "HOMES", "_PATH", "MY_TOKEN"] {
            assert!(!is_refused(name), "{name}");
        }
    }
}
