//! `raxx setup`: the marked line that loads raxx, in the rc files of the shells. It shows what it will do, asks, and does it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};

use crate::cli::SetupArgs;
use crate::files;
use crate::process::{block_on, print, say, until_a_signal};
use crate::shell::Shell;
use crate::shell::rc_block::{self, Block};
use crate::shell::rc_files::{self, RcFile, Shells};
use crate::terminal::Terminal;
use crate::text::clean;

/// No rc file is larger.
const LARGEST: u64 = 16 << 20;

/// # Errors
/// There is no home directory, no terminal to ask on, or a directory that an rc file cannot contain.
pub(crate) fn run(args: &SetupArgs) -> Result<ExitCode> {
    block_on(until_a_signal(async {
        let home = files::home().ok_or_else(|| anyhow!("there is no home directory; set HOME"))?;
        let setup = Setup { shells: Shells::find(home.clone()).await, directory: directory()?, home };
        if args.status {
            return setup.status(args);
        }
        let plan = if args.undo { setup.plan_undo(args.shell) } else { setup.plan(args.shell) };
        let Some(plan) = plan? else { return Ok(ExitCode::from(2)) };
        if args.undo && plan.is_empty() && !are_left_alone() {
            print("no rc file has the lines of raxx\n")?;
        }
        if args.dry_run {
            print(&setup.intentions(&plan))?;
            return Ok(ExitCode::SUCCESS);
        }
        if !args.yes && plan.iter().any(Edit::changes) {
            files::refuse_foreign_home()?;
            print(&setup.intentions(&plan))?;
            let question = if args.undo { "Remove these lines?" } else { "Write these lines?" };
            match Terminal::new().yes(question).await {
                Some(true) => {}
                Some(false) => {
                    say("raxx: nothing was changed");
                    return Ok(ExitCode::FAILURE);
                }
                None => {
                    let undo = if args.undo { " --undo" } else { "" };
                    bail!("there is no terminal to confirm on; nothing was changed; type: raxx setup{undo} --yes");
                }
            }
        }
        let mut done = true;
        for edit in &plan {
            done &= setup.apply(edit)?;
        }
        if !args.undo {
            setup.say_what_is_left(args, done)?;
        }
        Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }))?
}

/// The directory of the program, as the lines name it.
fn directory() -> Result<String> {
    let directory =
        rc_files::program_directory().ok_or_else(|| anyhow!("raxx cannot tell where its own program is"))?;
    let Ok(text) = directory.clone().into_os_string().into_string() else {
        bail!("{}: the name of the program's directory is not UTF-8", files::shown(&directory));
    };
    for (character, name) in [(':', "a colon"), ('\n', "a newline")] {
        if text.contains(character) {
            bail!("{}: a directory whose name contains {name} cannot be on the PATH; move raxx", clean(&text));
        }
    }
    Ok(text)
}

/// The change to one rc file.
struct Edit {
    path: PathBuf,
    old: Option<Vec<u8>>,
    change: Change,
}

enum Change {
    None,
    /// The block, the whole new file, and the lines that the block replaces.
    Add {
        block: String,
        new: Vec<u8>,
        instead: Option<(usize, usize)>,
    },
    /// The lines of the block, and the file without it.
    Remove {
        lines: (usize, usize),
        new: Option<Vec<u8>>,
    },
}

impl Edit {
    fn changes(&self) -> bool {
        !matches!(self.change, Change::None)
    }
}

struct Setup {
    home: PathBuf,
    shells: Shells,
    directory: String,
}

impl Setup {
    fn line(&self, file: &RcFile) -> String {
        if file.is_login {
            rc_block::login_line(&self.directory, &self.home)
        } else {
            rc_block::hook_line(file.shell, &self.directory, &self.home)
        }
    }

    /// A path as a person writes it.
    fn short(&self, path: &Path) -> String {
        match path.strip_prefix(&self.home) {
            Ok(rest) => format!("~/{}", files::shown(rest)),
            Err(_) => files::shown(path),
        }
    }

    fn row(&self, path: &Path, text: &str) -> String {
        format!("{:<12} {text}\n", self.short(path))
    }

    /// Returns what to add, or `None` after reporting a damaged file.
    fn plan(&self, only: Option<Shell>) -> Result<Option<Vec<Edit>>> {
        if are_left_alone() {
            return Ok(Some(Vec::new()));
        }
        if self.shells.share_a_file() {
            let zshrc = self.short(&self.shells.zshrc);
            say(&format!(
                "raxx: {zshrc} and ~/.bashrc are the same file, and the line for one shell breaks the other. Use two files, or set PROFILE=/dev/null and add the line yourself"
            ));
            return Ok(None);
        }
        let mut plan = Vec::new();
        let mut sound = true;
        for file in self.shells.rc_files(only) {
            if file.path.as_os_str().as_encoded_bytes().contains(&b'\n') {
                bail!("{}: the name contains a newline; choose another directory", files::shown(&file.path));
            }
            let line = self.line(&file);
            let edit = edit(&file.path, |old, block| match block {
                Some(block) if block.has(&line) => Change::None,
                block => Change::Add {
                    block: rc_block::block_for(old, block, &line),
                    new: rc_block::added(old, block, &line),
                    instead: block.map(|block| (block.first, block.last)),
                },
            });
            match edit {
                Ok(edit) => plan.push(edit),
                Err(damage) => {
                    say(&format!("raxx: {damage}"));
                    sound = false;
                }
            }
        }
        Ok(whole(plan, sound))
    }

    /// Returns what to remove, or `None` after reporting a damaged file.
    fn plan_undo(&self, only: Option<Shell>) -> Result<Option<Vec<Edit>>> {
        if are_left_alone() {
            return Ok(Some(Vec::new()));
        }
        let mut plan = Vec::new();
        let mut sound = true;
        for path in self.shells.all_files() {
            let edit = edit(&path, |_, block| match block {
                Some(block) if only.is_none_or(|shell| block.is_for(shell)) => {
                    Change::Remove { lines: (block.first, block.last), new: rc_block::removed(block) }
                }
                _ => Change::None,
            });
            match edit {
                Ok(edit) if edit.changes() => plan.push(edit),
                Ok(_) => {}
                Err(damage) => {
                    say(&format!("raxx: {damage}"));
                    sound = false;
                }
            }
        }
        Ok(whole(plan, sound))
    }

    /// Describes the plan.
    fn intentions(&self, plan: &[Edit]) -> String {
        let mut text = String::new();
        for Edit { path, change, .. } in plan {
            match change {
                Change::None => text += &self.row(path, "already loads raxx"),
                Change::Add { block, instead, .. } => {
                    let instead =
                        instead.map_or(String::new(), |(first, last)| format!(" in place of lines {first}-{last}"));
                    text += &self.row(path, &format!("would get these lines{instead}:"));
                    text += block;
                }
                Change::Remove { lines: (first, last), .. } => {
                    text += &self.row(path, &format!("would have lines {first}-{last} removed"));
                }
            }
        }
        text
    }

    /// Applies an edit. Returns whether it succeeded.
    fn apply(&self, edit: &Edit) -> Result<bool> {
        let path = &edit.path;
        let (new, done) = match &edit.change {
            Change::None => {
                print(&self.row(path, "already loads raxx"))?;
                return Ok(noted(rc_files::note(path)));
            }
            Change::Add { new, .. } => (Some(new), "now loads raxx"),
            Change::Remove { new, .. } => (new.as_ref(), "no longer loads raxx"),
        };
        let written = match files::obstacle(path) {
            Some(why) => Err(why),
            None => write(path, edit.old.as_deref(), new.map(Vec::as_slice))
                .map_err(|error| format!("it could not be written and is unchanged: {}", files::why(&error))),
        };
        if let Err(why) = written {
            self.hand_over(edit, &why);
            return Ok(false);
        }
        print(&self.row(path, done))?;
        Ok(noted(match edit.change {
            Change::Remove { .. } => rc_files::unnote(path),
            _ => rc_files::note(path),
        }))
    }

    /// Says what the person has to do by hand.
    fn hand_over(&self, edit: &Edit, why: &str) {
        let mut place = self.short(&edit.path);
        if let Ok(real) = files::real(&edit.path)
            && real != edit.path
        {
            place = format!("{place} ({})", files::shown(&real));
        }
        match &edit.change {
            Change::Add { block, instead, .. } => {
                let spot = instead
                    .map_or("at its end".into(), |(first, last)| format!("in place of its lines {first}-{last}"));
                say(&format!(
                    "raxx: {place}: {why}. Add these lines {spot} yourself, or in the file it is generated from:\n{}",
                    block.trim_end()
                ));
            }
            Change::Remove { lines: (first, last), .. } => {
                say(&format!(
                    "raxx: {place}: {why}. Delete lines {first}-{last} yourself, or in the file it is generated from"
                ));
            }
            Change::None => {}
        }
    }

    /// Says what is left to do after the lines were written.
    fn say_what_is_left(&self, args: &SetupArgs, done: bool) -> Result<()> {
        let line = |shell, is_login| self.line(&RcFile { path: PathBuf::new(), shell, is_login });
        if are_left_alone() {
            let shells =
                [Shell::Zsh, Shell::Bash].into_iter().filter(|shell| args.shell.is_none_or(|only| only == *shell));
            let lines: String = shells.map(|shell| line(shell, false) + "\n").collect();
            return print(&format!(
                "No rc file was changed (PROFILE=/dev/null). To load raxx, add the line of your shell:\n{lines}"
            ));
        }
        if self.shells.leaves_out_bash() && args.shell.is_none() {
            print("bash         has no rc file here. To use raxx in bash too, type: raxx setup --shell bash\n")?;
        }
        if let Some(file) = self.shells.login_file_without_bashrc() {
            let file = self.short(&file);
            print(&format!(
                "note         a login bash (ssh, tmux) reads {file}, which does not read ~/.bashrc. To load raxx there, add:\n\
                 {:13}if [ -n \"${{BASH_VERSION-}}\" ]; then . ~/.bashrc; fi\n",
                ""
            ))?;
        }
        if done && !args.yes {
            print("Open a new terminal, or type: exec $SHELL\n")?;
        }
        Ok(())
    }

    /// Prints which rc files load raxx; the exit code is 1 if one does not.
    fn status(&self, args: &SetupArgs) -> Result<ExitCode> {
        let mut complete = true;
        let mut text = String::new();
        for file in if are_left_alone() { Vec::new() } else { self.shells.rc_files(args.shell) } {
            let line = self.line(&file);
            let mut state = String::new();
            let found = edit(&file.path, |_, block| {
                state = match block {
                    Some(block) if block.has(&line) => format!("loads raxx (line {})", block.first + 1),
                    Some(block) => format!("has a different line than this version writes (line {})", block.first + 1),
                    None => "does not load raxx".into(),
                };
                Change::None
            });
            complete &= state.starts_with("loads");
            text += &self.row(&file.path, &found.err().unwrap_or(state));
        }
        print(&text)?;
        Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Whether the rc files must not be changed: `PROFILE=/dev/null` is a convention of several installers.
fn are_left_alone() -> bool {
    std::env::var_os("PROFILE").is_some_and(|profile| profile == "/dev/null")
}

fn whole(plan: Vec<Edit>, sound: bool) -> Option<Vec<Edit>> {
    if !sound {
        say("raxx: nothing was changed");
    }
    sound.then_some(plan)
}

fn edit(path: &Path, change: impl FnOnce(Option<&[u8]>, Option<&Block<'_>>) -> Change) -> Result<Edit, String> {
    let old = match files::read(path, LARGEST) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(format!("{}: {}", files::shown(path), files::why(&error))),
    };
    let block = old.as_deref().map_or(Ok(None), rc_block::find);
    let block = block.map_err(|damage| format!("{}:{damage}", files::shown(path)))?;
    let change = change(old.as_deref(), block.as_ref());
    Ok(Edit { path: path.into(), old, change })
}

fn write(path: &Path, old: Option<&[u8]>, new: Option<&[u8]>) -> io::Result<()> {
    match new {
        Some(new) => files::rewrite(path, old, new),
        // Emptied first, so that a change of another program is noticed.
        None => files::rewrite(path, old, b"").and_then(|()| std::fs::remove_file(files::real(path)?)),
    }
}

fn noted(result: Result<(), String>) -> bool {
    if let Err(why) = &result {
        say(&format!("raxx: warning: could not record which rc files load raxx: {why}"));
    }
    result.is_ok()
}
