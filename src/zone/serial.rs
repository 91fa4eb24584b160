//! The serial that the next version of a zone gets.

use super::change::{is_newer, next_serial};

/// How the serial of a changed zone is made. Each takes the next number where its own would not be newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SerialPolicy {
    /// The next number.
    #[default]
    Increment,
    /// The time in seconds since 1970.
    UnixTime,
    /// The date in UTC and two digits more: 2025063000.
    DateSerial,
}

impl SerialPolicy {
    /// The serial after `current` at the time `unix_seconds`; always newer, and never 0, which some read as "none".
    pub fn next(self, current: u32, unix_seconds: u64) -> u32 {
        let wanted = match self {
            Self::Increment => None,
            Self::UnixTime => u32::try_from(unix_seconds).ok(),
            Self::DateSerial => date_serial(unix_seconds),
        };
        wanted.filter(|wanted| is_newer(*wanted, current)).unwrap_or(next_serial(current))
    }
}

/// The first serial of a day.
fn date_serial(unix_seconds: u64) -> Option<u32> {
    let days = i64::try_from(unix_seconds / 86_400).ok()?;
    // Howard Hinnant's civil_from_days: years of 365.2425 days that start in March.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    u32::try_from((((era * 400 + year + next) * 100 + month) * 100 + day_of_month) * 100).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_serial_is_newer_whatever_the_clock_says() {
        let check = |policy: SerialPolicy, current, now, expected| {
            let next = policy.next(current, now);
            assert!(is_newer(next, current));
            assert_eq!(next, expected, "{policy:?} after {current} at {now}");
        };
        check(SerialPolicy::Increment, 7, 0, 8);
        check(SerialPolicy::Increment, u32::MAX, 0, 1);
        check(SerialPolicy::UnixTime, 7, 1_800_000_000, 1_800_000_000);
        check(SerialPolicy::UnixTime, 1_800_000_000, 1_800_000_000, 1_800_000_001);
        check(SerialPolicy::UnixTime, 7, u64::MAX, 8);
        check(SerialPolicy::DateSerial, 7, 1_751_241_600, 2_025_063_000);
        check(SerialPolicy::DateSerial, 2_025_063_000, 1_751_241_600, 2_025_063_001);
        check(SerialPolicy::DateSerial, 2_025_063_099, 1_751_241_600, 2_025_063_100);
        check(SerialPolicy::DateSerial, 1, 951_782_400, 2_000_022_900);
        check(SerialPolicy::DateSerial, 1, 0, 1_970_010_100);
    }
}
