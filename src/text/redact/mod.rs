//! Removes secrets from the responses of services that received them.
//!
//! An echo of a secret can be cut short, split, reversed, encoded, or in another letter case, so the search is for runs of
//! characters, not for the whole value. The text is compared without separators and at every level of escaping, with each
//! form in which the value is sent or encoded.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

/// The replacement for an echo.
const REDACTED: &str = "(redacted)";

/// The length of a run of a value that counts as an echo; shorter runs occur in words and numbers by chance.
const RUN: usize = 8;

/// The shortest value that is searched for. A shorter one occurs in too many words and is not a secret.
const SHORTEST: usize = 4;

/// How many levels of escaping are undone: `%2541` is `%41` is `A`.
const LEVELS: usize = 4;

/// Which characters of a text are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    /// Letters and digits: separators, and the characters in which Base64 variants differ, do not count.
    Alphanumeric,
    /// All characters except whitespace, for values that consist mostly of punctuation.
    Graphic,
}

impl Alphabet {
    fn has(self, c: char) -> bool {
        match self {
            Alphabet::Alphanumeric => c.is_ascii_alphanumeric(),
            Alphabet::Graphic => !c.is_whitespace(),
        }
    }
}

/// A character, and the range of bytes in the text that encodes it.
type Written = (char, Range<usize>);

/// Returns `text` without anything that reveals one of `secrets`. The text must be clean: without invisible characters.
pub(crate) fn redact(text: &str, secrets: &[&str]) -> String {
    let needles = Needles::of(secrets);
    if needles.is_empty() {
        return text.to_string();
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut level: Vec<Written> = text.char_indices().map(|(at, c)| (c, at..at + c.len_utf8())).collect();
    for _ in 0..LEVELS {
        for alphabet in [Alphabet::Alphanumeric, Alphabet::Graphic] {
            needles.find(&level, alphabet, &mut found);
        }
        let unescaped = unescape(&level);
        if unescaped.len() == level.len() {
            break;
        }
        level = unescaped;
    }
    for range in &mut found {
        *range = word_around(text, range);
    }
    found.sort_unstable_by_key(|range| range.start);
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    for Range { start, end } in found {
        if start > done || out.is_empty() {
            out += &text[done..start];
            out += REDACTED;
        }
        done = done.max(end);
    }
    out + &text[done..]
}

/// Extends an echo to the word around it: the first and the last character of an encoding contain a few of its bits too.
fn word_around(text: &str, echo: &Range<usize>) -> Range<usize> {
    let in_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let before = text.as_bytes()[..echo.start].iter().rev().take_while(|b| in_word(b)).count();
    let after = text.as_bytes()[echo.end..].iter().take_while(|b| in_word(b)).count();
    echo.start - before..echo.end + after
}

/// What to search for.
struct Needles {
    /// Every run of each form of the secrets, sorted, for each alphabet.
    runs: [Zeroizing<Vec<u64>>; 2],
    /// Values that are shorter than a run; compared whole.
    short: Vec<Zeroizing<Vec<u8>>>,
}

impl Needles {
    fn of(secrets: &[&str]) -> Needles {
        // Allocated at its final size: growing would leave unwiped copies of the values.
        let room: usize = secrets.iter().map(|secret| secret.len() * 9 + 3).sum();
        let mut runs = [(); 2].map(|()| Zeroizing::new(Vec::with_capacity(room)));
        let mut short = Vec::new();
        for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
            for alphabet in [Alphabet::Alphanumeric, Alphabet::Graphic] {
                let runs = &mut runs[alphabet as usize];
                let mut plain = compared(secret.chars(), secret.len(), alphabet);
                add(&plain, runs);
                if alphabet == Alphabet::Graphic && (SHORTEST..RUN).contains(&plain.len()) {
                    short.push(plain.clone());
                }
                plain.reverse();
                add(&plain, runs);
            }
            let runs = &mut runs[Alphabet::Alphanumeric as usize];
            let mut hex = Zeroizing::new(Vec::with_capacity(secret.len() * 2));
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            secret.bytes().for_each(|b| hex.extend([digit(b >> 4), digit(b & 15)]));
            add(&hex, runs);
            for before in 0..3 {
                add(&base64(secret, before), runs);
            }
        }
        runs.iter_mut().for_each(|runs| runs.sort_unstable());
        Needles { runs, short }
    }

    fn is_empty(&self) -> bool {
        self.short.is_empty() && self.runs.iter().all(|runs| runs.is_empty())
    }

    /// Adds the ranges of the text that contain a run or a short value.
    fn find(&self, text: &[Written], alphabet: Alphabet, found: &mut Vec<Range<usize>>) {
        let (mut bytes, mut places) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len()));
        for (c, place) in text.iter().filter(|(c, _)| alphabet.has(*c)) {
            let mut buffer = [0; 4];
            bytes.extend(c.to_ascii_lowercase().encode_utf8(&mut buffer).bytes());
            places.resize(bytes.len(), place);
        }
        let mut add = |at: usize, length: usize| {
            let range = places[at].start..places[at + length - 1].end;
            match found.last_mut() {
                // The next run of the same echo.
                Some(last) if last.start <= range.start && range.start < last.end => last.end = last.end.max(range.end),
                _ => found.push(range),
            }
        };
        for (at, run) in bytes.windows(RUN).enumerate() {
            if self.runs[alphabet as usize].binary_search(&number(run)).is_ok() {
                add(at, RUN);
            }
        }
        for short in self.short.iter().filter(|_| alphabet == Alphabet::Graphic) {
            for (at, _) in bytes.windows(short.len()).enumerate().filter(|(_, run)| run == &short.as_slice()) {
                add(at, short.len());
            }
        }
    }
}

/// Returns the characters that are compared, in lower case.
fn compared(text: impl Iterator<Item = char>, most: usize, alphabet: Alphabet) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(most));
    for c in text.filter(|c| alphabet.has(*c)) {
        let mut buffer = [0; 4];
        out.extend(c.to_ascii_lowercase().encode_utf8(&mut buffer).bytes());
    }
    out
}

fn add(form: &[u8], runs: &mut Vec<u64>) {
    runs.extend(form.windows(RUN).map(number));
}

fn number(run: &[u8]) -> u64 {
    run.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Returns the part of a Base64 text that depends only on `secret`, if `before` other bytes are encoded before it: those of
/// a header's pair, or of a JSON text.
fn base64(secret: &str, before: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(before + secret.len()));
    bytes.resize(before, 0);
    bytes.extend(secret.bytes());
    let mut out = Zeroizing::new(vec![0; bytes.len().div_ceil(3) * 4]);
    let length = STANDARD_NO_PAD.encode_slice(&*bytes, &mut out).unwrap_or_default();
    // The first and the last character also contain bits of the bytes around the secret.
    let first = (before * 8).div_ceil(6);
    let last = length - usize::from(bytes.len() % 3 != 0);
    let own = out.get(first..last.max(first)).unwrap_or_default();
    compared(own.iter().copied().map(char::from), own.len(), Alphabet::Alphanumeric)
}

/// Undoes one level of escaping: `%41`, `=41`, `\u0041`, `\x41`, `\/`, `&#65;`, `&#x41;`. A named entity is never a letter
/// or a digit, so it counts as a separator.
fn unescape(text: &[Written]) -> Vec<Written> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [(first, place), after @ ..] = rest {
        let escaped = match first {
            '%' | '=' => number_of(after, 2, 16).map(|c| (c, 2)),
            '\\' => match after.first().map(|(c, _)| *c) {
                Some('u' | 'U') => number_of(&after[1..], 4, 16).map(|c| (c, 5)),
                Some('x' | 'X') => number_of(&after[1..], 2, 16).map(|c| (c, 3)),
                Some(c) if !c.is_ascii_alphanumeric() => Some((c, 1)),
                _ => None,
            },
            '&' => entity(after),
            _ => None,
        };
        let (c, length) = escaped.unwrap_or((*first, 0));
        let end = length.checked_sub(1).map_or(place.end, |last| after[last].1.end);
        out.push((c, place.start..end));
        rest = &after[length..];
    }
    out
}

/// Returns the character whose code is written in exactly `digits` digits.
fn number_of(text: &[Written], digits: usize, radix: u32) -> Option<char> {
    let digits = text.get(..digits)?;
    let number =
        digits.iter().try_fold(0_u32, |number, (c, _)| number.checked_mul(radix)?.checked_add(c.to_digit(radix)?))?;
    char::from_u32(number)
}

/// Returns the character of an HTML entity and the entity's length after its `&`. Browsers accept numbers without the `;`.
fn entity(text: &[Written]) -> Option<(char, usize)> {
    const LONGEST: usize = 10;
    let at = |i: usize| text.get(i).map(|(c, _)| *c);
    let (begin, radix) = match (at(0)?, at(1)) {
        ('#', Some('x' | 'X')) => (2, 16),
        ('#', _) => (1, 10),
        _ => (0, 36),
    };
    let length = text[begin..].iter().take(LONGEST).take_while(|(c, _)| c.is_digit(radix)).count();
    let closed = at(begin + length) == Some(';');
    let c = match begin {
        0 if length > 0 && closed => {
            if text[..length].iter().map(|(c, _)| *c).eq("amp".chars()) {
                '&'
            } else {
                ' '
            }
        }
        0 => return None,
        _ => number_of(&text[begin..], length, radix).filter(|_| length > 0)?,
    };
    Some((c, begin + length + usize::from(closed)))
}

#[cfg(test)]
mod tests;
