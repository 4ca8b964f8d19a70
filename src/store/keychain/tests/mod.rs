use zeroize::Zeroizing;

use super::*;

mod changing;
mod reading;

pub(super) fn item(service: &str) -> Item {
    Item { service: service.into(), account: "claude-bootstrap".into() }
}

pub(super) fn items<const N: usize>(services: [&str; N]) -> [Item; N] {
    services.map(item)
}

pub(super) fn found(value: &str) -> Lookup {
    Lookup::Found(Zeroizing::new(value.into()))
}

/// Only what kind of answer it is; the words are looked at where they matter.
pub(super) fn kind(answer: &Lookup) -> &'static str {
    match answer {
        Lookup::Found(_) => "found",
        Lookup::Absent => "absent",
        Lookup::Locked(_) => "locked",
        Lookup::Consent(_) => "consent",
        Lookup::Unavailable(_) => "unavailable",
        Lookup::Unreachable(_) => "unreachable",
        Lookup::Broken(_) => "broken",
        Lookup::Unfit(_) => "unfit",
        Lookup::TimedOut => "timed out",
    }
}

/// What it says, for a snapshot; its kind where it says nothing.
pub(super) fn words(answer: &Lookup) -> &str {
    match answer {
        Lookup::Locked(words)
        | Lookup::Consent(words)
        | Lookup::Unavailable(words)
        | Lookup::Unreachable(words)
        | Lookup::Broken(words)
        | Lookup::Unfit(words) => words,
        _ => kind(answer),
    }
}
