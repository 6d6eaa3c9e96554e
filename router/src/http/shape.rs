//! Shapes of the values that the API reads: as narrow in the document as the readers are in code.
//!
//! A shape that promised more than is read would send callers into refusals, one that promised less would hide what is read;
//! the contract check (`./verify contract`) tries both. Ids of 64 bits are decimal text, without sign and leading zeros.

use std::fmt::Write as _;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, Discriminator, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, SchemaType,
    Type,
};
use utoipa::openapi::{Ref, RefOr};

/// Texts of one line: no control characters.
pub(super) const LINE: &str = r"^[^\u0000-\u001F\u007F-\u009F]*$";

/// The pattern of a decimal number from 1 to `max`, without sign and leading zeros.
pub(super) fn decimal(max: u64) -> String {
    let digits = max.to_string();
    let mut pattern = format!("^(?:[1-9][0-9]{{0,{}}}", digits.len() - 2);
    // Those of the same length: equal up to one digit, less there, anything behind it.
    for (at, digit) in digits.bytes().map(|byte| byte - b'0').enumerate() {
        let least = u8::from(at == 0);
        if digit > least {
            let _ = write!(pattern, "|{}[{least}-{}][0-9]{{{}}}", &digits[..at], digit - 1, digits.len() - at - 1);
        }
    }
    let _ = write!(pattern, "|{digits})$");
    pattern
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// Any text.
pub(super) fn any_text() -> RefOr<Schema> {
    text().build().into()
}

/// A text of a pattern.
pub(super) fn pattern(pattern: impl Into<String>) -> RefOr<Schema> {
    text().pattern(Some(pattern)).build().into()
}

/// An integer.
pub(super) fn integer(least: u64, most: u64) -> RefOr<Schema> {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    // Past 2^63 a number is no int64 for many readers; none of ours goes there.
    let most = most.min(i64::MAX as u64) as i64;
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(format))
        .minimum(Some(least as f64))
        .maximum(Some(most as f64))
        .build()
        .into()
}

/// One of some words.
pub(super) fn words(words: &[&str]) -> RefOr<Schema> {
    text().enum_values(Some(words.iter().copied())).build().into()
}

/// Anything.
pub(super) fn anything() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).build().into()
}

/// An integer that may be negative.
pub(super) fn signed(least: i64, most: i64) -> RefOr<Schema> {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    let builder = ObjectBuilder::new().schema_type(Type::Integer).format(Some(format));
    builder.minimum(Some(least as f64)).maximum(Some(most as f64)).build().into()
}

/// A text of one line. Lengths are counted in bytes by the reader, which for ASCII is the same.
pub(super) fn line(least: usize, most: usize) -> RefOr<Schema> {
    text().pattern(Some(LINE)).min_length(Some(least)).max_length(Some(most)).description(bytes(most)).build().into()
}

/// A text of any characters.
pub(super) fn prose(least: usize, most: usize) -> RefOr<Schema> {
    text().min_length(Some(least)).max_length(Some(most)).description(bytes(most)).build().into()
}

fn bytes(most: usize) -> Option<String> {
    Some(format!("At most {most} bytes of UTF-8."))
}

/// A list.
pub(super) fn list(of: RefOr<Schema>, most: usize) -> RefOr<Schema> {
    ArrayBuilder::new().items(of).max_items(Some(most)).build().into()
}

/// Levels by skill.
pub(super) fn levels(most: usize) -> RefOr<Schema> {
    let name = text().pattern(Some(LINE)).min_length(Some(1)).max_length(Some(64)).build();
    let says = format!("Level by skill, 1 to 10; at most {most} skills.");
    let builder = ObjectBuilder::new().property_names(Some(Schema::Object(name))).additional_properties(Some(integer(1, 10)));
    builder.max_properties(Some(most)).description(Some(says)).build().into()
}

/// An object of these fields (name, whether it must be there, shape) and no others.
pub(super) fn object(fields: &[(&str, bool, RefOr<Schema>)]) -> RefOr<Schema> {
    let mut builder = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    for (name, is_required, shape) in fields {
        builder = builder.property(*name, shape.clone());
        if *is_required {
            builder = builder.required(*name);
        }
    }
    builder.build().into()
}

/// An object that has these fields at least.
pub(super) fn open_object(fields: &[(&str, RefOr<Schema>)]) -> RefOr<Schema> {
    let mut builder = ObjectBuilder::new();
    for (name, shape) in fields {
        builder = builder.property(*name, shape.clone()).required(*name);
    }
    builder.build().into()
}

/// True or false.
pub(super) fn switch() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Boolean).build().into()
}

/// One of some shapes.
pub(super) fn one_of(shapes: Vec<RefOr<Schema>>) -> RefOr<Schema> {
    let one = shapes.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item);
    RefOr::T(Schema::OneOf(one.build()))
}

/// One of some named shapes, told apart by the word in a field: (word, name of the shape).
pub(super) fn one_of_by(field: &str, words: &[(&str, &str)]) -> RefOr<Schema> {
    let mut names: Vec<_> = words.iter().map(|(_, name)| *name).collect();
    names.sort_unstable();
    names.dedup();
    let to = |name: &str| format!("#/components/schemas/{name}");
    let one = names.iter().fold(OneOfBuilder::new(), |one, name| one.item(RefOr::<Schema>::Ref(Ref::from_schema_name(*name))));
    let by = Discriminator::with_mapping(field, words.iter().map(|(word, name)| ((*word).to_owned(), to(name))));
    RefOr::T(Schema::OneOf(one.discriminator(Some(by)).build()))
}

/// An Idempotency-Key.
pub(super) fn key() -> RefOr<Schema> {
    pattern(format!("^[!-~]{{1,{}}}$", super::KEY_BYTES_MAX))
}

/// A cursor of a list.
pub(super) fn cursor() -> RefOr<Schema> {
    pattern("^c[0-9a-f]{1,8}$")
}

/// An event's number: `0` is the beginning.
pub(super) fn event() -> RefOr<Schema> {
    pattern("^(0|(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,8}))$")
}

/// The shape of a parameter in a path, and what it is.
pub(super) fn path_parameter(name: &str) -> (RefOr<Schema>, &'static str) {
    match name {
        "tenant" => (pattern(decimal(u64::from(u32::MAX))), "The tenant."),
        "conversation" => (pattern("^(?!0+$)[0-9a-fA-F]{1,32}$"), "The conversation: 1 to 32 hexadecimal digits, not 0."),
        "contact" => (pattern(decimal(u64::MAX)), "The contact, as decimal text."),
        "agent" | "seat" => (pattern(decimal(u64::MAX)), "The agent, which is the seat's id too, as decimal text."),
        "account" => (pattern(decimal(u64::from(u32::MAX))), "The channel account."),
        "id" => (pattern(decimal(u64::from(u32::MAX))), "The webhook."),
        "event" => (event(), "The event."),
        "slug" => (pattern("^[a-z-]{1,64}$"), "The problem's slug."),
        _ => (any_text(), "An id."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pattern read by hand, so that no regular-expression engine is needed: alternatives of classes and counts.
    fn fits(pattern: &str, text: &str) -> bool {
        let body = pattern.trim_start_matches("^(?:").trim_end_matches(")$");
        body.split('|').any(|alternative| {
            let (mut rest, mut of) = (text.bytes().peekable(), alternative.bytes().peekable());
            while let Some(byte) = of.next() {
                let (low, high) = if byte == b'[' {
                    let class: Vec<_> = of.by_ref().take_while(|b| *b != b']').collect();
                    (class[0], class[2])
                } else {
                    (byte, byte)
                };
                let (mut least, mut most) = (1, 1);
                if of.peek() == Some(&b'{') {
                    let count = String::from_utf8(of.by_ref().skip(1).take_while(|b| *b != b'}').collect()).unwrap_or_default();
                    let parts: Vec<usize> = count.split(',').filter_map(|part| part.parse().ok()).collect();
                    (least, most) = (parts[0], *parts.last().unwrap_or(&0));
                }
                let mut taken = 0;
                while taken < most && rest.peek().is_some_and(|b| (low..=high).contains(b)) {
                    rest.next();
                    taken += 1;
                }
                if taken < least {
                    return false;
                }
            }
            rest.next().is_none()
        })
    }

    #[test]
    fn decimals_are_exact_at_their_limits() {
        for max in [u64::from(u32::MAX), u64::MAX, 99, 10, 1_000] {
            let pattern = decimal(max);
            for near in [1, 9, 10, max / 2, max / 10, max - 1, max] {
                if (1..=max).contains(&near) {
                    assert!(fits(&pattern, &near.to_string()), "{near} within {max}: {pattern}");
                }
            }
            for out in [0, u128::from(max) + 1, u128::from(max) * 10, u128::from(max) + 10] {
                assert!(!fits(&pattern, &out.to_string()), "{out} past {max}: {pattern}");
            }
            assert!(!fits(&pattern, "01") && !fits(&pattern, "") && !fits(&pattern, "+1"));
        }
    }
}
