//! Records as they really come: encodings, separators, mapped columns, and mistakes, each named by file, line and field.
//!
//! Nothing is guessed and nothing is dropped in silence: a row becomes a contact or a finding. Ten million rows go through in
//! constant memory (nightly).

use std::io::{self, Read, Write};
use tidegate_sim::calibrate::read::{
    Encoding, Limits, Mapping, MappingError, ReadError, ReadReport, Zone, read_bank, read_csv_from,
};
use tidegate_sim::calibrate::{Tally, calibrate};
use tidegate_sim::kernel::Streams;

const HEADER: &str = "time,class,outcome,wait_s,handle_s,agent,customer,priority";
const GOOD: &str = "2026-11-11 09:30:00,voice,served,12,180,A01,77,2";

fn read_with(bytes: &[u8], map: &str, encoding: Encoding, limits: Limits) -> (Result<ReadReport, ReadError>, Tally) {
    let mut tally = Tally::new(1_800);
    let mapping = Mapping::parse([map]).expect("a mapping");
    let report = read_csv_from(bytes, "day.csv", &mapping, encoding, Zone::default(), limits, &mut tally);
    (report, tally)
}

fn read(text: impl AsRef<[u8]>) -> (ReadReport, Tally) {
    let (report, tally) = read_with(text.as_ref(), "", Encoding::Detect, Limits::default());
    (report.expect("a header"), tally)
}

/// Puts the row between two good ones; expects exactly this finding on line 3, and the neighbours unharmed.
fn check(row: &str, expected: &str) {
    let (report, tally) = read(format!("{HEADER}\n{GOOD}\n{row}\n{GOOD}\n"));
    let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(found, [format!("day.csv:3: {expected}")], "row: {row}");
    assert_eq!((report.rows, report.contacts, report.rejected, tally.contacts), (3, 2, 1, 2), "row: {row}");
}

#[test]
fn a_good_row_is_a_contact() {
    let (report, tally) = read(format!("{HEADER}\n{GOOD}\n"));
    assert_eq!((report.rows, report.contacts, report.rejected, report.findings.len()), (1, 1, 0, 0));
    assert_eq!((tally.identified, tally.standings), (1, [0, 0, 1]));
}

#[test]
fn each_mistake_has_its_own_words() {
    let moment = "expected a moment between 1900 and 2199, year first; write moments as 2026-11-11 09:30:00, with or without an offset, or as seconds since 1970";
    check("yesterday,voice,served,12,180,A01,77,2", &format!("time: found “yesterday”, {moment}"));
    check("11/12/2026 09:30,voice,served,12,180,A01,77,2", &format!("time: found “11/12/2026 09:30”, {moment}"));
    check(",voice,served,12,180,A01,77,2", "time: found nothing, expected a moment; fill the field, or delete the row");
    check(
        "2026-11-11 09:30:00,voice,served,-12,180,A01,77,2",
        "wait_s: found “-12”, expected seconds from 0 to 2592000; correct the length; it cannot be below zero",
    );
    check(
        "2026-11-11 09:30:00,voice,served,12,soon,A01,77,2",
        "handle_s: found “soon”, expected seconds from 0 to 2592000; write seconds as a number, with a point",
    );
    check(
        "2026-11-11 09:30:00,voice,served,12,180000000,A01,77,2",
        "handle_s: found “180000000”, expected seconds from 0 to 2592000; correct the length; is it in milliseconds?",
    );
    check(
        "2026-11-11 09:30:00,voice,perhaps,12,180,A01,77,2",
        "outcome: found “perhaps”, expected a word for served, abandoned or left; name it, as --map served=WORD|WORD",
    );
    check(
        "2026-11-11 09:30:00,voice,abandoned,,,A01,77,2",
        "wait_s: found nothing, expected a wait: wait_s, or answered, or ended of an abandoned one; map one of these columns",
    );
    check(
        "2026-11-11 09:30:00,voice,served,12,180,A01,77",
        "line: found 7 columns, expected 8 columns; check for a missing or an extra separator",
    );
    check(
        "2026-11-11 09:30:00,voice,served,NaN,180,A01,77,2",
        "wait_s: found “NaN”, expected seconds from 0 to 2592000; correct the length; is it in milliseconds?",
    );
}

#[test]
fn moments_out_of_order_are_found() {
    let text = "time,answered,ended\n2026-11-11 09:30:00,2026-11-11 09:29:00,2026-11-11 09:40:00\n2026-11-11 09:30:00,2026-11-11 09:31:00,2026-11-11 09:30:30\n";
    let (report, _) = read(text);
    let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let rest = "expected time, answered, ended in this order; correct the times; do they stand in one zone?";
    assert_eq!(
        found,
        [
            format!("day.csv:2: answered: found a moment 60 s before the one it follows, {rest}"),
            format!("day.csv:3: ended: found a moment 30 s before the one it follows, {rest}"),
        ]
    );
}

#[test]
fn encodings_are_told_apart_and_wrong_ones_are_found() {
    let text = "到达时间,技能组,结果,等待秒,通话秒\n2026/11/11 9:05,投诉组,接通,12,180\n2026/11/11 9:06,投诉组,放弃,30,\n";
    let map = "time=到达时间,class=技能组,outcome=结果,wait_s=等待秒,handle_s=通话秒";
    let gb = encoding_rs::GB18030.encode(text).0.into_owned();
    let marked = [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat();
    for (name, bytes) in [("UTF-8", text.as_bytes()), ("UTF-8 with mark", &marked), ("GB18030", &gb)] {
        let (report, tally) = read_with(bytes, map, Encoding::Detect, Limits::default());
        let report = report.expect(name);
        assert_eq!((report.contacts, report.rejected), (2, 0), "{name}: {:?}", report.findings);
        assert_eq!(tally.known_names().class_name(tidegate_sim::calibrate::ClassId(0)), "投诉组", "{name}");
    }
    // The separators of the other two.
    for separator in ["\t", ";"] {
        let bytes = encoding_rs::GB18030.encode(&text.replace(',', separator)).0.into_owned();
        assert_eq!(read_with(&bytes, map, Encoding::Detect, Limits::default()).0.expect("rows").contacts, 2);
    }
    // The wrong name for GB18030: the header's columns are not there.
    assert!(matches!(read_with(&gb, map, Encoding::Utf8, Limits::default()).0, Err(ReadError::Header { .. })));
    // A row that is not what its file began as.
    let mixed = [format!("{HEADER}\n").as_bytes(), b"2026-11-11 09:30:00,\xcd\xb6\xcb\xdf,served,12,180,A01,77,2\n"].concat();
    let (report, _) = read_with(&mixed, "", Encoding::Utf8, Limits::default());
    let found = report.expect("a header").findings[0].to_string();
    assert!(
        found.starts_with("day.csv:2: class: found ")
            && found.ends_with("name the file's encoding with --encoding gb18030, or save it as UTF-8"),
        "{found}"
    );
    for (bytes, named) in
        [(b"\xff\xfet\0i\0".as_slice(), "UTF-16"), (b"PK\x03\x04rest", "a workbook (XLSX) or another zip archive")]
    {
        match read_with(bytes, "", Encoding::Detect, Limits::default()).0 {
            Err(ReadError::Encoding { found, .. }) => assert_eq!(found, named),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn files_that_are_no_record_are_refused() {
    assert!(matches!(read_with(b"", "", Encoding::Detect, Limits::default()).0, Err(ReadError::Empty { .. })));
    assert!(matches!(
        read_with(format!("{HEADER}\n").as_bytes(), "", Encoding::Detect, Limits::default()).0,
        Err(ReadError::Empty { .. })
    ));
    for (header, expected) in [
        ("when,what", "a column for time, when a contact asked"),
        ("time,class", "a column for at least one of wait_s, answered, handle_s, ended, outcome"),
        ("time,time,wait_s", "one column “time”, not two"),
    ] {
        match read_with(format!("{header}\n1,2\n").as_bytes(), "", Encoding::Detect, Limits::default()).0 {
            Err(ReadError::Header { expected: found, .. }) => assert_eq!(found, expected),
            other => panic!("{other:?}"),
        }
    }
    match read_with(b"time,wait_s\n1,2\n", "class=queue", Encoding::Detect, Limits::default()).0 {
        Err(ReadError::Header { expected, .. }) => assert_eq!(expected, "a column “queue” for class"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn mappings_that_say_nothing_are_refused() {
    assert!(matches!(Mapping::parse(["time"]), Err(MappingError::Shape { .. })));
    assert!(matches!(Mapping::parse(["time="]), Err(MappingError::Shape { .. })));
    assert!(matches!(Mapping::parse(["tiem=a"]), Err(MappingError::Unknown { .. })));
    assert!(matches!(Mapping::parse(["time=a,time=b"]), Err(MappingError::Twice { .. })));
    assert_eq!(Mapping::parse(["time=a, class=b"]), Mapping::parse(["class=b", "time=a"]));
}

/// A class column that is really a phone number, at its limit, above it and ten times above.
#[test]
fn a_wrong_column_for_classes_stops_the_file() {
    let file = |classes: usize| {
        let mut text = format!("{HEADER}\n");
        for n in 0..classes {
            text.push_str(&GOOD.replace("voice", &format!("q{n}")));
            text.push('\n');
        }
        read_with(text.as_bytes(), "", Encoding::Detect, Limits::default()).0
    };
    assert_eq!(file(200).expect("200 classes").contacts, 200);
    for classes in [201, 2_000] {
        match file(classes) {
            Err(ReadError::Names { line, .. }) => assert_eq!(line, 202),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn lines_and_rows_at_their_limit_above_it_and_far_above() {
    let limits = Limits { line_bytes: GOOD.len() + 1 - 8, rows: 2, findings: 1 };
    let file = |rows: &[String]| {
        read_with(format!("{HEADER}\n{}\n", rows.join("\n")).as_bytes(), "", Encoding::Detect, limits).0.expect("a header")
    };
    // Seven separators are not counted.
    let report = file(&[GOOD.to_owned(), GOOD.replace("A01", "A0123"), GOOD.to_owned()]);
    assert_eq!((report.rows, report.contacts, report.rejected), (2, 1, 1));
    let report = file(&[GOOD.replace("A01", &"A".repeat(500)), GOOD.replace("A01", &"A".repeat(500))]);
    assert_eq!((report.rejected, report.findings.len(), report.problems["line_too_long"]), (2, 1, 2));
}

#[test]
fn the_bank_s_own_columns_and_its_damage() {
    let header = "vru+line\tcall_id\tcustomer_id\tpriority\ttype\tdate\tvru_entry\tvru_exit\tvru_time\tq_start\tq_exit\tq_time\toutcome\tser_start\tser_exit\tser_time\tserver";
    let good =
        "AA0101\t1\t9664491\t2\tPS\t990101\t0:00:31\t0:00:36\t5\t0:00:36\t0:03:09\t153\tHANG\t0:00:00\t0:00:00\t0\tNO_SERVER";
    let rows = [
        good.to_owned(),
        good.replace("2\tPS", "2       PS"),
        good.replace("990101", "991301"),
        good.replace("0:00:31", "0:61:31"),
        good.replace("153", "-153"),
        good.replace("HANG", "PHANTOM"),
        "AA0101\t2\t0\t0\tPS\t990101\t7:41:16\t7:41:26\t10\t0:00:00\t0:00:00\t0\tAGENT\t7:41:25\t7:44:53\t208\tBASCH".to_owned(),
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("month.txt");
    std::fs::write(&path, format!("{header}\n{}\n", rows.join("\n"))).expect("written");
    let mut tally = Tally::new(1_800);
    let report = read_bank(&path, Limits::default(), &mut tally).expect("a header");
    let found: Vec<(u64, &str, &str)> = report.findings.iter().map(|f| (f.line, f.field.as_str(), f.problem.as_str())).collect();
    let mut expected =
        [(3, "line", "merged_columns"), (4, "day", "bad_date"), (5, "vru_entry", "impossible_time"), (6, "q_s", "negative")];
    let mut sorted = found.clone();
    sorted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!((report.rows, report.contacts, report.ignored, report.rejected), (7, 2, 1, 4));
    std::fs::write(&path, "").expect("written");
    assert!(matches!(read_bank(&path, Limits::default(), &mut tally), Err(ReadError::Empty { .. })));
    std::fs::write(&path, "time,class\n").expect("written");
    assert!(matches!(read_bank(&path, Limits::default(), &mut tally), Err(ReadError::Header { .. })));
    let missing = directory.path().join("nowhere");
    assert!(matches!(read_bank(&missing, Limits::default(), &mut tally), Err(ReadError::File { .. })));
}

/// Rows without end, made as they are read.
struct Rows {
    left: u64,
    made: u64,
    line: Vec<u8>,
    at: usize,
}

impl Read for Rows {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.line.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.left -= 1;
            self.made += 1;
            // Ten thousand a day.
            let seconds = 1_794_000_000 + self.made * 86_400 / 10_000;
            self.line.clear();
            self.at = 0;
            let (class, wait) = (self.made % 7, self.made * 7_919 % 600);
            let outcome = if self.made.is_multiple_of(5) { "abandoned" } else { "served" };
            writeln!(
                self.line,
                "{seconds},q{class},{outcome},{wait},{},A{},{},1",
                wait + 60,
                self.made % 300,
                self.made % 100_000
            )?;
        }
        let n = into.len().min(self.line.len() - self.at);
        into[..n].copy_from_slice(&self.line[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Peak memory of this process in KiB, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}

#[test]
fn a_long_record_needs_no_more_room_than_its_open_days() {
    let nightly = std::env::var("TIDEGATE_NIGHTLY").is_ok_and(|value| value == "1");
    let count = if nightly { 10_000_000 } else { 20_000 };
    let rows = Rows { left: count, made: 0, line: format!("{HEADER}\n").into_bytes(), at: 0 };
    let mut tally = Tally::new(3_600);
    let before = peak_kib();
    let report =
        read_csv_from(rows, "stream", &Mapping::default(), Encoding::Detect, Zone::default(), Limits::default(), &mut tally)
            .expect("rows");
    assert_eq!((report.contacts, report.rejected), (count, 0));
    if let (Some(before), Some(after)) = (before, peak_kib()) {
        let grew_mib = (after - before) / 1_024;
        println!("{count} rows: peak memory grew by {grew_mib} MiB");
        assert!(grew_mib < 400, "{grew_mib} MiB");
    }
    if !nightly {
        let fitted = calibrate(tally, 3_600, report, &Streams::seeded(1)).expect("contacts");
        assert_eq!((fitted.asked, fitted.classes.len()), (count, 7));
    }
}
