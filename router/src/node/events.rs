//! The node's events for those who serve them: pages read off the runtime's threads, names, bodies of messages.
//!
//! Reading goes to the disk, so it happens on blocking threads, as many at once as transcripts may. A body is read through
//! the transcript and only taken when number, kind and time are the event's: a conversation that began anew has the same
//! numbers again. It refuses to know how events leave.

use super::NodeHandle;
use crate::events::{Body, Cursor, Event, Events, Fact, Names, Page, ReadEventsError};
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::file::FileRef;
use tidegate_model::ids::{ConversationId, TenantId};
use tidegate_model::output::Item;
use tidegate_model::port::{Ingress as _, PortError};
use tokio::sync::OwnedSemaphorePermit;

/// Streams of events at once.
pub const EVENT_STREAMS_MAX: usize = 256;
/// Events and bytes of records that one read gives.
const PAGE_EVENTS: usize = 256;
const PAGE_BYTES: usize = 256 << 10;
/// How often, and after which pause, a body is asked for again while too many reads are under way.
const BODY_ASKED_MAX: u32 = 20;
const BODY_AGAIN: Duration = Duration::from_millis(50);

impl NodeHandle {
    /// The node's events, if it keeps them.
    pub fn events(&self) -> Option<&Events> {
        self.inner.events.as_ref()
    }

    /// A place among the streams; `None` while all are taken.
    pub(crate) fn stream_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.streams).try_acquire_owned().ok()
    }

    /// The next page behind a cursor, and the cursor behind it.
    ///
    /// # Errors
    /// [`ReadEventsError`]. A node without events, or one whose runtime ends, gives an empty page.
    pub(crate) async fn event_page(&self, mut cursor: Cursor, tenant: TenantId) -> Result<(Cursor, Page), ReadEventsError> {
        let Some(events) = self.inner.events.clone() else { return Ok((cursor, Page::default())) };
        let permit = Arc::clone(&self.inner.reads).acquire_owned().await;
        let read = self.inner.runtime.spawn_blocking(move || {
            let _permit = permit;
            let page = events.read(&mut cursor, tenant, PAGE_EVENTS, PAGE_BYTES)?;
            Ok((cursor, page))
        });
        read.await.unwrap_or(Ok((cursor, Page::default())))
    }

    /// Adds the names of the tenant's active policy; whether the node could answer. Where it could not, symbols are shown.
    pub(crate) async fn learn_names(&self, tenant: TenantId, names: &mut Names) -> bool {
        let policy = self.query(tenant, |machine| machine.policy().cloned()).await;
        if let Ok(Some(policy)) = &policy {
            names.learn(policy);
        }
        policy.is_ok()
    }

    /// The body of a message event.
    pub(crate) async fn event_body(&self, event: &Event) -> Body {
        let (conversation, n) = match event.fact {
            Fact::MessageFromCustomer { conversation, n } | Fact::MessageFromAgent { conversation, n, .. } => (conversation, n),
            _ => return Body::Withheld,
        };
        for _ in 0..BODY_ASKED_MAX {
            match self.item(event.tenant, conversation, n).await {
                Ok(Some(item)) if item.at == event.at && item.item.is_file() => {
                    return FileRef::decode(&item.body, 0).map_or(Body::Gone, |file| Body::File(file.facts()));
                }
                Ok(Some(item)) if item.at == event.at && is_message(&item.item) => {
                    return Body::Text(String::from_utf8_lossy(&item.body).into_owned());
                }
                Err(PortError::Busy { .. }) => tokio::time::sleep(BODY_AGAIN).await,
                _ => return Body::Gone,
            }
        }
        Body::Gone
    }

    async fn item(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        n: u32,
    ) -> Result<Option<tidegate_model::port::TranscriptItem>, PortError> {
        let items = self.transcript(tenant, conversation, n.saturating_sub(1), 1).await?;
        Ok(items.into_iter().next().filter(|item| item.n == n))
    }
}

const fn is_message(item: &Item) -> bool {
    matches!(item, Item::FromCustomer | Item::FromSeat { .. })
}
