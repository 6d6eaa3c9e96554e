//! Spans as people write them: `500ms`, `30s`, `5min`, `2h`, `7d`; whole numbers only.

use tidegate_model::Millis;

/// Parses a span; `None` for anything else, overflow included.
pub(crate) fn parse(text: &str) -> Option<Millis> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor).map(Millis)
}

/// Parses a slope such as `1`, `0.5` or `10.25` to Q16 by decimal arithmetic: no float is involved, so every machine agrees.
pub(crate) fn slope_q16(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 6 || whole.is_empty() || !whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let scale = 10_i64.pow(part.len() as u32);
    let part: i64 = if part.is_empty() { 0 } else { part.parse().ok()? };
    whole.checked_mul(65_536)?.checked_add((part * 65_536 + scale / 2) / scale)
}

#[cfg(test)]
mod tests {
    use super::{parse, slope_q16};
    use tidegate_model::Millis;

    #[test]
    fn spans_and_slopes() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("5min", Some(300_000)),
            ("2 h", Some(7_200_000)),
            ("7d", Some(604_800_000)),
        ] {
            assert_eq!(parse(text), expected.map(Millis), "{text}");
        }
        for text in ["", "s", "30", "-1s", "1.5s", "1m", "99999999999999999999s", "18446744073709551615d", "３０s"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for (text, expected) in [("1", 65_536), ("0.5", 32_768), ("10", 655_360), ("0.000001", 0), ("256", 1 << 24)] {
            assert_eq!(slope_q16(text), Some(expected), "{text}");
        }
        for text in ["", ".", ".5", "-1", "1e3", "0.1234567", "99999999999999999999", "1.-5"] {
            assert_eq!(slope_q16(text), None, "{text}");
        }
    }
}
