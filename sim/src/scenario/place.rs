//! Where a field stands in a scenario's text: `demand[2].patience.mean` to a line and a column.
//!
//! Checks name fields by path and know no text; this walks the parsed document along the path. A field that the text leaves to
//! its default is told at the table it would stand in. O(text), for people's errors only.

use toml::de::{DeTable, DeValue};

/// Line and column, from 1, of the deepest part of `path` that the text has.
pub(super) fn line_and_column(text: &str, path: &str) -> (u32, u32) {
    of_offset(text, offset(text, path))
}

/// Line and column, from 1, of a byte.
pub(super) fn of_offset(text: &str, offset: usize) -> (u32, u32) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line as u32, column as u32)
}

fn offset(text: &str, path: &str) -> usize {
    let Ok(document) = DeTable::parse(text) else { return 0 };
    let mut at = 0;
    let mut table = Some(document.get_ref());
    for part in path.split('.') {
        let (key, index) = match part.split_once('[') {
            Some((key, index)) => (key, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (part, None),
        };
        let Some(value) = table.and_then(|t| t.iter().find(|(k, _)| k.get_ref() == key)).map(|(_, value)| value) else { return at };
        at = value.span().start;
        let mut value = value;
        if let (Some(index), DeValue::Array(rows)) = (index, value.get_ref()) {
            let Some(row) = rows.get(index) else { return at };
            at = row.span().start;
            value = row;
        }
        table = if let DeValue::Table(inner) = value.get_ref() { Some(inner) } else { None };
    }
    at
}

#[cfg(test)]
mod tests {
    use super::line_and_column;

    #[test]
    fn a_path_is_found_and_a_missing_field_is_told_at_its_table() {
        let text = "name = \"x\"\n\n[[demand]]\nname = \"a\"\n\n[[demand]]\nname = \"b\"\nhandle = { kind = \"constant\", value = \"1s\" }\n";
        assert_eq!(line_and_column(text, "name").0, 1);
        assert_eq!(line_and_column(text, "demand[0].name").0, 4);
        assert_eq!(line_and_column(text, "demand[1].handle.value").0, 8);
        assert_eq!(line_and_column(text, "demand[1].patience.mean").0, 6);
        assert_eq!(line_and_column(text, "nowhere").0, 1);
    }
}
