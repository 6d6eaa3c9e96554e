//! Every queue of the node has a name, a length and a limit, or it does not exist.
//!
//! [`Gauges`] is the registry and also the only place of this crate in which queues are made: rings of the matcher, tokio
//! channels, plain deques between two steps of one thread. What comes out of a constructor here is bounded and listed. A
//! test reads the crate's sources and fails when a queue is constructed elsewhere (`tests/cell/gauges.rs`).
//!
//! Metrics and `status` read [`Gauges::read`]. It refuses to know what the queues carry and what anybody does about a full one.

use crate::primitive::{Arc, Mutex, PoisonError};
use tidegate_matcher::ring::{mpsc, spsc};

/// One queue as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Its name: lower case, words joined by `_`, the thing that waits first (`front_seats`, `egress_batches`).
    pub name: String,
    /// How much stands in it.
    pub length: u64,
    /// How much it holds at most.
    pub limit: u64,
}

/// The registry of one node's queues. Cheap to clone.
#[derive(Clone, Default)]
pub struct Gauges {
    list: Arc<Mutex<Vec<Registered>>>,
}

struct Registered {
    name: String,
    limit: u64,
    length: Box<dyn Fn() -> Option<u64> + Send>,
}

impl Gauges {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A ring with many producers and one consumer.
    ///
    /// # Panics
    /// When `limit` is 0 or above the ring's own ceiling (2^31).
    #[must_use]
    pub fn mpsc<T: Send + 'static>(&self, name: &str, limit: usize) -> (mpsc::Producer<T>, mpsc::Consumer<T>) {
        let (producer, consumer) = mpsc::ring(limit);
        let gauge = producer.gauge();
        self.register(name, limit as u64, move || Some(gauge.len() as u64));
        (producer, consumer)
    }

    /// A ring with one producer and one consumer.
    ///
    /// # Panics
    /// As [`Self::mpsc`].
    #[must_use]
    pub fn spsc<T: Send + 'static>(&self, name: &str, limit: usize) -> (spsc::Producer<T>, spsc::Consumer<T>) {
        let (producer, consumer) = spsc::ring(limit);
        let gauge = producer.gauge();
        self.register(name, limit as u64, move || Some(gauge.len() as u64));
        (producer, consumer)
    }

    /// A tokio channel; it leaves the list when all its senders are gone.
    ///
    /// # Panics
    /// When `limit` is 0.
    #[must_use]
    pub fn channel<T: Send + 'static>(
        &self,
        name: &str,
        limit: usize,
    ) -> (tokio::sync::mpsc::Sender<T>, tokio::sync::mpsc::Receiver<T>) {
        let (sender, receiver) = tokio::sync::mpsc::channel(limit);
        let weak = sender.downgrade();
        self.register(name, limit as u64, move || weak.upgrade().map(|sender| (sender.max_capacity() - sender.capacity()) as u64));
        (sender, receiver)
    }

    /// A queue that its owner keeps by itself (a deque, a table of waiters): it must enforce `limit` and tell its length;
    /// `None` takes it off the list.
    pub fn register(&self, name: &str, limit: u64, length: impl Fn() -> Option<u64> + Send + 'static) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(Registered { name: name.to_owned(), limit, length: Box::new(length) });
    }

    /// All queues, in order of registration; those that are gone are left out and forgotten. Queues of one name (one a
    /// connection, say) are added up: lengths and limits both.
    #[must_use]
    pub fn read(&self) -> Vec<Reading> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let mut readings: Vec<Reading> = Vec::new();
        list.retain(|queue| {
            let Some(length) = (queue.length)() else { return false };
            match readings.iter_mut().find(|r| r.name == queue.name) {
                Some(same) => {
                    same.length += length;
                    same.limit += queue.limit;
                }
                None => readings.push(Reading { name: queue.name.clone(), length, limit: queue.limit }),
            }
            true
        });
        readings
    }
}

impl std::fmt::Debug for Gauges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.read()).finish()
    }
}
