//! The picture of a day: four panels over the hours, one line an origin, and the figures below. Bilingual, on white.
//!
//! Recorded is a grey area, live a solid line, twin a dashed one on top, so that an agreement of live and twin shows as one line
//! in two colours. The horizontal axis is cut to the hours in which something happened.

use super::metrics::Summary;
use super::series::{Bin, DaySeries};
use super::svg::{Anchor, Canvas, Stroke, Type};
use super::{ACKNOWLEDGEMENT, ACKNOWLEDGEMENT_ZH, Origin, table};

/// One origin of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureColumn {
    /// Where it comes from.
    pub origin: Origin,
    /// Its day in bins.
    pub series: DaySeries,
    /// Its figures.
    pub summary: Summary,
}

/// A day, as it was and as it was run again.
#[derive(Clone, Debug, PartialEq)]
pub struct DayPicture {
    /// Which day.
    pub day: String,
    /// One line under the title: how it was made (policy, speed, seed).
    pub caption: String,
    /// The origins, in drawing order; recorded first, so that its area lies beneath.
    pub columns: Vec<PictureColumn>,
}

/// What a panel shows; its headings end before the length of a bin.
struct Panel {
    english: &'static str,
    chinese: &'static str,
    value: fn(&Bin) -> f64,
}

const PANELS: [Panel; 4] = [
    Panel {
        english: "Contacts asking for an agent, per", chinese: "请求坐席的接触数，每", value: |bin| bin.arrivals as f64
    },
    Panel { english: "Waiting, average over", chinese: "平均排队人数，每", value: |bin| bin.waiting },
    Panel { english: "Hung up waiting, per", chinese: "排队放弃数，每", value: |bin| bin.abandonments as f64 },
    Panel { english: "Agents on, average over", chinese: "平均在线坐席数，每", value: |bin| bin.agents_on },
];

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 40.0;
const PANEL_HEIGHT: f64 = 150.0;
const PANEL_STEP: f64 = 206.0;
const FIRST_PANEL: f64 = 142.0;
const HOUR_MS: u64 = 3_600_000;

const INK: &str = "#1f2933";
const FAINT: &str = "#52606d";
const GRID: &str = "#e4e7eb";
const TITLE: Type = Type { size: 23.0, colour: INK, weight: 600 };
const HEADING: Type = Type { size: 15.0, colour: INK, weight: 600 };
const BODY: Type = Type { size: 14.0, colour: INK, weight: 400 };
const SMALL: Type = Type { size: 12.0, colour: FAINT, weight: 400 };
const GRID_LINE: Stroke = Stroke { colour: GRID, width: 1.0, dashes: "" };
const AXIS_LINE: Stroke = Stroke { colour: "#9aa5b1", width: 1.0, dashes: "" };

impl DayPicture {
    /// The picture as an SVG document. The same picture gives the same bytes.
    pub fn to_svg(&self) -> String {
        let mut canvas = Canvas::new(&format!("Tidegate: the call centre on {}", self.day), WIDTH);
        canvas.write((LEFT, 42.0), Anchor::Start, TITLE, &format!("A call-centre day, {} · 呼叫中心的一天", self.day));
        canvas.write((LEFT, 68.0), Anchor::Start, BODY, &self.caption);
        self.legend(&mut canvas, 98.0);
        let (from_hour, until_hour) = self.hours();
        for (index, panel) in PANELS.iter().enumerate() {
            let top = FIRST_PANEL + index as f64 * PANEL_STEP;
            self.panel(&mut canvas, panel, top, (from_hour, until_hour));
        }
        let below = FIRST_PANEL + PANELS.len() as f64 * PANEL_STEP;
        let bottom = self.figures(&mut canvas, below);
        canvas.write((LEFT, bottom + 26.0), Anchor::Start, SMALL, ACKNOWLEDGEMENT);
        canvas.write((LEFT, bottom + 44.0), Anchor::Start, SMALL, ACKNOWLEDGEMENT_ZH);
        canvas.finish(bottom + 62.0)
    }

    fn legend(&self, canvas: &mut Canvas, y: f64) {
        let mut x = LEFT;
        for column in &self.columns {
            if column.origin == Origin::Recorded {
                canvas.rectangle((x, y - 11.0), (34.0, 12.0), AREA);
            }
            canvas.line((x, y - 5.0), (x + 34.0, y - 5.0), stroke(column.origin));
            let words = format!("{} · {}", column.origin.english(), column.origin.chinese());
            canvas.write((x + 42.0, y), Anchor::Start, BODY, &words);
            x += 210.0;
        }
    }

    /// The hours in which anything happened, a whole day when nothing did.
    fn hours(&self) -> (u64, u64) {
        let busy = |bin: &Bin| PANELS.iter().any(|panel| (panel.value)(bin) > 0.0);
        let (mut from, mut until) = (24, 0);
        for series in self.columns.iter().map(|column| &column.series) {
            for (index, _) in series.bins.iter().enumerate().filter(|(_, bin)| busy(bin)) {
                let (begin, end) = (index as u64 * series.bin_ms, (index as u64 + 1) * series.bin_ms);
                from = from.min(begin / HOUR_MS);
                until = until.max(end.div_ceil(HOUR_MS).min(24));
            }
        }
        if from < until { (from, until) } else { (0, 24) }
    }

    fn panel(&self, canvas: &mut Canvas, panel: &Panel, top: f64, hours: (u64, u64)) {
        let bottom = top + PANEL_HEIGHT;
        let bin_minutes = self.columns.first().map_or(0, |column| column.series.bin_ms / 60_000);
        let heading = format!("{} {bin_minutes} min · {} {bin_minutes} 分钟", panel.english, panel.chinese);
        canvas.write((LEFT, top - 12.0), Anchor::Start, HEADING, &heading);
        let most = self.columns.iter().flat_map(|column| &column.series.bins).map(panel.value).fold(0.0, f64::max);
        let step = tick_step(most);
        let ticks = (most / step).ceil().max(1.0);
        let y = |value: f64| bottom - value / (ticks * step) * PANEL_HEIGHT;
        let across = WIDTH - LEFT - RIGHT;
        let (from_ms, until_ms) = (hours.0 * HOUR_MS, hours.1 * HOUR_MS);
        let x = |at_ms: u64| LEFT + at_ms.saturating_sub(from_ms) as f64 / (until_ms - from_ms) as f64 * across;
        // At most a handful of ticks, so the count is exact.
        for tick in 0..=ticks as u32 {
            let value = f64::from(tick) * step;
            canvas.line((LEFT, y(value)), (WIDTH - RIGHT, y(value)), if tick == 0 { AXIS_LINE } else { GRID_LINE });
            canvas.write((LEFT - 8.0, y(value) + 4.0), Anchor::End, SMALL, &value.to_string());
        }
        for hour in hours.0..=hours.1 {
            let at = x(hour * HOUR_MS);
            canvas.line((at, bottom), (at, bottom + 4.0), AXIS_LINE);
            canvas.write((at, bottom + 18.0), Anchor::Middle, SMALL, &format!("{hour}:00"));
        }
        for column in &self.columns {
            let series = &column.series;
            let mut points = Vec::new();
            for (index, bin) in series.bins.iter().enumerate() {
                let (begin, end) = (index as u64 * series.bin_ms, (index as u64 + 1) * series.bin_ms);
                if begin >= from_ms && end <= until_ms {
                    let height = y((panel.value)(bin));
                    points.extend([(x(begin), height), (x(end), height)]);
                }
            }
            if column.origin == Origin::Recorded
                && let (Some(first), Some(last)) = (points.first(), points.last())
            {
                let mut outline = points.clone();
                outline.extend([(last.0, bottom), (first.0, bottom)]);
                canvas.polygon(&outline, AREA);
            }
            canvas.polyline(&points, stroke(column.origin));
        }
    }

    /// The figures; returns where they end.
    fn figures(&self, canvas: &mut Canvas, top: f64) -> f64 {
        const LINE: f64 = 24.0;
        let columns: Vec<(Origin, &Summary)> = self.columns.iter().map(|c| (c.origin, &c.summary)).collect();
        let edge = |index: usize| WIDTH - RIGHT - (columns.len() - 1 - index) as f64 * 180.0;
        let mut y = top + 6.0;
        canvas.write((LEFT, y), Anchor::Start, HEADING, "Figures · 指标");
        for (index, (origin, _)) in columns.iter().enumerate() {
            let words = format!("{} · {}", origin.english(), origin.chinese());
            canvas.write((edge(index), y), Anchor::End, HEADING, &words);
        }
        for row in table::rows(&columns) {
            canvas.line((LEFT, y + 8.0), (WIDTH - RIGHT, y + 8.0), GRID_LINE);
            y += LINE;
            canvas.write((LEFT, y), Anchor::Start, BODY, &format!("{} · {}", row.english, row.chinese));
            for (index, cell) in row.cells.iter().enumerate() {
                canvas.write((edge(index), y), Anchor::End, BODY, cell);
            }
        }
        y
    }
}

const AREA: &str = "#e3e7ec";

fn stroke(origin: Origin) -> Stroke {
    match origin {
        Origin::Recorded => Stroke { colour: "#7b8794", width: 1.5, dashes: "" },
        Origin::Live => Stroke { colour: "#1769aa", width: 2.6, dashes: "" },
        Origin::Twin => Stroke { colour: "#e8710a", width: 2.2, dashes: "6 4" },
    }
}

/// The least of 1, 2, 5 times a power of ten that needs at most five ticks.
fn tick_step(most: f64) -> f64 {
    let mut magnitude = 1.0;
    loop {
        for step in [1.0, 2.0, 5.0] {
            if most <= 5.0 * step * magnitude || magnitude > 1e15 {
                return step * magnitude;
            }
        }
        magnitude *= 10.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_and_round() {
        for (most, step) in [(0.0, 1.0), (1.0, 1.0), (5.1, 2.0), (10.1, 5.0), (26.0, 10.0), (612.0, 200.0)] {
            assert!((tick_step(most) - step).abs() < 1e-9, "{most}");
        }
        assert!(tick_step(f64::INFINITY).is_finite());
    }
}
