//! Runs a future on the calling thread, waking by unparking: on the machine, under loom and under shuttle alike.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use tidegate_matcher::primitive::sync::thread::{self, Thread};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until ready, parking in between.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => {
                thread::park();
                // A future that met a ringer in the middle of its ring asks to be polled again at once; loom must be told
                // to let the ringer run on.
                #[cfg(loom)]
                thread::yield_now();
            }
        }
    }
}
