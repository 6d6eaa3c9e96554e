//! What stands around the cell in the model: a watched log, a sink that keeps, a clock of the model's time.
//!
//! The log is the real single node's over the real journal; the watcher keeps what it was told is durable, at the moment at
//! which it was, and can lie in two ways. It refuses to know who submits.

use std::collections::VecDeque;
use tidegate_model::output::{Output, SeatNotice};
use tidegate_model::{OfferId, SeatId, TenantId, codec};
use tidegate_router::cell::{CellLog, CellSink, Committed, LogError, LogFiles, LogStatus};
use tidegate_router::log_time::ClockSource;
use tidegate_router::primitive::atomic::{AtomicBool, Ordering};
use tidegate_router::primitive::{Arc, Mutex, model, mpsc, thread};

/// What the log does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// What it should.
    Sound,
    /// A batch comes back before it is durable; it is so a moment later.
    GivesBackEarly,
    /// One batch in the middle comes back and is nowhere.
    Forgets,
}

/// What the model's people and the judge share.
#[derive(Default)]
pub struct World {
    /// Entries that are durable, in order.
    pub durable: Mutex<Vec<Vec<u8>>>,
    /// What the sink was given, in order.
    pub sunk: Mutex<Vec<(TenantId, Output)>>,
    /// Somebody has begun to raise the term.
    pub raising: AtomicBool,
    /// The term is raised: nothing of the old one may come out any more.
    pub raised: AtomicBool,
}

impl World {
    /// The place of the durable entry with this id of an event or a command.
    pub fn place(&self, id: u128) -> Option<u64> {
        let durable = self.durable.lock().unwrap();
        durable.iter().position(|entry| id_of(entry) == Some(id)).map(|i| i as u64 + 1)
    }
}

/// The id of a customer's event or a seat's command.
pub fn id_of(entry: &[u8]) -> Option<u128> {
    use tidegate_model::input::Input;
    match codec::decode(entry).expect("an entry").input {
        Input::Inbound(inbound) => Some(inbound.event.0),
        Input::Seat(seat) => Some(seat.command.0),
        _ => None,
    }
}

/// The watched log.
pub struct Watched {
    pub log: Box<dyn CellLog>,
    pub world: Arc<World>,
    pub kind: Log,
    /// Batches that came back early.
    pub early: VecDeque<Committed>,
    pub late: VecDeque<Committed>,
    pub proposed: u64,
}

impl Watched {
    fn keep(&mut self, batch: &Committed) {
        self.world.durable.lock().unwrap().extend(batch.entries().map(<[u8]>::to_vec));
    }

    /// Makes durable what came back early.
    fn settle(&mut self) -> Result<(), (LogError, Committed)> {
        while let Some(batch) = self.late.pop_front() {
            self.log.propose(batch)?;
            if let Some(batch) = self.log.committed() {
                self.keep(&batch);
            }
        }
        Ok(())
    }
}

impl CellLog for Watched {
    fn propose(&mut self, batch: Committed) -> Result<(), (LogError, Committed)> {
        self.settle()?;
        self.proposed += 1;
        // A sync takes its time, and everybody else goes on meanwhile.
        thread::yield_now();
        match self.kind {
            Log::Sound => self.log.propose(batch),
            Log::GivesBackEarly => {
                self.late.push_back(batch.copy());
                self.early.push_back(batch);
                Ok(())
            }
            Log::Forgets if self.proposed == 12 => {
                self.early.push_back(batch);
                Ok(())
            }
            Log::Forgets => self.log.propose(batch),
        }
    }

    fn committed(&mut self) -> Option<Committed> {
        if let Some(mut batch) = self.early.pop_front() {
            batch.durable_now();
            return Some(batch);
        }
        let batch = self.log.committed()?;
        self.keep(&batch);
        Some(batch)
    }

    fn status(&self) -> LogStatus {
        self.log.status()
    }

    fn files(&self) -> std::sync::Arc<dyn LogFiles> {
        self.log.files()
    }

    fn close(mut self: Box<Self>) -> Result<(), LogError> {
        self.settle().map_err(|(error, _)| error)?;
        self.log.close()
    }
}

/// The sink: keeps everything, and passes offers on to the agent.
pub struct Sink {
    pub world: Arc<World>,
    pub offers: mpsc::SyncSender<(TenantId, SeatId, OfferId)>,
}

impl CellSink for Sink {
    fn outputs(&mut self, tenant: TenantId, outputs: &[Output]) {
        assert!(!self.world.raised.load(Ordering::SeqCst), "an older term emits after a newer one was raised");
        self.world.sunk.lock().unwrap().extend(outputs.iter().map(|output| (tenant, output.clone())));
        for output in outputs {
            if let Output::Seat { seat, notice: SeatNotice::Offered { offer, .. } } = output {
                // Nobody reads any more once the agent has gone home.
                let _gone = self.offers.try_send((tenant, *seat, *offer));
            }
        }
        // The world outside takes its time, too.
        thread::yield_now();
        assert!(!self.world.raised.load(Ordering::SeqCst), "a newer term did not wait for an emitter in flight");
    }
}

/// The model's time.
pub struct Clock;

impl ClockSource for Clock {
    fn monotonic_ns(&self) -> u64 {
        model::now_ns()
    }

    fn wall_ms(&self) -> u64 {
        1_000
    }
}
