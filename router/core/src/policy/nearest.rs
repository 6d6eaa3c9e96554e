//! "Did you mean": the nearest valid name by edit distance (Wagner and Fischer 1974), for people's errors only.

use alloc::vec::Vec;

/// The nearest of `names` to `wrong`, if it is near enough to be a slip (a third of the letters, at least one).
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let within = (wrong.chars().count() / 3).max(1);
    names.map(|name| (distance(wrong, name), name)).filter(|(d, _)| *d <= within).min().map(|(_, name)| name)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let names = ["sales", "support", "billing"];
        assert_eq!(nearest("suport", names.into_iter()), Some("support"));
        assert_eq!(nearest("salse", names.into_iter()), None, "a transposition is two edits, too many for five letters");
        assert_eq!(nearest("billings", names.into_iter()), Some("billing"));
        assert_eq!(nearest("warehouse", names.into_iter()), None);
    }
}
