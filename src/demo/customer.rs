//! Customers: each a web-channel connection of its own, at its own time, as long as its patience.

use super::clock::Scaled;
use super::history::{Histories, Visit as History};
use super::{TENANT, until};
use indicatif::ProgressBar;
use std::sync::Arc;
use std::time::Duration;
use tidegate_channels::TokenAuthority;
use tidegate_channels::client::web::{Begin, ItemSeen, WebClient, WebEvent};
use tidegate_channels::client::{Ack, ClientError};
use tidegate_channels::ids;
use tidegate_model::port::CustomerGrant;
use tidegate_sim::bank::policy as bank;
use tidegate_sim::bank::{Course, Visit};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// The inbox's name.
pub const INBOX: &str = "bank";
/// A token's life, in seconds.
const TOKEN_S: u64 = 86_400;
/// How long a contact may take to come to its end once everything that it waits for is over.
const END_WITHIN: Duration = Duration::from_secs(20);

/// All customers' arrivals.
pub struct Arrivals {
    /// Who mints tokens, as a site's backend would.
    pub floor: Arc<TokenAuthority>,
    /// Where the node is.
    pub base: String,
    /// The clocks.
    pub clock: Scaled,
    /// Where histories go.
    pub histories: Arc<Histories>,
}

impl Arrivals {
    /// Lets everybody come at his time; returns when all have left.
    pub async fn play(self, visits: Arc<Vec<Visit>>, progress: ProgressBar) {
        let mut tasks = JoinSet::new();
        let shared = Arc::new(self);
        for place in 0..visits.len() {
            let visit = visits[place];
            until(shared.clock.wall(visit.arrive_ms)).await;
            let (shared, progress) = (shared.clone(), progress.clone());
            tasks.spawn(async move {
                let mut history = History::default();
                if let Err(error) = shared.come(&visit, &mut history).await {
                    history.fault = Some(error.to_string());
                }
                shared.histories.visit(visit.row, history);
                progress.inc(1);
            });
            while tasks.try_join_next().is_some() {}
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn come(&self, visit: &Visit, history: &mut History) -> Result<(), ClientError> {
        let conversation = ids::conversation(bank::ACCOUNT, &format!("bank-1999-row-{:06}", visit.row), true);
        let grant = CustomerGrant { tenant: TENANT, account: bank::ACCOUNT, conversation, customer: visit.customer };
        let minted = self.floor.mint_customer(&grant, TOKEN_S);
        let token = minted.map_err(|error| ClientError::Protocol { what: format!("no token: {error:?}") })?;
        let mut page = WebClient::connect(&self.base, &token, 0).await?;
        history.conversation = page.conversation().to_owned();
        let done = self.talk(&mut page, visit, history).await;
        page.close().await;
        done
    }

    async fn talk(&self, page: &mut WebClient, visit: &Visit, history: &mut History) -> Result<(), ClientError> {
        let asking = Begin {
            with_bot: true,
            queue: Some(visit.asking.queue.to_owned()),
            class: Some(visit.asking.class.to_owned()),
            tags: visit.asking.tag.iter().map(|tag| (*tag).to_owned()).collect(),
            ..Begin::default()
        };
        let began = page.begin(&asking).await?;
        history.contact = began.contact;
        match visit.course {
            Course::Phantom => self.see_end(page, history).await,
            Course::LeavesBot { at_ms } => {
                self.watch(page, history, self.clock.wall(at_ms)).await?;
                self.leave(page, history).await
            }
            Course::Asks { at_ms, gives_up_ms, handle_ms, .. } => {
                self.watch(page, history, self.clock.wall(at_ms)).await?;
                let sent = Instant::now();
                let ack = page.request_agent(&asking).await?;
                history.asked = Some((sent, Instant::now()));
                if history.contact == 0 {
                    history.contact = ack.contact;
                }
                // Patience ends the wait for an agent, not the talk with one.
                while history.assigned.is_empty() && history.exits.is_empty() && Instant::now() < self.clock.wall(gives_up_ms) {
                    self.watch_one(page, history, self.clock.wall(gives_up_ms)).await?;
                }
                if history.assigned.is_empty() && history.exits.is_empty() {
                    return self.leave(page, history).await;
                }
                let patience = self.clock.span(handle_ms) + END_WITHIN;
                match timeout(patience, self.see_end(page, history)).await {
                    Ok(done) => done,
                    Err(_) => Ok(()),
                }
            }
        }
    }

    /// Leaves; when the contact ended in the same moment, that end counts.
    async fn leave(&self, page: &mut WebClient, history: &mut History) -> Result<(), ClientError> {
        match page.leave().await {
            Ok(Ack { .. }) | Err(ClientError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
        match timeout(END_WITHIN, self.see_end(page, history)).await {
            Ok(done) => done,
            Err(_) => Ok(()),
        }
    }

    async fn see_end(&self, page: &mut WebClient, history: &mut History) -> Result<(), ClientError> {
        while history.exits.is_empty() {
            note(page.next_event().await?, history);
        }
        Ok(())
    }

    async fn watch(&self, page: &mut WebClient, history: &mut History, until: Instant) -> Result<(), ClientError> {
        while Instant::now() < until && history.exits.is_empty() {
            self.watch_one(page, history, until).await?;
        }
        Ok(())
    }

    async fn watch_one(&self, page: &mut WebClient, history: &mut History, until: Instant) -> Result<(), ClientError> {
        match tokio::time::timeout_at(until, page.next_event()).await {
            Ok(event) => note(event?, history),
            Err(_) => return Ok(()),
        }
        Ok(())
    }
}

fn note(event: WebEvent, history: &mut History) {
    let WebEvent::Item(ItemSeen { kind, seat, exit, contact, .. }) = event else { return };
    match kind.as_str() {
        "began" if history.contact == 0 => history.contact = contact,
        "queued" => history.queued = history.queued.or(Some(Instant::now())),
        "assigned" => history.assigned.push((Instant::now(), seat)),
        "ended" => {
            history.ended = history.ended.or(Some(Instant::now()));
            history.exits.push(exit);
        }
        _ => {}
    }
}
