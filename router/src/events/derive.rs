//! From outputs to events: a pure function of an entry's outputs and of which offers and claims are open.
//!
//! A notice that an offer is withdrawn or a claim is over names the offer and not its conversation, so the deriver remembers
//! both of every open one: as many as the tenants' limits of engagements allow. After a restart the snapshot's machines say
//! which are open ([`Deriver::seed`]); the replay goes on from there, so that events are the same as without the restart.
//! It refuses to know where events go.

use super::fact::{Event, EventNo, Fact};
use std::collections::HashMap;
use tidegate_core::Tenant;
use tidegate_model::output::{Item, Life, Output, SeatNotice};
use tidegate_model::{ContactId, ConversationId, Seq, TenantId, Timestamp};

/// See the module head.
#[derive(Debug, Default)]
pub struct Deriver {
    /// By tenant and number of the offer, which is its claim's, too.
    open: HashMap<(TenantId, u64), (ContactId, ConversationId)>,
    /// Whether decisions are events.
    decisions: bool,
}

impl Deriver {
    /// One that knows of no open offer.
    #[must_use]
    pub fn new(decisions: bool) -> Self {
        Self { open: HashMap::new(), decisions }
    }

    /// Learns a restored machine's open offers and claims. O(seats).
    pub fn seed(&mut self, machine: &Tenant) {
        let tenant = machine.id();
        for view in machine.seats() {
            let Some(seat) = machine.seat_snapshot(view.seat) else { continue };
            let offers = seat.offers.iter().map(|o| (o.offer.0, o.contact, o.conversation));
            for (id, contact, conversation) in offers.chain(seat.claims.iter().map(|c| (c.claim.0, c.contact, c.conversation))) {
                self.open.insert((tenant, id), (contact, conversation));
            }
        }
    }

    /// Offers and claims remembered.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The events among the outputs of one entry, in order, to `take`. O(outputs).
    pub fn entry(&mut self, tenant: TenantId, seq: Seq, at: Timestamp, outputs: &[Output], mut take: impl FnMut(Event)) {
        for (index, output) in outputs.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            if let Some((at, fact)) = self.fact(tenant, at, output) {
                take(Event { no: EventNo { seq, index }, tenant, at, fact });
            }
        }
    }

    fn fact(&mut self, tenant: TenantId, now: Timestamp, output: &Output) -> Option<(Timestamp, Fact)> {
        let fact = match *output {
            Output::Transcript { conversation, n, at, item, .. } => {
                let fact = match item {
                    Item::Began { contact } => Fact::ContactBegan { conversation, n, contact },
                    Item::Queued { queue } => Fact::ContactQueued { conversation, n, queue },
                    Item::FromCustomer | Item::FileFromCustomer => Fact::MessageFromCustomer { conversation, n },
                    Item::FromSeat { seat } | Item::FileFromSeat { seat } => Fact::MessageFromAgent { conversation, n, seat },
                    Item::Transferred => Fact::ContactTransferred { conversation, n },
                    // The seat's notice and the contact's record say more.
                    _ => return None,
                };
                return Some((at, fact));
            }
            Output::Contact(record) => return Some((record.ended_at, Fact::ContactEnded(record))),
            Output::Conversation { conversation, account, life: Life::Opened } => {
                Fact::ConversationOpened { conversation, account }
            }
            Output::Conversation { conversation, account, life: Life::Closed } => {
                Fact::ConversationClosed { conversation, account }
            }
            Output::Seat { seat, notice } => match notice {
                SeatNotice::Presence { presence } => Fact::PresenceChanged { seat, presence },
                SeatNotice::Offered { offer, contact, conversation, queue, waiting_since, deadline, .. } => {
                    self.open.insert((tenant, offer.0), (contact, conversation));
                    Fact::ContactOffered { conversation, contact, seat, offer, queue, waiting_since, deadline }
                }
                SeatNotice::Rescinded { offer, why } => {
                    let (contact, conversation) = self.open.remove(&(tenant, offer.0)).unwrap_or_default();
                    Fact::OfferWithdrawn { conversation, contact, seat, offer, why }
                }
                SeatNotice::Assigned { claim, contact, conversation } => {
                    self.open.insert((tenant, claim.0), (contact, conversation));
                    Fact::ContactAssigned { conversation, contact, seat, claim }
                }
                SeatNotice::WrapUp { claim, until } => {
                    let (contact, conversation) = self.open.get(&(tenant, claim.0)).copied().unwrap_or_default();
                    Fact::WrapUp { conversation, contact, seat, claim, until }
                }
                SeatNotice::Released { claim } => {
                    let (contact, conversation) = self.open.remove(&(tenant, claim.0)).unwrap_or_default();
                    Fact::ClaimReleased { conversation, contact, seat, claim }
                }
                _ => return None,
            },
            Output::PolicyActive { hash, steps_remapped } => Fact::PolicyActivated { hash, steps_remapped },
            Output::Poisoned { contact, .. } => Fact::ContactPoisoned { contact },
            Output::Decision(record) if self.decisions => return Some((record.at, Fact::Decision(record))),
            _ => return None,
        };
        Some((now, fact))
    }
}
