use super::super::Message;
use super::super::pending_file::Contents;
use super::*;

const NAMES: [&str; 2] = ["HEROKU_API_KEY", "OTHER"];
const NAME: &str = NAMES[0];
const DAY: Duration = Duration::from_secs(86_400);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn hours(hours: i64) -> i64 {
    hours * 3_600
}

fn row(kind: Kind) -> Row {
    let mut row = Row::new(NAME, "heroku", kind, format!("{kind:?}"));
    row.rotate_via = Some("page.md".into());
    row
}

fn warning() -> Row {
    let mut row = row(Kind::Valid);
    row.warning = Some("expires in 9 days".into());
    row
}

/// A run that ended at this second, seen by Slack alone.
fn run(pending: &mut PendingAlerts, second: i64, row: Row) -> Vec<Alert> {
    run_since(pending, second, row, None)
}

fn run_since(pending: &mut PendingAlerts, second: i64, row: Row, since: Option<Timestamp>) -> Vec<Alert> {
    noted(pending, at(second - 2), at(second), row, &[Receiver::Slack], since);
    pending.due(Receiver::Slack, &NAMES, at(second), DAY)
}

fn noted(
    pending: &mut PendingAlerts,
    began: Timestamp,
    now: Timestamp,
    row: Row,
    receivers: &[Receiver],
    since: Option<Timestamp>,
) {
    let rows = [row];
    pending.note(&RunFacts {
        rows: &rows,
        began,
        now,
        names: &NAMES,
        receivers,
        failing_since: &|_| since,
        attempt: Attempt::First,
    });
    // Whatever happens next, the pending alerts survive it.
    *pending = serde_json::from_slice(&serde_json::to_vec(pending).unwrap()).unwrap();
}

/// The same, and Slack takes it.
fn told(pending: &mut PendingAlerts, second: i64, row: Row) -> Vec<String> {
    let due = run(pending, second, row);
    pending.told(Receiver::Slack, &due, at(second), Delivery::Arrived);
    let message = Message { host: "h".into(), at: at(second), test: false, alerts: due };
    let told = |n: &Alert| match n.event {
        Event::Recovered => format!("Recovered from {:?} of {}", n.verdict.kind, message.lasted(n.since).unwrap()),
        event => format!("{event:?}: {}", message.said(n, 1)),
    };
    message.alerts.iter().map(told).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_failure_is_told_once_then_after_a_day_and_its_end_once() {
    let mut pending = PendingAlerts::default();
    assert_eq!(told(&mut pending, 0, row(Kind::Rejected)), ["Failing: Rejected"]);
    assert_eq!(told(&mut pending, hours(1), row(Kind::Rejected)), NOTHING);
    assert_eq!(told(&mut pending, hours(21), row(Kind::Rejected)), NOTHING);
    let again = run(&mut pending, hours(24) - 9, row(Kind::Rejected));
    assert!(again.len() == 1 && again[0].repeated, "a daily run that comes a little early repeats: {again:?}");
    pending.told(Receiver::Slack, &again, at(hours(24) - 9), Delivery::Arrived);
    assert_eq!(told(&mut pending, hours(25), row(Kind::Rejected)), NOTHING);
    assert_eq!(told(&mut pending, hours(27), row(Kind::Valid)), ["Recovered from Rejected of 27 h"]);
    assert_eq!(told(&mut pending, hours(28), row(Kind::Valid)), NOTHING);
    assert!(pending.entries.is_empty(), "nothing is kept of what is well");
}

#[test]
fn what_was_not_delivered_is_due_to_the_next_run_whatever_it_finds() {
    let mut pending = PendingAlerts::default();
    assert_eq!(run(&mut pending, 0, row(Kind::Missing)).len(), 1);
    assert_eq!(run(&mut pending, 60, row(Kind::Missing)).len(), 1, "not told yet");
    let mut skipped = pending.clone();
    assert_eq!(run(&mut skipped, 120, row(Kind::NotConfigured)).len(), 1, "not asked about is not forgotten");
    // It works by now: one alert says both.
    assert_eq!(told(&mut pending, hours(3), row(Kind::Valid)), ["Recovered from Missing of 3 h"]);
    assert_eq!(told(&mut pending, hours(4), row(Kind::Valid)), NOTHING);
}

#[test]
fn an_end_that_was_not_delivered_is_due_until_it_is() {
    let mut pending = PendingAlerts::default();
    told(&mut pending, 0, row(Kind::Rejected));
    assert_eq!(run(&mut pending, hours(1), row(Kind::Valid)).len(), 1);
    assert_eq!(run(&mut pending, hours(2), row(Kind::Valid)).len(), 1);
    assert_eq!(run(&mut pending, hours(2), row(Kind::Unreachable)).len(), 1);
    let mut fails_again = pending.clone();
    assert_eq!(told(&mut fails_again, hours(3), row(Kind::Rejected)), ["Failing: Rejected"]);
    assert_eq!(told(&mut pending, hours(3), row(Kind::Valid)).len(), 1);
    assert_eq!(told(&mut pending, hours(4), row(Kind::Valid)), NOTHING);
}

#[test]
fn no_answer_is_told_after_two_runs_and_its_end_to_those_who_know() {
    let mut pending = PendingAlerts::default();
    assert_eq!(told(&mut pending, 0, row(Kind::Unreachable)), NOTHING);
    assert_eq!(told(&mut pending, hours(1), row(Kind::Valid)), NOTHING, "a laptop without network is no incident");
    assert_eq!(told(&mut pending, hours(2), row(Kind::Unreachable)), NOTHING, "the count begins anew");
    assert_eq!(told(&mut pending, hours(3), row(Kind::Blocked)), ["Failing: Blocked"]);
    assert_eq!(told(&mut pending, hours(4), row(Kind::Unreachable)), NOTHING);
    assert_eq!(told(&mut pending, hours(5), row(Kind::Valid)), ["Recovered from Unreachable of 3 h"]);

    run(&mut pending, hours(6), row(Kind::Unreachable));
    assert_eq!(run(&mut pending, hours(7), row(Kind::Unreachable)).len(), 1);
    assert_eq!(told(&mut pending, hours(8), row(Kind::Valid)), NOTHING, "nobody had heard of it");
}

#[test]
fn two_runs_at_the_same_time_are_one() {
    let mut pending = PendingAlerts::default();
    let receivers = [Receiver::Slack];
    noted(&mut pending, at(0), at(10), row(Kind::Unreachable), &receivers, None);
    noted(&mut pending, at(1), at(11), row(Kind::Unreachable), &receivers, None);
    assert_eq!(pending.due(Receiver::Slack, &NAMES, at(11), DAY), []);
    noted(&mut pending, at(12), at(20), row(Kind::Unreachable), &receivers, None);
    assert_eq!(pending.due(Receiver::Slack, &NAMES, at(20), DAY).len(), 1);
}

#[test]
fn an_outage_neither_ends_nor_renews_a_failure() {
    let mut pending = PendingAlerts::default();
    told(&mut pending, 0, row(Kind::Rejected));
    for hour in 1..5 {
        assert_eq!(told(&mut pending, hours(hour), row(Kind::Unreachable)), NOTHING);
    }
    assert_eq!(told(&mut pending, hours(5), row(Kind::Rejected)), NOTHING);
    let said = ["Failing: Rejected (at the last check: Unreachable)"];
    assert_eq!(told(&mut pending, hours(24), row(Kind::Unreachable)), said);
}

#[test]
fn another_reason_is_another_failure() {
    let mut pending = PendingAlerts::default();
    told(&mut pending, 0, row(Kind::Missing));
    assert_eq!(told(&mut pending, 60, row(Kind::Rejected)), ["Failing: Rejected"]);
    told(&mut pending, hours(1), row(Kind::Unreachable));
    told(&mut pending, hours(2), row(Kind::Valid));
    told(&mut pending, hours(3), row(Kind::Unreachable));
    assert_eq!(
        told(&mut pending, hours(4), row(Kind::Rejected)),
        ["Failing: Rejected"],
        "no second silence is waited for"
    );
    let mut pending = PendingAlerts::default();
    told(&mut pending, 0, row(Kind::Rejected));
    told(&mut pending, 60, row(Kind::Limited));
    assert_eq!(told(&mut pending, hours(3), row(Kind::Valid)), ["Recovered from Limited of 3 h"]);
}

#[test]
fn a_warning_is_told_and_repeated_and_becomes_a_failure() {
    let mut pending = PendingAlerts::default();
    assert_eq!(told(&mut pending, 0, warning()), ["Warning: expires in 9 days"]);
    assert_eq!(told(&mut pending, hours(1), warning()), NOTHING);
    assert_eq!(told(&mut pending, hours(2), row(Kind::Unreachable)), NOTHING);
    assert_eq!(told(&mut pending, hours(3), warning()), NOTHING, "an outage does not renew it");
    assert_eq!(told(&mut pending, hours(24), warning()), ["Warning: expires in 9 days"]);
    let failed = run(&mut pending, hours(25), row(Kind::Rejected));
    assert_eq!((failed.len(), failed[0].since), (1, at(hours(25))), "a warning was no failure");
    pending.told(Receiver::Slack, &failed, at(hours(25)), Delivery::Arrived);
    let said = ["Warning: expires in 9 days", "Recovered from Rejected of 1 h"];
    assert_eq!(told(&mut pending, hours(26), warning()), said);
    assert_eq!(told(&mut pending, hours(27), row(Kind::Valid)), NOTHING);
    assert!(pending.entries.is_empty());
}

#[test]
fn each_receiver_has_its_own_queue() {
    let mut pending = PendingAlerts::default();
    let both = [Receiver::Slack, Receiver::Command];
    noted(&mut pending, at(0), at(1), row(Kind::Rejected), &both, None);
    let due = pending.due(Receiver::Command, &NAMES, at(1), DAY);
    pending.told(Receiver::Command, &due, at(1), Delivery::Arrived);
    noted(&mut pending, at(60), at(61), row(Kind::Rejected), &both, None);
    assert_eq!(pending.due(Receiver::Slack, &NAMES, at(61), DAY).len(), 1);
    assert_eq!(pending.due(Receiver::Command, &NAMES, at(61), DAY), []);
    noted(&mut pending, at(120), at(121), row(Kind::Valid), &both, None);
    let due = pending.due(Receiver::Command, &NAMES, at(121), DAY);
    pending.told(Receiver::Command, &due, at(121), Delivery::Arrived);
    assert_eq!(pending.due(Receiver::Slack, &NAMES, at(121), DAY)[0].event, Event::Recovered);
    // Slack is taken out of the configuration: nothing is owed to it.
    noted(&mut pending, at(180), at(181), row(Kind::Valid), &[Receiver::Command], None);
    assert!(pending.entries.is_empty());
}

#[test]
fn a_clock_that_is_set_back_tells_nothing_twice_and_silences_nothing() {
    let mut pending = PendingAlerts::default();
    told(&mut pending, hours(1_000), row(Kind::Rejected));
    assert_eq!(told(&mut pending, 0, row(Kind::Rejected)), NOTHING);
    assert_eq!(told(&mut pending, hours(1), row(Kind::Rejected)), NOTHING);
    assert_eq!(told(&mut pending, hours(24), row(Kind::Rejected)).len(), 1, "a day later by the new clock");
    assert_eq!(told(&mut pending, hours(25), row(Kind::Valid)), ["Recovered from Rejected of 25 h"]);

    told(&mut pending, hours(1_000), row(Kind::Unreachable));
    assert_eq!(told(&mut pending, hours(1), row(Kind::Unreachable)).len(), 1, "the second run, for all its clock says");
}

#[test]
fn who_noticed_first_says_since_when() {
    let mut pending = PendingAlerts::default();
    let due = run_since(&mut pending, hours(8), row(Kind::Rejected), Some(at(hours(5))));
    assert_eq!(due[0].since, at(hours(5)));
    let due = run_since(&mut pending, hours(9), row(Kind::Rejected), Some(at(hours(99))));
    assert_eq!(due[0].since, at(hours(5)), "the future is not believed");
}

#[test]
fn what_is_no_longer_configured_is_forgotten() {
    let mut pending = PendingAlerts::default();
    run(&mut pending, 0, row(Kind::Rejected));
    let rows = [];
    let receivers = [Receiver::Slack];
    let run = RunFacts {
        rows: &rows,
        began: at(1),
        now: at(2),
        names: &NAMES[1..],
        receivers: &receivers,
        failing_since: &|_| None,
        attempt: Attempt::First,
    };
    pending.note(&run);
    assert!(pending.entries.is_empty());
}

#[test]
fn a_damaged_book_is_an_empty_one() {
    for damaged in [&b""[..], b"{", b"[]", b"{\"version\":99,\"configurations\":{}}"] {
        assert_eq!(Contents::read(damaged), Contents::default());
    }
}

#[test]
fn only_what_rotation_mends_names_the_page() {
    let page = |kind| run(&mut PendingAlerts::default(), 0, row(kind))[0].rotate_via.is_some();
    assert!(page(Kind::Rejected) && page(Kind::Missing));
    assert!(!page(Kind::Limited) && !page(Kind::Locked) && !page(Kind::Malformed));
}

#[test]
fn each_configuration_has_its_own_book_until_it_is_gone() {
    let mut contents = Contents::default();
    run(contents.of("a", at(0)), 0, row(Kind::Rejected));
    run(contents.of("b", at(1)), 1, row(Kind::Valid));
    let mut contents = Contents::read(&contents.bytes());
    assert_eq!(contents.of("a", at(60)).due(Receiver::Slack, &NAMES, at(60), DAY).len(), 1);
    contents.of("b", at(hours(8 * 7 * 24 + 1)));
    assert_eq!(contents.configurations.len(), 1);
    contents.of("a", at(60));
    assert_eq!(contents.configurations.len(), 2, "a clock that was set back makes nothing old");
}

#[test]
fn of_two_runs_the_one_counts_that_began_later() {
    let mut pending = PendingAlerts::default();
    let receivers = [Receiver::Slack];
    noted(&mut pending, at(5), at(6), row(Kind::Valid), &receivers, None);
    noted(&mut pending, at(1), at(9), row(Kind::Rejected), &receivers, None);
    assert_eq!(pending.due(Receiver::Slack, &NAMES, at(9), DAY), []);
    noted(&mut pending, at(10), at(11), row(Kind::Rejected), &receivers, None);
    noted(&mut pending, at(7), at(12), row(Kind::Valid), &receivers, None);
    let due = pending.due(Receiver::Slack, &NAMES, at(12), DAY);
    assert_eq!((due.len(), due[0].event), (1, Event::Failing));
    // A clock that is set back does not make every later run look older.
    noted(&mut pending, at(-1_001), at(-1_000), row(Kind::Valid), &receivers, None);
    assert_eq!(pending.due(Receiver::Slack, &NAMES, at(-1_000), DAY)[0].event, Event::Recovered);
}

#[test]
fn an_outage_before_a_failure_is_no_part_of_it() {
    let mut pending = PendingAlerts::default();
    for hour in 0..70 {
        told(&mut pending, hours(hour), row(Kind::Unreachable));
    }
    let failed = run_since(&mut pending, hours(72), row(Kind::Rejected), Some(at(hours(71))));
    assert_eq!(failed[0].since, at(hours(71)));
    let failed = run(&mut pending.clone(), hours(73), row(Kind::Limited));
    assert_eq!(failed[0].since, at(hours(71)), "the failure goes on");
}

#[test]
fn a_kind_that_comes_and_goes_is_told_once_a_day() {
    let mut pending = PendingAlerts::default();
    let mut said = Vec::new();
    for hour in 0..10 {
        let kind = if hour % 2 == 0 { Kind::Rejected } else { Kind::Limited };
        said.extend(told(&mut pending, hours(hour), row(kind)));
    }
    assert_eq!(said, ["Failing: Rejected", "Failing: Limited"]);
    assert_eq!(told(&mut pending, hours(24), row(Kind::Rejected)), ["Failing: Rejected"]);
    assert_eq!(told(&mut pending, hours(25), row(Kind::Valid)), ["Recovered from Rejected of 25 h"]);
    assert_eq!(told(&mut pending, hours(26), row(Kind::Limited)), ["Failing: Limited"], "another failure");
}

#[test]
fn a_locked_store_is_told_at_once_and_is_no_word_on_the_token() {
    let mut pending = PendingAlerts::default();
    assert_eq!(told(&mut pending, 0, row(Kind::Locked)), ["Failing: Locked"]);
    assert_eq!(told(&mut pending, hours(1), row(Kind::Locked)), NOTHING);
    assert_eq!(told(&mut pending, hours(2), row(Kind::Valid)), ["Recovered from Locked of 2 h"]);

    assert_eq!(told(&mut pending, hours(3), row(Kind::Rejected)), ["Failing: Rejected"]);
    for hour in [4, 6, 8] {
        assert_eq!(told(&mut pending, hours(hour), row(Kind::Locked)), NOTHING);
        assert_eq!(told(&mut pending, hours(hour + 1), row(Kind::Rejected)), NOTHING);
    }
    let said = ["Failing: Rejected (at the last check: Locked)"];
    assert_eq!(told(&mut pending, hours(27), row(Kind::Locked)), said);
    assert_eq!(told(&mut pending, hours(28), row(Kind::Valid)), ["Recovered from Rejected of 25 h"]);
}

#[test]
fn what_may_not_have_arrived_is_sent_once_more_and_then_once_a_day() {
    let slack = Receiver::Slack;
    for (begun, then) in [(Kind::Rejected, Kind::Rejected), (Kind::Rejected, Kind::Valid)] {
        let mut pending = PendingAlerts::default();
        if then == Kind::Valid {
            told(&mut pending, 0, row(begun));
        }
        for (hour, due) in [(1, 1), (2, 1), (3, 0), (20, 0), (26, 1), (27, 0), (50, 1)] {
            let found = run(&mut pending, hours(hour), row(then));
            assert_eq!(found.len(), due, "{then:?} after {hour} h");
            pending.told(slack, &found, at(hours(hour)), Delivery::Unknown);
        }
        // In the end it is known.
        let found = run(&mut pending, hours(74), row(then));
        pending.told(slack, &found, at(hours(74)), Delivery::Arrived);
        assert_eq!(run(&mut pending, hours(75), row(then)), []);
    }
}
