//! What the record does not say, filled in by rule: patience of the answered, handle times of the unserved.
//!
//! By class of service. A class with few hang-ups takes the pooled curve; a cell (class, day, hour) with few services takes its
//! day's, then its class's. The rules' thresholds are public and every imputed value is flagged where it is used.

use super::contact::{asks_for_agent, recorded_handle_ms};
use crate::kernel::sample::pick;
use crate::km::{KaplanMeier, Observation, ObservationEnd};
use crate::trace::{Day, Outcome, ServiceType, TraceRow};
use serde::Serialize;
use std::collections::BTreeMap;
use tidegate_model::Millis;

/// Hang-ups below which a class's patience is taken from all classes together.
pub const MIN_HANG_UPS: u64 = 30;
/// Services below which a cell of handle times is taken wider.
pub const MIN_CELL: usize = 20;

/// Curves, medians and handle times, by class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Imputation {
    /// Figures for reports, in the order of [`ServiceType::ALL`], classes without rows left out.
    pub classes: Vec<ClassFigures>,
    #[serde(skip)]
    curves: BTreeMap<ServiceType, KaplanMeier>,
    #[serde(skip)]
    pooled: KaplanMeier,
    #[serde(skip)]
    handles: BTreeMap<Cell, Vec<u64>>,
}

/// What one class's imputation rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassFigures {
    /// The class.
    pub kind: ServiceType,
    /// Rows that asked for an agent.
    pub asked: u64,
    /// Of these, hang-ups: the events of the curve.
    pub hang_ups: u64,
    /// Whose curve is used.
    pub curve: CurveUse,
    /// The used curve's median, where it falls so far.
    pub median_patience_ms: Option<u64>,
    /// Services with a usable time.
    pub services: u64,
    /// Their median.
    pub median_handle_ms: u64,
}

/// Whose patience curve a class uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveUse {
    /// Its own.
    Own,
    /// That of all classes together: fewer than [`MIN_HANG_UPS`].
    Pooled,
}

/// Which services a handle time is drawn from, narrowest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Everything,
    Class(ServiceType),
    Day(ServiceType, Day),
    Hour(ServiceType, Day, u8),
}

impl Imputation {
    pub(super) fn from_rows(rows: &[TraceRow]) -> Self {
        let observe = |only: Option<ServiceType>| {
            KaplanMeier::fit(rows.iter().filter(|row| asks_for_agent(row) && only.is_none_or(|kind| row.kind == kind)).map(|row| {
                Observation {
                    lasted: Millis(u64::from(row.q_s) * 1_000),
                    end: match row.outcome {
                        Outcome::Hang => ObservationEnd::Happened,
                        Outcome::Agent | Outcome::Phantom => ObservationEnd::Censored,
                    },
                }
            }))
        };
        let mut handles: BTreeMap<Cell, Vec<u64>> = BTreeMap::new();
        for row in rows {
            if let Some(ms) = recorded_handle_ms(row) {
                for cell in cells(row) {
                    handles.entry(cell).or_default().push(ms);
                }
            }
        }
        for cell in handles.values_mut() {
            cell.sort_unstable();
        }
        let pooled = observe(None);
        let own: BTreeMap<ServiceType, KaplanMeier> =
            ServiceType::ALL.into_iter().map(|kind| (kind, observe(Some(kind)))).collect();
        let mut made = Self { classes: Vec::new(), curves: BTreeMap::new(), pooled, handles };
        for (kind, curve) in own {
            let (hang_ups, asked) = (curve.happened(), curve.happened() + curve.censored());
            let curve_use = if hang_ups < MIN_HANG_UPS { CurveUse::Pooled } else { CurveUse::Own };
            if curve_use == CurveUse::Own {
                made.curves.insert(kind, curve);
            }
            if asked > 0 {
                let services = made.handles.get(&Cell::Class(kind)).map_or(0, Vec::len) as u64;
                let median_patience_ms = made.curve(kind).median().map(|at| at.0);
                let median_handle_ms = made.median_handle_ms(kind);
                made.classes.push(ClassFigures {
                    kind,
                    asked,
                    hang_ups,
                    curve: curve_use,
                    median_patience_ms,
                    services,
                    median_handle_ms,
                });
            }
        }
        made
    }

    /// The patience curve that a class uses.
    pub fn curve(&self, kind: ServiceType) -> &KaplanMeier {
        self.curves.get(&kind).unwrap_or(&self.pooled)
    }

    /// The median handle time of a class's services; of all services when the class has none; 0 when there is none at all.
    pub fn median_handle_ms(&self, kind: ServiceType) -> u64 {
        let sorted = self.handles.get(&Cell::Class(kind)).or_else(|| self.handles.get(&Cell::Everything));
        sorted.map_or(0, |sorted| {
            let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
            low.midpoint(high)
        })
    }

    /// A handle time for a row that was not served: the narrowest cell with [`MIN_CELL`] services, else the widest there is.
    pub(super) fn draw_handle_ms(&self, row: &TraceRow, u: f64) -> u64 {
        let narrowest = cells(row)
            .into_iter()
            .filter_map(|cell| self.handles.get(&cell).map(|sorted| (cell, sorted)))
            .filter(|(cell, sorted)| sorted.len() >= MIN_CELL || *cell == Cell::Everything)
            .max_by_key(|(cell, _)| *cell);
        narrowest.map_or(0, |(_, sorted)| sorted[pick(u, sorted.len())])
    }
}

fn cells(row: &TraceRow) -> [Cell; 4] {
    // A day has 24 hours, so the cast is exact.
    let hour = (row.vru_entry_s / 3_600) as u8;
    [Cell::Everything, Cell::Class(row.kind), Cell::Day(row.kind, row.day), Cell::Hour(row.kind, row.day, hour)]
}
