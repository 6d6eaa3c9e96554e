//! One thread that waits for several rings at once, and for a time.
//!
//! Each ring has a doorbell for one sleeper; a thread that serves several registers the same waker with each of them and
//! parks once. A wake-up between registering and parking is kept by the park token, so none is lost; a wake-up for nothing
//! costs a look.

use crate::primitive::Arc;
use crate::primitive::thread::{self, Thread};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
        // A thread that wakes itself has found its doorbell in a ringer's hands: the ringer needs the core to finish.
        if thread::current().id() == self.0.id() {
            thread::yield_now();
        }
    }
}

/// The waker of the thread that made it.
pub(crate) struct Parker {
    waker: Waker,
}

impl Parker {
    /// For the calling thread.
    pub fn here() -> Self {
        Self { waker: Waker::from(Arc::new(Unpark(thread::current()))) }
    }

    /// To be handed to each ring's `poll`.
    pub fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Parks until woken or until the span has passed. Call it from the thread that made the parker, after every ring was
    /// polled and gave nothing.
    pub fn park(&self, span: Option<Duration>) {
        match span {
            Some(span) => thread::park_timeout(span),
            None => thread::park(),
        }
    }
}
