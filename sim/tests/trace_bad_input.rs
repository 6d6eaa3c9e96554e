//! Bad rows by hand: each gives its own message, with file, line and field, and costs its own row only.
//!
//! The table holds what people and exports really do to such files. Beside it: strictness, limits at, above and ten times above,
//! damaged gzip, and random bytes, which must never panic.

mod support;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;
use tidegate_sim::trace::{HEADER, Limits, Mode, Problem, ReadError, Report, Severity, parse, parse_bytes, read_file};

const GOOD: &str = "1999-05-16,PS,2,50,40244,6,40250,71,AGENT,40320,5,A01";

fn lenient(text: &[u8], limits: Limits) -> Report {
    parse(text, "day.csv", Mode::Lenient, limits).expect("lenient reading goes on")
}

fn strict(text: &[u8], limits: Limits) -> Option<String> {
    match parse(text, "day.csv", Mode::Strict, limits) {
        Ok(_) => None,
        Err(ReadError::Found(finding)) => Some(finding.to_string()),
        Err(other) => panic!("{other}"),
    }
}

/// Puts the row on line 3 between two good ones; expects exactly this message there, in both modes, and the neighbours unharmed.
fn check(row: impl AsRef<[u8]>, problem: Problem, message: &str) {
    let row = row.as_ref();
    let text = [HEADER.as_bytes(), b"\n", GOOD.as_bytes(), b"\n", row, b"\n", GOOD.as_bytes(), b"\n"].concat();
    let shown = String::from_utf8_lossy(row).into_owned();
    let expected = format!("day.csv:3: {message}");
    assert_eq!(strict(&text, Limits::default()).as_deref(), Some(expected.as_str()), "row: {shown}");
    let report = lenient(&text, Limits::default());
    let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(found, [expected], "row: {shown}");
    assert_eq!(report.count(problem), 1, "row: {shown}");
    let kept = problem.severity() == Severity::Kept;
    let rows = if kept { 3 } else { 2 };
    assert_eq!((report.rows.len(), report.lines, report.rejected), (rows, 3, u64::from(!kept)), "row: {shown}");
    assert_eq!((report.rows[0].line, report.rows[rows - 1].line), (2, 4));
    if kept {
        assert_eq!(report.rows[1].defects.iter().collect::<Vec<_>>(), [problem]);
    }
}

#[test]
fn the_good_row_is_good() {
    let text = format!("{HEADER}\n{GOOD}\n");
    assert_eq!(strict(text.as_bytes(), Limits::default()), None);
    assert_eq!(lenient(text.as_bytes(), Limits::default()).rows.len(), 1);
}

#[test]
fn rows_out_of_shape() {
    use Problem::*;
    let columns = "check for a missing or an extra comma";
    let merged = "expected one value a column (are two columns merged?); put a comma between the two values";
    let quote = "expected no quotation marks within a field; remove the quotation mark; no field needs one";
    check("", BlankLine, "line: found a blank line, expected a row of 12 columns; delete the line");
    check("  \t ", BlankLine, "line: found a blank line, expected a row of 12 columns; delete the line");
    check("1999-05-16", WrongColumnCount, &format!("line: found 1 columns, expected 12 columns; {columns}"));
    check(
        "1999-05-16,PS,2,50,40244,6,40250,71,AGENT,40320,5",
        WrongColumnCount,
        &format!("line: found 11 columns, expected 12 columns; {columns}"),
    );
    check(format!("{GOOD},"), WrongColumnCount, &format!("line: found 13 columns, expected 12 columns; {columns}"));
    check(",".repeat(200), WrongColumnCount, &format!("line: found 201 columns, expected 12 columns; {columns}"));
    check(HEADER.replace(',', ";"), WrongColumnCount, &format!("line: found 1 columns, expected 12 columns; {columns}"));
    check("1999-05-16,PS 2,50,40244,6,40250,71,AGENT,40320,5,A01", MergedColumns, &format!("line: found “PS 2”, {merged}"));
    check(
        "1999-05-16,2      PS,,50,40244,6,40250,71,AGENT,40320,5,A01",
        MergedColumns,
        &format!("line: found “2      PS”, {merged}"),
    );
    check("1999-05-16,PS,2,50,40244,6,40250 71,AGENT,40320,5,A01", MergedColumns, &format!("line: found “40250 71”, {merged}"));
    check(
        GOOD.replace(',', "\t"),
        MergedColumns,
        &format!(
            "line: found “1999-05-16\u{fffd}PS\u{fffd}2\u{fffd}50\u{fffd}40244\u{fffd}6\u{fffd}40250\u{fffd}71\u{fffd}AGEN…”, {merged}"
        ),
    );
    check("1999-05-16,\"PS,2,50,40244,6,40250,71,AGENT,40320,5,A01", BadQuote, &format!("line: found “\"PS”, {quote}"));
    check("1999-05-16,PS,2,50,40244,6,40250,71,AGENT,40320,5,\"A\"01\"", BadQuote, &format!("line: found “\"A\"01\"”, {quote}"));
    check("1999-05-16,PS,2,50,40244,6,40250,71,AGENT,40320,5,\"", BadQuote, &format!("line: found “\"”, {quote}"));
    check(
        b"1999-05-16,PS,2,50,40244,6,40250,71,AGENT,40320,5,A\xff1",
        NotUtf8,
        "line: found “1999-05-16,PS,2,50,40244,6,40250,71,AGEN…”, expected UTF-8 text; save the file as UTF-8",
    );
    check(b"\xfe\xff\x00", NotUtf8, "line: found “\u{fffd}\u{fffd}\u{fffd}”, expected UTF-8 text; save the file as UTF-8");
}

/// `GOOD` with one column replaced.
fn with(column: usize, value: &str) -> String {
    let mut fields: Vec<&str> = GOOD.split(',').collect();
    fields[column] = value;
    fields.join(",")
}

#[test]
fn fields_out_of_range() {
    use Problem::*;
    let date = "expected a date as YYYY-MM-DD, 1900 to 2199; write the date as YYYY-MM-DD";
    for day in ["16/05/1999", "1999-5-16", "1999-02-30", "1999-13-01", "990516", "2200-01-01"] {
        check(with(0, day), BadDate, &format!("day: found “{day}”, {date}"));
    }
    check(with(0, ""), MissingField, "day: found nothing, expected a value; fill the field, or delete the row");
    for kind in ["XX", "ps", "PSS", "普"] {
        let expected = "expected one of PS PE IN NE NW TT AA; use one of the values named";
        check(with(1, kind), UnknownType, &format!("type: found “{kind}”, {expected}"));
    }
    for priority in ["3", "-1", "high", "02"] {
        let expected = "expected one of 0 1 2; use one of the values named";
        check(with(2, priority), UnknownPriority, &format!("priority: found “{priority}”, {expected}"));
    }
    let seconds = "write whole seconds or a whole number in range";
    check(with(3, "-7"), Negative, &format!("customer: found “-7”, expected a whole number, 0 to 4294967295; {seconds}"));
    let above = "4294967296";
    check(with(3, above), Overflow, &format!("customer: found “{above}”, expected a whole number, 0 to 4294967295; {seconds}"));
    let far = "9".repeat(30);
    check(with(3, &far), Overflow, &format!("customer: found “{far}”, expected a whole number, 0 to 4294967295; {seconds}"));
    let times = "correct the times; they are seconds after midnight";
    let of_day = "expected seconds after midnight, 0 to 86399";
    check(with(4, "86400"), ImpossibleTime, &format!("vru_entry_s: found “86400”, {of_day}; {times}"));
    check(with(4, "-1"), Negative, &format!("vru_entry_s: found “-1”, {of_day}; {seconds}"));
    check(with(4, "11:10:44"), NotANumber, &format!("vru_entry_s: found “11:10:44”, {of_day}; {seconds}"));
    check(with(4, "0x9D34"), NotANumber, &format!("vru_entry_s: found “0x9D34”, {of_day}; {seconds}"));
    check(with(4, ""), MissingField, "vru_entry_s: found nothing, expected a value; fill the field, or delete the row");
    check(with(5, "6.0"), NotANumber, &format!("vru_s: found “6.0”, expected whole seconds, -86400 to 86400; {seconds}"));
    check(with(5, "--6"), NotANumber, &format!("vru_s: found “--6”, expected whole seconds, -86400 to 86400; {seconds}"));
    check(with(5, "-86401"), Overflow, &format!("vru_s: found “-86401”, expected whole seconds, -86400 to 86400; {seconds}"));
    check(with(6, "402500"), ImpossibleTime, &format!("q_start_s: found “402500”, {of_day}; {times}"));
    check(
        with(6, "40241"),
        ImpossibleTime,
        &format!("q_start_s: found “40241”, 3 s before the caller arrived, expected a time at or after vru_entry_s; {times}"),
    );
    check(
        with(6, ""),
        QueueWithoutStart,
        "q_start_s: found q_s 71 and no q_start_s, expected a start for every wait; fill q_start_s, or set q_s to 0",
    );
    check(with(7, "-71"), Negative, &format!("q_s: found “-71”, expected a whole number, 0 to 86400; {seconds}"));
    check(with(7, "86401"), Overflow, &format!("q_s: found “86401”, expected a whole number, 0 to 86400; {seconds}"));
    check(with(7, "864000"), Overflow, &format!("q_s: found “864000”, expected a whole number, 0 to 86400; {seconds}"));
    check(with(7, "٧١"), NotANumber, &format!("q_s: found “٧١”, expected a whole number, 0 to 86400; {seconds}"));
    for outcome in ["SERVED", "agent", "AGENT "] {
        let expected = "expected one of AGENT HANG PHANTOM; use one of the values named";
        check(with(8, outcome), UnknownOutcome, &format!("outcome: found “{outcome}”, {expected}"));
    }
    check(
        with(8, "HANG"),
        HangUpNamesAgent,
        "agent: found “A01”, expected no agent where the outcome is HANG; empty the agent, or set the outcome to AGENT",
    );
    check(
        with(9, "40000"),
        ImpossibleTime,
        &format!("ser_start_s: found “40000”, 244 s before the caller arrived, expected a time at or after vru_entry_s; {times}"),
    );
    check(with(10, "+5"), NotANumber, &format!("ser_s: found “+5”, expected a whole number, 0 to 86400; {seconds}"));
    check(with(10, ""), MissingField, "ser_s: found nothing, expected a value; fill the field, or delete the row");
    let name = "expected 1 to 16 letters, digits, underscores, or nothing; use letters, digits and underscores only";
    for agent in ["A-01", "AGENT_WITH_A_LONG_NAME", "坐席"] {
        check(with(11, agent), BadAgent, &format!("agent: found “{agent}”, {name}"));
    }
}

#[test]
fn contradictions_are_kept_and_carried() {
    use Problem::*;
    let nobody = "agent: found nobody, expected who served the contact; none needed: the contact is kept without its agent";
    check(with(11, ""), MissingAgent, nobody);
    check(with(11, "NO_SERVER"), MissingAgent, nobody);
    let imputed = "none needed: the service is imputed and flagged";
    check(with(9, ""), ServedWithoutStart, &format!("ser_start_s: found nothing, expected when service began; {imputed}"));
    check(with(10, "0"), ServedForZero, &format!("ser_s: found “0”, expected a service of 1 s or more; {imputed}"));
    check(
        "1999-05-16,PS,2,50,40244,6,40250,71,HANG,40320,5,",
        HangUpWithService,
        "ser_start_s: found a service of 5 s, expected none where the outcome is HANG; none needed: the row counts as a hang-up",
    );
    check(
        "1999-05-16,PS,2,50,40244,-15,40229,71,AGENT,40300,5,A01",
        NegativeBotTime,
        "vru_s: found “-15”, expected 0 or more; none needed: the contact arrives where its queue begins",
    );
    check(
        with(5, "9"),
        EndPointsDisagree,
        "q_start_s: found “40250”, -3 s from vru_entry_s + vru_s, expected vru_entry_s + vru_s; none needed: durations outrank end \
         points",
    );
    check(
        with(9, "40300"),
        ServiceOverlapsWait,
        "ser_start_s: found “40300”, 21 s before the wait ended, expected q_start_s + q_s or later; none needed: durations outrank \
         end points",
    );
    check(
        "1999-05-16,PS,1,572,86356,6,86362,44,AGENT,5,15,A18",
        CrossesMidnight,
        "ser_start_s: found “5”, half a day before vru_entry_s, expected a time of the same day; none needed: the time is read as of \
         the next day",
    );
}

#[test]
fn headers_that_are_not_ours() {
    let check = |header: &str, found: &str| {
        let text = format!("{header}\n{GOOD}\n");
        let report = lenient(text.as_bytes(), Limits::default());
        assert_eq!((report.rows.len(), report.count(Problem::BadHeader)), (0, 1));
        let expected = format!(
            "day.csv:1: line: found {found}, expected the header {HEADER}; put the header line first, columns in this order, \
             comma-separated"
        );
        assert_eq!(report.findings[0].to_string(), expected);
        assert_eq!(strict(text.as_bytes(), Limits::default()), Some(expected));
    };
    check("", "nothing");
    check(&HEADER.to_uppercase(), "“DAY,TYPE,PRIORITY,CUSTOMER,VRU_ENTRY_S,V…”");
    check(GOOD, "“1999-05-16,PS,2,50,40244,6,40250,71,AGEN…”");
    check("\u{1f}\u{7}", "“\u{fffd}\u{fffd}”");
    assert_eq!(parse_bytes(b"").count(Problem::BadHeader), 1);
}

/// A byte order mark, CR LF and whole fields in quotation marks are harmless: read, and counted.
#[test]
fn harmless_habits_are_counted() {
    let quoted = with(1, "\"PS\"");
    let text = format!("\u{feff}{HEADER}\r\n{GOOD}\r\n{quoted}\r\n{GOOD}");
    let report = parse(text.as_bytes(), "day.csv", Mode::Strict, Limits::default()).expect("nothing to complain of");
    assert_eq!(report.rows.len(), 3);
    assert_eq!((report.byte_order_marks, report.crlf_lines, report.quoted_fields), (1, 3, 1));
}

#[test]
fn limits_hold_at_above_and_ten_times_above() {
    let file = |rows: usize| format!("{HEADER}\n{}", format!("{GOOD}\n").repeat(rows)).into_bytes();
    // Rows.
    for (rows, read, over) in [(10, 10, 0), (11, 10, 1), (100, 10, 1)] {
        let report = lenient(&file(rows), Limits { rows: 10, ..Limits::default() });
        assert_eq!((report.rows.len(), report.count(Problem::TooManyRows)), (read, over));
    }
    let message = strict(&file(11), Limits { rows: 10, ..Limits::default() });
    let expected = "day.csv:12: line: found more than 10 rows, expected at most 10 rows; split the file by day, or raise the limit";
    assert_eq!(message.as_deref(), Some(expected));
    // Bytes, plain and packed.
    let ten = file(10);
    for (rows, read, over) in [(10, 10, 0), (11, 10, 1), (100, 10, 1)] {
        for packed in [file(rows), gzip(&file(rows))] {
            let report = lenient(&packed, Limits { bytes: ten.len() as u64, ..Limits::default() });
            assert_eq!((report.rows.len(), report.count(Problem::TooManyBytes)), (read, over), "{rows} rows");
        }
    }
    let report = lenient(&ten, Limits { bytes: ten.len() as u64 - 1, ..Limits::default() });
    assert_eq!((report.rows.len(), report.count(Problem::TooManyBytes)), (9, 1));
    // Line length.
    for (padding, over) in [(0, 0), (1, 1), (9 * GOOD.len(), 1)] {
        let line = format!("{GOOD}{}", "x".repeat(padding));
        let text = format!("{HEADER}\n{line}\n");
        let report = lenient(text.as_bytes(), Limits { line_bytes: GOOD.len(), ..Limits::default() });
        assert_eq!((report.rows.len() as u64, report.count(Problem::LineTooLong)), (1 - over, over));
    }
    // Findings: all counted, the first kept.
    for (bad, kept) in [(10, 10), (11, 10), (100, 10)] {
        let text = format!("{HEADER}\n{}", "x\n".repeat(bad));
        let report = lenient(text.as_bytes(), Limits { findings: 10, ..Limits::default() });
        assert_eq!((report.findings.len(), report.rejected), (kept, bad as u64));
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

/// A cut or flipped gzip stream gives the rows before the damage and says so; it never gives a row that was not there.
#[test]
fn damaged_gzip_is_named() {
    let rows: String = (0..5_000).map(|n| format!("1999-05-16,PS,2,{n},{},6,,0,HANG,,0,\n", n * 17)).collect();
    let plain = format!("{HEADER}\n{rows}");
    let packed = gzip(plain.as_bytes());
    let whole = lenient(&packed, Limits::default());
    assert_eq!((whole.rows.len(), whole.findings.len()), (5_000, 0));
    for keep in [1, 2, 9, 10, 11, packed.len() / 2, packed.len() - 9, packed.len() - 1] {
        let report = lenient(&packed[..keep], Limits::default());
        if keep == 1 {
            assert_eq!(report.count(Problem::BadHeader), 1);
            continue;
        }
        assert_eq!(report.count(Problem::DamagedGzip) + report.count(Problem::BadHeader), 1, "kept {keep}");
        assert!(report.rows.len() < 5_000 || keep >= packed.len() - 9);
        assert_eq!(report.rows[..], whole.rows[..report.rows.len()], "kept {keep}");
    }
    assert!(lenient(&packed[..packed.len() / 2], Limits::default()).rows.len() > 1_000);
    let mut flipped = packed.clone();
    let checksum = packed.len() - 6;
    flipped[checksum] ^= 4;
    assert_eq!(lenient(&flipped, Limits::default()).count(Problem::DamagedGzip), 1);
    assert!(strict(&flipped, Limits::default()).is_some_and(|message| message.contains("fetch the file again")));
}

#[test]
fn a_file_that_is_not_there() {
    let error = read_file("no/such/trace.csv.gz".as_ref(), Mode::Lenient, Limits::default()).map(|_| ()).map_err(|e| e.to_string());
    assert_eq!(error, Err("no/such/trace.csv.gz: cannot be read; check the path and its permissions".to_owned()));
}

/// Any bytes at all, and any mutation of good ones, behind a good header or not, packed or not: no panic, every line accounted for.
#[test]
fn no_bytes_panic() {
    let piece = prop_oneof![
        Just(GOOD.as_bytes().to_vec()),
        Just(b"\n".to_vec()),
        Just(b",".to_vec()),
        Just("\u{feff}\"".as_bytes().to_vec()),
        "[0-9A-Z,\\-]{0,20}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let input = (any::<bool>(), prop::collection::vec(piece, 0..30), any::<bool>());
    support::run(4_000, 200_000, &input, |(with_header, pieces, packed)| {
        let mut bytes = if with_header { format!("{HEADER}\n").into_bytes() } else { Vec::new() };
        bytes.extend(pieces.concat());
        let bytes = if packed { gzip(&bytes) } else { bytes };
        let report = parse_bytes(&bytes);
        prop_assert_eq!(report.rows.len() as u64 + report.rejected, report.lines);
        for finding in &report.findings {
            prop_assert!(finding.found.chars().count() <= 80 && !finding.to_string().contains('\n'));
        }
        Ok(())
    });
}
