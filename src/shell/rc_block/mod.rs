//! The marked block that loads raxx in an rc file: pure functions from the old bytes of the file to the new ones.
//!
//! An rc file can contain any bytes. Everything outside the block is returned unchanged.

use std::fmt;
use std::path::Path;

use super::{Shell, quoted};

const OPENING: &str = "# >>> raxx >>>";
const CLOSING: &str = "# <<< raxx <<<";

/// What has to be undone together with the block, as its first line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AlsoAdded {
    Nothing,
    /// The newline that the last line of the file did not have.
    Newline,
    /// The file.
    File,
}

impl AlsoAdded {
    const fn note(self) -> &'static str {
        match self {
            AlsoAdded::Nothing => "",
            AlsoAdded::Newline => " and the newline before them",
            AlsoAdded::File => " and this file if nothing else is in it",
        }
    }

    /// Reads the note of an opening line, also of those that earlier versions wrote.
    fn read(opening: &[u8]) -> AlsoAdded {
        let contains = |note: &str| opening.windows(note.len()).any(|part| part == note.as_bytes());
        [AlsoAdded::Newline, AlsoAdded::File]
            .into_iter()
            .find(|also| contains(also.note()))
            .unwrap_or(AlsoAdded::Nothing)
    }
}

/// Returns the line that loads raxx from `directory` (absolute) into a shell. What is under `home` is written with `$HOME`,
/// because people share rc files between machines.
pub(crate) fn hook_line(shell: Shell, directory: &str, home: &Path) -> String {
    let name = shell.name();
    let load = format!("if command -v raxx >/dev/null; then eval \"$(raxx init {name})\"; fi");
    if ["/bin", "/usr/bin", "/usr/local/bin"].contains(&directory) {
        return load;
    }
    let is_plain = |path: &&str| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    let under_home =
        Path::new(directory).strip_prefix(home).ok().and_then(Path::to_str).filter(|rest| !rest.is_empty());
    let under_home = under_home.filter(is_plain).filter(|_| home != Path::new("/"));
    let word = under_home.map_or_else(|| quoted(directory), |rest| format!("\"$HOME/{rest}\""));
    // The shell that starts tests its own PATH: the PATH of the process that writes the line proves nothing.
    format!("case :${{PATH}}: in *:{word}:*) ;; *) PATH=${{PATH}}:{word} ;; esac; {load}")
}

/// Returns the line for the file that bash reads as a login shell. `sh` and desktop sessions read that file too, and it
/// often reads `.bashrc`, so the line first checks for an interactive bash without raxx. `$BASH` does not tell: a login
/// bash sets it to the account's shell, which can be zsh.
pub(crate) fn login_line(directory: &str, home: &Path) -> String {
    let line = hook_line(Shell::Bash, directory, home);
    format!("case ${{BASH_VERSION:+${{0##*/}}}}:$- in *bash:*i*) declare -F raxx >/dev/null || {{ {line}; }} ;; esac")
}

/// The block in a file.
#[derive(Debug)]
pub(crate) struct Block<'t> {
    before: &'t [u8],
    /// The line between the two marks; `None` if there is none.
    line: Option<&'t [u8]>,
    after: &'t [u8],
    also: AlsoAdded,
    /// The numbers of its first and its last line.
    pub first: usize,
    pub last: usize,
}

/// Marks that do not form one block: the number of the line, and how to fix it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub line: usize,
    pub fix: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.fix)
    }
}

/// The lines of a file with the position of each, newlines included.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    text.split_inclusive(|byte| *byte == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line)
    })
}

fn begins_with(line: &[u8], mark: &str) -> bool {
    let start = line.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    line[start..].starts_with(mark.as_bytes())
}

/// Finds the block.
///
/// # Errors
/// The marks are damaged, or the block contains lines that raxx did not write.
pub(crate) fn find(text: &[u8]) -> Result<Option<Block<'_>>, Damage> {
    let damage = |line, fix: String| Err(Damage { line, fix });
    let mut opening: Option<(usize, usize, &[u8])> = None;
    let mut closing: Option<(usize, usize)> = None;
    for (index, (start, line)) in lines(text).enumerate() {
        let number = index + 1;
        if begins_with(line, OPENING) {
            match (opening, closing) {
                (Some((first, ..)), Some((last, _))) => {
                    return damage(
                        number,
                        format!("a second raxx block (the first is lines {first}-{last}); delete one of them"),
                    );
                }
                (Some((first, ..)), None) => {
                    let fix = format!(
                        "a raxx block starts here, but the one in line {first} has no end; delete line {first} and the rest of that block"
                    );
                    return damage(number, fix);
                }
                (None, _) => opening = Some((number, start, line)),
            }
        } else if begins_with(line, CLOSING) {
            match (opening, closing) {
                (Some((first, ..)), Some((last, _))) => {
                    let fix = format!("a second end of the raxx block (lines {first}-{last}); delete line {number}");
                    return damage(number, fix);
                }
                (None, _) => {
                    return damage(
                        number,
                        format!(
                            "the end of a raxx block without its start; delete line {number} and the rest of the block"
                        ),
                    );
                }
                (Some(_), None) => closing = Some((number, start + line.len())),
            }
        }
    }
    let Some((first, start, mark)) = opening else { return Ok(None) };
    let Some((last, end)) = closing else {
        return damage(first, format!("a raxx block without an end; delete line {first} and the rest of the block"));
    };
    let mut inside = lines(&text[start..end]).map(|(_, line)| line).skip(1).take(last - first - 1);
    let (line, more) = (inside.next(), inside.next());
    if more.is_some() {
        return damage(
            first,
            format!("the raxx block (lines {first}-{last}) contains other lines; move them out of it"),
        );
    }
    if line.is_some_and(|line| !line.windows(9).any(|part| part == b"raxx init")) {
        return damage(first + 1, "this line in the raxx block is not from raxx; move it out of the block".into());
    }
    Ok(Some(Block { before: &text[..start], line, after: &text[end..], also: AlsoAdded::read(mark), first, last }))
}

impl Block<'_> {
    /// Whether it has this line. What its marks say besides does not matter.
    pub(crate) fn has(&self, line: &str) -> bool {
        self.line.and_then(|there| there.strip_suffix(b"\n")) == Some(line.as_bytes())
    }

    /// Whether it loads raxx into this shell.
    pub(crate) fn is_for(&self, shell: Shell) -> bool {
        let word = format!("raxx init {}", shell.name());
        self.line.is_some_and(|line| line.windows(word.len()).any(|part| part == word.as_bytes()))
    }
}

fn written(line: &str, also: AlsoAdded) -> String {
    let note = also.note();
    format!("{OPENING} added by raxx setup; raxx setup --undo removes these lines{note}\n{line}\n{CLOSING}\n")
}

/// Returns the block that [`added`] puts into this file.
pub(crate) fn block_for(old: Option<&[u8]>, block: Option<&Block<'_>>, line: &str) -> String {
    let also = match (block, old) {
        (Some(block), _) => block.also,
        (None, None) => AlsoAdded::File,
        (None, Some([.., last])) if *last != b'\n' => AlsoAdded::Newline,
        (None, Some(_)) => AlsoAdded::Nothing,
    };
    written(line, also)
}

/// Returns the file with the block: in the place of the one it has, or else at its end. `None` is a file that does not
/// exist.
pub(crate) fn added(old: Option<&[u8]>, block: Option<&Block<'_>>, line: &str) -> Vec<u8> {
    let new = block_for(old, block, line);
    match (block, old) {
        (Some(block), _) => [block.before, new.as_bytes(), block.after].concat(),
        (None, None) => new.into_bytes(),
        (None, Some(old)) => {
            let newline: &[u8] = if matches!(old, [.., last] if *last != b'\n') { b"\n" } else { b"" };
            [old, newline, new.as_bytes()].concat()
        }
    }
}

/// Returns the file without the block; `None` if there would be no file without raxx.
pub(crate) fn removed(block: &Block<'_>) -> Option<Vec<u8>> {
    let mut before = block.before;
    // The newline is raxx's to remove only while nothing follows the block.
    if block.also == AlsoAdded::Newline && block.after.is_empty() {
        before = before.strip_suffix(b"\n").unwrap_or(before);
    }
    let rest = [before, block.after].concat();
    (block.also != AlsoAdded::File || !rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests;
