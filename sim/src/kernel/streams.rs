//! Random streams by purpose and entity.
//!
//! Every draw names what it is for ([`Purpose`]) and whose it is (an entity: a contact's row, an agent's number). Purposes stand
//! 2¹²⁷ steps apart, entities within a purpose 2⁷⁶ (L'Ecuyer, Simard, Chen, Kelton 2002), so that two draws never share a number
//! and a draw added for one entity moves nobody else's: common random numbers between two policies come for free.
//! Replications stand 64 streams apart. It refuses to hand out "the next" stream: there is no order in which to ask.

use super::mrg32k3a::{Jump, Mrg32k3a};
use super::sample::Uniform;

/// What random numbers are drawn for. The numbers are part of every recorded digest: never reuse or renumber one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Purpose {
    /// How long an answered caller would have waited, given that they waited as long as they did.
    PatienceGivenWait = 0,
    /// The handling time of a contact that was not served in the record.
    HandleOfUnserved = 1,
    /// Times between arrivals.
    Arrivals = 2,
    /// What kind a contact is.
    ContactKind = 3,
    /// Patience of a synthetic contact.
    Patience = 4,
    /// Handling time of a synthetic contact.
    Handle = 5,
    /// An agent's reaction to an offer: delay, decline, silence.
    OfferReaction = 6,
    /// Wrap-up time.
    WrapUp = 7,
    /// How busy the day is.
    Busyness = 8,
    /// Whether and when a customer comes again.
    Redial = 9,
    /// Faults injected by a rig.
    Faults = 10,
    /// Resampling in output analysis.
    Resampling = 11,
    /// Whether a contact is contained, called back, handed on, comes again: one number a question.
    Fate = 12,
    /// How long an AI agent takes.
    Latency = 13,
    /// How an agent differs from another.
    AgentFactor = 14,
    /// Absence: who and when.
    Shrinkage = 15,
    /// Idle time that no status shows.
    HiddenIdle = 16,
}

/// Streams reserved for one replication.
const PURPOSES_PER_REPLICATION: u64 = 64;
const LOG2_STREAM: u32 = 127;
const LOG2_SUBSTREAM: u32 = 76;
/// One stream holds 2⁵¹ substreams.
pub const MAX_ENTITY: u64 = (1 << (LOG2_STREAM - LOG2_SUBSTREAM)) - 1;

/// A stream that may be mirrored: every number u is 1 − u then. A pair of replications, one of them mirrored, has antithetic
/// draws throughout, and their mean a smaller variance where outcomes are monotone in the draws.
#[derive(Clone, Debug)]
pub struct Stream {
    generator: Mrg32k3a,
    mirrored: bool,
}

impl Stream {
    /// The generator's numbers, or their mirror images.
    pub fn new(generator: Mrg32k3a, mirrored: bool) -> Self {
        Self { generator, mirrored }
    }
}

impl Uniform for Stream {
    #[inline]
    fn next_u01(&mut self) -> f64 {
        let u = self.generator.next_u01();
        if self.mirrored { 1.0 - u } else { u }
    }
}

/// All streams of one replication of one seed.
///
/// ```
/// use tidegate_sim::kernel::{Purpose, Streams};
///
/// let streams = Streams::seeded(1999);
/// let mut patience = streams.for_(Purpose::Patience, 17);
/// let first = patience.next_u01();
/// // Asking again gives the same numbers, whatever was drawn meanwhile.
/// assert_eq!(streams.for_(Purpose::Patience, 17).next_u01().to_bits(), first.to_bits());
/// ```
#[derive(Clone, Debug)]
pub struct Streams {
    start: Mrg32k3a,
    /// `entity_jumps[k]` leaps 2ᵏ substreams.
    entity_jumps: Vec<Jump>,
    purpose_jumps: Vec<Jump>,
}

impl Streams {
    /// The streams of replication `replication` from `start`. About 0.1 ms: it prepares the jumps.
    pub fn new(start: Mrg32k3a, replication: u64) -> Self {
        // 2^6 streams a replication: the jump's length is 2^(127 + 6).
        let start = start.jumped(LOG2_STREAM + PURPOSES_PER_REPLICATION.trailing_zeros(), replication);
        Self {
            start,
            entity_jumps: doublings(LOG2_SUBSTREAM, LOG2_STREAM - LOG2_SUBSTREAM),
            purpose_jumps: doublings(LOG2_STREAM, PURPOSES_PER_REPLICATION.trailing_zeros()),
        }
    }

    /// The streams of one number, replication 0.
    pub fn seeded(seed: u64) -> Self {
        Self::new(Mrg32k3a::from_seed(seed), 0)
    }

    /// The stream of `entity` for `purpose`, always from its beginning. At most 57 matrix-vector products.
    ///
    /// # Panics
    /// If `entity` is past [`MAX_ENTITY`]: the numbers of the next purpose would begin there.
    pub fn for_(&self, purpose: Purpose, entity: u64) -> Mrg32k3a {
        assert!(entity <= MAX_ENTITY, "entity {entity} is past the {MAX_ENTITY} of one purpose");
        let at_purpose = leap(self.start, &self.purpose_jumps, u64::from(purpose as u8));
        leap(at_purpose, &self.entity_jumps, entity)
    }
}

fn doublings(log2_steps: u32, count: u32) -> Vec<Jump> {
    std::iter::successors(Some(Jump::of(log2_steps)), |jump| Some(jump.doubled())).take(count as usize).collect()
}

fn leap(mut state: Mrg32k3a, jumps: &[Jump], count: u64) -> Mrg32k3a {
    for (bit, jump) in jumps.iter().enumerate() {
        if count >> bit & 1 == 1 {
            state = state.through(jump);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_stands_where_its_numbers_say() {
        let streams = Streams::new(Mrg32k3a::PUBLISHED_SEED, 3);
        let expected = Mrg32k3a::PUBLISHED_SEED.jumped(127, 3 * 64).jumped(127, Purpose::Handle as u64).jumped(76, 1_000_003);
        assert_eq!(streams.for_(Purpose::Handle, 1_000_003), expected);
    }

    #[test]
    fn the_last_entity_is_one_substream_before_the_next_purpose() {
        let streams = Streams::seeded(1);
        let last = streams.for_(Purpose::Arrivals, MAX_ENTITY);
        assert_eq!(last.jumped(76, 1), streams.for_(Purpose::ContactKind, 0));
    }

    #[test]
    #[should_panic(expected = "is past the")]
    fn an_entity_past_the_last_is_refused() {
        Streams::seeded(1).for_(Purpose::Arrivals, MAX_ENTITY + 1);
    }
}
