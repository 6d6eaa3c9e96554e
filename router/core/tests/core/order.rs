//! I4: within one lane no later contact is offered while an earlier eligible one waits (recorded affinity reserve apart).
//!
//! Source: DESIGN §13. Judged from the log and the decision records alone, by a checker that keeps its own naive list of who
//! waits where since when and for whom it is excluded; every queue of this policy has one step, so that a lane is known from
//! what was asked for. The checker is shown to say no.

use crate::support::{Run, apply, nightly, seed};
use std::collections::{BTreeMap, BTreeSet};
use tidegate_core::rig::RigConfig;
use tidegate_model::codec;
use tidegate_model::input::{ContactRequest, InboundAct, Input, SeatAct, TransferTo};
use tidegate_model::limits::Limits;
use tidegate_model::output::{Item, Output, Rescind, SeatNotice};
use tidegate_model::{AccountId, ClassName, ContactId, ConversationId, OfferId, QueueName, SeatId, Seq, Timestamp};

/// Both classes age alike, so both stand in the same lanes; gold ones have a head start.
const POLICY: &str = "name = \"one step\"\ndefault_queue = \"sales\"\ndefault_class = \"regular\"\n\
    skills = [\"sales\", \"support\", \"english\"]\npreferred_for = \"5s\"\nidle_close_after = \"10min\"\n\
    [[class]]\nname = \"regular\"\n[[class]]\nname = \"gold\"\nhead_start = \"30s\"\n\
    [[queue]]\nname = \"sales\"\noffer_timeout = \"10s\"\n[[queue.step]]\nname = \"a\"\nrequires = { sales = 1 }\n\
    [[queue]]\nname = \"support\"\noffer_timeout = \"8s\"\n";
const HEAD_START_MS: u64 = 30_000;
const PREFERRED_MS: u64 = 5_000;

type Lane = (QueueName, AccountId, [(u64, u8); 4]);

#[derive(Clone, Debug)]
struct Contact {
    lane: Lane,
    /// Virtual arrival, which may lie before zero.
    place: (i64, ContactId),
    excluded: BTreeSet<SeatId>,
    reserved_until: Timestamp,
    waits: bool,
}

/// A naive floor: what the log asked for, and what the outputs say of it.
#[derive(Default)]
struct Checker {
    ignore_head_start: bool,
    asked: BTreeMap<ConversationId, (AccountId, ContactRequest)>,
    contact_of: BTreeMap<ConversationId, ContactId>,
    requested: BTreeMap<ContactId, (Timestamp, AccountId, ContactRequest)>,
    contacts: BTreeMap<ContactId, Contact>,
    offers: BTreeMap<OfferId, (ContactId, SeatId)>,
    handed_on: Option<(SeatId, bool)>,
    decisions: u32,
    breaches: Vec<String>,
}

impl Checker {
    fn input(&mut self, input: &Input<'_>) {
        self.handed_on = None;
        match input {
            Input::Inbound(inbound) => match inbound.act {
                InboundAct::Begin { request, .. } | InboundAct::RequestAgent { request } => {
                    self.asked.insert(inbound.conversation, (inbound.account, request));
                }
                InboundAct::Message { .. } if !self.contact_of.contains_key(&inbound.conversation) => {
                    self.asked.insert(inbound.conversation, (inbound.account, ContactRequest::default()));
                }
                _ => {}
            },
            Input::Seat(seat) => {
                if let SeatAct::Transfer { to, .. } = seat.act {
                    self.handed_on = Some((seat.seat, matches!(to, TransferTo::Seat(_))));
                }
            }
            _ => {}
        }
    }

    fn queued(&mut self, conversation: ConversationId, queue: QueueName, at: Timestamp) {
        let (Some(&contact), Some(&(account, request))) = (self.contact_of.get(&conversation), self.asked.get(&conversation))
        else {
            return;
        };
        let again = self.requested.contains_key(&contact);
        // What a contact asked for is fixed when it is first queued: a later `Begin` of an open conversation is refused.
        let (arrived, account, request) = *self.requested.entry(contact).or_insert((at, account, request));
        let gold = request.class == ClassName::of("gold") && !self.ignore_head_start;
        let head_start = if gold { HEAD_START_MS } else { 0 };
        let mut skills = request.skills.map(|(skill, level)| (skill.0, level.0));
        skills.sort_unstable();
        let reserved = match self.handed_on {
            Some((_, to_a_seat)) => to_a_seat,
            None => !again && !request.preferred.is_none(),
        };
        let place = (arrived.0 as i64 - head_start as i64, contact);
        let excluded = self.handed_on.iter().map(|(seat, _)| *seat).collect();
        let reserved_until = if reserved { Timestamp(at.0 + PREFERRED_MS) } else { Timestamp(0) };
        let lane = (queue, account, skills);
        self.contacts.insert(contact, Contact { lane, place, excluded, reserved_until, waits: true });
    }

    fn output(&mut self, output: &Output) {
        match output {
            Output::Transcript { conversation, at, item, .. } => match item {
                Item::Began { contact } => {
                    self.contact_of.insert(*conversation, *contact);
                }
                Item::Queued { queue } => self.queued(*conversation, *queue, *at),
                Item::Ended { .. } => {
                    if let Some(contact) = self.contact_of.remove(conversation) {
                        self.contacts.remove(&contact);
                    }
                }
                _ => {}
            },
            Output::Decision(record) => {
                self.decisions += 1;
                self.offers.insert(record.offer, (record.contact, record.seat));
                let Some(winner) = self.contacts.get(&record.contact).cloned() else {
                    return self.breaches.push(format!("{record:?} is about nobody who waits"));
                };
                let earlier = self.contacts.values().find(|c| {
                    c.waits
                        && c.lane == winner.lane
                        && c.place < winner.place
                        && !c.excluded.contains(&record.seat)
                        && c.reserved_until < record.at
                });
                if let Some(earlier) = earlier {
                    self.breaches.push(format!("{:?} was offered while {:?} waited in the same lane", winner.place, earlier.place));
                }
                if winner.excluded.contains(&record.seat) {
                    self.breaches.push(format!("{:?} was offered to {:?} again", record.contact, record.seat));
                }
                if let Some(contact) = self.contacts.get_mut(&record.contact) {
                    contact.waits = false;
                }
            }
            Output::Seat { seat, notice: SeatNotice::Rescinded { offer, why } } => {
                let Some((contact, _)) = self.offers.remove(offer) else { return };
                if let Some(contact) = self.contacts.get_mut(&contact) {
                    contact.waits = true;
                    if matches!(why, Rescind::Declined | Rescind::Expired) {
                        contact.excluded.insert(*seat);
                    }
                }
            }
            _ => {}
        }
    }
}

fn judged(seed: u64, mut checker: Checker) -> Checker {
    let config = RigConfig { seats: 6, arrival_ms: 2_000, ..RigConfig::small(seed) };
    let mut run = Run::new(config, Limits::SMALL);
    let (at, entry) = (run.rig.now(), run.rig.policy_entry(POLICY, 4));
    run.push(at, entry);
    for _ in 0..nightly(8_000, 80_000) {
        let (at, mut entry) = run.rig.next();
        codec::stamp(&mut entry, Seq(run.log.len() as u64 + 1), at);
        checker.input(&codec::decode(&entry).expect("own entry").input);
        let rig = &mut run.rig;
        apply(&mut run.tenant, &entry, |o| {
            rig.observe(o);
            checker.output(o);
        });
        run.log.push(entry);
    }
    checker
}

#[test]
fn no_later_contact_is_offered_while_an_earlier_eligible_one_waits_in_its_lane() {
    for seed in seed(71)..seed(71) + nightly(2, 20) as u64 {
        let checker = judged(seed, Checker::default());
        assert!(checker.decisions > 800, "{} decisions are no judgement", checker.decisions);
        assert_eq!(checker.breaches, Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn the_checker_of_the_order_says_no() {
    let blind = Checker { ignore_head_start: true, ..Checker::default() };
    assert!(!judged(seed(71), blind).breaches.is_empty(), "it must see that head starts change the order");
}
