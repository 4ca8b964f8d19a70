use std::fs::{self, OpenOptions};

use super::*;

const HERE: &str = "/somewhere/raxx/config.toml";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn row(name: &str, kind: Kind) -> Row {
    Row::new(name, "github", kind, format!("{kind:?}"))
}

fn recorded(dir: &Path, name: &str, kind: Kind, second: i64) {
    record_in(dir, HERE, &[row(name, kind)], at(second), at(second)).unwrap();
}

fn kinds(dir: &Path, name: &str) -> Vec<(i64, Kind)> {
    changes_in(dir).into_iter().filter(|c| c.name == name).map(|c| (c.at.as_second(), c.verdict.kind)).collect()
}

#[test]
fn only_changes_and_the_last_verdict_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for second in 1..=5 {
        recorded(dir, "A", Kind::Valid, second);
    }
    recorded(dir, "B", Kind::Missing, 5);
    recorded(dir, "A", Kind::Unreachable, 6);
    recorded(dir, "A", Kind::Rejected, 7);
    recorded(dir, "A", Kind::Rejected, 8);
    assert_eq!(kinds(dir, "A"), [(1, Kind::Valid), (6, Kind::Unreachable), (7, Kind::Rejected)]);
    assert_eq!(kinds(dir, "B"), [(5, Kind::Missing)]);
    let a = known_in(dir, HERE).remove("A").unwrap();
    assert_eq!((a.failing_since(), a.good, a.at), (Some(at(7)), Some(at(5)), at(8)));
    recorded(dir, "A", Kind::Valid, 9);
    let a = known_in(dir, HERE).remove("A").unwrap();
    assert_eq!((a.failing_since(), a.good, a.since), (None, Some(at(9)), at(9)));
}

#[test]
fn an_outage_does_not_change_the_settled_kind() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut good = row("A", Kind::Valid);
    good.verdict.expires = Some(at(1000));
    record_in(dir, HERE, &[good], at(1), at(1)).unwrap();
    recorded(dir, "A", Kind::Unreachable, 2);
    let a = known_in(dir, HERE).remove("A").unwrap();
    assert_eq!((a.verdict.kind, a.settled, a.verdict.expires), (Kind::Unreachable, Kind::Valid, Some(at(1000))));
    recorded(dir, "A", Kind::Rejected, 3);
    recorded(dir, "A", Kind::Blocked, 4);
    let a = known_in(dir, HERE).remove("A").unwrap();
    assert_eq!((a.verdict.kind, a.settled, a.verdict.expires), (Kind::Blocked, Kind::Rejected, None));
    assert_eq!(a.failing_since(), Some(at(3)));
}

#[test]
fn a_run_that_started_earlier_does_not_overwrite_a_newer_result() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    record_in(dir, HERE, &[row("A", Kind::Valid)], at(5), at(6)).unwrap();
    record_in(dir, HERE, &[row("A", Kind::Rejected), row("B", Kind::Rejected)], at(1), at(9)).unwrap();
    let known = known_in(dir, HERE);
    assert_eq!((known["A"].verdict.kind, known["A"].at, known["B"].verdict.kind), (Kind::Valid, at(6), Kind::Rejected));
    assert_eq!(kinds(dir, "A"), [(6, Kind::Valid)]);
    record_in(dir, HERE, &[row("A", Kind::Rejected)], at(7), at(10)).unwrap();
    assert_eq!(known_in(dir, HERE)["A"].verdict.kind, Kind::Rejected);
}

#[test]
fn results_are_recorded_after_the_clock_is_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    recorded(dir, "A", Kind::Valid, 1000);
    recorded(dir, "A", Kind::Rejected, 500);
    assert_eq!(kinds(dir, "A"), [(1000, Kind::Valid), (500, Kind::Rejected)]);
    assert_eq!(known_in(dir, HERE)["A"].failing_since(), Some(at(500)));
}

#[test]
fn truncated_files_are_tolerated() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    recorded(dir, "A", Kind::Valid, 1);
    let mut file = OpenOptions::new().append(true).open(dir.join(CHANGES)).unwrap();
    file.write_all(b"{\"at\":\"1970-01-01T00:0").unwrap();
    fs::write(dir.join(LAST), "{\"A\":").unwrap();
    recorded(dir, "A", Kind::Rejected, 2);
    recorded(dir, "B", Kind::Valid, 2);
    assert_eq!(kinds(dir, "A"), [(1, Kind::Valid), (2, Kind::Rejected)]);
    assert_eq!(kinds(dir, "B"), [(2, Kind::Valid)]);
}

#[test]
fn an_interrupted_run_does_not_record_a_change_twice() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    recorded(dir, "A", Kind::Valid, 1);
    let before = fs::read(dir.join(LAST)).unwrap();
    recorded(dir, "A", Kind::Rejected, 2);
    fs::write(dir.join(LAST), before).unwrap();
    recorded(dir, "A", Kind::Rejected, 3);
    assert_eq!(kinds(dir, "A"), [(1, Kind::Valid), (2, Kind::Rejected)]);
}

#[test]
fn the_size_of_the_history_is_limited() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    recorded(dir, "QUIET", Kind::Missing, 1);
    let flapping: Vec<Change> = (0..3000)
        .map(|i| {
            let kind = if i % 2 == 0 { Kind::Valid } else { Kind::Unreachable };
            let (name, provider) = ("A".into(), "x".into());
            Change { at: at(i), name, provider, verdict: Verdict::new(kind, "w".repeat(60)), configuration: None }
        })
        .collect();
    append(dir, &flapping).unwrap();
    let length = fs::metadata(dir.join(CHANGES)).unwrap().len();
    assert!(length < LONGEST / 2, "{length}");
    assert_eq!(kinds(dir, "QUIET"), [(1, Kind::Missing)]);
    let a = kinds(dir, "A");
    assert_eq!((a.len(), a[0].0, a[99].0), (KEPT, 2900, 2999));
}

#[test]
fn concurrent_writers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::thread::scope(|scope| {
        for i in 0..8 {
            scope.spawn(move || {
                for second in 0..10 {
                    let kind = if second % 2 == 0 { Kind::Valid } else { Kind::Rejected };
                    recorded(dir, &format!("N{i}"), kind, second);
                }
            });
        }
    });
    for i in 0..8 {
        assert_eq!(kinds(dir, &format!("N{i}")).len(), 10);
    }
    assert_eq!(known_in(dir, HERE).len(), 8);
}

#[test]
fn each_configuration_has_its_own_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    recorded(dir, "A", Kind::Rejected, 1);
    let there = "/another file.toml";
    assert!(known_in(dir, there).is_empty());
    record_in(dir, there, &[row("A", Kind::Valid)], at(2), at(2)).unwrap();
    assert_eq!(
        (known_in(dir, HERE)["A"].verdict.kind, known_in(dir, there)["A"].verdict.kind),
        (Kind::Rejected, Kind::Valid)
    );
    assert_eq!(known_in(dir, HERE)["A"].failing_since(), Some(at(1)));
    // The verdicts of a configuration that is no longer used are deleted.
    record_in(dir, HERE, &[row("B", Kind::Valid)], at(100 * 86_400), at(100 * 86_400)).unwrap();
    assert!(known_in(dir, there).is_empty());
    assert_eq!(known_in(dir, HERE).len(), 2);
}

#[test]
fn an_entry_without_a_configuration_goes_to_the_first_one_that_checks() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    recorded(dir, "A", Kind::Rejected, 1);
    let mut all = all_in(dir);
    let mut last = all.remove(&key("A", HERE)).unwrap();
    last.configuration = None;
    all.insert("A".into(), last);
    fs::write(dir.join(LAST), serde_json::to_vec(&all).unwrap()).unwrap();
    let there = "/other.toml";
    assert_eq!(
        (known_in(dir, HERE)["A"].verdict.kind, known_in(dir, there)["A"].verdict.kind),
        (Kind::Rejected, Kind::Rejected)
    );
    recorded(dir, "A", Kind::Rejected, 5);
    assert_eq!(known_in(dir, HERE)["A"].failing_since(), Some(at(1)));
    assert!(known_in(dir, there).is_empty());
}
