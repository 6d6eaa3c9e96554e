//! What people must not read in logs: phone numbers, identity cards, bank cards, addresses of mail, and tokens.
//!
//! [`Masked`] holds one such value that is known as such: neither `Debug` nor `Display` shows more than its last digits, and
//! [`Masked::expose`] is the one word to look for in a review. [`mask_text`] finds them in free text before it becomes a log
//! line, a problem's detail or a detail of the audit: numbers by their check digits (GB 11643 for identity cards, Luhn, ISO/IEC
//! 7812, for bank cards) and mainland mobile numbers by their form, with spaces, dots and hyphens between groups and in
//! full-width digits. Hashes in hexadecimal are left alone. It masks rather too much than too little: a number of 13 digits
//! that happens to pass Luhn is masked too. It refuses to know what a text is about.
//!
//! Drive it: `Masked::<Phone>::read(text)`, `mask_text(text)`. Both are linear in the text.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

/// Longest text that is looked at, in bytes; what comes after it is left out.
pub const MASKED_TEXT_BYTES_MAX: usize = 64 * 1_024;

const CARD_DIGITS_MAX: usize = 19;
/// A run of hexadecimal digits of this length that has a letter is a hash or an id.
const HEX_RUN_MIN: usize = 24;

/// Longest name before an @ (RFC 5321, 4.5.3.1.1); a longer one keeps its beginning.
const NAME_CHARS_MAX: usize = 64;

/// What a masked value is.
pub trait Kind {
    /// Its name.
    const NAME: &'static str;

    /// Whether a text is one.
    fn is(text: &str) -> bool;
}

/// A mainland mobile number, with or without 86.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phone {}

/// A resident identity card's number: 18 digits, the last a check digit (GB 11643-1999).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdCard {}

/// A bank card's number: 13 to 19 digits that pass Luhn (ISO/IEC 7812-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BankCard {}

/// An address of mail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Email {}

/// A value that is never shown whole by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Masked<K> {
    text: String,
    kind: PhantomData<K>,
}

impl Kind for Phone {
    const NAME: &'static str = "phone";

    fn is(text: &str) -> bool {
        digits(text).is_some_and(|digits| is_phone(&digits))
    }
}

impl Kind for IdCard {
    const NAME: &'static str = "id card";

    fn is(text: &str) -> bool {
        digits(text).is_some_and(|digits| is_id_card(&digits))
    }
}

impl Kind for BankCard {
    const NAME: &'static str = "bank card";

    fn is(text: &str) -> bool {
        digits(text).is_some_and(|digits| is_card(&digits))
    }
}

impl Kind for Email {
    const NAME: &'static str = "e-mail";

    fn is(text: &str) -> bool {
        let Some((name, host)) = text.split_once('@') else { return false };
        let fits = |part: &str, extra: &[char]| {
            !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || extra.contains(&c)) && !part.starts_with('.')
        };
        text.len() <= 254 && fits(name, &['.', '_', '-', '+', '%', '\'']) && fits(host, &['.', '-']) && host.contains('.')
    }
}

impl<K: Kind> Masked<K> {
    /// Takes a text that is one; nothing for any other.
    pub fn read(text: &str) -> Option<Self> {
        K::is(text).then(|| Self { text: text.to_owned(), kind: PhantomData })
    }

    /// The value itself, for whoever must use it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    fn shown(&self) -> String {
        match self.text.split_once('@') {
            Some((_, host)) => alloc::format!("***@{host}"),
            None => masked(self.text.chars().filter_map(digit)),
        }
    }
}

impl<K: Kind> fmt::Display for Masked<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl<K: Kind> fmt::Debug for Masked<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", K::NAME, self.shown())
    }
}

/// A text with every number, address and token in it masked. O(length).
pub fn mask_text(text: &str) -> String {
    let mut end = text.len().min(MASKED_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let chars: Vec<char> = text[..end].chars().collect();
    let mut out = String::with_capacity(end);
    let mut at = 0;
    while at < chars.len() {
        let is_start = at == 0 || !is_word(chars[at - 1]) || !is_word(chars[at]);
        let found = if is_start { word(&chars, at) } else { None }.or_else(|| {
            let begins = digit(chars[at]).is_some_and(|d| d < 10) && (at == 0 || digit(chars[at - 1]).is_none_or(|d| d > 9));
            if begins { number(&chars, at) } else { None }
        });
        match found {
            Some((next, instead)) => {
                out.push_str(&instead);
                at = next;
            }
            None => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    if end < text.len() {
        out.push('…');
    }
    out
}

/// What begins at a word's start and is masked as a word: a token, an address; a hash is kept as it is.
fn word(chars: &[char], from: usize) -> Option<(usize, String)> {
    let mut end = from;
    while end < chars.len() && is_word(chars[end]) {
        end += 1;
    }
    let run = &chars[from..end];
    let is_hex = run.iter().all(|c| c.is_ascii_hexdigit());
    if run.len() >= HEX_RUN_MIN && is_hex && run.iter().any(char::is_ascii_alphabetic) {
        return Some((end, run.iter().collect()));
    }
    let starts = |with: &str| run.iter().copied().zip(with.chars()).filter(|(a, b)| a == b).count() == with.len();
    if starts("tg_") && run.len() > 16 {
        let public: String = run.iter().take(15).collect();
        return Some((end, alloc::format!("{public}_***")));
    }
    if starts("eyJ") && run.len() >= 16 {
        // A token of three parts: all that is of its alphabet goes.
        while end < chars.len() && (is_word(chars[end]) || chars[end] == '.') {
            end += 1;
        }
        return Some((end, "eyJ***".to_owned()));
    }
    // An address: the name before the @ goes.
    let mut at = end;
    while at < chars.len() && at - from < NAME_CHARS_MAX && (is_word(chars[at]) || matches!(chars[at], '.' | '+' | '%' | '\'')) {
        at += 1;
    }
    let has_host = chars.get(at) == Some(&'@') && chars.get(at + 1).is_some_and(|c| c.is_alphanumeric());
    (at > from && has_host).then(|| (at, "***".to_owned()))
}

/// The longest number that begins at a digit, over groups divided by one space, dot or hyphen.
fn number(chars: &[char], from: usize) -> Option<(usize, String)> {
    let mut found = Vec::with_capacity(CARD_DIGITS_MAX + 1);
    let mut best = None;
    let mut at = from;
    while at < chars.len() && found.len() <= CARD_DIGITS_MAX + 4 {
        match digit(chars[at]) {
            // An X stands at the end of an identity card's number alone.
            Some(10) if found.len() != 17 => break,
            Some(d) => found.push(d),
            None => {
                let divides = matches!(chars[at], ' ' | '-' | '.' | '\u{a0}' | '\u{3000}');
                if !divides || at + 1 >= chars.len() || digit(chars[at + 1]).is_none_or(|d| d > 9) {
                    break;
                }
                at += 1;
                continue;
            }
        }
        at += 1;
        let goes_on = chars.get(at).and_then(|c| digit(*c)).is_some_and(|d| d < 10);
        if !goes_on && (is_phone(&found) || is_id_card(&found) || is_card(&found)) {
            best = Some((at, masked(found.iter().copied())));
        }
    }
    best
}

/// The last four behind stars.
fn masked(digits: impl Iterator<Item = u8>) -> String {
    let digits: Vec<u8> = digits.collect();
    let mut out = "***".to_owned();
    for d in &digits[digits.len().saturating_sub(4)..] {
        out.push(if *d == 10 { 'X' } else { char::from(b'0' + d) });
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// The digits of a text that has nothing else but single dividers.
fn digits(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text.chars().count() > 2 * CARD_DIGITS_MAX {
        return None;
    }
    let mut found = Vec::new();
    for c in text.chars() {
        match digit(c) {
            Some(d) => found.push(d),
            None if matches!(c, ' ' | '-' | '.') => {}
            None => return None,
        }
    }
    Some(found)
}

/// A digit, 10 for the X of an identity card.
fn digit(c: char) -> Option<u8> {
    match c {
        '0'..='9' => Some(c as u8 - b'0'),
        '０'..='９' => u8::try_from(u32::from(c) - u32::from('０')).ok(),
        'x' | 'X' => Some(10),
        _ => None,
    }
}

fn is_phone(digits: &[u8]) -> bool {
    let national = match digits {
        [0, 0, 8, 6, rest @ ..] | [8, 6, rest @ ..] if rest.len() == 11 => rest,
        all => all,
    };
    national.len() == 11 && national[0] == 1 && (3..=9).contains(&national[1]) && national.iter().all(|d| *d < 10)
}

/// GB 11643-1999: weights 2^(17-i) mod 11, ISO 7064 MOD 11-2.
fn is_id_card(digits: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    if digits.len() != 18 || digits[..17].iter().any(|d| *d > 9) || digits[0] == 0 {
        return false;
    }
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(d, weight)| u32::from(*d) * weight).sum();
    (12 - sum % 11) % 11 == u32::from(digits[17])
}

/// ISO/IEC 7812-1, annex B.
fn is_card(digits: &[u8]) -> bool {
    if !(13..=CARD_DIGITS_MAX).contains(&digits.len()) || digits.iter().any(|d| *d > 9) || digits.iter().all(|d| *d == 0) {
        return false;
    }
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(i, d)| u32::from(*d) << (i % 2)).map(|d| if d > 9 { d - 9 } else { d }).sum();
    sum % 10 == 0
}

#[cfg(test)]
mod tests {
    //! Published examples of the check digits, forms in free text, and that nothing slips through by its neighbours.

    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use proptest::prelude::*;

    /// Examples of GB 11643-1999 itself.
    const ID_CARDS: [&str; 2] = ["11010519491231002X", "440524188001010014"];
    /// Test numbers that card schemes publish.
    const CARDS: [&str; 4] = ["4111111111111111", "5500005555555559", "6200000000000005", "378282246310005"];
    const PHONES: [&str; 3] = ["13800138000", "+8613912345678", "008618612345678"];

    fn hidden(text: &str, secret: &str) -> bool {
        let shown: String =
            mask_text(text).chars().filter_map(digit).map(|d| if d == 10 { 'X' } else { char::from(b'0' + d) }).collect();
        !shown.contains(secret.trim_start_matches('+'))
    }

    #[test]
    fn published_examples_are_known() {
        for id in ID_CARDS {
            assert!(IdCard::is(id), "{id}");
            assert_eq!(Masked::<IdCard>::read(id).expect("one").to_string(), format!("***{}", &id[14..]));
        }
        for card in CARDS {
            assert!(BankCard::is(card), "{card}");
            let mut wrong = card.to_owned();
            let last = if wrong.ends_with('9') { "8" } else { "9" };
            wrong.replace_range(card.len() - 1.., last);
            assert!(!BankCard::is(&wrong), "{wrong}");
        }
        for phone in PHONES {
            assert!(Phone::is(phone), "{phone}");
        }
        for wrong in ["", "1", "12800138000", "1380013800", "138001380001", "110105194912310021", "4111111111111112"] {
            assert!(!Phone::is(wrong) && !IdCard::is(wrong) && !BankCard::is(wrong), "{wrong}");
        }
    }

    #[test]
    fn neither_form_shows_the_value() {
        let phone = Masked::<Phone>::read("13800138000").expect("a phone");
        assert_eq!((format!("{phone}"), format!("{phone:?}")), ("***8000".to_owned(), "phone(***8000)".to_owned()));
        assert_eq!(phone.expose(), "13800138000");
        let mail = Masked::<Email>::read("lin.wei@shop.example").expect("an address");
        assert_eq!(format!("{mail} {mail:?}"), "***@shop.example e-mail(***@shop.example)");
        assert!(Masked::<Email>::read("no address").is_none());
    }

    #[test]
    fn free_text_is_masked_in_every_form() {
        let cases = [
            ("电话13800138000谢谢", "电话***8000谢谢"),
            ("call 138 0013 8000 now", "call ***8000 now"),
            ("１３８００１３８０００", "***8000"),
            ("tel=13800138000&id=11010519491231002X", "tel=***8000&id=***002X"),
            ("two 13800138000 13912345678 phones", "two ***8000 ***5678 phones"),
            ("card 4111-1111-1111-1111.", "card ***1111."),
            ("/v1/x/6200000000000005/y", "/v1/x/***0005/y"),
            ("from lin.wei@shop.example to x", "from ***@shop.example to x"),
            ("user13800138000", "user***8000"),
            ("order 12345 of 2026-11-20 10:22:33", "order 12345 of 2026-11-20 10:22:33"),
            ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln end", "Bearer eyJ*** end"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(mask_text(text), expected, "{text}");
        }
        let token = format!("tg_0123456789ab_{}", "c0".repeat(32));
        assert_eq!(mask_text(&format!("x {token} y")), "x tg_0123456789ab_*** y");
        let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert_eq!(mask_text(hash), hash);
    }

    #[test]
    fn long_texts_are_cut_at_the_limit() {
        for (length, cut) in [(MASKED_TEXT_BYTES_MAX, false), (MASKED_TEXT_BYTES_MAX + 1, true), (MASKED_TEXT_BYTES_MAX * 10, true)]
        {
            let shown = mask_text(&"a".repeat(length));
            assert_eq!(shown.ends_with('…'), cut);
            assert!(shown.len() <= MASKED_TEXT_BYTES_MAX + 3);
        }
        assert!(mask_text(&"电".repeat(MASKED_TEXT_BYTES_MAX)).ends_with('…'));
        assert_eq!(mask_text(&"1 ".repeat(MASKED_TEXT_BYTES_MAX / 2)).len(), MASKED_TEXT_BYTES_MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

        #[test]
        fn a_phone_is_hidden_between_any_words(rest in 0_u64..1_000_000_000, second in 3_u8..=9, before in "[a-z电 :=/(]{0,9}", after in "[a-z话 ,;/)]{0,9}") {
            let phone = format!("1{second}{rest:09}");
            let text = format!("{before}{phone}{after}");
            prop_assert!(hidden(&text, &phone));
        }

        #[test]
        fn a_card_is_hidden_in_groups(body in proptest::collection::vec(0_u8..10, 12..=18), step in 1_usize..=6, divider in "[ .-]?") {
            let mut digits = body;
            digits[0] = 4;
            digits.push(0);
            let last = digits.len() - 1;
            let check = (0..10).find(|d| { digits[last] = *d; is_card(&digits) }).expect("a check digit");
            digits[last] = check;
            let plain: String = digits.iter().map(|d| char::from(b'0' + d)).collect();
            let grouped: Vec<String> = digits.chunks(step).map(|g| g.iter().map(|d| char::from(b'0' + d)).collect()).collect();
            let text = format!("card {} ok", grouped.join(&divider));
            prop_assert!(hidden(&text, &plain));
        }

        #[test]
        fn words_stay_and_any_text_is_taken(words in "[a-z电话àß .,:/=-]{0,80}", any in "\\PC{0,80}") {
            prop_assert_eq!(mask_text(&words), words);
            let _ = mask_text(&any);
        }
    }
}
