//! The deciding core with a log and a clock of one's own: no runtime, no thread, no file, no network. Whatever is decided is a
//! function of the log: handled again from it, every output comes out again, digest by digest.
use tidegate_core::{Guard, Tenant, payload, policy};
use tidegate_model::input::*;
use tidegate_model::output::{Output, SeatNotice};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery};
use tidegate_model::{codec, ids::*, limits::Limits, time::Timestamp};

const TENANT: TenantId = TenantId(1);
const POLICY: &str = "name = \"p\"\nselection = \"longest-idle\"\ndefault_queue = \"all\"\ndefault_class = \"any\"\n\
                      [[class]]\nname = \"any\"\n[[queue]]\nname = \"all\"\n";

/// Your log (a file, a queue, a table), your clock, and the machine that decides.
struct Router {
    log: Vec<Vec<u8>>,
    now: u64,
    machine: Tenant,
}

impl Router {
    fn submit(&mut self, input: &Input<'_>) -> Vec<Output> {
        let mut entry = Vec::new();
        codec::encode(&mut entry, TENANT, input);
        self.now += 10;
        codec::stamp(&mut entry, Seq(self.log.len() as u64 + 1), Timestamp(self.now));
        self.log.push(entry); // make it durable here; then decide
        apply(&mut self.machine, &self.log[self.log.len() - 1])
    }
}

fn apply(machine: &mut Tenant, entry: &[u8]) -> Vec<Output> {
    let entry = codec::decode(entry).expect("an entry of our own log");
    machine.handle(entry.at, entry.seq, entry.input);
    std::iter::from_fn(|| machine.poll_output()).collect()
}

fn main() {
    let mut router = Router { log: Vec::new(), now: 0, machine: Tenant::new(TENANT, Limits::SMALL, Guard::none()) };
    let plan = policy::encode(&policy::parse("policy.toml", POLICY).expect("a good policy"));
    router.submit(&Input::Admin(Admin::Policy { hash: [1; 32], plan: &plan }));
    let account =
        payload::account(&AccountProfile { name: "web".into(), delivery: Delivery::View, weight: 1, queue: String::new() });
    router.submit(&Input::Admin(Admin::Account { account: AccountId(1), profile: &account }));
    let agent = payload::agent(&AgentProfile { name: "Lin".into(), skills: Vec::new(), units: 1, cost_ms: 0 });
    router.submit(&Input::Admin(Admin::Agent { seat: SeatId(7), profile: &agent }));
    router.submit(&Input::Seat(SeatInput { seat: SeatId(7), command: CommandId(1), act: SeatAct::SignIn }));
    router.submit(&Input::Seat(SeatInput { seat: SeatId(7), command: CommandId(2), act: SeatAct::Ready }));
    let act = InboundAct::Begin { with: FirstOwner::Queue, request: ContactRequest::default() };
    let (conversation, event, customer) = (ConversationId(5), EventId(1), CustomerId::NONE);
    let begin = Inbound { account: AccountId(1), conversation, event, customer, known_n: 0, act };
    for output in router.submit(&Input::Inbound(begin)) {
        if let Output::Seat { seat, notice: SeatNotice::Offered { offer, .. } } = output {
            println!("seat {} is offered contact {offer:?}", seat.0);
        }
    }
    let mut again = Tenant::new(TENANT, Limits::SMALL, Guard::none());
    router.log.iter().for_each(|entry| drop(apply(&mut again, entry)));
    assert_eq!(again.digests(), router.machine.digests());
    println!("{} entries replayed: the same digests", router.log.len());
}
