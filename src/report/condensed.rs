//! The report in a new terminal: rows with the same cause become one line with one command.

use std::collections::BTreeSet;

use super::{Cause, Colors, Kind, Outcome, Report, Row, Shown};
use crate::text::clean;

impl Report {
    /// Returns the FAILs, and the warnings if they are `shown`. Rows with the same cause become one line with one command.
    pub(crate) fn condensed(&self, shown: Shown) -> String {
        let fails: Vec<&Row> = self.rows.iter().filter(|r| r.outcome() == Outcome::Fail).collect();
        let mut out = String::new();
        let mut said: Vec<&Cause> = Vec::new();
        let mut no_response_said = false;
        for row in &fails {
            let together: Vec<&Row> = match &row.verdict.cause {
                Some(Cause::NoResponse { .. }) => {
                    let same = |r: &&&Row| matches!(r.verdict.cause, Some(Cause::NoResponse { .. }));
                    fails.iter().filter(same).copied().collect()
                }
                // A missing credential among good ones needs its own rotation page; a machine without any stored value needs
                // only one line.
                Some(Cause::NotStored | Cause::NoStore) if self.rows.iter().any(|r| r.verdict.kind == Kind::Valid) => {
                    vec![row]
                }
                Some(cause) => fails.iter().filter(|r| r.verdict.cause.as_ref() == Some(cause)).copied().collect(),
                None => vec![row],
            };
            let Some(cause) = row.verdict.cause.as_ref().filter(|_| together.len() > 1) else {
                out += &(row.lines(Colors::Off) + "\n");
                continue;
            };
            let is_no_response = matches!(cause, Cause::NoResponse { .. });
            if said.contains(&cause) || (is_no_response && no_response_said) {
                continue;
            }
            no_response_said |= is_no_response;
            said.push(cause);
            out += &grouped_line(&together, cause);
        }
        for row in self.rows.iter().filter(|row| shown != Shown::Fails && row.warning.is_some()) {
            out += &(row.lines(Colors::Off) + "\n");
        }
        out
    }
}

/// Returns one line, and the command to type, for several rows with the same cause.
fn grouped_line(rows: &[&Row], cause: &Cause) -> String {
    let names: Vec<&str> = rows.iter().map(|r| r.name.as_str()).collect();
    let count = rows.len();
    let mut out = match cause {
        Cause::NoResponse { why, .. } => {
            let hosts: BTreeSet<&str> = rows
                .iter()
                .filter_map(|r| match &r.verdict.cause {
                    Some(Cause::NoResponse { host, .. }) => Some(host.as_str()),
                    _ => None,
                })
                .collect();
            let hosts: Vec<&str> = hosts.into_iter().collect();
            let same =
                |row: &&Row| matches!(&row.verdict.cause, Some(Cause::NoResponse { why: other, .. }) if other == why);
            let why = if rows.iter().all(same) { format!(" ({why})") } else { String::new() };
            format!("{count} credentials could not be checked: no response from {}{why}", hosts.join(", "))
        }
        Cause::NotAsked { why } => format!("{count} credentials could not be checked: {why}"),
        Cause::Store { what } => format!("{count} credentials are in {what}: {}", names.join(", ")),
        Cause::NotStored | Cause::NoStore => {
            format!("{count} credentials are {} ({})", rows[0].verdict.words, names.join(", "))
        }
    };
    out = format!("[FAIL] {}\n", clean(&out));
    let of_store = matches!(cause, Cause::Store { .. });
    if let Some(hint) = rows[0].verdict.hint.as_ref().filter(|_| of_store) {
        out += &format!("       {}\n", clean(hint));
    }
    // The command that unlocks the store is the same for all of them; a command for one credential would not fit the others.
    let common =
        rows[0].next.as_ref().filter(|next| of_store && rows.iter().all(|row| row.next.as_ref() == Some(*next)));
    let next = common.map_or_else(|| "raxx check".into(), |next| clean(next));
    out + &format!("       type: {next}\n")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn report(rows: Vec<Row>) -> Report {
        Report { rows, unfinished: 0, checked_at: Timestamp::UNIX_EPOCH }
    }

    fn unanswered(name: &str, host: &str) -> Row {
        let mut row = Row::new(name, "x", Kind::Unreachable, "no response (network/X down?)");
        row.verdict.cause = Some(Cause::NoResponse { host: host.into(), why: "connection refused".into() });
        row
    }

    fn not_sent(name: &str, why: &str) -> Row {
        let mut row = Row::new(name, "x", Kind::Unreachable, format!("not checked: {why}"));
        row.verdict.cause = Some(Cause::NotAsked { why: why.into() });
        row
    }

    #[test]
    fn rows_with_one_cause_become_one_line() {
        let mut rows = vec![unanswered("A", "a.test"), unanswered("B", "b.test"), unanswered("C", "a.test")];
        let one_reason = report(rows.clone()).condensed(Shown::Fails);
        assert!(one_reason.ends_with("type: raxx check\n") && one_reason.contains("refused"), "{one_reason}");
        // Neither of two different reasons is named.
        rows[2].verdict.cause = Some(Cause::NoResponse { host: "a.test".into(), why: "timed out".into() });
        let two_reasons = report(rows).condensed(Shown::Fails);
        assert!(!two_reasons.contains("refused") && !two_reasons.contains("timed out"), "{two_reasons}");
        insta::assert_snapshot!("one_cause", one_reason + &two_reasons);
    }

    #[test]
    fn an_unsent_request_is_not_reported_as_no_response() {
        let rows = vec![not_sent("A", "no certificates"), unanswered("B", "b.test"), not_sent("C", "no certificates")];
        insta::assert_snapshot!("not_asked", report(rows).condensed(Shown::Fails));
    }

    #[test]
    fn a_single_failure_has_its_own_line() {
        let rows = vec![unanswered("A", "a.test"), Row::new("B", "x", Kind::Valid, "valid")];
        assert_eq!(
            report(rows).condensed(Shown::Fails),
            "[FAIL] A    no response (network/X down?)\n       type: raxx check A\n"
        );
    }

    #[test]
    fn a_locked_store_is_one_line_with_the_command_that_unlocks_it() {
        let mut rows = Vec::new();
        for name in ["A", "B"] {
            let mut row = Row::new(name, "x", Kind::Locked, "…");
            row.verdict.cause = Some(Cause::Store { what: "the login keychain, which is locked".into() });
            row.next = Some("security unlock-keychain".into());
            rows.push(row);
        }
        let said = report(rows).condensed(Shown::Fails);
        assert_eq!((said.matches("[FAIL]").count(), said.matches("type: security unlock-keychain").count()), (1, 1));
        insta::assert_snapshot!("a_locked_store", said);
    }

    #[test]
    fn an_unreachable_store_names_a_command_for_all_of_its_credentials() {
        let mut rows = Vec::new();
        for name in ["A", "B"] {
            let mut row = Row::new(name, "x", Kind::Unreachable, "…");
            row.verdict.cause = Some(Cause::Store { what: "the Secret Service, which does not answer".into() });
            rows.push(row);
        }
        let said = report(rows).condensed(Shown::Fails);
        assert!(said.matches("[FAIL]").count() == 1 && said.ends_with("type: raxx check\n"), "{said}");
    }

    #[test]
    fn an_empty_machine_is_one_line_and_a_missing_credential_names_its_page() {
        let missing = |name: &str| {
            let mut row = Row::new(name, "x", Kind::Missing, "not in env or Keychain");
            row.verdict.cause = Some(Cause::NotStored);
            row.rotate_via = Some("page.md".into());
            row
        };
        let empty = report(vec![missing("A"), missing("B")]).condensed(Shown::Fails);
        assert_eq!((empty.matches("[FAIL]").count(), empty.matches("type: raxx check").count()), (1, 1));
        insta::assert_snapshot!("an_empty_machine", empty);
        let gaps =
            report(vec![missing("A"), missing("B"), Row::new("C", "x", Kind::Valid, "valid")]).condensed(Shown::Fails);
        assert_eq!(gaps.matches("rotate via: page.md").count(), 2, "{gaps}");
    }
}
