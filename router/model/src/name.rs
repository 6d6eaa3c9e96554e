//! Names of queues, skills, classes, tags and reasons as stable 64-bit symbols.
//!
//! A policy writes names as text; inputs carry them as symbols: the FNV-1a hash of the UTF-8 text, finished by the
//! MurmurHash3 mixer. A symbol means the same under every policy, which is how a policy swap keeps each waiting contact's
//! queue and step "by name". Two different names of one policy with equal symbols are refused when the policy loads, so a
//! collision is an error that a person reads and never a contact in the wrong queue.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Hashes `text`; never returns 0, which means "none".
pub const fn symbol(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash = mix(hash);
    if hash == 0 { 1 } else { hash }
}

/// MurmurHash3's 64-bit finaliser (Appleby): a bijection with full avalanche.
pub const fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// No name given: the default applies.
            pub const NONE: Self = Self(0);

            /// The symbol of `text`; the empty text is [`Self::NONE`].
            pub const fn of(text: &str) -> Self {
                if text.is_empty() { Self(0) } else { Self(symbol(text)) }
            }

            /// Whether no name was given.
            pub const fn is_none(self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "(#{:016x})"), self.0)
            }
        }
    };
}

name! {
    /// A queue (技能组).
    QueueName
}
name! {
    /// A skill.
    SkillName
}
name! {
    /// A priority class of customers.
    ClassName
}
name! {
    /// A tag on a request, matched by refusal rules.
    TagName
}
name! {
    /// Why: a pause, a decline, a refusal, a wrap-up code.
    ReasonName
}

/// How well a seat masters a skill: 1 (least) to 10; 0 means "not at all".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Level(pub u8);

impl Level {
    /// The highest level.
    pub const MAX: Self = Self(10);
}
