//! Where a field that a check names stands in the text: `queue "sales".step "experienced".requires` to an offset.
//!
//! The checks of a policy know rows by name and no text; this walks the parsed document along those names. A field that the
//! text leaves to its default is told at its row, a row that cannot be found at the deepest one on the way. O(text).

use toml::de::{DeTable, DeValue};

/// Offset of the field in bytes; 0 when nothing of it is found.
pub(super) fn offset_of(text: &str, field: &str) -> usize {
    let Ok(document) = DeTable::parse(text) else { return 0 };
    let mut table = document.get_ref();
    let mut at = 0;
    for (key, name) in Parts(field) {
        let Some(value) = entry(table, key) else { return at };
        at = value.span().start;
        match (value.get_ref(), name) {
            (DeValue::Table(inner), None) => table = inner,
            (DeValue::Array(rows), Some(name)) => {
                let row = rows.iter().find(|row| {
                    let DeValue::Table(row) = row.get_ref() else { return false };
                    entry(row, "name").and_then(|n| n.get_ref().as_str()) == Some(name)
                });
                let Some(row) = row else { return at };
                at = row.span().start;
                let DeValue::Table(inner) = row.get_ref() else { return at };
                table = inner;
            }
            _ => return at,
        }
    }
    at
}

fn entry<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t toml::Spanned<DeValue<'i>>> {
    table.iter().find(|(k, _)| k.get_ref() == key).map(|(_, value)| value)
}

/// The parts of a field: keys, each with the quoted name of a row where there is one.
struct Parts<'a>(&'a str);

impl<'a> Iterator for Parts<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.find(['.', ' ']).unwrap_or(self.0.len());
        let (key, rest) = self.0.split_at(end);
        let (name, rest) = match rest.strip_prefix(" \"").and_then(|quoted| quoted.split_once('"')) {
            Some((name, rest)) => (Some(name), rest),
            None => (None, rest),
        };
        self.0 = rest.trim_start_matches(['.', ' ']);
        Some((key, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"p\"\ndefault_queue = \"a\"\n\n[[queue]]\nname = \"a\"\nwrap_up = \"1s\"\n  [[queue.step]]\n  name = \"a\"\n  \
                        requires = { x = 50 }\n\n[[queue]]\nname = \"b.c\"\nlength_max = 0\n";

    #[test]
    fn a_field_is_found_by_the_names_of_its_rows() {
        let line = |field: &str| TEXT[..offset_of(TEXT, field)].matches('\n').count() + 1;
        assert_eq!(line("default_queue"), 2);
        assert_eq!(line("queue \"a\".wrap_up"), 6);
        assert_eq!(line("queue \"a\".step \"a\".requires"), 9);
        assert_eq!(line("queue \"b.c\".length_max"), 13);
        // What the text does not hold is told where it would stand.
        assert_eq!(line("queue \"b.c\".wrap_up"), 11);
        assert_eq!(line("queue \"b.c\".step \"none\".requires"), 11);
        assert_eq!(line("queue \"none\".wrap_up"), 4);
        assert_eq!(line("nothing"), 1);
        for odd in ["", ".", "\"", "queue \"", "queue \"a", " ", "queue..step"] {
            offset_of(TEXT, odd);
            offset_of("[[", odd);
        }
    }
}
