//! A strict reader for small JSON objects: every refusal names the field, and nothing is buffered but borrowed slices.
//!
//! The whole text is checked for depth before it is parsed; an object may have at most [`FIELDS_MAX`] fields, none twice, and
//! after the known ones are taken whatever is left is refused by name, with the nearest known name. Reading is linear in the
//! input and allocates a few words a field. Drive it: [`Object::parse`], the takers, then [`Object::finish`].

use crate::problem::Problem;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Nesting that a frame may have.
pub const DEPTH_MAX: usize = 16;
/// Fields that an object may have.
pub const FIELDS_MAX: usize = 16;

/// An object of which fields are taken one by one.
#[derive(Debug)]
pub struct Object<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    known: Vec<&'static str>,
}

/// Longest nesting of brackets outside strings, counted in one pass; stops counting past `max`.
///
/// # Errors
/// When the text nests deeper than `max`.
pub fn check_depth(bytes: &[u8], max: usize) -> Result<(), Problem> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in bytes {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return Err(Problem::malformed(format!("nested deeper than {max}")));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields: Self::Value = Vec::with_capacity(8);
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            if fields.len() == FIELDS_MAX {
                return Err(serde::de::Error::custom(format_args!("more than {FIELDS_MAX} fields")));
            }
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(serde::de::Error::custom(format_args!("field `{}` twice", clip(&name))));
            }
            fields.push((name, map.next_value()?));
        }
        Ok(fields)
    }
}

/// A string that borrows when it can.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

/// At most `max` strings.
struct Texts(usize);

impl<'de> Visitor<'de> for Texts {
    type Value = Result<Vec<Cow<'de, str>>, usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of strings")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut out = Vec::new();
        let mut count = 0;
        while let Some(Text(text)) = seq.next_element::<Text<'de>>()? {
            count += 1;
            if count <= self.0 {
                out.push(text);
            }
        }
        Ok(if count > self.0 { Err(count) } else { Ok(out) })
    }
}

/// At most `max` pairs of name and small number.
struct Pairs(usize);

/// A whole number, however it is written: to JSON 6 and 6.0 are the same.
struct Whole(u32);

impl<'de> serde::Deserialize<'de> for Whole {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let whole = number.as_f64().filter(|value| value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(value));
        whole.map(|value| Self(value as u32)).ok_or_else(|| serde::de::Error::custom("not a whole number"))
    }
}

impl<'de> Visitor<'de> for Pairs {
    type Value = Result<Vec<(Cow<'de, str>, u32)>, usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and numbers")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut out = Vec::new();
        let mut count = 0;
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            let Whole(value) = map.next_value()?;
            count += 1;
            if count <= self.0 {
                out.push((name, value));
            }
        }
        Ok(if count > self.0 { Err(count) } else { Ok(out) })
    }
}

/// A short, printable form of something a client sent.
pub(crate) fn clip(text: &str) -> String {
    let mut out: String = text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(40).is_some() {
        out.push('…');
    }
    out
}

impl<'a> Object<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// Not UTF-8, not JSON, not an object, too deep, too many fields, a field twice.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        check_depth(bytes, DEPTH_MAX)?;
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let fields = reader.deserialize_map(Fields).and_then(|fields| reader.end().map(|()| fields));
        match fields {
            Ok(fields) => Ok(Self { fields, known: Vec::with_capacity(12) }),
            Err(error) => Err(Problem::malformed(clip_error(&error))),
        }
    }

    fn take(&mut self, field: &'static str) -> Option<&'a RawValue> {
        self.known.push(field);
        let at = self.fields.iter().position(|(name, _)| name == field)?;
        Some(self.fields.swap_remove(at).1)
    }

    /// A string of 1 to `max` bytes.
    ///
    /// # Errors
    /// Missing, not a string, empty, too long.
    pub fn text(&mut self, field: &'static str, max: usize) -> Result<Cow<'a, str>, Problem> {
        self.opt_text(field, max)?
            .ok_or_else(|| Problem::field(field, format!("{field} is missing: 1 to {max} bytes of text expected")))
    }

    /// A string of 1 to `max` bytes, or nothing (absent or null).
    ///
    /// # Errors
    /// Not a string, empty, too long.
    pub fn opt_text(&mut self, field: &'static str, max: usize) -> Result<Option<Cow<'a, str>>, Problem> {
        let Some(raw) = self.take(field) else { return Ok(None) };
        if raw.get() == "null" {
            return Ok(None);
        }
        let Ok(Text(text)) = serde_json::from_str::<Text<'a>>(raw.get()) else {
            return Err(Problem::field(field, format!("{field} must be a string of 1 to {max} bytes")));
        };
        check_length(field, &text, max)?;
        Ok(Some(text))
    }

    /// A whole number, or nothing.
    ///
    /// # Errors
    /// Not a whole number within 0 to `max`.
    pub fn opt_number(&mut self, field: &'static str, max: u64) -> Result<Option<u64>, Problem> {
        let Some(raw) = self.take(field) else { return Ok(None) };
        if raw.get() == "null" {
            return Ok(None);
        }
        match serde_json::from_str::<u64>(raw.get()) {
            Ok(value) if value <= max => Ok(Some(value)),
            _ => Err(Problem::field(field, format!("{field} must be a whole number from 0 to {max}"))),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// Missing, or not within 0 to `max`.
    pub fn number(&mut self, field: &'static str, max: u64) -> Result<u64, Problem> {
        self.opt_number(field, max)?
            .ok_or_else(|| Problem::field(field, format!("{field} is missing: a whole number from 0 to {max} expected")))
    }

    /// Up to `count` strings of 1 to `max` bytes; none when absent.
    ///
    /// # Errors
    /// Not a list of strings, too many, one empty or too long.
    pub fn texts(&mut self, field: &'static str, count: usize, max: usize) -> Result<Vec<Cow<'a, str>>, Problem> {
        let Some(raw) = self.take(field) else { return Ok(Vec::new()) };
        match serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Texts(count)) {
            Ok(Ok(texts)) => texts.into_iter().map(|text| check_length(field, &text, max).map(|()| text)).collect(),
            Ok(Err(found)) => Err(Problem::field(field, format!("{field} has {found} entries, at most {count}"))),
            Err(_) => Err(Problem::field(field, format!("{field} must be a list of strings"))),
        }
    }

    /// Up to `count` pairs of a name of 1 to `max` bytes and a number within 1 to `top`; none when absent.
    ///
    /// # Errors
    /// Not such an object, too many, a name empty, too long or twice, a number out of range.
    pub fn pairs(&mut self, field: &'static str, count: usize, max: usize, top: u32) -> Result<Vec<(Cow<'a, str>, u32)>, Problem> {
        let Some(raw) = self.take(field) else { return Ok(Vec::new()) };
        let pairs = match serde_json::Deserializer::from_str(raw.get()).deserialize_map(Pairs(count)) {
            Ok(Ok(pairs)) => pairs,
            Ok(Err(found)) => return Err(Problem::field(field, format!("{field} has {found} entries, at most {count}"))),
            Err(_) => return Err(Problem::field(field, format!("{field} must be an object of names and whole numbers"))),
        };
        for (at, (name, value)) in pairs.iter().enumerate() {
            check_length(field, name, max)?;
            if *value == 0 || *value > top {
                return Err(Problem::field(field, format!("{field}.{} must be 1 to {top}", clip(name))));
            }
            if pairs[..at].iter().any(|(other, _)| other == name) {
                return Err(Problem::field(field, format!("{field}.{} stands twice", clip(name))));
            }
        }
        Ok(pairs)
    }

    /// A nested object, or nothing.
    ///
    /// # Errors
    /// Not an object, or one that [`Self::parse`] refuses.
    pub fn object(&mut self, field: &'static str) -> Result<Option<Object<'a>>, Problem> {
        let Some(raw) = self.take(field) else { return Ok(None) };
        if raw.get() == "null" {
            return Ok(None);
        }
        Object::parse(raw.get().as_bytes()).map(Some).map_err(|problem| problem.at(field))
    }

    /// Numbers by name, `count` at most, names of 1 to `max` bytes.
    ///
    /// # Errors
    /// As [`Self::pairs`], zero allowed.
    pub fn counters(&mut self, field: &'static str, count: usize, max: usize) -> Result<Vec<(Cow<'a, str>, u32)>, Problem> {
        let Some(raw) = self.take(field) else { return Ok(Vec::new()) };
        let pairs = match serde_json::Deserializer::from_str(raw.get()).deserialize_map(Pairs(count)) {
            Ok(Ok(pairs)) => pairs,
            Ok(Err(found)) => return Err(Problem::field(field, format!("{field} has {found} entries, at most {count}"))),
            Err(_) => return Err(Problem::field(field, format!("{field} must be an object of names and whole numbers"))),
        };
        for (name, _) in &pairs {
            check_length(field, name, max)?;
        }
        Ok(pairs)
    }

    /// Refuses whatever has not been taken.
    ///
    /// # Errors
    /// A field is left: it is named, with the nearest known one.
    pub fn finish(self) -> Result<(), Problem> {
        let Some((name, _)) = self.fields.first() else { return Ok(()) };
        let near = self.known.iter().min_by_key(|known| distance(known, name)).filter(|known| distance(known, name) <= 3);
        let shown = clip(name);
        let detail = match near {
            Some(near) => format!("unknown field `{shown}`; did you mean `{near}`?"),
            None => format!("unknown field `{shown}`; known here: {}", self.known.join(", ")),
        };
        Err(Problem::of("unknown-field", detail).at(shown))
    }
}

fn check_length(field: &'static str, text: &str, max: usize) -> Result<(), Problem> {
    match text.len() {
        0 => Err(Problem::field(field, format!("{field} is empty: 1 to {max} bytes expected"))),
        length if length > max => Err(Problem::of("too-long", format!("{field} has {length} bytes, at most {max}")).at(field)),
        _ => Ok(()),
    }
}

/// serde_json's words without the client's own text: kind, line and column only, but for our own messages.
fn clip_error(error: &serde_json::Error) -> String {
    let place = format!("line {} column {}", error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => {
            let text = error.to_string();
            format!("{} ({place})", clip(text.split(" at line").next().unwrap_or_default()))
        }
        serde_json::error::Category::Eof => format!("the text ends early ({place})"),
        _ => format!("not JSON ({place})"),
    }
}

/// Edit distance over at most 40 characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(40).enumerate() {
        let mut left_up = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let up = row[j + 1];
            row[j + 1] = (left_up + usize::from(ca != *cb)).min(up + 1).min(row[j] + 1);
            left_up = up;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, take: impl FnOnce(&mut Object<'_>) -> Result<(), Problem>) -> Problem {
        let mut object = match Object::parse(text.as_bytes()) {
            Ok(object) => object,
            Err(problem) => return problem,
        };
        match take(&mut object).and_then(|()| object.finish()) {
            Ok(()) => panic!("{text} was taken"),
            Err(problem) => problem,
        }
    }

    #[test]
    fn names_the_field_and_the_nearest_name() {
        let problem = refused(r#"{"txet":"x"}"#, |object| object.opt_text("text", 4).map(drop));
        assert_eq!(problem.field.as_deref(), Some("txet"));
        assert!(problem.detail.contains("did you mean `text`"), "{}", problem.detail);
        let problem = refused(r#"{"text":5}"#, |object| object.text("text", 4).map(drop));
        assert_eq!(problem.field.as_deref(), Some("text"));
        let problem = refused(r#"{"a":1,"a":2}"#, |_| Ok(()));
        assert!(problem.detail.contains("`a` twice"), "{}", problem.detail);
    }

    #[test]
    fn limits_at_one_above_and_ten_times_above() {
        for (length, fine) in [(64, true), (65, false), (640, false)] {
            let text = format!(r#"{{"t":"{}"}}"#, "x".repeat(length));
            let mut object = Object::parse(text.as_bytes()).expect("an object");
            assert_eq!(object.text("t", 64).is_ok(), fine, "{length}");
        }
        for (depth, fine) in [(15, true), (16, false), (160, false), (100_000, false)] {
            // The object itself is one level.
            let text = format!(r#"{{"t":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
            assert_eq!(Object::parse(text.as_bytes()).is_ok(), fine, "{depth}");
        }
        for (count, fine) in [(16, true), (17, false), (160, false)] {
            let fields: Vec<String> = (0..count).map(|i| format!("\"f{i}\":1")).collect();
            assert_eq!(Object::parse(format!("{{{}}}", fields.join(",")).as_bytes()).is_ok(), fine, "{count}");
        }
        for (count, fine) in [(4, true), (5, false), (40, false)] {
            let tags: Vec<String> = (0..count).map(|i| format!("\"t{i}\"")).collect();
            let text = format!("{{\"tags\":[{}]}}", tags.join(","));
            assert_eq!(Object::parse(text.as_bytes()).expect("an object").texts("tags", 4, 64).is_ok(), fine, "{count}");
            let skills: Vec<String> = (0..count).map(|i| format!("\"s{i}\":1")).collect();
            let text = format!("{{\"skills\":{{{}}}}}", skills.join(","));
            assert_eq!(Object::parse(text.as_bytes()).expect("an object").pairs("skills", 4, 64, 10).is_ok(), fine, "{count}");
        }
    }

    #[test]
    fn brackets_in_strings_are_no_depth() {
        let text = format!(r#"{{"t":"{}\"["}}"#, "[".repeat(100));
        assert!(Object::parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn trailing_matter_is_refused() {
        assert!(Object::parse(b"{} {}").is_err());
        assert!(Object::parse(b"[]").is_err());
        assert!(Object::parse(b"\xff").is_err());
    }
}
