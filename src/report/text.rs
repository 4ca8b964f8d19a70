//! Times in words.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Whether an expiry is close enough for a warning.
pub(crate) fn ends_soon(now: Timestamp, end: Timestamp, warn_before: Duration) -> bool {
    // `<`, so that `warn_before = "0s"` never warns.
    end.duration_since(now) < SignedDuration::try_from(warn_before).unwrap_or(SignedDuration::MAX)
}

/// Returns `3 minutes ago` or `a moment ago`.
pub(crate) fn ago(age: Duration, now: Timestamp) -> String {
    match age.as_secs() {
        0..60 => "a moment ago".into(),
        seconds => distance(now, now - Duration::from_secs(seconds)),
    }
}

/// Returns how far `then` is from `now`, in the largest unit: `in 41 days`, `in 5 hours`, `within a minute`.
pub(crate) fn distance(now: Timestamp, then: Timestamp) -> String {
    let seconds = then.as_second() - now.as_second();
    let (count, unit) = match seconds.unsigned_abs() {
        s if s >= 86_400 => (s / 86_400, "day"),
        s if s >= 3_600 => (s / 3_600, "hour"),
        s if s >= 60 => (s / 60, "minute"),
        _ if seconds < 0 => return "less than a minute ago".into(),
        _ => return "within a minute".into(),
    };
    let plural = if count == 1 { "" } else { "s" };
    if seconds >= 0 { format!("in {count} {unit}{plural}") } else { format!("{count} {unit}{plural} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_use_the_largest_unit() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let mut all = String::new();
        for (from, to) in [
            (0, 41 * 86_400 + 5),
            (0, 86_400),
            (0, 7_200),
            (0, 60),
            (0, 59),
            (0, 0),
            (59, 0),
            (180, 0),
            (7_200, 0),
            (2 * 86_400, 0),
        ] {
            all += &format!("{} s => {}\n", to - from, distance(at(from), at(to)));
        }
        insta::assert_snapshot!("distances", all);
    }
}
