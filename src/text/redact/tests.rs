use super::*;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

const VALUE: &str = "ghp_Q7zLm2XvR9tKw4NbY6sHd3JfPc8GaE1uT5oi";

/// Returns whether `seen` contains a run of the value, compared as letters and digits.
fn reveals(seen: &str, value: &str) -> bool {
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "").to_lowercase();
    let (seen, value) = (plain(seen), plain(value));
    (0..=value.len() - RUN).any(|at| seen.contains(&value[at..at + RUN]))
}

fn hex(text: &str) -> String {
    text.bytes().map(|b| format!("{b:02x}")).collect()
}

fn escaped(text: &str, each: impl Fn(u8) -> String) -> String {
    text.bytes().map(each).collect()
}

/// Returns the forms in which a service could repeat the value.
fn echoes(value: &str) -> Vec<String> {
    let between = |separator: &str| value.chars().map(String::from).collect::<Vec<_>>().join(separator);
    let mut all = vec![
        value.to_string(),
        format!("Bearer {value}"),
        value.to_uppercase(),
        value.to_lowercase(),
        value.repeat(2),
        format!("\"{value}\""),
        format!("word{value}word"),
        format!("{}{value}", "x".repeat(190)),
        format!("https://user:{value}@host.test/?a={value}&b"),
        between(" "),
        between("-"),
        between("\u{301}"),
        between(", "),
        value.chars().rev().collect(),
        hex(value),
        hex(value).to_uppercase(),
        escaped(value, |b| format!("%{b:02X}")),
        escaped(value, |b| format!("%{b:02x}")),
        escaped(value, |b| format!("%25{b:02X}")),
        escaped(value, |b| if b % 3 == 0 { format!("%{b:02X}") } else { char::from(b).to_string() }),
        escaped(value, |b| format!("={b:02X}")),
        escaped(value, |b| format!("\\u{b:04x}")),
        escaped(value, |b| format!("\\x{b:02x}")),
        escaped(value, |b| format!("\\\\u{b:04x}")),
        escaped(value, |b| format!("&#{b};")),
        escaped(value, |b| format!("&#x{b:x};")),
        escaped(value, |b| format!("&amp;#{b};")),
        escaped(value, |b| format!("&#{b} ")),
        escaped(value, |b| format!("{b:02x}:")),
        value.replace('_', "&lowbar;"),
        value.replace('_', "\\_"),
        format!("{}...", &value[..value.len() - 3]),
        format!("...{}", &value[9..]),
        format!("{}…{}", &value[..12], &value[value.len() - 12..]),
        format!("{{\"token\":\"{value}\"}}"),
    ];
    for before in ["", "a", "ab", "user:", "{\"clientSecret\":\""] {
        for after in ["", "\"}", "!"] {
            let whole = format!("{before}{value}{after}");
            all.extend([STANDARD.encode(&whole), URL_SAFE.encode(&whole), STANDARD_NO_PAD.encode(&whole)]);
            all.push(STANDARD.encode(&whole).replace('=', "%3D"));
        }
    }
    all
}

/// Returns every decoding of the text that an attacker would try.
fn decoded(text: &str) -> Vec<String> {
    let mut all = vec![text.to_string(), text.chars().rev().collect()];
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/-_".contains(c));
    for word in words {
        for skipped in 0..4.min(word.len()) {
            let word = word[skipped..].replace('-', "+").replace('_', "/");
            let whole = &word[..word.len() / 4 * 4];
            all.extend(STANDARD.decode(whole).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    all
}

#[test]
fn every_form_of_a_value_is_redacted() {
    let values = [
        VALUE,
        "0123456789012345678901234567890123456789",
        "a1B2-c3D4.e5F6~g7H8/i9J0+k1L2=",
        "correct horse battery staple",
        "AKIAIOSFODNN7EXAMPLE",
    ];
    for value in values {
        for echo in echoes(value) {
            for text in [format!("bad token {echo} sent"), echo.clone()] {
                let shown = redact(&text, &[value]);
                assert!(shown.contains(REDACTED), "{text} -> {shown}");
                for seen in decoded(&shown) {
                    assert!(!reveals(&seen, value), "{text} -> {shown} -> {seen}");
                }
            }
        }
    }
}

#[test]
fn a_value_of_punctuation_is_redacted() {
    let value = "p@$$-!!w_%%q^^(())zz##[[]]";
    let percent = escaped(value, |b| format!("%{b:02X}"));
    let cut = format!("{}…", &value[..20]);
    let reversed: String = value.chars().rev().collect();
    for echo in [value.into(), value.to_uppercase(), cut, reversed, percent, hex(value), STANDARD.encode(value)] {
        let shown = redact(&format!("bad token {echo} sent"), &[value]);
        assert!(shown.starts_with("bad token (redacted)") && shown.len() < 40, "{echo} -> {shown}");
    }
}

#[test]
fn invisible_characters_and_the_cut_hide_no_part_of_a_value() {
    for c in ["\u{200b}", "\u{ad}", "\0", "\x1b", "\u{202e}", "\u{feff}", "\r", "\u{e0041}", "\u{3164}", "\u{fe0f}"] {
        let split = VALUE.chars().map(String::from).collect::<Vec<_>>().join(c);
        for echo in [split, format!("{}{c}{}", &VALUE[..12], &VALUE[12..])] {
            assert_eq!(super::super::foreign(&format!("a {echo} b"), &[VALUE]), "a (redacted) b");
        }
    }
    let long = super::super::foreign(&format!("{}{VALUE}", "x ".repeat(95)), &[VALUE]);
    assert!(!long.contains("ghp_") && long.chars().count() <= 201, "{long}");
}

#[test]
fn the_rest_of_the_text_is_unchanged() {
    assert_eq!(redact(&format!("HTTP 401: {VALUE} is bad"), &[VALUE]), "HTTP 401: (redacted) is bad");
    assert_eq!(redact(&format!("{VALUE}, {VALUE}"), &[VALUE]), "(redacted), (redacted)");
    for text in
        ["", "Bad credentials", "caffè 100% %zz &c; \\u12", "ghp_ tokens are not allowed", "octo-op", "日本語 🔑"]
    {
        assert_eq!(redact(text, &[VALUE]), text);
    }
    assert_eq!(redact("as you are", &["", "as", "you"]), "as you are");
}

#[test]
fn a_short_value_is_redacted_only_as_a_whole() {
    assert_eq!(
        redact("user Hunter2 is unknown, hunter is not", &["hunter2"]),
        "user (redacted) is unknown, hunter is not"
    );
    assert_eq!(redact("%68unter2 aHVudGVyMg== 68756e74657232", &["hunter2"]), "(redacted) (redacted)== (redacted)");
}

#[test]
fn several_values_are_redacted_at_once() {
    let other = "sk-proj-Zz9Yy8Xx7Ww6Vv5Uu4Tt3Ss2Rr1";
    assert_eq!(redact(&format!("a {VALUE} b {other} c"), &[VALUE, other, "x"]), "a (redacted) b (redacted) c");
}

proptest::proptest! {
    #[test]
    fn any_text_and_any_value_are_accepted(text in "\\PC{0,80}", value in "[!-~]{1,50}", echo in proptest::bool::ANY) {
        let text = if echo { format!("{text}{value}{text}") } else { text };
        let shown = redact(&text, &[&value]);
        if value.len() >= RUN {
            proptest::prop_assert!(!shown.to_lowercase().contains(&value.to_lowercase()), "{shown}");
        }
    }
}
