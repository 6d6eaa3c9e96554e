//! What live halves may ask the cell, and the only file of theirs that names its handle.
//!
//! Reads of state (a seat, open effects), of transcripts, of log time; and one kind of input, the results of effects. A cell
//! that is busy is asked again after the pause that it names; one that is closed answers with nothing, and the caller leaves
//! its slot as it is for the next start.

use crate::cell::CellHandle;
use arc_swap::ArcSwapOption;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::codec::pack_effect_results;
use tidegate_model::ids::{ConversationId, EffectId, SeatId, TenantId};
use tidegate_model::input::{EffectOutcome, EffectResults, Input};
use tidegate_model::output::Effect;
use tidegate_model::port::{PortError, SeatSnapshot, TranscriptItem};
use tidegate_model::time::Timestamp;

/// The way back to the cell; empty until the cell stands, and again when its node has gone.
#[derive(Clone, Default)]
pub(crate) struct Back(Arc<ArcSwapOption<CellHandle>>);

impl Back {
    /// Attaches the cell.
    pub(crate) fn attach(&self, cell: CellHandle) {
        self.0.store(Some(Arc::new(cell)));
    }

    /// Lets the cell go: its own sink holds this way back, so that nobody else would ever be the last to hold it.
    pub(crate) fn detach(&self) {
        self.0.store(None);
    }

    /// The seat as the machine sees it; nothing when the roster has no such seat or the cell is closed.
    pub(crate) async fn seat(&self, tenant: TenantId, seat: SeatId) -> Option<SeatSnapshot> {
        self.ask(|cell| async move { cell.query(tenant, move |machine| machine.seat_snapshot(seat)).await }).await.flatten()
    }

    /// Every open effect of a tenant.
    pub(crate) async fn open_effects(&self, tenant: TenantId) -> Vec<(EffectId, Timestamp, Effect)> {
        self.ask(|cell| async move { cell.query(tenant, |machine| machine.open_effects()).await }).await.unwrap_or_default()
    }

    /// Newest transcript number; 0 when there is none.
    pub(crate) fn head(&self, tenant: TenantId, conversation: ConversationId) -> u32 {
        self.0.load().as_ref().map_or(0, |cell| cell.transcript_head(tenant, conversation))
    }

    /// One transcript item with its body.
    pub(crate) async fn item(&self, tenant: TenantId, conversation: ConversationId, n: u32) -> Option<TranscriptItem> {
        let cell = self.0.load_full()?;
        let after = n.checked_sub(1)?;
        // A body may have to come from the disk.
        let read = tokio::task::spawn_blocking(move || cell.transcript(tenant, conversation, after, 1)).await;
        read.ok()?.ok()?.into_iter().find(|item| item.n == n)
    }

    /// Brings results into the log; false when they were not taken.
    pub(crate) async fn log_results(&self, tenant: TenantId, results: &[EffectOutcome]) -> bool {
        let Some(cell) = self.0.load_full() else { return false };
        let packed = pack_effect_results(results);
        cell.submit(tenant, &Input::Effects(EffectResults { packed: &packed })).await.is_ok()
    }

    /// Log time now; 0 before the cell stands, so that nothing seems late.
    pub(crate) fn log_time(&self) -> Timestamp {
        self.0.load().as_ref().map_or(Timestamp(0), |cell| cell.log_time())
    }

    async fn ask<R, F>(&self, mut question: impl FnMut(CellHandle) -> F) -> Option<R>
    where
        F: Future<Output = Result<R, PortError>>,
    {
        loop {
            // Taken anew each time: a node that ends lets go of its cell, and whoever waits for it here with it.
            let cell = self.0.load_full()?;
            match question(CellHandle::clone(&cell)).await {
                Ok(answer) => return Some(answer),
                Err(PortError::Busy { retry_after }) => tokio::time::sleep(Duration::from_millis(retry_after.0)).await,
                Err(_) => return None,
            }
        }
    }
}
