//! A TCP forwarder that cuts: what an unreliable network is to both ends.
//!
//! It copies bytes both ways and knows nothing of them. [`Cutter::cut`] drops every connection at once, wherever in a frame it
//! stands; the next one is let in, unless the way is [`Way::Shut`] or the connection asks for a WebSocket and the way is
//! [`Way::NoSockets`]. Drive it: [`Cutter::before`] an address, then use [`Cutter::base`] instead of that address.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Who is let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Everybody.
    Open,
    /// Nobody.
    Shut,
    /// Everybody but WebSockets: what some proxies do.
    NoSockets,
}

/// The forwarder.
pub struct Cutter {
    base: String,
    cuts: watch::Sender<usize>,
    way: watch::Sender<Way>,
    open: Arc<AtomicUsize>,
}

impl Cutter {
    /// Stands before `address` (`host:port`).
    pub async fn before(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (cuts, cut) = watch::channel(0);
        let (way, ways) = watch::channel(Way::Open);
        let open = Arc::new(AtomicUsize::new(0));
        let (address, counted) = (address.to_owned(), open.clone());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (address, mut cut, open, ways) = (address.clone(), cut.clone(), counted.clone(), ways.clone());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let way = *ways.borrow();
                    let mut first = [0; 512];
                    let asks_socket = async |near: &TcpStream, first: &mut [u8]| {
                        let seen = near.peek(first).await.unwrap_or(0);
                        first[..seen].windows(4).any(|four| four == b"/ws ")
                    };
                    if way == Way::Shut || way == Way::NoSockets && asks_socket(&near, &mut first).await {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(address).await else { return };
                    open.fetch_add(1, Ordering::Relaxed);
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { base, cuts, way, open }
    }

    /// Where it listens.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Connections at the moment.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Says who is let through from now on.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}
