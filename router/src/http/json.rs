//! A strict reader of JSON bodies: every field by name, type and range; everything else refused by name.
//!
//! Depth and number of values are counted on the raw bytes, before anything is built, so a hostile body costs one pass.
//! Repeated keys are refused: two readers must never disagree about which one holds. Errors name the field as a JSON
//! pointer and, for an unknown one, the nearest that exists. It refuses to know what the fields mean.
//!
//! Drive it: [`Fields::read`], one method call for each field, then [`Fields::end`].

use super::problem::Problem;
use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;

/// Deepest nesting of a body.
pub const DEPTH_MAX: usize = 8;
/// Most values (members and elements) of a body.
pub const VALUES_MAX: usize = 1_024;

/// The fields of one object.
#[derive(Debug)]
pub struct Fields {
    path: String,
    members: RefCell<Map<String, Value>>,
    asked: RefCell<Vec<&'static str>>,
}

impl Fields {
    /// Reads a body that must be one object.
    ///
    /// # Errors
    /// A [`Problem`] that says where the body stops being readable.
    pub fn read(bytes: &[u8]) -> Result<Self, Problem> {
        measure(bytes)?;
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = reader.deserialize_any(Unrepeated).map_err(|error| Problem::malformed(error.to_string()))?;
        reader.end().map_err(|error| Problem::malformed(error.to_string()))?;
        match value {
            Value::Object(members) => Ok(Self::of(String::new(), members)),
            other => Err(Problem::field("", format!("expected an object, found {}", kind(&other)))),
        }
    }

    fn of(path: String, members: Map<String, Value>) -> Self {
        Self { path, members: RefCell::new(members), asked: RefCell::default() }
    }

    fn pointer(&self, name: &str) -> String {
        format!("{}/{}", self.path, name.replace('~', "~0").replace('/', "~1"))
    }

    fn take(&self, name: &'static str) -> Option<Value> {
        self.asked.borrow_mut().push(name);
        self.members.borrow_mut().remove(name)
    }

    fn missing(&self, name: &str, expected: &str) -> Problem {
        Problem::field(self.pointer(name), format!("missing; expected {expected}"))
    }

    /// A text of `bytes` bytes.
    ///
    /// # Errors
    /// Missing, another type, out of range, or with control characters.
    pub fn text(&self, name: &'static str, bytes: RangeInclusive<usize>) -> Result<String, Problem> {
        let expected = format!("a text of {} to {} bytes", bytes.start(), bytes.end());
        match self.take(name) {
            None if bytes.contains(&0) => Ok(String::new()),
            None => Err(self.missing(name, &expected)),
            Some(value) => line(self.pointer(name), &expected, &bytes, value),
        }
    }

    /// As [`Self::text`], when it may be missing.
    ///
    /// # Errors
    /// As [`Self::text`], missing apart.
    pub fn optional_text(&self, name: &'static str, bytes: RangeInclusive<usize>) -> Result<Option<String>, Problem> {
        let expected = format!("a text of {} to {} bytes", bytes.start(), bytes.end());
        self.take(name).map(|value| line(self.pointer(name), &expected, &bytes, value)).transpose()
    }

    /// A text that people wrote: any characters.
    ///
    /// # Errors
    /// Missing, another type, or out of range.
    pub fn prose(&self, name: &'static str, bytes: RangeInclusive<usize>) -> Result<String, Problem> {
        let expected = format!("a text of {} to {} bytes", bytes.start(), bytes.end());
        match self.take(name) {
            None => Err(self.missing(name, &expected)),
            Some(Value::String(text)) => within(self.pointer(name), &expected, &bytes, text),
            Some(other) => Err(Problem::field(self.pointer(name), format!("expected {expected}, found {}", kind(&other)))),
        }
    }

    /// Texts of one line; nothing when missing.
    ///
    /// # Errors
    /// Another type, too many, or one out of its range.
    pub fn texts(
        &self,
        name: &'static str,
        count_max: usize,
        bytes: RangeInclusive<usize>,
    ) -> Result<Option<Vec<String>>, Problem> {
        let expected = format!("a text of {} to {} bytes", bytes.start(), bytes.end());
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(values)) if values.len() <= count_max => {
                let pointer = |at| format!("{}/{at}", self.pointer(name));
                values
                    .into_iter()
                    .enumerate()
                    .map(|(at, value)| line(pointer(at), &expected, &bytes, value))
                    .collect::<Result<_, _>>()
                    .map(Some)
            }
            Some(Value::Array(values)) => {
                Err(Problem::field(self.pointer(name), format!("{} elements; at most {count_max} are allowed", values.len())))
            }
            Some(other) => Err(Problem::field(self.pointer(name), format!("expected an array of texts, found {}", kind(&other)))),
        }
    }

    /// An id of 64 bits as decimal text, not 0; none when missing.
    ///
    /// # Errors
    /// Another type or form.
    pub fn opt_id(&self, name: &'static str) -> Result<Option<u64>, Problem> {
        let expected = "an id as decimal text, not 0";
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => match super::gate::decimal(&text) {
                Some(id) => Ok(Some(id)),
                None => Err(Problem::field(self.pointer(name), format!("expected {expected}, found {:?}", shown(&text)))),
            },
            Some(other) => Err(Problem::field(self.pointer(name), format!("expected {expected}, found {}", kind(&other)))),
        }
    }

    /// As [`Self::opt_id`], when it must be there.
    ///
    /// # Errors
    /// As [`Self::opt_id`], and missing.
    pub fn id(&self, name: &'static str) -> Result<u64, Problem> {
        self.opt_id(name)?.ok_or_else(|| self.missing(name, "an id as decimal text"))
    }

    /// An object within this one.
    ///
    /// # Errors
    /// Missing or another type.
    pub fn object(&self, name: &'static str) -> Result<Self, Problem> {
        match self.take(name) {
            None => Err(self.missing(name, "an object")),
            Some(Value::Object(members)) => Ok(Self::of(self.pointer(name), members)),
            Some(other) => Err(Problem::field(self.pointer(name), format!("expected an object, found {}", kind(&other)))),
        }
    }

    /// Whether a field is there.
    pub fn has(&self, name: &str) -> bool {
        self.members.borrow().contains_key(name)
    }

    /// An integer; `default` when the field is missing and has one.
    ///
    /// # Errors
    /// Missing without default, another type (fractions included), or out of range.
    pub fn integer(&self, name: &'static str, range: RangeInclusive<i64>, default: Option<i64>) -> Result<i64, Problem> {
        let expected = format!("an integer from {} to {}", range.start(), range.end());
        match self.take(name) {
            None => default.ok_or_else(|| self.missing(name, &expected)),
            Some(Value::Number(number)) => match whole(&number) {
                Some(value) if range.contains(&value) => Ok(value),
                _ => Err(Problem::field(self.pointer(name), format!("{number}; expected {expected}"))),
            },
            Some(other) => Err(Problem::field(self.pointer(name), format!("expected {expected}, found {}", kind(&other)))),
        }
    }

    /// One of some words.
    ///
    /// # Errors
    /// Missing without default, another type, or another word.
    pub fn word<T: Copy>(&self, name: &'static str, words: &[(&str, T)], default: Option<T>) -> Result<T, Problem> {
        let list = words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
        match self.take(name) {
            None => default.ok_or_else(|| self.missing(name, &list)),
            Some(Value::String(text)) => match words.iter().find(|(word, _)| *word == text) {
                Some((_, value)) => Ok(*value),
                None => Err(Problem::field(self.pointer(name), format!("expected {list}, found {:?}", shown(&text)))),
            },
            Some(other) => Err(Problem::field(self.pointer(name), format!("expected {list}, found {}", kind(&other)))),
        }
    }

    /// An object of names and integers; empty when missing.
    ///
    /// # Errors
    /// Another type, too many, a name or value out of range.
    pub fn levels(
        &self,
        name: &'static str,
        count_max: usize,
        name_bytes_max: usize,
        range: RangeInclusive<i64>,
    ) -> Result<Vec<(String, i64)>, Problem> {
        let members = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Object(members)) => members,
            Some(other) => {
                let detail = format!("expected an object of names and integers, found {}", kind(&other));
                return Err(Problem::field(self.pointer(name), detail));
            }
        };
        if members.len() > count_max {
            let detail = format!("{} members; at most {count_max} are allowed", members.len());
            return Err(Problem::field(self.pointer(name), detail));
        }
        let within = Self::of(self.pointer(name), Map::new());
        let mut levels = Vec::with_capacity(members.len());
        for (key, value) in members {
            let pointer = within.pointer(shown(&key));
            if key.is_empty() || key.len() > name_bytes_max {
                return Err(Problem::field(pointer, format!("a name of {} bytes; expected 1 to {name_bytes_max}", key.len())));
            }
            match value.as_number().and_then(whole) {
                Some(level) if range.contains(&level) => levels.push((key, level)),
                _ => {
                    let detail = format!("expected an integer from {} to {}, found {}", range.start(), range.end(), found(&value));
                    return Err(Problem::field(pointer, detail));
                }
            }
        }
        Ok(levels)
    }

    /// True or false, or missing.
    ///
    /// # Errors
    /// Another type.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(Problem::field(self.pointer(name), format!("expected true or false, found {}", kind(&other)))),
        }
    }

    /// Refuses what was not asked for.
    ///
    /// # Errors
    /// The first unknown field, with the nearest known name.
    pub fn end(&self) -> Result<(), Problem> {
        let members = self.members.borrow();
        let Some(unknown) = members.keys().next() else { return Ok(()) };
        let asked = self.asked.borrow();
        let near = asked.iter().copied().min_by_key(|name| distance(name, unknown)).filter(|name| distance(name, unknown) <= 3);
        let known = asked.join(", ");
        let detail = match near {
            Some(near) => format!("no such field; did you mean {near:?}? Fields are: {known}"),
            None => format!("no such field; fields are: {known}"),
        };
        Err(Problem::unknown_field(self.pointer(shown(unknown)), detail))
    }
}

/// A whole number, however it is written: to JSON 6 and 6.0 are the same.
fn whole(number: &Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let written = || number.as_f64().filter(|value| value.fract() == 0.0 && value.abs() <= EXACT).map(|value| value as i64);
    number.as_i64().or_else(|| if number.is_f64() { written() } else { None })
}

fn line(pointer: String, expected: &str, bytes: &RangeInclusive<usize>, value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) if text.chars().any(char::is_control) => {
            Err(Problem::field(pointer, "control characters are not allowed"))
        }
        Value::String(text) => within(pointer, expected, bytes, text),
        other => Err(Problem::field(pointer, format!("expected {expected}, found {}", kind(&other)))),
    }
}

fn within(pointer: String, expected: &str, bytes: &RangeInclusive<usize>, text: String) -> Result<String, Problem> {
    let detail = || format!("{} bytes; expected {expected}", text.len());
    if text.len() > *bytes.end() {
        return Err(Problem::of("too-long", detail()).at(pointer));
    }
    if text.len() < *bytes.start() { Err(Problem::field(pointer, detail())) } else { Ok(text) }
}

/// Counts depth and values of a body on its raw bytes.
fn measure(bytes: &[u8]) -> Result<(), Problem> {
    let (mut depth, mut values, mut in_text, mut escaped) = (0_usize, 1_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(Problem::of("too-deep", format!("deeper than {DEPTH_MAX} at byte {at}")));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => {
                values += 1;
                if values > VALUES_MAX {
                    return Err(Problem::of("too-many-values", format!("more than {VALUES_MAX} values at byte {at}")));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Builds a value and refuses repeated keys.
struct Unrepeated;

impl<'de> serde::de::DeserializeSeed<'de> for Unrepeated {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unrepeated {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Self)?;
            if members.contains_key(&key) {
                return Err(serde::de::Error::custom(format!("the key {:?} stands twice", shown(&key))));
            }
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        other => kind(other).to_owned(),
    }
}

/// The head of a hostile text, safe to repeat in an error.
fn shown(text: &str) -> &str {
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= 64).unwrap_or(text.len());
    &text[..end]
}

/// Edits from one name to the other (Levenshtein), on at most 64 bytes of each.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (a, b) = (&a[..a.len().min(64)], &b[..b.len().min(64)]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(body: &str) -> (String, String, String) {
        let read = Fields::read(body.as_bytes()).and_then(|fields| {
            fields.text("name", 1..=8)?;
            fields.integer("units", 1..=10, Some(1))?;
            fields.word("delivery", &[("view", 1), ("push", 2)], Some(1))?;
            fields.levels("skills", 2, 4, 1..=10)?;
            fields.end()
        });
        match read {
            Ok(()) => ("ok".to_owned(), String::new(), String::new()),
            Err(problem) => (problem.slug.to_owned(), problem.field.unwrap_or_default().into_string(), problem.detail.into_owned()),
        }
    }

    #[test]
    fn every_field_is_checked_by_name_type_and_range() {
        let check = |body: &str, slug: &str, field: &str, detail: &str| {
            let (got_slug, got_field, got_detail) = field_of(body);
            assert_eq!((got_slug.as_str(), got_field.as_str()), (slug, field), "{body}: {got_detail}");
            assert!(got_detail.contains(detail), "{body}: {got_detail}");
        };
        check(r#"{"name":"ada"}"#, "ok", "", "");
        check(r#"{"name":"12345678"}"#, "ok", "", "");
        check(r#"{"name":"123456789"}"#, "too-long", "/name", "9 bytes; expected a text of 1 to 8");
        check(r#"{}"#, "bad-field", "/name", "missing");
        check(r#"{"name":""}"#, "bad-field", "/name", "0 bytes");
        check(r#"{"name":7}"#, "bad-field", "/name", "found a number");
        check("{\"name\":\"a\\u0007\"}", "bad-field", "/name", "control");
        check(r#"{"name":"a","units":0}"#, "bad-field", "/units", "0; expected an integer from 1 to 10");
        check(r#"{"name":"a","units":11}"#, "bad-field", "/units", "11");
        check(r#"{"name":"a","units":1.5}"#, "bad-field", "/units", "1.5");
        check(r#"{"name":"a","units":2.0}"#, "ok", "", "");
        check(r#"{"name":"a","units":1e999}"#, "malformed", "", "out of range");
        check(r#"{"name":"a","units":99999999999999999999}"#, "bad-field", "/units", "expected an integer");
        check(r#"{"name":"a","units":"1"}"#, "bad-field", "/units", "found a text");
        check(r#"{"name":"a","units":null}"#, "bad-field", "/units", "found null");
        check(r#"{"name":"a","delivery":"pull"}"#, "bad-field", "/delivery", "\"view\" or \"push\"");
        check(r#"{"name":"a","skills":{"s":1,"t":10}}"#, "ok", "", "");
        check(r#"{"name":"a","skills":{"s":1,"t":1,"u":1}}"#, "bad-field", "/skills", "at most 2");
        check(r#"{"name":"a","skills":{"s":11}}"#, "bad-field", "/skills/s", "found 11");
        check(r#"{"name":"a","skills":{"a/b":0}}"#, "bad-field", "/skills/a~1b", "");
        check(r#"{"name":"a","skills":{"sssss":1}}"#, "bad-field", "/skills/sssss", "5 bytes");
        check(r#"{"name":"a","skills":["s"]}"#, "bad-field", "/skills", "found an array");
        check(r#"{"name":"a","unit":1}"#, "unknown-field", "/unit", "did you mean \"units\"?");
        check(r#"{"name":"a","colour":1}"#, "unknown-field", "/colour", "fields are: name, units, delivery, skills");
        check(r#"{"name":"a","name":"b"}"#, "malformed", "", "stands twice");
        check(r#"{"name":"a"} {}"#, "malformed", "", "trailing");
        check(r#"{"name":"a""#, "malformed", "", "line 1");
        check("", "malformed", "", "");
        check("[]", "bad-field", "", "found an array");
        check("\u{feff}{}", "malformed", "", "");
    }

    #[test]
    fn depth_and_number_of_values_are_bounded_before_anything_is_built() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let slug = |body: &str| Fields::read(body.as_bytes()).map_err(|problem| problem.slug).err().unwrap_or("ok");
        assert_eq!(slug(&nested(DEPTH_MAX)), "bad-field", "at the limit it is read, and is no object");
        assert_eq!(slug(&nested(DEPTH_MAX + 1)), "too-deep");
        assert_eq!(slug(&nested(DEPTH_MAX * 10)), "too-deep");
        let many = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert_eq!(slug(&many(VALUES_MAX)), "bad-field");
        assert_eq!(slug(&many(VALUES_MAX + 1)), "too-many-values");
        assert_eq!(slug(&many(VALUES_MAX * 10)), "too-many-values");
        assert_eq!(slug(&format!("{{\"a\":\"{}\"}}", "[".repeat(100))), "ok", "brackets inside a text are no depth");
    }

    #[test]
    fn bodies_that_are_no_utf8_are_malformed() {
        assert_eq!(Fields::read(b"{\"name\":\"\xff\"}").map_err(|problem| problem.slug).err(), Some("malformed"));
    }
}
