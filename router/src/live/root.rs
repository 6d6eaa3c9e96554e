//! The root of the supervision tree: three nurseries (conversations, seats, outboxes) and a warden for the root itself.
//!
//! A nursery that dies is started again and adopts its slots; a root that dies takes the nurseries along, and the warden
//! starts the whole tree again. No ractor names and no process groups: both are statics of the process, and several nodes
//! live in one process in tests, drills and the twin's rigs.

use super::conversation::Conversations;
use super::nursery::{Family, Nursery};
use super::outbox::Outboxes;
use super::seat::Seats;
use super::{Counters, LiveConfig};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the tree stands on.
#[derive(Clone)]
pub(crate) struct Tree {
    pub conversations: Arc<Conversations>,
    pub seats: Arc<Seats>,
    pub outboxes: Arc<Outboxes>,
    pub config: LiveConfig,
    pub counters: Arc<Counters>,
}

/// Which nursery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    Conversations,
    Seats,
    Outboxes,
}

/// The root's messages: none; it lives by supervision events.
#[derive(Debug)]
pub(crate) enum RootMsg {}

struct Root;

struct RootState {
    tree: Tree,
    nurseries: Vec<(ActorId, Which)>,
}

impl RootState {
    async fn start(&mut self, which: Which, root: ActorCell) -> Result<(), ActorProcessingErr> {
        let every = self.tree.config.sweep_every();
        let id = match which {
            Which::Conversations => nursery(&self.tree.conversations, every, root).await?,
            Which::Seats => nursery(&self.tree.seats, every, root).await?,
            Which::Outboxes => nursery(&self.tree.outboxes, every, root).await?,
        };
        self.nurseries.push((id, which));
        Ok(())
    }
}

async fn nursery<F: Family>(family: &Arc<F>, every: std::time::Duration, root: ActorCell) -> Result<ActorId, ActorProcessingErr> {
    let (nursery, _) = Actor::spawn_linked(None, Nursery::<F>::default(), (Arc::clone(family), every), root).await?;
    Ok(nursery.get_id())
}

impl Actor for Root {
    type Msg = RootMsg;
    type State = RootState;
    type Arguments = Tree;

    async fn pre_start(&self, myself: ActorRef<RootMsg>, tree: Tree) -> Result<RootState, ActorProcessingErr> {
        let mut state = RootState { tree, nurseries: Vec::new() };
        for which in [Which::Outboxes, Which::Seats, Which::Conversations] {
            state.start(which, myself.get_cell()).await?;
        }
        Ok(state)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RootMsg>,
        message: SupervisionEvent,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        let who = match message {
            SupervisionEvent::ActorFailed(who, error) => {
                tracing::error!(%error, "a nursery failed; starting it again");
                who
            }
            SupervisionEvent::ActorTerminated(who, _, _) => who,
            _ => return Ok(()),
        };
        if let Some(at) = state.nurseries.iter().position(|(id, _)| *id == who.get_id()) {
            let (_, which) = state.nurseries.remove(at);
            state.tree.counters.nursery_restarts.fetch_add(1, Ordering::Relaxed);
            state.start(which, myself.get_cell()).await?;
        }
        Ok(())
    }
}

/// Keeps a root alive until it is told to stop.
pub(crate) struct Warden {
    stopping: Arc<AtomicBool>,
    root: Arc<Mutex<Option<ActorCell>>>,
}

impl Warden {
    /// Starts the tree on the current runtime.
    pub(crate) async fn start(tree: Tree) -> Result<Self, ractor::SpawnErr> {
        let (root, mut ended) = Actor::spawn(None, Root, tree.clone()).await?;
        let warden = Self { stopping: Arc::default(), root: Arc::new(Mutex::new(Some(root.get_cell()))) };
        let (stopping, place) = (Arc::clone(&warden.stopping), Arc::clone(&warden.root));
        drop(tokio::spawn(async move {
            loop {
                let _ = ended.await;
                if stopping.load(Ordering::Acquire) {
                    return;
                }
                tracing::error!("the root of the live halves ended; starting the tree again");
                tree.counters.root_restarts.fetch_add(1, Ordering::Relaxed);
                match Actor::spawn(None, Root, tree.clone()).await {
                    Ok((root, next)) => {
                        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(root.get_cell());
                        ended = next;
                    }
                    Err(error) => {
                        tracing::error!(%error, "the tree of live halves could not be started");
                        return;
                    }
                }
                if stopping.load(Ordering::Acquire) {
                    root_of(&place).iter().for_each(|root| root.stop(None));
                }
            }
        }));
        Ok(warden)
    }

    /// The root's cell, for tests and drills.
    pub(crate) fn root(&self) -> Option<ActorCell> {
        root_of(&self.root)
    }

    /// Tells the tree to end.
    pub(crate) fn close(&self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(root) = self.root() {
            root.stop(None);
        }
    }

    /// Ends the tree; returns when the root has stopped.
    pub(crate) async fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(root) = self.root() {
            drop(root.stop_and_wait(None, None).await);
        }
    }
}

fn root_of(place: &Mutex<Option<ActorCell>>) -> Option<ActorCell> {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
