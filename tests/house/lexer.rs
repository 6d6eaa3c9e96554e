//! Just enough of Rust's lexical grammar to tell code from comments and literals.
//!
//! [`code_only`] blanks comments, string, byte string, raw string and char literals, and keeps every newline, so that line
//! numbers stay true. It knows nested block comments and lifetimes; it refuses to know anything about syntax.
//! [`without_tests`] further blanks everything from the first `#[cfg(test)] mod` on, which stands last in our files.

/// The text with comments and literals turned into spaces; newlines stay.
pub fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => block_end(bytes, at),
            b'"' => string_end(bytes, at + 1),
            b'r' if starts_word(bytes, at) => raw_end(bytes, at + 1).unwrap_or(at),
            b'b' if starts_word(bytes, at) && bytes[at..].starts_with(b"br") => raw_end(bytes, at + 2).unwrap_or(at),
            b'\'' => char_end(bytes, at).unwrap_or(at),
            _ => at,
        };
        for byte in &mut kept[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    // Whole literals and comments were blanked byte by byte, so the rest is valid UTF-8 again.
    String::from_utf8(kept).unwrap_or_default()
}

/// Code only, and nothing from the first `#[cfg(test)]` module on.
pub fn without_tests(text: &str) -> String {
    let code = code_only(text);
    let mut kept = String::with_capacity(code.len());
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let opens_tests = line.trim() == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.trim_start().starts_with("mod ") && next.trim_end().ends_with('{'));
        if opens_tests {
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// Whether `word` stands in `line` as a whole word.
pub fn has_word(line: &str, word: &str) -> bool {
    let bytes = line.as_bytes();
    line.match_indices(word).any(|(at, _)| {
        let after = at + word.len();
        (at == 0 || !is_word(bytes[at - 1])) && (after == bytes.len() || !is_word(bytes[after]))
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    at == 0 || !is_word(bytes[at - 1])
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

fn block_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a raw string whose `r` ended just before `at`; none if there is no raw string.
fn raw_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(at + hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let body = at + hashes + 1;
    let found = bytes[body..].windows(close.len()).position(|window| window == close);
    Some(found.map_or(bytes.len(), |length| body + length + close.len()))
}

/// The end of a char literal; none if the quote opens a lifetime.
fn char_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&b'\\') {
        let close = bytes.iter().skip(at + 3).position(|byte| *byte == b'\'')?;
        return Some(at + 3 + close + 1);
    }
    // One character of one to four bytes, then the closing quote.
    (2..=5).map(|length| at + length).find(|end| bytes.get(*end) == Some(&b'\'')).and_then(|end| {
        let one = std::str::from_utf8(&bytes[at + 1..end]).ok()?.chars().count() == 1;
        one.then_some(end + 1)
    })
}

#[test]
fn comments_and_literals_vanish_and_lines_stay() {
    let text = "a /* b /* c */ d */ e // f\n\"g \\\" h\" 'i' '\\'' &'j k r#\"l \" m\"# n br\"o\" '好' p";
    let code = code_only(text);
    assert_eq!(code.lines().count(), 2);
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "e", "&'j", "k", "n", "p"]);
}

#[test]
fn tests_at_the_end_are_cut_and_words_are_whole() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\n";
    assert_eq!(without_tests(text), "fn a() {}\n");
    assert_eq!(without_tests("#[cfg(test)]\nmod tests;\nfn c() {}\n").lines().count(), 3);
    assert!(has_word("an unsafe block", "unsafe") && !has_word("unsafe_code", "unsafe"));
}
