//! Dates, spans and foreign text in the words of logs and error messages.

/// The most octets of foreign text that a message repeats.
const FOREIGN_TEXT_LENGTH_MAX: usize = 200;

/// A date and time in UTC as `2026-11-20 10:02 UTC`, from seconds since 1970.
pub fn date(unix_seconds: i64) -> String {
    let days = unix_seconds.div_euclid(86_400);
    let minutes = unix_seconds.rem_euclid(86_400) / 60;
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// The civil date of a day counted from 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant's algorithm).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A span of time in its two largest units, as `3 d 4 h`, without its sign.
pub fn span(milliseconds: i64) -> String {
    let millis = milliseconds.unsigned_abs();
    let (seconds, minutes) = (millis / 1_000, millis / 60_000);
    let (hours, days) = (minutes / 60, minutes / 1_440);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else if seconds > 0 {
        format!("{seconds}.{} s", millis % 1_000 / 100)
    } else {
        format!("{millis} ms")
    }
}

/// Foreign text made safe to show: control characters replaced, at most 200 octets.
pub fn printable(text: &str) -> String {
    truncated(text, FOREIGN_TEXT_LENGTH_MAX).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The longest start of `text` that has at most `octets_max` octets and ends between characters.
pub fn truncated(text: &str, octets_max: usize) -> &str {
    let mut end = octets_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil_across_leap_years_centuries_and_1970() {
        let check = |seconds, expected: &str| assert_eq!(date(seconds), expected);
        check(0, "1970-01-01 00:00 UTC");
        check(-1, "1969-12-31 23:59 UTC");
        check(951_782_400, "2000-02-29 00:00 UTC");
        check(1_709_164_800, "2024-02-29 00:00 UTC");
        check(4_107_542_400, "2100-03-01 00:00 UTC");
        check(1_795_168_920, "2026-11-20 10:02 UTC");
    }

    #[test]
    fn spans_name_their_two_largest_units() {
        let check = |millis, expected: &str| assert_eq!(span(millis), expected);
        check(0, "0 ms");
        check(-999, "999 ms");
        check(1_250, "1.2 s");
        check(61_000, "1 min 1 s");
        check(-3_660_000, "1 h 1 min");
        check(273_600_000, "3 d 4 h");
        assert!(span(i64::MIN).contains(" d "));
    }

    #[test]
    fn foreign_text_cannot_forge_log_lines_or_colours() {
        assert_eq!(printable("a\nb\u{1b}[31mc"), "a\u{fffd}b\u{fffd}[31mc");
        assert_eq!(printable(&"é".repeat(300)).len(), 200);
        assert_eq!(truncated("aé", 2), "a");
    }
}
