//! Times of signatures (RFC 4034 §3.2): seconds since 1970 modulo 2^32, written `YYYYMMDDHHmmSS`.

use super::rdata_codec::{Rule, push, quote, read_number};

/// Reads 14 digits of date and time, or a number of seconds.
pub(super) fn read(text: &[u8]) -> Result<u32, Rule> {
    if text.len() != 14 {
        return read_number(text, u32::MAX);
    }
    let wrong = || Rule::from(format!("{} is no time of the form YYYYMMDDHHmmSS", quote(text)));
    let number = |from: usize, to: usize, min: u32, max: u32| {
        let value = read_number(text.get(from..to).unwrap_or_default(), max).map_err(|_| wrong())?;
        if value < min { Err(wrong()) } else { Ok(u64::from(value)) }
    };
    let (year, month, day) = (number(0, 4, 1970, 9999)?, number(4, 6, 1, 12)?, number(6, 8, 1, 31)?);
    let (hour, minute, second) = (number(8, 10, 0, 23)?, number(10, 12, 0, 59)?, number(12, 14, 0, 59)?);
    let days = days_since_1970(year, month, day);
    if date(days) != (year, month, day) {
        return Err(wrong());
    }
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    // RFC 4034 §3.1.5: 32 bits, compared with serial number arithmetic.
    Ok(u32::try_from(seconds % (1 << 32)).unwrap_or(0))
}

/// Appends the 14 digits.
pub(super) fn print(seconds: u32, out: &mut String) {
    let (year, month, day) = date(u64::from(seconds) / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    push(out, format_args!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}"));
}

/// Days from 1970-01-01; the year is taken to start in March, so that the leap day is its last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// The date of a day counted from 1970-01-01: the inverse of [`days_since_1970`].
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month < 3), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_printed() {
        for (text, seconds) in [
            ("19700101000000", 0),
            ("20380119031408", 1 << 31),
            ("21060207062815", u32::MAX),
            ("20240229235959", 1_709_251_199),
            ("20000301000000", 951_868_800),
        ] {
            assert_eq!(read(text.as_bytes()), Ok(seconds), "{text}");
            let mut out = String::new();
            print(seconds, &mut out);
            assert_eq!(out, text);
        }
        assert_eq!(read(b"1709251199"), Ok(1_709_251_199));
        assert_eq!(read(b"21060207062816"), Ok(0), "wraps");
        for wrong in
            ["20230229000000", "20231301000000", "20230100000000", "20230101240000", "19690101000000", "2023010100000x"]
        {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_found_again() {
        for days in 0..146_097 {
            let (year, month, day) = date(days);
            assert_eq!(days_since_1970(year, month, day), days);
        }
    }
}
