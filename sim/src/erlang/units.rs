//! Times, rates and goals as people write them: `2min`, `1h30m`, `4.2/min`, `100/30min`, `80/20s`, `5%`.
//!
//! Everything becomes seconds, contacts a second, or a share of 1. A number without its unit is refused: a handle time of "2" is
//! two of something, and guessing is how a plan ends up sixty times too small. Reading is total over any text; what is
//! accepted is finite and not negative. It knows nothing of what the values are for.

use thiserror::Error;

/// The longest time: ten years.
pub const SECONDS_MAX: f64 = 10.0 * 366.0 * 86_400.0;
/// The highest rate, a second.
pub const RATE_MAX: f64 = 1e6;
/// The longest text that is read.
pub const LENGTH_MAX: usize = 64;

/// Why a text is no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnitError {
    /// Nothing there.
    #[error("nothing is written; expected {expected}")]
    Empty {
        /// An example.
        expected: &'static str,
    },
    /// Longer than [`LENGTH_MAX`] bytes.
    #[error("longer than {LENGTH_MAX} bytes; expected {expected}")]
    TooLong {
        /// An example.
        expected: &'static str,
    },
    /// No number where one should be.
    #[error("{found:?} is no number; expected {expected}")]
    NoNumber {
        /// What stands there.
        found: String,
        /// An example.
        expected: &'static str,
    },
    /// A number without a unit.
    #[error("{found} of what? expected a unit, {expected}")]
    NoUnit {
        /// The number.
        found: String,
        /// An example.
        expected: &'static str,
    },
    /// A unit that is none.
    #[error("{found:?} is no unit; use s, min, h or d, {expected}")]
    UnknownUnit {
        /// What stands there.
        found: String,
        /// An example.
        expected: &'static str,
    },
    /// Too large.
    #[error("{what} is past the largest, {most}; check the unit")]
    TooLarge {
        /// Of which kind.
        what: &'static str,
        /// The largest.
        most: &'static str,
    },
    /// A share that is none.
    #[error("{found} is no share; expected 0 to 1, or 0% to 100% with the sign")]
    NoShare {
        /// What stands there.
        found: String,
    },
}

const SPAN: &str = "as in 20s, 2min or 1h30m";
const RATE: &str = "as in 4.2/min, 250/h or 100/30min";
const GOAL: &str = "as in 80/20s or 90%/1min";
const SHARE: &str = "as in 5% or 0.05";

/// A time in seconds: one or more numbers, each with its unit (`1h30m`).
///
/// # Errors
/// [`UnitError`].
///
/// ```
/// use tidegate_sim::erlang::units::span;
///
/// assert_eq!(span("1h30m"), Ok(5_400.0));
/// assert_eq!(span(" 2 minutes "), Ok(120.0));
/// assert_eq!(span("2").unwrap_err().to_string(), "2 of what? expected a unit, as in 20s, 2min or 1h30m");
/// ```
pub fn span(text: &str) -> Result<f64, UnitError> {
    span_of(text, SPAN)
}

fn span_of(text: &str, expected: &'static str) -> Result<f64, UnitError> {
    let mut rest = checked(text, expected)?;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, digits, after) = number(rest, expected)?;
        let end = after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len());
        let unit = after[..end].trim();
        if unit.is_empty() {
            return Err(UnitError::NoUnit { found: digits.to_owned(), expected });
        }
        seconds += number * unit_seconds(unit, expected)?;
        rest = after[end..].trim();
    }
    if seconds > SECONDS_MAX {
        return Err(UnitError::TooLarge { what: "this time", most: "ten years" });
    }
    Ok(seconds)
}

/// Contacts a second: a number, `/` or `per`, and a unit or a time (`100/30min`).
///
/// # Errors
/// [`UnitError`].
pub fn rate(text: &str) -> Result<f64, UnitError> {
    let text = checked(text, RATE)?;
    let (number, digits, after) = number(text, RATE)?;
    let of = after.strip_prefix('/').or_else(|| after.strip_prefix("per ")).map(str::trim);
    let Some(of) = of.filter(|of| !of.is_empty()) else {
        let found = digits.to_owned();
        let unit = after.trim_start_matches('/').trim();
        return Err(if unit.is_empty() {
            UnitError::NoUnit { found, expected: RATE }
        } else {
            UnitError::UnknownUnit { found: unit.to_owned(), expected: RATE }
        });
    };
    let counted = of.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.');
    let seconds = if counted { span_of(of, RATE)? } else { unit_seconds(of, RATE)? };
    let rate = number / seconds;
    // A span of 0 s, and what only a span of next to nothing gives.
    if rate.is_nan() || rate > RATE_MAX {
        return Err(UnitError::TooLarge { what: "this rate", most: "a million a second" });
    }
    Ok(rate)
}

/// A share of 1: `5%`, or `0.05`.
///
/// # Errors
/// [`UnitError`].
pub fn share(text: &str) -> Result<f64, UnitError> {
    let text = checked(text, SHARE)?;
    let (number, _, after) = number(text, SHARE)?;
    let share = match after {
        "%" | "％" => number / 100.0,
        "" => number,
        other => return Err(UnitError::UnknownUnit { found: other.to_owned(), expected: SHARE }),
    };
    if share <= 1.0 { Ok(share) } else { Err(UnitError::NoShare { found: text.to_owned() }) }
}

/// A service-level goal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The least share of 1.
    pub share: f64,
    /// Within how many seconds.
    pub within_s: f64,
}

/// A goal as planners write it: `80/20s` is 80 % within 20 seconds; `0.8/20s` and `80%/20s` are the same.
///
/// # Errors
/// [`UnitError`].
pub fn goal(text: &str) -> Result<Goal, UnitError> {
    let text = checked(text, GOAL)?;
    let Some((before, within)) = text.split_once('/') else {
        return Err(UnitError::NoUnit { found: text.to_owned(), expected: GOAL });
    };
    let (number, _, sign) = number(checked(before, GOAL)?, GOAL)?;
    // Nobody means 0.8 %: up to one it is a share, past it a percentage.
    let share = match sign {
        "%" | "％" => number / 100.0,
        "" if number <= 1.0 => number,
        "" => number / 100.0,
        other => return Err(UnitError::UnknownUnit { found: other.to_owned(), expected: GOAL }),
    };
    if share > 1.0 {
        return Err(UnitError::NoShare { found: before.to_owned() });
    }
    Ok(Goal { share, within_s: span_of(within, GOAL)? })
}

fn checked<'a>(text: &'a str, expected: &'static str) -> Result<&'a str, UnitError> {
    let text = text.trim();
    match text.len() {
        0 => Err(UnitError::Empty { expected }),
        length if length > LENGTH_MAX => Err(UnitError::TooLong { expected }),
        _ => Ok(text),
    }
}

/// The decimal number at the front (digits and at most one point), its text, and what follows it without blanks.
fn number<'a>(text: &'a str, expected: &'static str) -> Result<(f64, &'a str, &'a str), UnitError> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let digits = &text[..end];
    let number = digits.parse::<f64>().ok().filter(|number| number.is_finite());
    let number = number.ok_or_else(|| UnitError::NoNumber { found: text.to_owned(), expected })?;
    Ok((number, digits, text[end..].trim_start()))
}

fn unit_seconds(unit: &str, expected: &'static str) -> Result<f64, UnitError> {
    Ok(match unit.to_ascii_lowercase().as_str() {
        "ms" | "毫秒" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" | "秒" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" | "分" | "分钟" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" | "时" | "小时" => 3_600.0,
        "d" | "day" | "days" | "天" => 86_400.0,
        _ => return Err(UnitError::UnknownUnit { found: unit.to_owned(), expected }),
    })
}
