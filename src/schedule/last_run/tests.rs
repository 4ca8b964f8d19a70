use jiff::ToSpan as _;
use jiff::tz::TimeZone;

use super::*;

fn utc(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn at(text: &str) -> At {
    text.parse().expect("a time of day")
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("the system's time zones")
}

fn ran(when: &str) -> LastRun {
    let (passed, skipped, failing, warned) = (1, 0, Vec::new(), Vec::new());
    let ran = Ran { at: utc(when), passed, skipped, failing, warned, answered: true, told: true };
    LastRun { ran: Some(ran), ..LastRun::default() }
}

/// Returns the times at which a check that is started hourly runs.
fn runs(at: &At, zone: &TimeZone, from: &str, hours: usize, minute: i64) -> Vec<String> {
    let mut last = ran(from);
    let mut done = Vec::new();
    let mut now = utc(from);
    for _ in 0..hours {
        now = now.checked_add(1.hour()).expect("a time");
        let tick = now.checked_add(minute.minutes()).expect("a time");
        if last.due(at, tick, zone) {
            done.push(tick.to_string());
            last = ran(&tick.to_string());
        }
    }
    done
}

#[test]
fn check_is_due_once_a_day_and_missed_checks_are_made_up_for() {
    let eight = at("08:00Z");
    let due = |last: &LastRun, now| last.due(&eight, utc(now), &TimeZone::UTC);
    let last = ran("2026-08-19T08:00:03Z");
    assert!(!due(&last, "2026-08-19T08:00:04Z"));
    assert!(!due(&last, "2026-08-20T07:59:59Z"));
    assert!(due(&last, "2026-08-20T08:00:00Z"));
    assert!(due(&last, "2026-08-25T03:00:00Z"), "the machine was off for days");
    assert!(due(&LastRun::default(), "2026-08-20T03:00:00Z"), "without a record, the check has not run");
    let early = ran("2026-08-20T07:59:59Z");
    assert!(due(&early, "2026-08-20T08:00:00Z"), "a run one second early counts for the day before");
}

#[test]
fn first_check_after_installation_is_the_next_one() {
    let last = LastRun { since: Some(utc("2026-08-19T15:00:00Z")), ..LastRun::default() };
    assert!(!last.due(&at("08:00Z"), utc("2026-08-19T16:00:00Z"), &TimeZone::UTC));
    assert!(last.due(&at("08:00Z"), utc("2026-08-20T08:00:00Z"), &TimeZone::UTC));
}

#[test]
fn run_without_verdict_or_delivered_alert_is_repeated() {
    for (answered, told) in [(false, true), (true, false)] {
        let mut last = ran("2026-08-19T08:00:03Z");
        let ran = last.ran.as_mut().expect("a run");
        (ran.answered, ran.told) = (answered, told);
        assert!(last.due(&at("08:00Z"), utc("2026-08-19T09:00:00Z"), &TimeZone::UTC));
        assert_eq!(last.late(&at("08:00Z"), utc("2026-08-19T12:00:00Z")), None, "it was tried");
    }
}

#[test]
fn clock_set_back_repeats_a_run_and_skips_none() {
    let eight = at("08:00Z");
    let future = ran("2031-01-01T08:00:00Z");
    assert!(future.due(&eight, utc("2026-08-19T08:05:00Z"), &TimeZone::UTC));
    let corrected = ran("2026-08-19T08:00:03Z");
    assert!(!corrected.due(&eight, utc("2026-08-19T08:00:01Z"), &TimeZone::UTC), "two seconds back is the same day");
    assert!(corrected.due(&eight, utc("2026-08-19T03:00:00Z"), &TimeZone::UTC), "five hours back is the day before");
}

#[test]
fn utc_schedule_ignores_daylight_saving_time() {
    // New York's clocks go back on 2026-11-01.
    let found = runs(&at("08:00Z"), &TimeZone::UTC, "2026-10-30T08:00:00Z", 96, 0);
    let days = ["2026-10-31", "2026-11-01", "2026-11-02", "2026-11-03"];
    assert_eq!(found, days.map(|day| format!("{day}T08:00:00Z")));
}

#[test]
fn local_schedule_follows_daylight_saving_time() {
    let berlin = zone("Europe/Berlin");
    let found = runs(&at("08:00"), &berlin, "2026-10-23T06:00:00Z", 74, 0);
    assert_eq!(found, ["2026-10-24T06:00:00Z", "2026-10-25T07:00:00Z", "2026-10-26T07:00:00Z"]);
    // 02:30 does not exist on 2026-03-29 and occurs twice on 2026-10-25.
    let spring = runs(&at("02:30"), &berlin, "2026-03-28T02:00:00Z", 48, 30);
    assert_eq!(spring, ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]);
    let autumn = runs(&at("02:30"), &berlin, "2026-10-24T01:00:00Z", 48, 30);
    assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
}

#[test]
fn travel_neither_skips_nor_repeats_a_check() {
    let last = ran("2026-08-19T08:00:00Z");
    for there in ["America/Los_Angeles", "Asia/Tokyo", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
        let clock = utc("2026-08-19T20:00:00Z").to_zoned_datetime(zone(there)).timestamp();
        assert!(!last.due(&at("08:00Z"), clock, &TimeZone::UTC), "{there}");
    }
    // In New York, the local clock reaches 08:00 a second time.
    let berlin = ran("2026-08-19T06:00:00Z");
    assert!(!berlin.due(&at("08:00"), utc("2026-08-19T11:00:00Z"), &zone("America/New_York")));
    assert!(berlin.due(&at("08:00"), utc("2026-08-19T12:00:00Z"), &zone("America/New_York")));
}

#[test]
fn check_that_did_not_run_is_late() {
    let eight = at("08:00Z");
    let last = ran("2026-08-19T08:00:03Z");
    assert_eq!(last.late(&eight, utc("2026-08-20T09:00:00Z")), None, "the hour is not over");
    assert_eq!(last.late(&eight, utc("2026-08-20T09:30:00Z")), Some(utc("2026-08-20T08:00:00Z")));
    assert_eq!(last.next(&eight, utc("2026-08-19T12:00:00Z")), Some(utc("2026-08-20T08:00:00Z")));
    assert_eq!(last.next(&eight, utc("2026-08-20T09:30:00Z")), None);
}
