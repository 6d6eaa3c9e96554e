//! API tokens, records of the audit, and the masking of numbers in text.
//!
//! None of them may panic on any bytes; a token has one spelling; a record that is read is written back the same; a planted
//! number never comes through the mask.

use tidegate_model::mask::{MASKED_TEXT_BYTES_MAX, mask_text};
use tidegate_router::audit::Record;
use tidegate_router::auth::{TOKEN_BYTES, TokenText};

/// Any bytes as an API token: reading is total, and what is read has its one spelling.
pub fn api_tokens(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(read) = TokenText::read(text) {
        assert_eq!(text.len(), TOKEN_BYTES);
        assert!(text.starts_with(&format!("tg_{}_", read.id)), "the id is part of the text");
        assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "one spelling");
        assert!(!format!("{read:?}").contains(&text[16..]), "the secret is not shown");
    }
}

/// Any bytes as a line of the audit: reading is total, and what is read is the same after a writing.
pub fn audit_records(data: &[u8]) {
    if let Ok(record) = Record::read(data) {
        let again = serde_json::to_vec(&record).expect("a record is written");
        assert_eq!(Record::read(&again).expect("what was written is read"), record);
    }
}

/// Any text around a planted number: masking is total, bounded, and hides it.
pub fn masking(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let cut = text.char_indices().map(|(at, _)| at).nth(text.chars().count() / 2).unwrap_or(0);
    // A letter on each side: digits that stand next to a number make it another number.
    let planted = format!("{}电13800138000话{}", &text[..cut], &text[cut..]);
    let masked = mask_text(&planted);
    assert!(!masked.contains("13800138000"), "{planted:?} became {masked:?}");
    assert!(masked.len() <= MASKED_TEXT_BYTES_MAX * 4);
}
