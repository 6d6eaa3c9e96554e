//! Quantities as people write them in a scenario: spans with a unit, rates with a unit, moments of a day.
//!
//! `"90s"`, `"2.5min"` and `"8h"` are spans, `"4.2/min"` a rate, `"08:30"` a moment. Decimals are allowed, because fitted
//! parameters are seldom whole; a policy file allows whole numbers only, because decisions are integers. Writing gives a text
//! that reads back to the same number, so that a fitted scenario can be stored without loss.
//!
//! It refuses to know where in a file a quantity stands: the reader adds file, line and field.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use thiserror::Error;

/// Longest span: some 24 days, the policy's own bound.
pub const SPAN_MAX_S: f64 = 2_147_483.0;

/// A text that is no quantity of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("\"{found}\" is no {kind}; write {example}")]
pub struct QuantityError {
    kind: &'static str,
    example: &'static str,
    found: String,
}

/// A span of time, in seconds; not negative, at most [`SPAN_MAX_S`].
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Span(f64);

/// A rate, in events a second; not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// A moment of a day, in seconds after midnight, below 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockTime(u32);

impl Span {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);

    /// So many seconds; `None` for a number that is negative, not finite or above [`SPAN_MAX_S`].
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        (0.0..=SPAN_MAX_S).contains(&seconds).then_some(Self(seconds))
    }

    /// In seconds.
    pub fn seconds(self) -> f64 {
        self.0
    }

    /// In milliseconds, as a number with a fraction.
    pub fn ms(self) -> f64 {
        self.0 * 1_000.0
    }

    /// In whole milliseconds, to the nearest.
    pub fn whole_ms(self) -> u64 {
        (self.ms() + 0.5) as u64
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = number_and_rest(text)?;
        let factor = match unit.trim_start() {
            "ms" => 0.001,
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        Self::from_seconds(number * factor)
    }
}

impl Rate {
    /// So many a second; `None` for a number that is negative or not finite.
    pub fn per_second(number: f64) -> Option<Self> {
        (number.is_finite() && number >= 0.0).then_some(Self(number))
    }

    /// A second.
    pub fn in_a_second(self) -> f64 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, rest) = number_and_rest(text)?;
        let seconds = match rest.trim_start().strip_prefix('/')?.trim_start() {
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        Self::per_second(number / seconds)
    }
}

impl ClockTime {
    /// So many seconds after midnight; `None` from 24 hours on.
    pub fn from_seconds(seconds: u32) -> Option<Self> {
        (seconds < 86_400).then_some(Self(seconds))
    }

    /// Seconds after midnight.
    pub fn seconds(self) -> u32 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let mut part = |below: u32| parts.next()?.parse::<u32>().ok().filter(|n| *n < below);
        let (hours, minutes) = (part(24)?, part(60)?);
        let rest: Vec<&str> = parts.collect();
        let seconds = match rest[..] {
            [] => 0,
            [seconds] => seconds.parse::<u32>().ok().filter(|n| *n < 60)?,
            _ => return None,
        };
        Some(Self(hours * 3_600 + minutes * 60 + seconds))
    }
}

/// A decimal number at the beginning, and what follows it.
fn number_and_rest(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3_600, self.0 / 60 % 60, self.0 % 60);
        write!(f, "{hours:02}:{minutes:02}")?;
        if seconds > 0 { write!(f, ":{seconds:02}") } else { Ok(()) }
    }
}

/// Text in, text out, with a pattern for the schema.
macro_rules! quantity {
    ($type:ident, $kind:literal, $example:literal, $pattern:literal) => {
        impl std::str::FromStr for $type {
            type Err = QuantityError;

            fn from_str(text: &str) -> Result<Self, QuantityError> {
                Self::parse(text).ok_or_else(|| QuantityError { kind: $kind, example: $example, found: text.into() })
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a ", $kind, " as text, such as ", $example))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                from.deserialize_str(Text).map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": concat!("A ", $kind, ": ", $example) })
            }
        }
    };
}

quantity!(Span, "span", "a number and a unit: 250ms, 90s, 2.5min, 8h, 2d", r"^[0-9.]+ *(ms|s|min|h|d)$");
quantity!(Rate, "rate", "a number and a unit of time: 4.2/min, 0.07/s, 250/h", r"^[0-9.]+ */ *(s|min|h|d)$");
quantity!(ClockTime, "moment of a day", "hours and minutes: 08:30, 22:00", r"^[0-2][0-9]:[0-5][0-9](:[0-5][0-9])?$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_and_write() {
        let span = |text: &str| text.parse::<Span>().map(Span::seconds).ok();
        assert_eq!(span("250ms"), Some(0.25));
        assert_eq!(span("2.5min"), Some(150.0));
        assert_eq!(span("8 h"), Some(28_800.0));
        for wrong in ["", "s", "90", "-1s", "1e3s", "1.2.3s", "25d", "nan s", "inf s"] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
        let rate = |text: &str| text.parse::<Rate>().map(Rate::in_a_second).ok();
        assert_eq!(rate("6/min"), Some(0.1));
        assert_eq!(rate("0 / h"), Some(0.0));
        for wrong in ["6", "6/", "-6/min", "6/ms", "/min"] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
        let moment = |text: &str| text.parse::<ClockTime>().map(ClockTime::seconds).ok();
        assert_eq!(moment("08:30"), Some(30_600));
        assert_eq!(moment("23:59:59"), Some(86_399));
        for wrong in ["24:00", "8", "08:60", "08:00:60", "08:00:00:00", "-1:00"] {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_reads_back_to_the_same_number() {
        for seconds in [0.0, 0.1, 1.0 / 3.0, 171.437_219, SPAN_MAX_S] {
            let span = Span::from_seconds(seconds).expect("in range");
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        let rate = Rate::per_second(4.2 / 60.0).expect("in range");
        assert_eq!(rate.to_string().parse(), Ok(rate));
        assert_eq!("08:30:05".parse::<ClockTime>().map(|t| t.to_string()).as_deref(), Ok("08:30:05"));
    }
}
