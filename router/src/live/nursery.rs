//! The supervisor of one family of live halves: starts them on demand, starts them again after a fault, puts idle ones to rest.
//!
//! It refuses to know what its halves do: a [`Family`] says how one is spawned, which are wanted and which may rest. A half
//! that fails again and again is started with growing pauses, so that one bad half costs its own conversation and no more.
//! When the nursery itself dies, ractor ends its halves; the next nursery adopts every slot that is still wanted.
//!
//! Its mailbox holds at most one `Start` for each slot (a bell rings once) and one `Sweep`; both are counted by [`Starts`].

use super::bell::Knock;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Faults within this span count together.
const FAULT_WINDOW: Duration = Duration::from_secs(10);
/// So many faults in the window are answered at once; later ones after a pause that doubles.
const FAULTS_AT_ONCE: u32 = 4;
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What became of an attempt to start a half.
pub(crate) enum Spawned {
    /// It lives.
    Half(ActorCell),
    /// Its slot is gone, or another half serves it.
    NotNeeded,
    /// It died while it started: nobody is told of that but us.
    Failed,
}

/// One kind of live halves.
pub(crate) trait Family: Send + Sync + 'static {
    /// What names a half.
    type Key: Copy + Eq + Hash + Debug + Send + Sync + 'static;

    /// What the nursery is called in logs.
    const NAME: &'static str;

    /// Spawns the half of `key` under `supervisor` and installs it in its slot.
    fn spawn(&self, key: Self::Key, supervisor: ActorCell) -> impl Future<Output = Spawned> + Send;

    /// Whether a half that died must be replaced now.
    fn wanted(&self, key: Self::Key) -> bool;

    /// Forgets a dead half that is not wanted.
    fn forget(&self, key: Self::Key);

    /// The half that was installed last, dead or alive.
    fn installed(&self, key: Self::Key) -> Option<ActorCell>;

    /// Everything that may have had a half: asked once, by a new nursery.
    fn keys(&self) -> Vec<Self::Key>;

    /// Puts idle halves to rest and drops slots without use.
    fn sweep(&self);

    /// Where the family keeps its nursery.
    fn nursery(&self) -> &NurseryRef<Self::Key>;

    /// Counts a restart.
    fn restarted(&self);
}

/// What a nursery is told.
#[derive(Debug)]
pub(crate) enum NurseryMsg<K> {
    /// A bell rang and there was no half.
    Start(K),
    /// The pause after a fault is over.
    StartAgain(K),
    /// Look for idle halves.
    Sweep,
}

/// The nursery as its family's slots see it: replaced when the nursery is.
pub(crate) struct NurseryRef<K> {
    current: arc_swap::ArcSwapOption<ActorRef<NurseryMsg<K>>>,
    starts: Arc<AtomicU64>,
}

impl<K: Send + 'static> NurseryRef<K> {
    pub(crate) fn new() -> Self {
        Self { current: arc_swap::ArcSwapOption::empty(), starts: Arc::default() }
    }

    /// Asks for a half. Lost when no nursery stands: the next one adopts whatever is rung.
    pub(crate) fn start(&self, key: K) {
        if let Some(nursery) = &*self.current.load() {
            self.starts.fetch_add(1, Ordering::Relaxed);
            if nursery.send_message(NurseryMsg::Start(key)).is_err() {
                self.took_start();
            }
        }
    }

    /// Requests on their way.
    pub(crate) fn starts(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.starts)
    }

    /// The nursery's own cell, for tests and drills.
    pub(crate) fn cell(&self) -> Option<ActorCell> {
        self.current.load().as_ref().map(|nursery| nursery.get_cell())
    }

    fn took_start(&self) {
        // A nursery that died with requests in its mailbox took them along: `adopt` resets the count, so never below zero.
        let _ = self.starts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    }
}

/// The supervising actor.
pub(crate) struct Nursery<F>(PhantomData<fn() -> F>);

impl<F> Default for Nursery<F> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// What a nursery remembers.
pub(crate) struct NurseryState<F: Family> {
    family: Arc<F>,
    children: HashMap<ActorId, F::Key>,
    faults: HashMap<F::Key, (u32, Instant)>,
    sweep_every: Duration,
}

impl<F: Family> Actor for Nursery<F> {
    type Msg = NurseryMsg<F::Key>;
    type State = NurseryState<F>;
    type Arguments = (Arc<F>, Duration);

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (family, sweep_every): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let nursery = family.nursery();
        // A nursery whose root died is told to die with it, but may still be on its way, and would start halves meanwhile
        // that die with it unseen: never two of a family.
        if let Some(old) = nursery.cell() {
            drop(old.kill_and_wait(None).await);
        }
        // First the new address, then (in post_start) the look at the slots: a bell rung in between finds one of the two.
        nursery.starts.store(0, Ordering::Relaxed);
        nursery.current.store(Some(Arc::new(myself)));
        Ok(NurseryState { family, children: HashMap::new(), faults: HashMap::new(), sweep_every })
    }

    async fn post_start(&self, myself: ActorRef<Self::Msg>, state: &mut Self::State) -> Result<(), ActorProcessingErr> {
        for key in state.family.keys() {
            // A half of the nursery before this one is told to die with it, but may still be on its way: never two on a slot.
            if let Some(old) = state.family.installed(key) {
                drop(old.kill_and_wait(None).await);
            }
            if state.family.wanted(key) {
                state.spawn(key, &myself).await;
            } else {
                state.family.forget(key);
            }
        }
        drop(myself.send_after(state.sweep_every, || NurseryMsg::Sweep));
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NurseryMsg::Start(key) => {
                state.family.nursery().took_start();
                state.spawn(key, &myself).await;
            }
            NurseryMsg::StartAgain(key) => {
                if state.family.wanted(key) {
                    state.spawn(key, &myself).await;
                } else {
                    state.family.forget(key);
                }
            }
            NurseryMsg::Sweep => {
                state.family.sweep();
                let now = Instant::now();
                state.faults.retain(|_, (_, last)| now.duration_since(*last) < FAULT_WINDOW);
                drop(myself.send_after(state.sweep_every, || NurseryMsg::Sweep));
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        message: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let (who, cause) = match message {
            SupervisionEvent::ActorFailed(who, error) => (who, error.to_string()),
            SupervisionEvent::ActorTerminated(who, _, reason) => (who, reason.unwrap_or_else(|| "stopped".to_owned())),
            _ => return Ok(()),
        };
        let Some(key) = state.children.remove(&who.get_id()) else { return Ok(()) };
        if cause == super::RESTED {
            return Ok(());
        }
        if !state.family.wanted(key) {
            state.family.forget(key);
            return Ok(());
        }
        state.family.restarted();
        // A panic's words may be a customer's.
        let cause = tidegate_model::mask::mask_text(&cause);
        tracing::warn!(family = F::NAME, ?key, cause, "live half ended; starting it again");
        state.again(key, &myself).await;
        Ok(())
    }
}

impl<F: Family> NurseryState<F> {
    async fn spawn(&mut self, key: F::Key, myself: &ActorRef<NurseryMsg<F::Key>>) {
        match self.family.spawn(key, myself.get_cell()).await {
            Spawned::Half(cell) => drop(self.children.insert(cell.get_id(), key)),
            Spawned::NotNeeded => {}
            Spawned::Failed => {
                // Never at once: a half that cannot start would keep the nursery from everybody else.
                let pause = self.pause(key).unwrap_or(PAUSE_FIRST);
                drop(myself.send_after(pause, move || NurseryMsg::StartAgain(key)));
            }
        }
    }

    async fn again(&mut self, key: F::Key, myself: &ActorRef<NurseryMsg<F::Key>>) {
        match self.pause(key) {
            None => self.spawn(key, myself).await,
            Some(pause) => drop(myself.send_after(pause, move || NurseryMsg::StartAgain(key))),
        }
    }

    fn pause(&mut self, key: F::Key) -> Option<Duration> {
        let now = Instant::now();
        let (faults, last) = self.faults.entry(key).or_insert((0, now));
        if now.duration_since(*last) >= FAULT_WINDOW {
            *faults = 0;
        }
        *last = now;
        *faults += 1;
        let beyond = faults.checked_sub(FAULTS_AT_ONCE + 1)?;
        Some(PAUSE_FIRST.saturating_mul(1 << beyond.min(16)).min(PAUSE_MAX))
    }
}

/// Spawns a half; shared by all families.
pub(crate) async fn spawn_half<A>(half: A, arguments: A::Arguments, supervisor: ActorCell) -> Spawned
where
    A: Actor<Msg = Knock>,
{
    match Actor::spawn_linked(None, half, arguments, supervisor).await {
        Ok((half, _)) => Spawned::Half(half.get_cell()),
        Err(error) => {
            tracing::warn!(%error, "a live half could not be started");
            Spawned::Failed
        }
    }
}
