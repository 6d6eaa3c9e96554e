//! What a panic says: where, and a masked message. A message may hold what a customer wrote; standard error is a log.
//!
//! It refuses to decide what a panic ends: threads of the cell and tasks have their own keepers. RUST_BACKTRACE asks for a
//! backtrace, as with the standard hook: names of functions and lines, no values.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::PanicHookInfo;
use tidegate_model::mask::mask_text;

/// Takes the place of the standard hook.
pub fn install() {
    std::panic::set_hook(Box::new(|info| {
        let mut err = std::io::stderr().lock();
        // A closed standard error must not make a second panic of the first.
        let _ = writeln!(err, "{}", said(info, std::thread::current().name()));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            let _ = writeln!(err, "{trace}");
        }
    }));
}

fn said(info: &PanicHookInfo<'_>, thread: Option<&str>) -> String {
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let (thread, message) = (thread.unwrap_or("unnamed"), mask_text(message.unwrap_or("no message")));
    format!("tidegate: thread {thread:?} panicked at {place}: {message}")
}

#[cfg(test)]
mod tests {
    //! A planted panic: its place is told, what it holds is not.

    use super::*;
    use std::sync::{Arc, Mutex, PoisonError};

    #[test]
    fn a_panic_tells_its_place_and_no_number() {
        let heard = Arc::new(Mutex::new(String::new()));
        let into = heard.clone();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            *into.lock().unwrap_or_else(PoisonError::into_inner) = said(info, Some("planted"));
        }));
        let text = "customer 13800138000 with 4111 1111 1111 1111";
        let ended = std::thread::spawn(move || panic!("cannot read {text:?}")).join();
        std::panic::set_hook(before);
        assert!(ended.is_err());
        let heard = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(heard.contains("panics.rs:") && heard.contains("planted") && heard.contains("***8000"), "{heard}");
        assert!(!heard.contains("13800138000") && !heard.contains("4111"), "{heard}");
    }
}
