//! Which rc files load raxx, and the record of those that raxx wrote to.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::Shell;
use crate::files;
use crate::process::child_apart;
use crate::state;

/// How long `.zshenv` can take to tell where `.zshrc` is.
const ZSH: Duration = Duration::from_secs(5);

/// The record of what was installed where. install.sh writes it too: `KIND CHECKSUM LENGTH PATH` a line.
const RECORD: &str = "installed";

/// How the line of an rc file begins in the record.
const RECORDED: &[u8] = b"rc - - ";

/// The record of no machine is larger.
const LARGEST: u64 = 1 << 20;

/// An rc file that is to have the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RcFile {
    pub path: PathBuf,
    pub shell: Shell,
    /// It is the file of bash login shells, which other programs read too.
    pub is_login: bool,
}

/// The shells of this machine and where their rc files are.
#[derive(Debug)]
pub(crate) struct Shells {
    home: PathBuf,
    pub zshrc: PathBuf,
    /// `$SHELL` is a bash.
    account_is_bash: bool,
    is_macos: bool,
    /// Those that are on the `PATH`.
    installed: Vec<Shell>,
}

impl Shells {
    /// Looks at this machine.
    pub(crate) async fn find(home: PathBuf) -> Shells {
        let mut installed = vec![Shell::Zsh, Shell::Bash];
        installed.retain(|shell| is_on_path(shell.name()));
        let asked = if installed.contains(&Shell::Zsh) { ask_zsh().await } else { None };
        let directory = asked.unwrap_or_else(|| files::from_environment("ZDOTDIR"));
        Shells {
            zshrc: directory.as_deref().unwrap_or(&home).join(".zshrc"),
            account_is_bash: std::env::var_os("SHELL").is_some_and(|shell| Path::new(&shell).ends_with("bash")),
            is_macos: cfg!(target_os = "macos"),
            installed,
            home,
        }
    }

    /// The rc files that are to have the block: of one shell, or of those that are used here.
    pub(crate) fn rc_files(&self, only: Option<Shell>) -> Vec<RcFile> {
        let uses = |shell| only.map_or_else(|| self.uses(shell), |only| only == shell);
        let mut found = Vec::new();
        if uses(Shell::Zsh) {
            found.push(RcFile { path: self.zshrc.clone(), shell: Shell::Zsh, is_login: false });
        }
        if uses(Shell::Bash) {
            let bashrc = self.home.join(".bashrc");
            found.push(RcFile { path: bashrc.clone(), shell: Shell::Bash, is_login: false });
            // The terminals of macOS start login shells, which do not read .bashrc.
            let login = self.bash_login_file();
            if self.is_macos && !are_one(&login, &bashrc) {
                found.push(RcFile { path: login, shell: Shell::Bash, is_login: true });
            }
        }
        found
    }

    fn uses(&self, shell: Shell) -> bool {
        match shell {
            Shell::Zsh => self.installed.contains(&shell) || self.zshrc.exists(),
            // Every Mac has a bash, and many people never start it: new files would be in their way.
            Shell::Bash if self.is_macos => self.account_is_bash || self.has_bash_files(),
            Shell::Bash => self.installed.contains(&shell) || self.home.join(".bashrc").exists(),
        }
    }

    fn has_bash_files(&self) -> bool {
        let is_there = |name| self.home.join(name).symlink_metadata().is_ok();
        // rustup creates a .profile with one line, whatever the shell is.
        let only_rustup = |line: &str| {
            let line = line.trim();
            line.is_empty() || (line.starts_with(". ") && line.trim_end_matches('"').ends_with("/env"))
        };
        let profile = files::read(&self.home.join(".profile"), LARGEST).unwrap_or_default();
        [".bashrc", ".bash_profile", ".bash_login"].into_iter().any(is_there)
            || !String::from_utf8_lossy(&profile).lines().all(only_rustup)
    }

    /// Whether macOS has a bash that nobody here uses, and which therefore has no rc file.
    pub(crate) fn leaves_out_bash(&self) -> bool {
        self.is_macos && !self.uses(Shell::Bash)
    }

    /// The file that bash reads as a login shell: the first of these, and only that one.
    fn bash_login_file(&self) -> PathBuf {
        let names = [".bash_profile", ".bash_login", ".profile"].map(|name| self.home.join(name));
        let there = names.iter().find(|file| file.symlink_metadata().is_ok());
        there.unwrap_or(&names[0]).clone()
    }

    /// The login file that does not read `.bashrc`, where bash is the account's shell and starts in a terminal without
    /// being a login shell: then raxx is missing in the login shells alone.
    pub(crate) fn login_file_without_bashrc(&self) -> Option<PathBuf> {
        if self.is_macos || !self.account_is_bash {
            return None;
        }
        let file = self.bash_login_file();
        let text = files::read(&file, LARGEST).unwrap_or_default();
        (!text.windows(6).any(|part| part == b"bashrc")).then_some(file)
    }

    /// Whether zsh and bash read the same file, where the line of one breaks the other.
    pub(crate) fn share_a_file(&self) -> bool {
        self.zshrc.exists() && are_one(&self.zshrc, &self.home.join(".bashrc"))
    }

    /// Every file that can have a block, also from earlier versions and other settings: each once.
    pub(crate) fn all_files(&self) -> Vec<PathBuf> {
        let usual = [".zshrc", ".bashrc", ".bash_profile", ".bash_login", ".profile"].map(|name| self.home.join(name));
        let mut seen = Vec::new();
        let mut all: Vec<PathBuf> = std::iter::once(self.zshrc.clone()).chain(usual).chain(recorded()).collect();
        all.retain(|file| {
            let real = files::real(file).unwrap_or_else(|_| file.clone());
            let new = !seen.contains(&real);
            seen.push(real);
            new
        });
        all
    }
}

/// Whether two paths lead to one file, also if that does not exist yet.
fn are_one(one: &Path, other: &Path) -> bool {
    matches!((files::real(one), files::real(other)), (Ok(one), Ok(other)) if one == other)
}

/// Finds a program on the `PATH`.
fn on_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).filter(|directory| directory.is_absolute()).collect();
    let name = name.to_owned();
    let is_program = |file: &PathBuf| file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok();
    directories.into_iter().map(move |directory| directory.join(&name)).filter(is_program)
}

fn is_on_path(name: &str) -> bool {
    on_path(name).next().is_some()
}

/// Returns the directory that this program was started from. Links stay: a package manager moves what they lead to.
pub(crate) fn program_directory() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let typed = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    let typed = if typed.as_os_str().as_bytes().contains(&b'/') { std::path::absolute(typed).ok() } else { None };
    let is_this = |file: &PathBuf| are_one(file, &program);
    let found = typed.into_iter().chain(on_path("raxx")).find(is_this).unwrap_or(program);
    found.parent().map(Path::to_path_buf)
}

/// Asks zsh for `ZDOTDIR`, which `.zshenv` can set without exporting it. `None` if zsh does not tell, `Some(None)` if it is
/// not set to an absolute path.
#[allow(clippy::option_option)]
async fn ask_zsh() -> Option<Option<PathBuf>> {
    const MARK: &[u8] = b"raxx-zdotdir:";
    let mut zsh = tokio::process::Command::from(child_apart("zsh"));
    zsh.args(["-c", "print -rn -- \"raxx-zdotdir:${ZDOTDIR-}:\""]).kill_on_drop(true);
    zsh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let answer = tokio::time::timeout(ZSH, zsh.output()).await.ok()?.ok()?.stdout;
    // What .zshenv prints comes before the mark.
    let at = answer.windows(MARK.len()).rposition(|part| part == MARK)?;
    let directory = answer[at + MARK.len()..].strip_suffix(b":")?;
    Some(Some(PathBuf::from(OsStr::from_bytes(directory))).filter(|directory| directory.is_absolute()))
}

fn record() -> Option<(PathBuf, Vec<u8>)> {
    let file = state::existing().ok()??.join(RECORD);
    let bytes = files::read_own(&file, LARGEST).ok()?;
    Some((file, bytes))
}

/// The rc files of the record.
fn recorded() -> Vec<PathBuf> {
    let Some((_, record)) = record() else { return Vec::new() };
    let paths = record.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(RECORDED));
    paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect()
}

/// Records that this rc file has the block: a later `--undo` finds it also when `ZDOTDIR` has changed.
///
/// # Errors
/// One line: which file, and why it cannot be written.
pub(crate) fn note(path: &Path) -> Result<(), String> {
    if recorded().iter().any(|there| there == path) {
        return Ok(());
    }
    let file = state::directory()?.join(RECORD);
    let failed = |error: io::Error| format!("{}: {}", files::shown(&file), files::why(&error));
    let mut record = match files::read_own(&file, LARGEST) {
        Ok(record) => record,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    record.extend([RECORDED, path.as_os_str().as_bytes(), b"\n"].concat());
    files::replace(&file, &record).map_err(failed)
}

/// Removes this rc file from the record, and the record if nothing else is in it.
///
/// # Errors
/// As [`note`].
pub(crate) fn unnote(path: &Path) -> Result<(), String> {
    let Some((file, record)) = record() else { return Ok(()) };
    let line = [RECORDED, path.as_os_str().as_bytes()].concat();
    let left: Vec<&[u8]> =
        record.split_inclusive(|byte| *byte == b'\n').filter(|there| there.trim_ascii_end() != line).collect();
    let left = left.concat();
    if left.len() == record.len() {
        return Ok(());
    }
    let written = if left.is_empty() { std::fs::remove_file(&file) } else { files::replace(&file, &left) };
    written.map_err(|error| format!("{}: {}", files::shown(&file), files::why(&error)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A Mac, with these files in the home directory.
    fn mac(there: &[(&str, &str)], account_is_bash: bool) -> (tempfile::TempDir, Shells) {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().canonicalize().unwrap();
        for (name, text) in there {
            fs::write(home.join(name), text).unwrap();
        }
        let zshrc = home.join(".zshrc");
        (directory, Shells { home, zshrc, account_is_bash, is_macos: true, installed: vec![Shell::Zsh, Shell::Bash] })
    }

    fn names(shells: &Shells) -> Vec<String> {
        let files = shells.rc_files(None).into_iter();
        files
            .map(|file| {
                format!("{}{}", file.path.file_name().unwrap().display(), if file.is_login { " (login)" } else { "" })
            })
            .collect()
    }

    #[test]
    fn on_macos_the_login_file_of_bash_gets_the_line_too() {
        for (there, login) in [
            (&[][..], ".bash_profile"),
            (&[(".profile", "export A=1\n")], ".profile"),
            (&[(".profile", ""), (".bash_login", "")], ".bash_login"),
        ] {
            let (_directory, shells) = mac(there, there.is_empty());
            assert_eq!(names(&shells), [".zshrc", ".bashrc", &format!("{login} (login)")]);
        }
        // One file under both names gets one block.
        let (_directory, shells) = mac(&[(".bashrc", "a=1\n")], false);
        symlink(".bashrc", shells.home.join(".bash_profile")).unwrap();
        assert_eq!(names(&shells), [".zshrc", ".bashrc"]);
    }

    #[test]
    fn on_macos_people_who_use_zsh_alone_get_no_files_for_bash() {
        for there in [&[][..], &[(".zshrc", "")], &[(".profile", ". \"$HOME/.cargo/env\"\n\n")]] {
            let (_directory, shells) = mac(there, false);
            assert_eq!(names(&shells), [".zshrc"]);
            assert!(shells.leaves_out_bash());
            assert_eq!(shells.rc_files(Some(Shell::Bash)).len(), 2, "unless they ask for it");
        }
    }

    #[test]
    fn on_linux_a_shell_that_is_not_installed_gets_a_line_if_it_has_a_file() {
        let (_directory, mut shells) = mac(&[], false);
        (shells.is_macos, shells.installed) = (false, Vec::new());
        assert!(names(&shells).is_empty());
        // A home that is shared with a machine which has it.
        fs::write(shells.home.join(".bashrc"), "").unwrap();
        assert_eq!(names(&shells), [".bashrc"]);
        assert_eq!(shells.login_file_without_bashrc(), None);
        shells.account_is_bash = true;
        assert!(shells.login_file_without_bashrc().unwrap().ends_with(".bash_profile"));
        fs::write(shells.home.join(".profile"), ". ~/.bashrc\n").unwrap();
        assert_eq!(shells.login_file_without_bashrc(), None);
    }
}
