//! Payloads that only the core reads: agent and account profiles and policies inside administrative entries.
//!
//! Encoded by postcard behind one version byte. They are rare and small, so a library's encoding is right for them; hot
//! entries have the flat codec of `tidegate_model::codec`.

use alloc::vec::Vec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_model::policy::{AccountProfile, AgentProfile, Policy};

/// Version of the payloads' encoding.
const VERSION: u8 = 1;
/// Longest payload, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Serialising plain data into a growing vector has no failure but exhausted memory.
    postcard::to_extend(value, alloc::vec![VERSION]).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    if bytes.len() > PAYLOAD_BYTES_MAX {
        return None;
    }
    let (&version, rest) = bytes.split_first()?;
    let (value, rest) = (version == VERSION).then(|| postcard::take_from_bytes(rest).ok())??;
    rest.is_empty().then_some(value)
}

/// Payload of `Admin::Agent`.
pub fn agent(profile: &AgentProfile) -> Vec<u8> {
    encode(profile)
}

/// Payload of `Admin::Account`.
pub fn account(profile: &AccountProfile) -> Vec<u8> {
    encode(profile)
}

/// Payload of `Admin::Policy`.
pub fn policy(policy: &Policy) -> Vec<u8> {
    encode(policy)
}

/// Reads `Admin::Agent`; `None` for anything that is not one.
pub fn read_agent(bytes: &[u8]) -> Option<AgentProfile> {
    decode(bytes)
}

/// Reads `Admin::Account`.
pub fn read_account(bytes: &[u8]) -> Option<AccountProfile> {
    decode(bytes)
}

/// Reads `Admin::Policy`.
pub fn read_policy(bytes: &[u8]) -> Option<Policy> {
    decode(bytes)
}
