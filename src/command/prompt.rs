//! `raxx prompt`: one short segment for a prompt, from what the last runs found. Asks nobody.

use std::process::ExitCode;

use jiff::Timestamp;

use crate::config::{self, Config, VAULT_ROW};
use crate::process::print;
use crate::report::{Kind, Outcome, ends_soon};
use crate::shell::is_off;
use crate::state::history::{self, Known};

/// Prints the segment, or nothing: a prompt is not the place for an error, which `raxx check` and new terminals report.
pub(crate) fn run() -> ExitCode {
    if is_off() {
        return ExitCode::SUCCESS;
    }
    let known = history::known(&config::place());
    if !known.is_empty()
        && let Ok(config) = Config::load()
    {
        let _ = print(&segment(&config, &known, Timestamp::now()));
    }
    ExitCode::SUCCESS
}

/// `✗ HEROKU_API_KEY`, `✗ 2 tokens`, `! GITHUB_API_SECRETS_TOKEN 9d`; failures come before warnings.
fn segment(config: &Config, known: &Known, now: Timestamp) -> String {
    let mut failing = Vec::new();
    let mut ending = Vec::new();
    let credentials = config.credentials.iter().map(|c| (c.name.as_str(), c.provider.as_str()));
    for (name, provider) in credentials.chain(config.infisical.enabled.then_some((VAULT_ROW, "infisical"))) {
        // A verdict of another provider is about another credential.
        let Some(last) = known.get(name).filter(|last| last.provider == provider) else { continue };
        // Without a network there is nothing to do about a token.
        let unknown = last.settled.is_inconclusive();
        let expired = last.settled == Kind::Valid && last.verdict.expires.is_some_and(|end| end <= now);
        if (last.settled.outcome() == Outcome::Fail && !unknown) || expired {
            failing.push(name);
        } else if let (Kind::Valid, Some(end)) = (last.settled, last.verdict.expires)
            && ends_soon(now, end, config.warn_before(name))
        {
            ending.push((name, end));
        }
    }
    // The vault's row has a longer name in reports.
    let short = |name| if name == VAULT_ROW { "infisical" } else { name };
    match (failing.as_slice(), ending.as_slice()) {
        ([], []) => String::new(),
        ([name], _) => format!("✗ {}\n", short(name)),
        ([_, ..], _) => format!("✗ {} tokens\n", failing.len()),
        ([], [(name, end)]) => format!("! {} {}\n", short(name), left(now, *end)),
        ([], [_, ..]) => format!("! {} tokens\n", ending.len()),
    }
}

/// `9d`, `5h`, `30m`, `<1m`.
fn left(now: Timestamp, end: Timestamp) -> String {
    match end.as_second() - now.as_second() {
        s if s >= 86_400 => format!("{}d", s / 86_400),
        s if s >= 3_600 => format!("{}h", s / 3_600),
        s if s >= 60 => format!("{}m", s / 60),
        _ => "<1m".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Verdict;
    use crate::state::history::Last;

    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The segment at second 0 for these verdicts and ends.
    fn shown(last: &[(&str, Kind, Kind, Option<i64>)]) -> String {
        let one = |(name, kind, settled, end): &(&str, Kind, Kind, Option<i64>)| {
            let config = Config::built_in();
            let configured = config.credentials.iter().find(|c| c.name == *name);
            let last = Last {
                provider: configured.map_or("infisical", |c| c.provider.as_str()).into(),
                verdict: Verdict { expires: end.map(at), ..Verdict::new(*kind, "") },
                settled: *settled,
                source: None,
                at: at(0),
                began: at(0),
                since: at(0),
                settled_since: None,
                good: None,
                configuration: None,
            };
            (name.to_string(), last)
        };
        segment(&Config::built_in(), &last.iter().map(one).collect(), at(0))
    }

    #[test]
    fn nothing_is_printed_if_all_is_well() {
        let valid = |name, end| (name, Kind::Valid, Kind::Valid, end);
        assert_eq!(shown(&[]), "");
        assert_eq!(shown(&[valid("HEROKU_API_KEY", None), valid("CF_WORKER_DEPLOY", Some(15 * DAY))]), "");
        assert_eq!(shown(&[(VAULT_ROW, Kind::NotConfigured, Kind::NotConfigured, None)]), "");
        assert_eq!(shown(&[("HEROKU_API_KEY", Kind::Unreachable, Kind::Unreachable, None)]), "", "no network");
        assert_eq!(shown(&[("HEROKU_API_KEY", Kind::Unreachable, Kind::Valid, None)]), "", "no network");
        assert_eq!(shown(&[("NOT_CONFIGURED_ANY_MORE", Kind::Rejected, Kind::Rejected, None)]), "");
    }

    #[test]
    fn failures_come_before_warnings() {
        let bad = |name| (name, Kind::Rejected, Kind::Rejected, None);
        let ending = ("GITHUB_API_SECRETS_TOKEN", Kind::Valid, Kind::Valid, Some(9 * DAY + 5));
        assert_eq!(shown(&[ending]), "! GITHUB_API_SECRETS_TOKEN 9d\n");
        assert_eq!(shown(&[("CF_WORKER_DEPLOY", Kind::Valid, Kind::Valid, Some(7_300))]), "! CF_WORKER_DEPLOY 2h\n");
        assert_eq!(shown(&[("CF_WORKER_DEPLOY", Kind::Valid, Kind::Valid, Some(DAY)), ending]), "! 2 tokens\n");
        assert_eq!(shown(&[bad("HEROKU_API_KEY"), ending]), "✗ HEROKU_API_KEY\n");
        assert_eq!(shown(&[bad("HEROKU_API_KEY"), bad("CF_WORKER_DEPLOY")]), "✗ 2 tokens\n");
        assert_eq!(shown(&[bad(VAULT_ROW)]), "✗ infisical\n");
        let offline = ("HEROKU_API_KEY", Kind::Unreachable, Kind::Rejected, None);
        assert_eq!(shown(&[offline]), "✗ HEROKU_API_KEY\n", "an outage does not fix a token");
        let over = ("HEROKU_API_KEY", Kind::Valid, Kind::Valid, Some(-5));
        assert_eq!(shown(&[over]), "✗ HEROKU_API_KEY\n", "it has expired since the check");
    }
}
