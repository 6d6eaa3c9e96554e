//! A moment as people and exports write it: ISO 8601 and its cousins, with or without an offset, or seconds since 1970.
//!
//! What is written without an offset is the centre's wall clock. What ends in Z or is a number of seconds is universal time and
//! is brought to the wall clock by the zone that the caller names. A written offset is dropped: the wall clock beside it is
//! what a weekday profile needs. It refuses to guess the order of day and month: the year comes first.

use super::super::contact::At;
use jiff::civil::DateTime;
use std::str::FromStr;
use thiserror::Error;

/// An offset from universal time, in minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    minutes: i32,
}

/// Not an offset.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("“{found}” is no offset from universal time, expected one from -14:00 to +14:00, as +08:00")]
pub struct ZoneError {
    found: String,
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        let parse = || {
            let (sign, rest) = match text.split_at_checked(1)? {
                ("+", rest) => (1, rest),
                ("-", rest) => (-1, rest),
                _ => return None,
            };
            let (hours, minutes) = rest.split_once(':')?;
            let two = |part: &str| (part.len() == 2).then(|| part.parse::<u8>().ok()).flatten();
            let minutes = i32::from(two(hours)?) * 60 + i32::from(two(minutes).filter(|minutes| *minutes < 60)?);
            (minutes <= 14 * 60).then_some(Self { minutes: sign * minutes })
        };
        parse().ok_or_else(|| ZoneError { found: text.chars().take(20).collect() })
    }
}

impl Zone {
    /// The wall clock of so many milliseconds of universal time.
    pub fn local(self, universal_ms: i64) -> At {
        At(universal_ms.saturating_add(i64::from(self.minutes) * 60_000))
    }
}

/// With slashes, as spreadsheets write dates in China.
const SLASHED: [&str; 3] = ["%Y/%m/%d %H:%M:%S%.f", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M"];

/// Reads a moment; `None` when it is none between the years 1900 and 2199.
pub(super) fn parse(text: &str, zone: Zone) -> Option<At> {
    let text = text.trim();
    if let Some(seconds) = number(text) {
        return Some(zone.local((seconds * 1_000.0) as i64)).filter(within);
    }
    let universal = text.strip_suffix(['Z', 'z']);
    let bare = universal.unwrap_or(text);
    let parsed: Option<DateTime> = if bare.contains('/') {
        SLASHED.iter().find_map(|format| DateTime::strptime(format, bare).ok())
    } else {
        bare.parse().ok()
    };
    let since = parsed?.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0));
    let ms = i64::try_from(since.as_millis()).ok()?;
    Some(if universal.is_some() { zone.local(ms) } else { At(ms) }).filter(within)
}

/// Seconds since 1970, plain digits with at most one point; short numbers are no moment.
fn number(text: &str) -> Option<f64> {
    let digits = text.len() >= 9 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: f64 = text.parse().ok().filter(|_| digits)?;
    // From here on it can only be milliseconds.
    Some(if value >= 1e11 { value / 1_000.0 } else { value })
}

fn within(at: &At) -> bool {
    // 1900-01-01 and 2200-01-01.
    (-2_208_988_800_000..7_258_118_400_000).contains(&at.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_they_are_written() {
        let noon = Some(At(1_794_398_400_000));
        let shanghai: Zone = "+08:00".parse().expect("a zone");
        for text in [
            "2026-11-11 12:00:00",
            "2026-11-11T12:00",
            "2026-11-11T12:00:00.000",
            "2026/11/11 12:00",
            "2026/11/11 12:00:00",
            "2026-11-11T12:00:00+08:00",
            "2026-11-11T04:00:00Z",
            "1794369600",
            "1794369600000",
        ] {
            assert_eq!(parse(text, shanghai), noon, "{text}");
        }
        for text in
            ["", "noon", "11/11/2026 12:00", "2026-13-01 00:00", "2026-11-11 25:00", "-1794369600", "12", "99999999999999999"]
        {
            assert_eq!(parse(text, shanghai), None, "{text}");
        }
    }

    #[test]
    fn zones_as_they_are_written() {
        assert_eq!("-03:30".parse::<Zone>().map(|zone| zone.minutes), Ok(-210));
        for text in ["", "8", "+8:00", "+15:00", "+08:60", "Asia/Shanghai", "＋08:00"] {
            assert!(text.parse::<Zone>().is_err(), "{text}");
        }
    }
}
