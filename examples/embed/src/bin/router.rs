//! The router as a crate, in a thread of its own: no network, no disk, and a caller that knows nothing of async.
use std::sync::{Arc, mpsc};
use tidegate_model::input::*;
use tidegate_model::output::SeatNotice;
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery};
use tidegate_model::port::{Ingress, SeatPort, SeatSink};
use tidegate_model::{ids::*, limits::Limits};
use tidegate_router::cell::{CellConfig, MemoryLog};
use tidegate_router::node::{Node, NodeConfig, NodeHandle, PolicyText, TenantConfig};

const TENANT: TenantId = TenantId(1);
const POLICY: &str = "name = \"p\"\nselection = \"longest-idle\"\ndefault_queue = \"all\"\ndefault_class = \"any\"\n\
                      [[class]]\nname = \"any\"\n[[queue]]\nname = \"all\"\n";

/// Where offers to a seat arrive.
struct Desk(mpsc::SyncSender<SeatNotice>);

impl SeatSink for Desk {
    fn notice(&self, notice: SeatNotice) {
        let _ = self.0.try_send(notice);
    }
    fn wake(&self, _conversation: ConversationId, _n: u32) {}
    fn replaced(&self) {}
}

fn start(runtime: &tokio::runtime::Runtime) -> NodeHandle {
    let account = AccountProfile { name: "web".into(), delivery: Delivery::View, weight: 1, queue: String::new() };
    let agent = AgentProfile { name: "Lin".into(), skills: Vec::new(), units: 1, cost_ms: 0 };
    let policy = Some(PolicyText { file: "policy.toml".into(), text: POLICY.into() });
    let (accounts, agents) = (vec![(AccountId(1), account)], vec![(SeatId(7), agent)]);
    let tenants = vec![TenantConfig { id: TENANT, limits: Limits::SMALL, accounts, policy, agents }];
    let (name, cell, live, push) = ("embedded".into(), CellConfig::default(), Default::default(), Vec::new());
    let (policy_texts, events, webhooks, traces) = (None, None, None, None);
    let config = NodeConfig { name, cell, live, tenants, push, policy_texts, events, webhooks, traces };
    runtime.block_on(Node::start_in_memory(config, MemoryLog::keeping(1 << 24), runtime.handle())).expect("it starts")
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a thread");
    let node = start(&runtime);
    let (offers, arrive) = mpsc::sync_channel(16);
    let _watch = SeatPort::watch(&node, TENANT, SeatId(7), Arc::new(Desk(offers)));
    let seat = |n, act| {
        let input = SeatInput { seat: SeatId(7), command: CommandId(n), act };
        runtime.block_on(node.command(TENANT, input)).expect("taken")
    };
    seat(1, SeatAct::SignIn);
    seat(2, SeatAct::Ready);
    let act = InboundAct::Begin { with: FirstOwner::Queue, request: ContactRequest::default() };
    let (conversation, event, customer) = (ConversationId(5), EventId(1), CustomerId::NONE);
    let begin = Inbound { account: AccountId(1), conversation, event, customer, known_n: 0, act };
    println!("the contact: {:?}", runtime.block_on(node.accept(TENANT, begin)).expect("decided"));
    let offer = arrive.iter().find_map(|n| if let SeatNotice::Offered { offer, .. } = n { Some(offer) } else { None });
    println!("accepted: {:?}", seat(3, SeatAct::Accept { offer: offer.expect("an offer") }));
    runtime.block_on(node.drain()).expect("drained");
}
