use super::read::{AT_ONCE, SECURITY_LIMIT};
use super::status::*;
use super::*;

mod changing;
mod reading;

pub(super) fn item(service: &str) -> Item {
    Item { service: service.into(), account: "claude-bootstrap".into() }
}

pub(super) fn items<const N: usize>(services: [&str; N]) -> [Item; N] {
    services.map(item)
}

#[allow(clippy::unnecessary_wraps)] // compared with answers
pub(super) fn found(value: &str) -> Answer {
    Ok(Some(value.as_bytes().to_vec().into()))
}

/// Returns the kind of an answer, without its text.
pub(super) fn kind(answer: &Answer) -> &'static str {
    match answer {
        Ok(Some(_)) => "found",
        Ok(None) => "absent",
        Err(error) => error_kind(error),
    }
}

pub(super) fn error_kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Locked(_) => "locked",
        StoreError::Consent(_) => "consent",
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Unreachable(_) => "unreachable",
        StoreError::Broken(_) => "broken",
        StoreError::Unfit(_) => "unfit",
        StoreError::TimedOut => "timed out",
    }
}

/// Returns the text of an answer for a snapshot, or its kind if it has no text.
pub(super) fn words(answer: &Answer) -> &str {
    match answer {
        Ok(_) => kind(answer),
        Err(error) => error_words(error),
    }
}

pub(super) fn error_words(error: &StoreError) -> &str {
    match error {
        StoreError::Locked(words)
        | StoreError::Consent(words)
        | StoreError::Unavailable(words)
        | StoreError::Unreachable(words)
        | StoreError::Broken(words)
        | StoreError::Unfit(words) => words,
        StoreError::TimedOut => error_kind(error),
    }
}
