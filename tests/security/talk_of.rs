//! One chat between a customer and an agent, over the real sockets: a word each way.

use crate::node::{Node, PATIENCE};
use tidegate_channels::client::{Begin, ClientError, DeskEvent};
use tokio::time::timeout;

async fn soon<T>(coming: impl Future<Output = Result<T, ClientError>>) -> T {
    timeout(PATIENCE, coming).await.expect("it came").expect("it went well")
}

/// The customer says `text`, an agent takes the contact and says it back.
pub async fn speak(node: &Node, text: &str) {
    let mut page = node.customer().await;
    let mut desk = node.desk("Lin").await;
    soon(page.begin(&Begin::default())).await;
    let claim = loop {
        match soon(desk.next_event()).await {
            DeskEvent::Offered(offer) => drop(soon(desk.accept(&offer.offer)).await),
            DeskEvent::Assigned(claim) => break claim,
            _ => {}
        }
    };
    soon(page.send_text(text)).await;
    soon(desk.send_text(&claim.claim, text)).await;
}
