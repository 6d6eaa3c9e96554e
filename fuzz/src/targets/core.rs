//! Targets of `tidegate-core`'s readers: the policy text that people write, and the payloads of administrative entries.
//!
//! Properties: reading is total; every fault names a line that exists and says what is wrong; what is accepted passes the
//! machine's own check, travels through its encoding unchanged, and means the same when written by anybody.

use tidegate_core::{payload, policy};

/// Any text as a policy file.
///
/// # Panics
/// When a fault names no place or no problem, or an accepted policy fails the machine's check or its own encoding.
pub fn policy_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match policy::parse("policy.toml", text) {
        Ok(read) => {
            assert_eq!(policy::check(&read), Ok(()), "an accepted policy fails the check");
            assert_eq!(payload::read_policy(&policy::encode(&read)), Some(read), "a policy changes on its way");
        }
        Err(errors) => {
            assert!(!errors.0.is_empty(), "refused without a fault");
            for error in &errors.0 {
                assert!(error.line as usize <= text.lines().count() + 1, "line {} of {}", error.line, text.lines().count());
                assert!(!error.problem.is_empty() && !error.field.is_empty(), "a fault without field or problem: {error}");
            }
        }
    }
}

/// Any bytes as the payload of an administrative entry.
///
/// # Panics
/// When a payload that is read changes by being written again, or judging a policy panics.
pub fn payloads(data: &[u8]) {
    if let Some(profile) = payload::read_agent(data) {
        assert_eq!(payload::read_agent(&payload::agent(&profile)), Some(profile), "an agent's profile changes on its way");
    }
    if let Some(profile) = payload::read_account(data) {
        assert_eq!(payload::read_account(&payload::account(&profile)), Some(profile), "an account's profile changes on its way");
    }
    if let Some(read) = payload::read_policy(data) {
        // Judged, whatever it is: an entry may carry anything.
        let _verdict = policy::check(&read);
        assert_eq!(payload::read_policy(&policy::encode(&read)), Some(read), "a policy changes on its way");
    }
}
