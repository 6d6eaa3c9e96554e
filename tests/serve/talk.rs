//! What both sides of a conversation do and see, kept by the clients themselves.
//!
//! A page and a desk check numbers as they come (a gap is an error of theirs); here is what they saw, to be compared at the end.

use crate::node::PATIENCE;
use tidegate_channels::client::{Begin, ClaimSeen, ClientError, DeskClient, DeskEvent, ItemSeen, WebClient, WebEvent};
use tokio::time::timeout;

/// Waits for something that must come.
pub async fn soon<T>(what: &str, coming: impl Future<Output = Result<T, ClientError>>) -> T {
    match timeout(PATIENCE, coming).await {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => panic!("{what}: {error}"),
        Err(_) => panic!("{what}: it did not come"),
    }
}

/// A contact begins, and the desk takes it.
pub async fn meet(page: &mut WebClient, desk: &mut DeskClient) -> ClaimSeen {
    let begun = soon("begin", page.begin(&Begin::default())).await;
    let claim = take(desk).await;
    assert_eq!(claim.contact, begun.contact);
    claim
}

/// The desk accepts the next offer.
pub async fn take(desk: &mut DeskClient) -> ClaimSeen {
    loop {
        match soon("an offer", desk.next_event()).await {
            DeskEvent::Offered(offer) => drop(soon("accept", desk.accept(&offer.offer)).await),
            DeskEvent::Assigned(claim) => return claim,
            _ => {}
        }
    }
}

/// Items up to the one with number `n`, in the order in which the page got them.
pub async fn page_items(page: &mut WebClient, n: u32) -> Vec<ItemSeen> {
    let mut items = Vec::new();
    while items.last().is_none_or(|item: &ItemSeen| item.n < n) {
        if let WebEvent::Item(item) = soon("an item of the page", page.next_event()).await {
            items.push(item);
        }
    }
    items
}

/// As [`page_items`], for a desk.
pub async fn desk_items(desk: &mut DeskClient, n: u32) -> Vec<ItemSeen> {
    let mut items = Vec::new();
    while items.last().is_none_or(|item: &ItemSeen| item.n < n) {
        if let DeskEvent::Item(item) = soon("an item of the desk", desk.next_event()).await {
            items.push(item);
        }
    }
    items
}

/// Number, kind and text of items: what both sides must agree on.
pub fn told(items: &[ItemSeen]) -> Vec<(u32, &str, &str)> {
    items.iter().map(|item| (item.n, item.kind.as_str(), item.text.as_str())).collect()
}
