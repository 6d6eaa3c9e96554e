//! Targets of `tidegate-model`: the encoding of log entries.
//!
//! Properties: decoding is total; what decodes is encoded back to an entry that decodes to the same input; the keys at fixed
//! offsets, which are read without decoding, agree with the decoded entry.

use tidegate_model::codec;
use tidegate_model::file::{FILE_NAME_BYTES_MAX, FileRef, MEDIA_TYPE_BYTES_MAX, clean_name};
use tidegate_model::input::{Inbound, InboundAct, Input, SeatAct, SeatInput};

/// Any bytes as a log entry.
///
/// # Panics
/// When an entry changes by being encoded again, or its keys at fixed offsets disagree with it.
pub fn entry_codec(data: &[u8]) {
    // Total on any bytes, entry or not.
    let _ = (codec::precedence(data), codec::key(data), codec::event(data), codec::tenant(data));
    let Ok(entry) = codec::decode(data) else { return };
    assert_eq!(codec::tenant(data), Some(entry.tenant), "the tenant at its fixed offset");
    match &entry.input {
        Input::Inbound(inbound) => {
            assert_eq!(codec::key(data), inbound.conversation.0, "the conversation at its fixed offset");
            assert_eq!(codec::event(data), inbound.event.0, "the event at its fixed offset");
        }
        Input::Seat(seat) => {
            assert_eq!(codec::key(data), u128::from(seat.seat.0), "the seat at its fixed offset");
            assert_eq!(codec::event(data), seat.command.0, "the command at its fixed offset");
        }
        Input::Effects(results) => {
            // One result is at least a byte of input, so the walk is bounded; it ends by itself.
            assert!(codec::effect_results(results.packed).count() <= data.len());
        }
        _ => {}
    }
    if let Input::Inbound(Inbound { act: InboundAct::File { file }, .. })
    | Input::Seat(SeatInput { act: SeatAct::SendFile { file, .. }, .. }) = &entry.input
    {
        assert!(codec::holds_body(data), "a file's entry holds what is said of it");
        assert!(file.name.len() <= FILE_NAME_BYTES_MAX && file.media_type.len() <= MEDIA_TYPE_BYTES_MAX);
        let cleaned = clean_name(file.name);
        assert!(cleaned.len() <= file.name.len() && clean_name(&cleaned) == cleaned, "cleaning ends");
        let renamed = FileRef { name: &cleaned, bytes: 1, media_type: "a/b", ..*file };
        assert!(cleaned.is_empty() || renamed.check().is_ok(), "a cleaned name is fit");
    }
    let mut again = Vec::with_capacity(data.len());
    codec::encode(&mut again, entry.tenant, &entry.input);
    codec::stamp(&mut again, entry.seq, entry.at);
    assert_eq!(codec::decode(&again), Ok(entry), "an entry changed by being encoded again");
    assert_eq!(codec::precedence(&again), codec::precedence(data), "precedence changed by encoding again");
}
