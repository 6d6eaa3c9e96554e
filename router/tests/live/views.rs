//! Views and signals beside the log, on a real node by its ports: standings, what a desk sees before it accepts, typing,
//! catalogues; and that a standing is there again as soon as a node is.

use crate::support::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_journal::RealDisk;
use tidegate_model::ids::{ConversationId, OfferId, SeatId};
use tidegate_model::input::{ContactRequest, FirstOwner, InboundAct, SeatAct};
use tidegate_model::name::{ClassName, Level, QueueName, ReasonName, SkillName};
use tidegate_model::output::SeatNotice;
use tidegate_model::port::{Egress, Ingress, SeatPort, SeatSink, Standing};
use tidegate_router::node::{IfActive, Node, NodeHandle, PolicyText};

const WITH_GOLD: &str = "\n[[class]]\nname = \"gold\"\nhead_start = \"10min\"\n";

async fn standing(node: &NodeHandle, of: &Customer, position: u32, waiting: u32) -> Standing {
    within("a standing", async {
        loop {
            let found = node.standing(TENANT, of.conversation);
            match found {
                Some(found) if (found.position, found.waiting) == (position, waiting) => return found,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

async fn stands_nowhere(node: &NodeHandle, of: &Customer) {
    within("no standing", async {
        while node.standing(TENANT, of.conversation).is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn begins(customer: &Customer, request: ContactRequest) {
    customer.act(fresh(), InboundAct::Begin { with: FirstOwner::Queue, request }).await.expect("taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standings_follow_the_queue_from_arrival_to_exit() {
    let mut own = tenant(1, 1, 1);
    own.policy = Some(PolicyText { file: "policy.toml".to_owned(), text: format!("{POLICY}{WITH_GOLD}") });
    let node = node_with(config(vec![own])).await;
    let [anna, ben, gold] = [77, 78, 79].map(|id| Customer::new(&node, TENANT, WEB, id));
    begins(&anna, ContactRequest::default()).await;
    begins(&ben, ContactRequest::default()).await;
    let found = standing(&node, &ben, 2, 2).await;
    assert_eq!((found.queue, found.wait), (QueueName::of("sales"), None), "nobody has left yet: no honest interval");
    begins(&gold, ContactRequest { class: ClassName::of("gold"), ..ContactRequest::default() }).await;
    standing(&node, &gold, 1, 3).await;
    standing(&node, &anna, 2, 3).await;
    // Whoever is being offered keeps his place until he is assigned.
    let desk = Desk::open(&node, TENANT, 1);
    desk.sign_in().await;
    let (offer, conversation) = within("an offer", desk.offer()).await;
    assert_eq!(conversation, gold.conversation);
    standing(&node, &anna, 2, 3).await;
    desk.accept(offer).await;
    standing(&node, &anna, 1, 2).await;
    stands_nowhere(&node, &gold).await;
    // Handed on, it waits again with its seniority; an exit brings those behind it forward.
    let claim = within("the claim", desk.claim(offer)).await.0;
    desk.act(SeatAct::Pause { reason: ReasonName::NONE }).await.expect("taken");
    desk.act(SeatAct::Transfer { claim, to: tidegate_model::input::TransferTo::Queue(QueueName::of("sales")) })
        .await
        .expect("taken");
    standing(&node, &ben, 3, 3).await;
    anna.act(fresh(), InboundAct::Leave).await.expect("taken");
    standing(&node, &ben, 2, 2).await;
    stands_nowhere(&node, &anna).await;
    assert_eq!(node.standing(tidegate_model::TenantId(2), ben.conversation), None, "another tenant's is nobody's");
    let gauge = node.gauges().read().into_iter().find(|gauge| gauge.name == "standing_contacts").expect("listed");
    assert_eq!(gauge.length, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_node_knows_who_stands_where() {
    let dir = tempfile::tempdir().expect("a directory");
    let start = async || {
        let disk = RealDisk::open(dir.path()).expect("a disk");
        Node::start(config(vec![tenant(1, 1, 1)]), disk, &tokio::runtime::Handle::current()).await.expect("started")
    };
    let node = start().await;
    for id in 1..=20 {
        Customer::new(&node, TENANT, WEB, id).begin().await;
    }
    node.drain().await.expect("drained");
    drop(node);
    let node = start().await;
    // At once, before anything else is said.
    for id in 1..=20 {
        let found = node.standing(TENANT, ConversationId(id)).expect("it waits");
        assert_eq!((found.position, found.waiting), (id as u32, 20));
    }
    node.drain().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_is_told_what_was_asked_for_and_whether_it_came_back() {
    let node = node(2, 1).await;
    let anna = Customer::new(&node, TENANT, WEB, 77);
    node.introduce(TENANT, anna.conversation, "王女士");
    let mut request = ContactRequest { class: ClassName::of("regular"), ..ContactRequest::default() };
    request.skills[0] = (SkillName::of("sales"), Level(3));
    let desks = [Desk::open(&node, TENANT, 1), Desk::open(&node, TENANT, 2)];
    desks[0].sign_in().await;
    begins(&anna, request).await;
    let (offer, conversation) = within("an offer", desks[0].offer()).await;
    let context = node.context(TENANT, conversation).await.expect("known");
    assert_eq!((context.account, context.class, context.returned), (WEB, ClassName::of("regular"), false));
    assert_eq!(
        (context.skills.as_slice(), context.customer.as_deref()),
        ([(SkillName::of("sales"), Level(3))].as_slice(), Some("王女士"))
    );
    desks[0].act(SeatAct::Decline { offer, reason: ReasonName::of("busy") }).await.expect("taken");
    desks[1].sign_in().await;
    let (_, conversation) = within("the next offer", desks[1].offer()).await;
    assert!(node.context(TENANT, conversation).await.expect("known").returned);
    assert_eq!(node.context(TENANT, ConversationId(5)).await, None);
}

#[derive(Default)]
struct Heard {
    typing: AtomicU64,
    policies: AtomicU64,
    offer: AtomicU64,
    claim: AtomicU64,
}

impl Egress for Heard {
    fn wake(&self, _: ConversationId, _: u32) {}
    fn typing(&self, _: ConversationId, seat: SeatId) {
        self.typing.fetch_add(seat.0, Ordering::AcqRel);
    }
}

impl SeatSink for Heard {
    fn notice(&self, notice: SeatNotice) {
        match notice {
            SeatNotice::Offered { offer, .. } => self.offer.store(offer.0, Ordering::Release),
            SeatNotice::Assigned { claim, .. } => self.claim.store(claim.0, Ordering::Release),
            _ => {}
        }
    }
    fn wake(&self, _: ConversationId, _: u32) {}
    fn replaced(&self) {}
    fn typing(&self, conversation: ConversationId) {
        self.typing.fetch_add(conversation.0 as u64, Ordering::AcqRel);
    }
    fn policy_changed(&self) {
        self.policies.fetch_add(1, Ordering::AcqRel);
    }
}

async fn until(what: &str, value: &AtomicU64, done: impl Fn(u64) -> bool) -> u64 {
    within(what, async {
        loop {
            let found = value.load(Ordering::Acquire);
            if done(found) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_reaches_who_has_the_claim_and_the_customer_and_is_limited() {
    let node = node(2, 1).await;
    let anna = Customer::new(&node, TENANT, WEB, 77);
    let (page, seat) = (Arc::<Heard>::default(), Arc::<Heard>::default());
    let _page = Ingress::watch(&node, TENANT, anna.conversation, page.clone());
    let desk = Desk::acting(&node, TENANT, 2);
    let _seat = SeatPort::watch(&node, TENANT, SeatId(2), seat.clone());
    desk.sign_in().await;
    anna.begin().await;
    // Nobody has the claim yet: neither side's typing goes anywhere.
    assert!(!node.live().customer_types(TENANT, anna.conversation));
    assert!(!node.live().agent_types(TENANT, SeatId(2), anna.conversation));
    let offer = until("an offer", &seat.offer, |offer| offer != 0).await;
    desk.accept(OfferId(offer)).await;
    // A signal that comes before the claim is known goes nowhere; the notice is told after everything that it changes.
    until("the claim", &seat.claim, |claim| claim != 0).await;
    Ingress::typing(&node, TENANT, anna.conversation);
    Ingress::typing(&node, TENANT, anna.conversation);
    assert_eq!(until("the desk hears", &seat.typing, |sum| sum != 0).await, 77, "once, not twice");
    SeatPort::typing(&node, TENANT, SeatId(1), anna.conversation);
    SeatPort::typing(&node, TENANT, SeatId(2), anna.conversation);
    assert_eq!(until("the page hears", &page.typing, |sum| sum != 0).await, 2, "of the seat that serves it, not of another");
    assert!(!node.live().agent_types(TENANT, SeatId(2), anna.conversation), "one in two seconds");
    // Nothing of it is in the transcript.
    let kinds = anna.node_transcript().await.len();
    assert_eq!(kinds, 3, "began, queued, assigned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalogue_follows_the_active_policy_and_desks_are_told() {
    let node = node(1, 1).await;
    let seat = Arc::<Heard>::default();
    let _seat = SeatPort::watch(&node, TENANT, SeatId(1), seat.clone());
    let first = SeatPort::catalogue(&node, TENANT, SeatId(1)).await.expect("known");
    assert_eq!((first.agent.as_str(), first.queues.len(), first.desk.warn.0), ("agent 1", 1, 100_000));
    assert_eq!(SeatPort::catalogue(&node, TENANT, SeatId(9)).await, None);
    let text = format!("{POLICY}\n[desk]\nwarn_after = \"30s\"\npause = [{{ code = \"lunch\", en = \"Lunch\", zh = \"午餐\" }}]\n");
    let source = PolicyText { file: "next.toml".to_owned(), text };
    node.activate(TENANT, source, IfActive::Any, false).await.expect("activated");
    until("the desk hears", &seat.policies, |count| count > 0).await;
    let next = SeatPort::catalogue(&node, TENANT, SeatId(1)).await.expect("known");
    assert_eq!((next.desk.warn.0, next.desk.pause[0].zh.as_str()), (30_000, "午餐"));
    assert!(!next.desk.wrap_up.is_empty(), "defaults where the table says nothing");
}
