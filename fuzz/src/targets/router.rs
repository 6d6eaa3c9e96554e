//! Targets of `tidegate-router`: records of the event journal, files of subscriptions, places and filters that clients name,
//! traces that callers name.
//!
//! Properties: decoding any bytes is total; what decodes is encoded back to what decodes to the same; a file whose checksum
//! does not hold is refused; a place has one spelling.

use tidegate_model::{Seq, TenantId, Timestamp};
use tidegate_router::blobs::store::{decode_record as decode_file_record, encode_record as encode_file_record};
use tidegate_router::events::{EventNo, Filter, Names, cloud_event, decode_record, encode_record};
use tidegate_router::traces::{HEADERS_MAX, SecretHeaders, parent};
use tidegate_router::webhook::{Standing, Subscription, check_url, decode_letters, encode_letters};

/// Any bytes as a record of the event journal.
///
/// # Panics
/// When what was read is not read again from its own encoding, or cannot be shown.
pub fn event_records(data: &[u8]) {
    let Ok(events) = decode_record(data, TenantId(1), Seq(7)) else { return };
    let again = decode_record(&encode_record(Seq(6), Timestamp(0), &events), TenantId(1), Seq(7));
    assert_eq!(again.as_ref(), Ok(&events), "an event changes when it is written again");
    for event in &events {
        let shown = cloud_event(event, &Names::default(), &tidegate_router::events::Body::Withheld);
        assert_eq!(shown["id"], event.no.to_string().as_str());
    }
}

/// Any bytes as each of a subscription's files; a second time behind a head that holds, so that the content is reached.
///
/// # Panics
/// When what was read is not read again from its own encoding.
pub fn webhook_files(data: &[u8]) {
    for kind in 0..=3_u8 {
        let mut sealed = b"TGHOOK01".to_vec();
        sealed.push(kind);
        sealed.extend_from_slice(blake3::hash(data).as_bytes());
        sealed.extend_from_slice(data);
        for bytes in [data, &sealed] {
            if let Ok(found) = Subscription::decode(bytes) {
                assert_eq!(Subscription::decode(&found.encode()).as_ref(), Ok(&found));
            }
            if let Ok(found) = Standing::decode(bytes) {
                assert_eq!(Standing::decode(&found.encode()).as_ref(), Ok(&found));
            }
            if let Ok(found) = decode_letters(bytes) {
                assert_eq!(decode_letters(&encode_letters(found.iter())).as_ref(), Ok(&found));
            }
        }
    }
}

/// Any text as a place in the stream (`Last-Event-ID`), a filter and a receiver's URL.
///
/// # Panics
/// When a place has two spellings, or a filter names what it does not take.
pub fn event_places(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(no) = text.parse::<EventNo>() {
        assert!(no.to_string() == text || text == "0", "{text:?} is read as {no}");
    }
    if let Ok(filter) = Filter::of(text.split(',')) {
        assert_eq!(Filter::of(filter.names()).map(|same| same.names().eq(filter.names())), Ok(true));
    }
    if let Ok(uri) = check_url(text, false) {
        assert!(uri.host().is_some_and(|host| !host.is_empty()));
    }
}

/// Any bytes as a record of the file store; a second time under a checksum that holds, so that the content is reached.
///
/// # Panics
/// When what was read is not written the same again.
pub fn file_records(data: &[u8]) {
    let mut sealed = data.to_vec();
    sealed.extend_from_slice(&blake3::hash(data).as_bytes()[..16]);
    for bytes in [data, &sealed] {
        if let Some((facts, at)) = decode_file_record(bytes) {
            assert_eq!(encode_file_record(facts.as_ref(), at), bytes, "a record changes when it is written again");
        }
    }
}

/// Any text as a request's `traceparent`, and as the file of headers towards a collector.
///
/// # Panics
/// When a parent is read that is none or reads differently a second time, or when headers are shown.
pub fn trace_headers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(found) = parent(text) {
        assert!(found.is_valid() && text.len() >= 55, "{text:?}");
        let plain = format!("00-{}-{}-{:02x}", found.trace_id(), found.span_id(), found.trace_flags().to_u8());
        assert_eq!(parent(&plain).as_ref(), Some(&found), "{text:?}");
    }
    if let Ok(headers) = SecretHeaders::read(text) {
        assert!(headers.len() <= HEADERS_MAX);
        assert_eq!(format!("{headers:?}"), format!("SecretHeaders({})", headers.len()));
    }
}
