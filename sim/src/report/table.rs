//! Figures side by side, one column an origin: as text for a terminal, and as rows for the picture.

use super::Origin;
use super::metrics::{Summary, WaitFigures};
use std::fmt::Write;

/// One row of figures: its label in both languages and a cell for each origin.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) english: String,
    pub(super) chinese: String,
    pub(super) cells: Vec<String>,
}

/// The figures of several origins side by side, as aligned text ending in a line break.
pub fn figures_table(columns: &[(Origin, &Summary)]) -> String {
    let rows = rows(columns);
    let label_width = rows.iter().map(|row| row.english.len()).max().unwrap_or(0);
    let cell_width = rows.iter().flat_map(|row| &row.cells).map(String::len).max().unwrap_or(0).max(10);
    let mut text = format!("{:label_width$}", "");
    let mut push = |piece: std::fmt::Arguments<'_>| text.write_fmt(piece).expect("writing to a String cannot fail");
    for (origin, _) in columns {
        push(format_args!("  {:>cell_width$}", origin.english()));
    }
    push(format_args!("\n"));
    for row in &rows {
        push(format_args!("{:label_width$}", row.english));
        for cell in &row.cells {
            push(format_args!("  {cell:>cell_width$}"));
        }
        push(format_args!("\n"));
    }
    text
}

/// The rows of the table, top down.
pub(super) fn rows(columns: &[(Origin, &Summary)]) -> Vec<Row> {
    let row = |english: &str, chinese: &str, cell: &dyn Fn(&Summary) -> String| Row {
        english: english.to_owned(),
        chinese: chinese.to_owned(),
        cells: columns.iter().map(|(_, summary)| cell(summary)).collect(),
    };
    let within_s = columns.first().map_or(0, |(_, summary)| summary.service_level.within_ms / 1_000);
    vec![
        row("contacts in all", "接触总数", &|s| s.contacts.to_string()),
        row("asked for an agent (base of all rates)", "请求坐席（各比率的分母）", &|s| s.offered.to_string()),
        row("served", "已服务", &|s| with_share(s.wait_of_served.n, s.offered)),
        row("hung up waiting", "排队放弃", &|s| with_share(s.wait_of_abandoned.n, s.offered)),
        row("left with the bot", "在机器人处离开", &|s| s.exits_of("abandoned_with_bot").to_string()),
        row("refused (phantom records)", "拒绝（幽灵记录）", &|s| s.exits_of("refused").to_string()),
        row("other exits", "其他出口", &|s| other_exits(s).to_string()),
        row("wait of all: mean / p50", "全部等待：均值 / p50", &|s| pair(s.wait, |w| (w.mean_ms, w.p50_ms as f64))),
        row("wait of all: p95 / p99", "全部等待：p95 / p99", &|s| pair(s.wait, |w| (w.p95_ms as f64, w.p99_ms as f64))),
        row("wait of the served: mean / p50", "已服务等待：均值 / p50", &|s| {
            pair(s.wait_of_served, |w| (w.mean_ms, w.p50_ms as f64))
        }),
        row("wait of the served: p95 / p99", "已服务等待：p95 / p99", &|s| {
            pair(s.wait_of_served, |w| (w.p95_ms as f64, w.p99_ms as f64))
        }),
        row(&format!("served within {within_s} s, of the offered"), &format!("{within_s} 秒接通 / 请求"), &|s| {
            with_share(s.service_level.served_within, s.service_level.offered)
        }),
        row(&format!("served within {within_s} s, of the served"), &format!("{within_s} 秒接通 / 已服务"), &|s| {
            with_share(s.service_level.served_within, s.service_level.served)
        }),
        row(&format!("left the queue within {within_s} s, of the offered"), &format!("{within_s} 秒离队 / 请求"), &|s| {
            with_share(s.service_level.left_within, s.service_level.offered)
        }),
    ]
}

fn other_exits(summary: &Summary) -> u64 {
    let named = ["served", "customer_left", "abandoned_waiting", "abandoned_with_bot", "refused"];
    summary.exits.iter().filter(|(slug, _)| !named.contains(slug)).map(|(_, count)| count).sum()
}

fn with_share(part: u64, whole: u64) -> String {
    if whole == 0 { part.to_string() } else { format!("{part} ({:.1} %)", 100.0 * part as f64 / whole as f64) }
}

fn pair(figures: WaitFigures, both: fn(WaitFigures) -> (f64, f64)) -> String {
    if figures.n == 0 {
        return "-".to_owned();
    }
    let (left, right) = both(figures);
    format!("{:.1} / {:.1} s", left / 1_000.0, right / 1_000.0)
}
