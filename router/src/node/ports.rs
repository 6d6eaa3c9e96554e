//! The ports of channels: `Ingress` and `SeatPort` on a node.
//!
//! Limits are checked here, before anything is queued: ids that mean "none", bodies that are empty, too long or no UTF-8. The
//! input is encoded at once and nothing of the caller's is kept. Reading a transcript may go to the disk, so only so many
//! reads are under way; one more is told to wait. It refuses to know what a channel is.

use super::NodeHandle;
use std::sync::Arc;
use tidegate_model::file::FileRef;
use tidegate_model::ids::{ConversationId, SeatId, TenantId};
use tidegate_model::input::{Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::{BODY_BYTES_MAX, NAME_BYTES_MAX};
use tidegate_model::output::Outcome;
use tidegate_model::port::{
    BoxFuture, Catalogue, Egress, Ingress, OfferContext, PortError, SeatPort, SeatSink, SeatSnapshot, Standing, TranscriptItem,
    Watch,
};
use tidegate_model::time::Millis;

/// What a read of transcripts is told when too many are under way.
const READ_AGAIN: Millis = Millis(50);

impl Ingress for NodeHandle {
    fn accept(&self, tenant: TenantId, inbound: Inbound<'_>) -> BoxFuture<Result<Outcome, PortError>> {
        match check_inbound(&inbound) {
            Ok(()) => self.submit(tenant, &Input::Inbound(inbound)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn transcript(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: u32,
        max: usize,
    ) -> BoxFuture<Result<Vec<TranscriptItem>, PortError>> {
        let node = self.clone();
        Box::pin(async move {
            let Ok(permit) = Arc::clone(&node.inner.reads).try_acquire_owned() else {
                return Err(PortError::Busy { retry_after: READ_AGAIN });
            };
            let cell = node.inner.cell.clone();
            let read = node.inner.runtime.spawn_blocking(move || {
                let _permit = permit;
                cell.transcript(tenant, conversation, after, max)
            });
            read.await.map_err(|_| PortError::Closed)?
        })
    }

    fn watch(&self, tenant: TenantId, conversation: ConversationId, egress: Arc<dyn Egress>) -> Box<dyn Watch> {
        self.inner.live.watch(tenant, conversation, egress)
    }

    fn standing(&self, tenant: TenantId, conversation: ConversationId) -> Option<Standing> {
        self.inner.live.standing(tenant, conversation)
    }

    fn typing(&self, tenant: TenantId, conversation: ConversationId) {
        self.inner.live.customer_types(tenant, conversation);
    }

    fn introduce(&self, tenant: TenantId, conversation: ConversationId, name: &str) {
        if name.len() <= NAME_BYTES_MAX {
            self.inner.live.introduce(tenant, conversation, name);
        }
    }
}

impl SeatPort for NodeHandle {
    fn command(&self, tenant: TenantId, input: SeatInput<'_>) -> BoxFuture<Result<Outcome, PortError>> {
        match check_seat(&input) {
            Ok(()) => self.submit(tenant, &Input::Seat(input)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn snapshot(&self, tenant: TenantId, seat: SeatId) -> BoxFuture<Result<SeatSnapshot, PortError>> {
        let query = self.query(tenant, move |machine| machine.seat_snapshot(seat));
        Box::pin(async move { query.await?.ok_or(PortError::Unknown) })
    }

    fn watch(&self, tenant: TenantId, seat: SeatId, sink: Arc<dyn SeatSink>) -> Box<dyn Watch> {
        self.inner.live.watch_seat(tenant, seat, sink)
    }

    fn context(&self, tenant: TenantId, conversation: ConversationId) -> BoxFuture<Option<OfferContext>> {
        Box::pin(self.inner.live.context(tenant, conversation))
    }

    fn catalogue(&self, tenant: TenantId, seat: SeatId) -> BoxFuture<Option<Catalogue>> {
        let node = self.clone();
        Box::pin(async move { Self::catalogue(&node, tenant, seat).await })
    }

    fn typing(&self, tenant: TenantId, seat: SeatId, conversation: ConversationId) {
        self.inner.live.agent_types(tenant, seat, conversation);
    }
}

fn check_inbound(inbound: &Inbound<'_>) -> Result<(), PortError> {
    named("account", inbound.account.is_none())?;
    named("conversation", inbound.conversation.is_none())?;
    named("event", inbound.event.is_none())?;
    match inbound.act {
        InboundAct::Message { body } => check_body(body),
        InboundAct::File { file } => check_file(&file),
        _ => Ok(()),
    }
}

fn check_seat(input: &SeatInput<'_>) -> Result<(), PortError> {
    named("seat", input.seat.is_none())?;
    named("command", input.command.is_none())?;
    match input.act {
        SeatAct::Accept { offer } | SeatAct::Decline { offer, .. } => named("offer", offer.is_none()),
        SeatAct::End { claim } | SeatAct::WrapUp { claim, .. } | SeatAct::Transfer { claim, .. } => named("claim", claim.is_none()),
        SeatAct::Send { claim, body } => named("claim", claim.is_none()).and_then(|()| check_body(body)),
        SeatAct::SendFile { claim, file } => named("claim", claim.is_none()).and_then(|()| check_file(&file)),
        _ => Ok(()),
    }
}

fn named(field: &str, is_none: bool) -> Result<(), PortError> {
    if is_none { Err(PortError::Invalid { what: format!("{field}: 0 means none; expected an id") }) } else { Ok(()) }
}

fn check_file(file: &FileRef<'_>) -> Result<(), PortError> {
    file.check().map_err(|what| PortError::Invalid { what: format!("file: {what}") })
}

/// A body is 1 to [`BODY_BYTES_MAX`] bytes of UTF-8.
fn check_body(body: &[u8]) -> Result<(), PortError> {
    let what = if body.is_empty() {
        "body: empty; expected at least 1 byte".to_owned()
    } else if body.len() > BODY_BYTES_MAX {
        format!("body: {} bytes; expected at most {BODY_BYTES_MAX}", body.len())
    } else if let Err(error) = std::str::from_utf8(body) {
        format!("body: no UTF-8 from byte {}", error.valid_up_to())
    } else {
        return Ok(());
    };
    Err(PortError::Invalid { what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::ids::{AccountId, ClaimId, CommandId, CustomerId, EventId, OfferId};
    use tidegate_model::name::ReasonName;

    fn inbound(act: InboundAct<'_>) -> Inbound<'_> {
        Inbound {
            account: AccountId(1),
            conversation: ConversationId(2),
            event: EventId(3),
            customer: CustomerId::NONE,
            known_n: 0,
            act,
        }
    }

    #[test]
    fn bodies_are_tested_at_their_limit_and_above() {
        let check = |bytes: usize| check_inbound(&inbound(InboundAct::Message { body: &vec![b'x'; bytes] }));
        assert_eq!(check(1), Ok(()));
        assert_eq!(check(BODY_BYTES_MAX), Ok(()));
        for bytes in [0, BODY_BYTES_MAX + 1, BODY_BYTES_MAX * 10] {
            assert!(matches!(check(bytes), Err(PortError::Invalid { what }) if what.starts_with("body: ")), "{bytes}");
        }
        let broken = check_inbound(&inbound(InboundAct::Message { body: b"ok\xff" }));
        assert_eq!(broken, Err(PortError::Invalid { what: "body: no UTF-8 from byte 2".to_owned() }));
    }

    #[test]
    fn ids_that_mean_none_are_refused_by_name() {
        let check = |change: fn(&mut Inbound<'_>), field: &str| {
            let mut input = inbound(InboundAct::Leave);
            change(&mut input);
            let refused = check_inbound(&input);
            assert!(matches!(&refused, Err(PortError::Invalid { what }) if what.starts_with(field)), "{field}: {refused:?}");
        };
        check(|i| i.account = AccountId::NONE, "account");
        check(|i| i.conversation = ConversationId::NONE, "conversation");
        check(|i| i.event = EventId::NONE, "event");
        let seat = |act| check_seat(&SeatInput { seat: SeatId(1), command: CommandId(1), act });
        assert_eq!(seat(SeatAct::SignIn), Ok(()));
        for act in [
            SeatAct::Accept { offer: OfferId::NONE },
            SeatAct::Decline { offer: OfferId::NONE, reason: ReasonName::NONE },
            SeatAct::End { claim: ClaimId::NONE },
            SeatAct::WrapUp { claim: ClaimId::NONE, code: ReasonName::NONE },
            SeatAct::Send { claim: ClaimId::NONE, body: b"x" },
            SeatAct::Send { claim: ClaimId(1), body: b"" },
        ] {
            assert!(matches!(seat(act), Err(PortError::Invalid { .. })), "{act:?}");
        }
        let command = SeatInput { seat: SeatId(1), command: CommandId::NONE, act: SeatAct::Ready };
        assert!(check_seat(&command).is_err());
        assert!(check_seat(&SeatInput { seat: SeatId::NONE, command: CommandId(1), act: SeatAct::Ready }).is_err());
    }
}
