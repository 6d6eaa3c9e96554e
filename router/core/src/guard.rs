//! How a panicking decision is caught: by a function that the driver hands in, since `no_std` code cannot catch.
//!
//! The machine calls the guard round `plan` only, which reads the state and changes nothing; `commit` cannot fail. So a
//! caught panic leaves the state whole, and every replica records the same `Poisoned` outcome. Live node and twin pass
//! `tidegate_matcher::guard::catch_plan`; [`Guard::none`] lets panics through (tests, embedders with their own net).

/// Runs a closure; true when it completed, false when it panicked.
#[derive(Clone, Copy)]
pub struct Guard(pub fn(&mut dyn FnMut()) -> bool);

impl Guard {
    /// No net: a panic goes through to the caller.
    pub const fn none() -> Self {
        Self(|f| {
            f();
            true
        })
    }

    pub(crate) fn run(self, f: &mut dyn FnMut()) -> bool {
        (self.0)(f)
    }
}

impl core::fmt::Debug for Guard {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Guard")
    }
}
