//! Targets of `tidegate-channels`: frames of both protocols, and tokens.
//!
//! Properties: a connection's machine takes any frames in any state without a panic, says only JSON with a type, and numbers
//! its items without a gap (the machines' own entry points check it); no text but a token that was minted is accepted, not
//! one changed in a single place, and none for the other door.

use std::sync::{Arc, OnceLock};

use tidegate_channels::auth::{Key, KeyRing, TokenAuthority};
use tidegate_channels::{desk, web};
use tidegate_model::port::{AgentGrant, Authenticator, CustomerGrant};
use tidegate_model::{AccountId, ConversationId, CustomerId, SeatId, TenantId};

use crate::bytes::Choices;

/// Any bytes as frames of a customer's connection.
///
/// # Panics
/// As `web::fuzz_frame`.
pub fn web_frames(data: &[u8]) {
    web::fuzz_frame(data);
}

/// Any bytes as frames of a desk's connection.
///
/// # Panics
/// As `desk::fuzz_frame`.
pub fn desk_frames(data: &[u8]) {
    desk::fuzz_frame(data);
}

/// Any bytes as a file on its way in.
///
/// # Panics
/// As `files::fuzz_upload`.
pub fn uploads(data: &[u8]) {
    tidegate_channels::files::fuzz_upload(data);
}

/// Any bytes as a token, and as edits of good ones.
///
/// # Panics
/// When something is accepted that was not minted, or a minted token is refused.
pub fn tokens(data: &[u8]) {
    let authority = authority();
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(authority.customer(text).is_err() && authority.agent(text).is_err(), "a token that nobody minted is accepted");
    }
    let mut choices = Choices::new(data);
    let customer = choices.byte().is_multiple_of(2);
    let minted = if customer { mint_customer(&mut choices) } else { mint_agent(&mut choices) };
    let mut edited = minted.clone().into_bytes();
    while !choices.is_done() {
        let at = choices.below(edited.len());
        match choices.byte() % 3 {
            0 => edited[at] = choices.byte() & 0x7F,
            1 => edited.insert(at, choices.byte() & 0x7F),
            _ if edited.len() > 1 => drop(edited.remove(at)),
            _ => {}
        }
    }
    let edited = String::from_utf8(edited).expect("edits are ASCII");
    let (as_customer, as_agent) = (authority.customer(&edited).is_ok(), authority.agent(&edited).is_ok());
    let good = edited == minted;
    assert_eq!((as_customer, as_agent), (good && customer, good && !customer), "an edited token at a door");
}

fn authority() -> &'static TokenAuthority {
    static AUTHORITY: OnceLock<TokenAuthority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let ring = KeyRing::new(vec![Key::new("fuzz", *b"a secret of the fuzz targets, no other")]).expect("a good key");
        TokenAuthority::new(ring, Arc::new(|| 1_000_000))
    })
}

fn mint_customer(choices: &mut Choices<'_>) -> String {
    let grant = CustomerGrant {
        tenant: TenantId(choices.byte().into()),
        account: AccountId(choices.byte().into()),
        conversation: ConversationId(choices.word().into()),
        customer: CustomerId(choices.byte().into()),
    };
    authority().mint_customer(&grant, 600).expect("a grant is signed")
}

fn mint_agent(choices: &mut Choices<'_>) -> String {
    let grant = AgentGrant { tenant: TenantId(choices.byte().into()), seat: SeatId(choices.word().into()) };
    authority().mint_agent(&grant, 600).expect("a grant is signed")
}
