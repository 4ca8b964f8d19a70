//! The time of day at which the check is due.

use std::fmt;
use std::fs;
use std::str::FromStr;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock(Time);

impl FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Clock, String> {
        let number = |digits: &str| {
            let plain = matches!(digits.len(), 1 | 2) && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<i8>().ok().filter(|_| plain)
        };
        // `8`, `08`, `8:00`; `8am`, `8:30 pm`.
        let lower = text.to_ascii_lowercase();
        let half = |half: &str| lower.strip_suffix(half).map(|time| time.trim_end().to_string());
        let (digits, half_day) = match (half("am"), half("pm")) {
            (Some(time), _) => (time, Some(0)),
            (_, Some(time)) => (time, Some(12)),
            _ => (lower.clone(), None),
        };
        let (hour, minute) = digits.split_once(':').unwrap_or((&digits, "00"));
        let hour = number(hour).and_then(|hour| match half_day {
            None => Some(hour),
            Some(noon) => (1..=12).contains(&hour).then_some(hour % 12 + noon),
        });
        let time = hour.zip(number(minute)).filter(|_| minute.len() == 2);
        time.and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok())
            .map(Clock)
            .ok_or_else(|| "expected a time of day such as 08:00, 8, or 8am".into())
    }
}

/// Returns the system's time zone. `TZ` is ignored: a scheduler does not see this shell's environment, and installing,
/// running and reporting must use the same time.
pub(crate) fn machine_zone() -> TimeZone {
    let local = fs::read("/etc/localtime").ok().and_then(|bytes| TimeZone::tzif("Local", &bytes).ok());
    local.unwrap_or(TimeZone::UTC)
}

/// A daily time, in UTC (`08:00Z`) or in the system's time zone (`08:00`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(super) time: Time,
    pub utc: bool,
}

impl At {
    pub(crate) fn new(clock: Clock, utc: bool) -> At {
        At { time: clock.0, utc }
    }

    /// Returns the time zone of this time.
    pub(crate) fn zone(&self) -> TimeZone {
        if self.utc { TimeZone::UTC } else { machine_zone() }
    }

    /// Returns the most recent and the next occurrence of this time.
    pub(super) fn around(&self, now: Timestamp, zone: &TimeZone) -> (Timestamp, Timestamp) {
        let today = now.to_zoned_datetime(zone.clone()).date();
        // Daylight saving time: a skipped time occurs an hour later; of a repeated time, the first one counts.
        let of = |days: i64| {
            let date = today.checked_add(days.days()).ok()?;
            Some(date.to_datetime(self.time).to_zoned_datetime(zone.clone()).ok()?.timestamp())
        };
        let times: Vec<Timestamp> = (-2..=2).filter_map(of).collect();
        let last = times.iter().copied().filter(|t| *t <= now).max().unwrap_or(Timestamp::MIN);
        let next = times.iter().copied().filter(|t| *t > now).min().unwrap_or(Timestamp::MAX);
        (last, next)
    }

    /// Returns the minute of the hour on a local clock: time zones can differ from UTC by half an hour.
    fn minute(&self, now: Timestamp, local: &TimeZone) -> i32 {
        let minute = i32::from(self.time.minute());
        if self.utc { (minute + local.to_offset(now).seconds().div_euclid(60)).rem_euclid(60) } else { minute }
    }

    pub(super) fn minute_now(&self) -> i32 {
        self.minute(Timestamp::now(), &machine_zone())
    }

    /// `08:00 UTC`.
    pub(crate) fn words(&self) -> String {
        let zone = if self.utc { "UTC" } else { "local time" };
        format!("{} {zone}", self.time.strftime("%H:%M"))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.time.strftime("%H:%M"), if self.utc { "Z" } else { "" })
    }
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<At, String> {
        let clock = text.strip_suffix('Z');
        Ok(At::new(clock.unwrap_or(text).parse()?, clock.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> At {
        text.parse().expect("a time of day")
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("the system's time zones")
    }

    #[test]
    fn time_of_day_parses_and_formats() {
        for text in ["08:00Z", "08:00", "00:00", "23:59Z"] {
            assert_eq!(at(text).to_string(), text);
        }
        for (typed, read) in [
            ("8:05", "08:05"),
            ("8", "08:00"),
            ("08", "08:00"),
            ("0", "00:00"),
            ("23", "23:00"),
            ("8Z", "08:00Z"),
            ("8am", "08:00"),
            ("8AM", "08:00"),
            ("12am", "00:00"),
            ("12pm", "12:00"),
            ("8:30 pm", "20:30"),
        ] {
            assert_eq!(at(typed).to_string(), read, "{typed}");
        }
        for bad in [
            "",
            "24",
            "24:00",
            "13pm",
            "0am",
            "am",
            "8:",
            ":30",
            "800",
            "noon",
            "12:60",
            "08:00z",
            "08:00ZZ",
            "8:5",
            "008:00",
            "+8:00",
            "-1:00",
            "08:00:00",
            "٠٨:٠٠",
        ] {
            assert!(bad.parse::<At>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hourly_minute_follows_the_local_clock() {
        let now = "2026-08-19T12:00:00Z".parse().expect("a time");
        assert_eq!(at("08:00Z").minute(now, &TimeZone::UTC), 0);
        assert_eq!(at("08:15Z").minute(now, &zone("Europe/Berlin")), 15);
        assert_eq!(at("08:00Z").minute(now, &zone("Asia/Kolkata")), 30);
        assert_eq!(at("08:00Z").minute(now, &zone("Asia/Kathmandu")), 45);
        assert_eq!(at("08:10Z").minute(now, &zone("America/St_Johns")), 40);
        assert_eq!(at("08:10").minute(now, &zone("Asia/Kolkata")), 10);
    }
}
