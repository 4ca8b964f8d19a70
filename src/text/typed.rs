//! Decides whether a message can repeat what a person typed into a command, a variable or the configuration.
//!
//! A secret in the wrong place must not reach a screen or a log. So a message repeats a word only if it is a known word,
//! close to a known word, or so short and plain that no secret looks like it.

use std::path::Path;

/// The length up to which a plain lower-case word is always repeated.
const SHORT: usize = 12;

/// The length from which a word can look like a value.
const LONG: usize = 16;

/// The prefixes of well-known providers' tokens.
const PREFIXES: &[&str] = &[
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "xox",
    "xapp-",
    "sk-",
    "sk_live_",
    "rk_live_",
    "glpat-",
    "npm_",
    "hrku-",
    "cfut_",
    "cfat_",
    "cfast_",
    "hvs.",
    "akia",
    "eyj",
    "dop_v1_",
    "pypi-",
    "aiza",
];

/// Returns whether the word is too short and plain to be a secret: only lower-case letters, dashes and underscores.
pub(crate) fn is_harmless(word: &str) -> bool {
    (1..=SHORT).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'-' | b'_'))
}

/// Returns whether a message can repeat a word where one of `known` is expected.
pub(crate) fn may_repeat(word: &str, known: &[&str]) -> bool {
    is_harmless(word) || known.contains(&word) || (!looks_like_a_value(word) && nearest(word, known).is_some())
}

/// Returns a variable's name if a message can show it. A name that is not in the usual capitals could be a password.
pub(crate) fn shown_name(name: &str) -> Option<&str> {
    let usual = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    (usual && !looks_like_a_value(name)).then_some(name).or_else(|| is_harmless(name).then_some(name))
}

/// Returns a space and the quoted word if a message can repeat it, or an empty string.
pub(crate) fn shown(word: &str, known: &[&str]) -> String {
    if may_repeat(word, known) { format!(" \"{word}\"") } else { String::new() }
}

/// Returns the closest known word: one that contains this word, or one that is a typo away.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let far = |k: &str| strsim::damerau_levenshtein(&word, &k.to_ascii_lowercase());
    if let Some(whole) = known.iter().find(|k| word.len() > 2 && k.to_ascii_lowercase().contains(&word)) {
        return Some(whole);
    }
    let best = known.iter().min_by_key(|k| far(k))?;
    (far(best) <= best.len().max(word.len()) / 3).then_some(*best)
}

/// Returns what to type instead of an unknown word: the closest known word, or all of them.
pub(crate) fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known).filter(|_| !shown(word, known).is_empty()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("use one of {}", known.join(", ")),
    }
}

/// Returns whether a word looks like a secret rather than a name or a path: it has a long part that mixes digits and
/// letters, starts with a well-known token prefix, or contains a UUID.
pub(crate) fn looks_like_a_value(word: &str) -> bool {
    let digits = |part: &str| part.bytes().filter(u8::is_ascii_digit).count();
    // Fast path: every new terminal checks every string in the configuration, and most are names and paths.
    if word.len() < LONG - 1 {
        return false;
    }
    if digits(word) == 0 {
        return is_uuid(word);
    }
    let prefixed = |part: &str| {
        let rest = PREFIXES.iter().find_map(|prefix| {
            let begins = part.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
            begins.then(|| &part[prefix.len()..])
        });
        rest.is_some_and(|rest| rest.len() >= LONG - 4 && digits(rest) >= 2)
    };
    let mixed = |part: &str| {
        let has = |class: fn(&u8) -> bool| part.as_bytes().iter().any(class);
        let cases = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
        part.len() >= LONG && (digits(part) >= 3 || (cases && digits(part) > 0)) && digits(part) < part.len()
    };
    let starts = word.char_indices().filter(|(at, _)| *at == 0 || !word.as_bytes()[at - 1].is_ascii_alphanumeric());
    starts.into_iter().any(|(at, _)| prefixed(&word[at..]))
        || word.split(|c: char| !c.is_ascii_alphanumeric()).any(mixed)
        || is_uuid(word)
}

/// Returns whether the text contains a URL with a password: `https://user:password@host`.
pub(crate) fn has_a_password(text: &str) -> bool {
    text.split("://").skip(1).any(|after| {
        let authority = after.split(|c: char| matches!(c, '/' | '?' | '#') || c.is_whitespace()).next();
        authority.and_then(|a| a.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'))
    })
}

/// Returns whether the word contains a UUID.
fn is_uuid(word: &str) -> bool {
    /// 32 digits and 4 dashes.
    const LENGTH: usize = 36;
    if word.len() < LENGTH {
        return false;
    }
    let groups: Vec<&str> = word.split('-').collect();
    groups.windows(5).any(|groups| {
        let hexes = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
        groups[0].len() >= 8
            && groups[0].get(groups[0].len() - 8..).is_some_and(hexes)
            && groups[1..4].iter().all(|group| group.len() == 4 && hexes(group))
            && groups[4].get(..12).is_some_and(hexes)
    })
}

/// Returns the path as a message can show it, unless a part of it looks like a secret.
pub(crate) fn shown_path(path: &Path) -> Option<String> {
    let text = path.display().to_string();
    (!looks_like_a_value(&text)).then(|| crate::text::clean(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_distinguished_from_names_and_paths() {
        for value in [
            "ghp_MadeUp0123456789abcdefABCDEFxyzQ",
            "github_pat_11AAAAAAA0abcdefghijklm_nopq",
            "xoxb-1234567890-abcdefghij",
            "HRKU-AAmadeup0123-456",
            "x-ghp_Mk0123456789abcdef",
            "3f2a9c1be4d05f6788990aabbccddeef",
            "01234567-89ab-cdef-0123-456789abcdef",
            "https://hooks.slack.com/services/T000/B000/aBcDeFgHiJkLmNoPqRsT0123",
            "/somewhere/ghp_MadeUp0123456789abcdef/x",
            "wJalrXUtnFEMIK7MDENGbPxRfiCY",
        ] {
            assert!(looks_like_a_value(value), "{value}");
        }
        for name in [
            "CLOUDFLARE_ACCESS_MGMT_TOKEN",
            "GITHUB_API_SECRETS_TOKEN",
            "AUTH0_CLIENT_SECRET_2",
            "npm_token",
            "npm_config_registry_2",
            "githubAccessToken",
            "/tmp/raxx-test-aB3xYz/home/.config/raxx/config.toml",
            "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/x",
            "https://api.github.com/v4",
            "docs/ops/runbooks/rotation/cloudflare-user-api-token.md",
            "D0AJ7K184TV",
            "raxx-cf-access-mgmt-token",
        ] {
            assert!(!looks_like_a_value(name), "{name}");
        }
    }

    #[test]
    fn urls_with_a_password_are_detected() {
        for text in ["https://me:hunter2@wiki.example/x", "see http://:hunter2@h", "a://b, c://d:e@f@g"] {
            assert!(has_a_password(text), "{text}");
        }
        for text in ["https://wiki.example:8443/@me:x", "ssh://git@wiki.example/x", "me:you@host", "op://a/b@c:d"] {
            assert!(!has_a_password(text), "{text}");
        }
    }

    #[test]
    fn a_word_is_repeated_if_it_is_known_or_close_to_known_or_harmless() {
        let known = ["github", "GITHUB_API_SECRETS_TOKEN"];
        for word in ["github", "gihtub", "GITHUB_API_SECRET_TOKEN", "soon", "keyring"] {
            assert!(may_repeat(word, &known), "{word}");
        }
        for word in
            ["hunter2", "Tr0ub4dor", "ghp_MadeUp0123456789", "correct horse", "abcdefghijklmnop", "", "\u{1b}[31m"]
        {
            assert!(!may_repeat(word, &known), "{word}");
        }
    }
}
