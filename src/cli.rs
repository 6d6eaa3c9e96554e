//! Arguments. Only commands that work are listed; the README's status table says what is to come.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Tidegate (潮闸): a contact router whose simulator runs the same deciding code.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// Language of what people read.
    #[arg(long, global = true, value_enum, env = "TIDEGATE_LANG", default_value = "en")]
    pub lang: crate::say::Lang,
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The main job on real input: a call-centre day through a live node, proved against its twin.
    Demo(Demo),
    /// A node: router, web chat, agent desk, administration. Without configuration a demonstration tenant.
    Serve(Serve),
    /// A scenario in virtual time, decided by the router's own code: figures with intervals.
    Simulate(Simulate),
    /// Results of shards (`simulate --shard`) joined into one.
    Merge(Merge),
    /// A stopped node's log through the twin: what was decided, and whether it is decided again.
    Replay(Replay),
    /// Records of real contacts, fitted: rates, patience, handle times, presence, each with its interval.
    Calibrate(Calibrate),
    /// The log of a stopped node.
    #[command(subcommand)]
    Journal(Journal),
    /// Configuration files.
    #[command(subcommand)]
    Config(Config),
    /// What a node serves over HTTP.
    #[command(subcommand)]
    Api(Api),
    /// The audit of administrative acts, of a stopped or a running node.
    #[command(subcommand)]
    Audit(Audit),
    /// Erlang B, C and A: agents and waits of one pool by formula.
    Erlang(crate::commands::erlang::Erlang),
}

/// `tidegate api`.
#[derive(Debug, Subcommand)]
pub enum Api {
    /// The OpenAPI 3.1 document, on stdout.
    Openapi,
    /// A page of Markdown for each type of problem, into a directory.
    Problems {
        /// The directory; made when it is not there.
        dir: PathBuf,
    },
}

/// `tidegate demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// All eight days (10,034 rows) instead of one.
    #[arg(long, conflicts_with = "day")]
    pub week: bool,
    /// Which day of the record.
    #[arg(long, default_value = tidegate_sim::bank::STORM_DAY)]
    pub day: String,
    /// Log seconds in one second of yours; 480 for a day, 2,880 for the week.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub speed: Option<u32>,
    /// Only what comes between these hours of the day, as FROM-TO.
    #[arg(long, value_parser = hours)]
    pub hours: Option<(u64, u64)>,
    /// Where the node keeps its log; a temporary directory otherwise. It must not hold a log yet.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Where the picture goes.
    #[arg(long, default_value = "tidegate-demo.svg")]
    pub picture: PathBuf,
    /// Another trace than the built-in one, in the same columns.
    #[arg(long)]
    pub trace: Option<PathBuf>,
    /// Stop at the first finding in the trace.
    #[arg(long)]
    pub strict: bool,
    /// Seed of imputed patience and handle times.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Show the day live on a large page: its address is printed, and opened where the system can.
    #[arg(long)]
    pub open: bool,
    /// Figures as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

fn hours(text: &str) -> Result<(u64, u64), String> {
    let parse = || {
        let (from, to) = text.split_once('-')?;
        Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?))
    };
    match parse() {
        Some((from, to)) if from < to && to <= 24 => Ok((from, to)),
        _ => Err("write two whole hours from 0 to 24, as in 20-22".into()),
    }
}

/// `tidegate serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Configuration; a demonstration tenant without it.
    #[arg(short, long)]
    pub config: Option<PathBuf>,
    /// Address to listen on, as HOST:PORT; overrides the configuration.
    #[arg(long, value_parser = crate::config::address)]
    pub listen: Option<String>,
    /// Where the node keeps its log; overrides the configuration. A temporary directory without either.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Failed authentications a second that one address may make, twenty times as many at once; behind a proxy everybody has
    /// one address.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub auth_failures: u32,
    /// What was started, as one line of JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `tidegate simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// The scenario (TOML).
    pub scenario: PathBuf,
    /// Independent replications; as the scenario says without it. At most so many with --precision.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub reps: Option<u32>,
    /// Stop when mean wait and service level of all contacts are known to this relative half-width, as 0.01.
    #[arg(long, value_parser = share)]
    pub precision: Option<f64>,
    /// Play the I-th of N parts, as I/N; `tidegate merge` joins them.
    #[arg(long, value_name = "I/N", value_parser = shard, conflicts_with = "precision")]
    pub shard: Option<(u64, u64)>,
    /// The seed; as the scenario says without it.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Every second replication mirrors the draws of the one before it.
    #[arg(long)]
    pub antithetic: bool,
    /// Threads; as many as there are processors without it. The result does not depend on them.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub threads: Option<u16>,
    /// Play a result of --json again, and compare digests; exit code 1 if they differ.
    #[arg(long, value_name = "REPORT", conflicts_with_all = ["reps", "precision", "shard", "seed", "antithetic"])]
    pub verify: Option<PathBuf>,
    /// Figures, distributions and replications as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `tidegate merge`.
#[derive(Debug, Args)]
pub struct Merge {
    /// Results of `simulate --shard I/N --json`.
    #[arg(required = true)]
    pub results: Vec<PathBuf>,
    /// The whole as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|share| (0.000_1..1.0).contains(share));
    number.ok_or_else(|| "write a number from 0.0001 to below 1, as 0.01".into())
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let parse = || {
        let (part, of) = text.split_once('/')?;
        Some((part.parse::<u64>().ok()?, of.parse::<u64>().ok()?))
    };
    match parse() {
        Some((part, of)) if (1..=of).contains(&part) && of <= 100_000 => Ok((part, of)),
        _ => Err("write the part and how many there are, as 1/8".into()),
    }
}

/// `tidegate replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Directory of a stopped node's log.
    pub journal: PathBuf,
    /// Figures as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `tidegate calibrate`.
#[derive(Debug, Args)]
pub struct Calibrate {
    /// The records, in order of time: files, or directories of stopped nodes' logs.
    #[arg(required = true)]
    pub records: Vec<PathBuf>,
    /// What the records are; a directory is a journal, a file a bank trace otherwise.
    #[arg(long, value_enum)]
    pub format: Option<RecordFormat>,
    /// Columns of a CSV as NAME=COLUMN, parted by commas: time class outcome wait_s answered handle_s ended agent customer
    /// priority; and words as served=WORD|WORD, abandoned=, left=, high=.
    #[arg(long, value_parser = mapping, default_value = "", hide_default_value = true)]
    pub map: tidegate_sim::calibrate::read::Mapping,
    /// Encoding of a CSV; found out otherwise.
    #[arg(long, value_enum)]
    pub encoding: Option<RecordEncoding>,
    /// Offset of the centre's clock from universal time, for moments in universal time.
    #[arg(long, default_value = "+00:00", allow_hyphen_values = true)]
    pub zone: tidegate_sim::calibrate::read::Zone,
    /// Minutes of an interval of the weekday profile.
    #[arg(long, default_value_t = 30, value_parser = divisor)]
    pub interval: u32,
    /// Seed of the intervals' resampling.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Findings told in words a file; all are counted.
    #[arg(long, default_value_t = 20)]
    pub findings: usize,
    /// Exit code 3 when a row was rejected.
    #[arg(long)]
    pub strict: bool,
    /// Where a scenario of an ordinary day goes, ready for `simulate`.
    #[arg(short, long, value_name = "SCENARIO")]
    pub output: Option<PathBuf>,
    /// Which weekday the scenario is; the busiest otherwise.
    #[arg(long, requires = "output", value_parser = weekday)]
    pub weekday: Option<usize>,
    /// Everything fitted as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RecordFormat {
    /// The bank trace, in the owners' columns or ours.
    Bank,
    /// One contact a row, columns mapped.
    Csv,
    /// A stopped node's log.
    Journal,
}

/// How a CSV is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RecordEncoding {
    /// UTF-8.
    #[value(name = "utf-8")]
    Utf8,
    /// GB18030, GBK or GB2312.
    Gb18030,
}

fn mapping(text: &str) -> Result<tidegate_sim::calibrate::read::Mapping, String> {
    tidegate_sim::calibrate::read::Mapping::parse([text]).map_err(|error| error.to_string())
}

fn weekday(text: &str) -> Result<usize, String> {
    let days = tidegate_sim::calibrate::contact::WEEKDAYS;
    let found = days.iter().position(|day| day.eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("write one of {}", days.join(", ")))
}

fn divisor(text: &str) -> Result<u32, String> {
    let minutes = text.parse().ok().filter(|minutes| (1..=1_440).contains(minutes) && 1_440 % minutes == 0);
    minutes.ok_or_else(|| "write whole minutes that divide a day, as 15, 30 or 60".into())
}

/// `tidegate journal`.
#[derive(Debug, Subcommand)]
pub enum Journal {
    /// Reads everything and names what is damaged; exit code 1 if anything is.
    Verify(JournalDir),
    /// What the log holds.
    Inspect(JournalDir),
    /// Every entry as one line of JSON on stdout; bodies stay out.
    Export(JournalDir),
}

/// A directory of a log.
#[derive(Debug, Args)]
pub struct JournalDir {
    /// Directory of a stopped node's log.
    pub journal: PathBuf,
    /// Figures as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `tidegate config`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Reads a configuration and the policies it names, and reports every fault with file, line and field.
    Check {
        /// The configuration.
        file: PathBuf,
        /// The result as JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Every setting with its value and where it comes from: a line of the file, a variable, or a default.
    Explain {
        /// The configuration.
        file: PathBuf,
        /// The settings as JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// The JSON Schema of a configuration file.
    Schema {
        /// Of a scenario of the simulator, instead.
        #[arg(long)]
        scenario: bool,
    },
    /// A commented example that passes `check` beside the example policy.
    Example {
        /// The policy that it names, instead.
        #[arg(long)]
        policy: bool,
    },
}

/// `tidegate audit`.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Checks the chain from its first record to its end, and names the first that does not hold; exit code 1 then.
    Verify {
        /// The node's data directory.
        dir: PathBuf,
        /// A head that was noted earlier, as NUMBER:HASH: it must be on the chain.
        #[arg(long)]
        head: Option<tidegate_router::audit::Head>,
        /// Figures as JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Every record as one line on stdout.
    Show {
        /// The node's data directory.
        dir: PathBuf,
        /// Records after this number alone.
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// Each record as it stands in the file, one JSON object a line.
        #[arg(long)]
        json: bool,
    },
}
