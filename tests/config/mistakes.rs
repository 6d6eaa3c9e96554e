//! Fifty wrong files: each has one mistake that people make, and each is answered with its line, its field and a remedy.

use super::example;
use super::run::tidegate;
use std::fs;

const NODE: &str = "tidegate.toml";
const POLICY: &str = "policy.toml";

/// A wrong file: which, what is replaced by what, on which line the fault is (the first that holds this), and the words of
/// the diagnosis.
struct Mistake(&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const MISTAKES: [Mistake; 60] = [
    // The form of TOML.
    Mistake(
        NODE,
        "\"127.0.0.1:8080\"",
        "127.0.0.1:8080",
        "listen = 127",
        &["in `listen = 127.0.0.1:8080`", "text stands in double quotes"],
    ),
    Mistake(NODE, "listen = ", "listen ", "listen \"", &["`=`"]),
    Mistake(NODE, "[[tenant]]", "[[tenant]", "[[tenant]", &["unclosed"]),
    Mistake(NODE, "data_dir = \"data\"", "data_dir = \"data", "data_dir", &["string"]),
    Mistake(NODE, "data_dir = \"data\"", "data_dir = \"a\"\ndata_dir = \"b\"", "data_dir = \"b\"", &["duplicate"]),
    Mistake(NODE, "[[tenant]]", "[tenant]", "[tenant]", &["expected a sequence"]),
    // Keys.
    Mistake(NODE, "listen =", "lisen =", "lisen", &["unknown field `lisen`", "did you mean \"listen\"?"]),
    Mistake(NODE, "data_dir =", "datadir =", "datadir", &["unknown field `datadir`", "did you mean \"data_dir\"?"]),
    Mistake(NODE, "data_dir = \"data\"\n", "", "# A node", &["missing field `data_dir`"]),
    Mistake(NODE, "policy = \"policy.toml\"\n", "", "[[tenant]]", &["missing field `policy`"]),
    Mistake(NODE, "origins =", "origin =", "origin =", &["unknown field `origin`", "did you mean \"origins\"?"]),
    Mistake(NODE, "  units = 3\n", "  unit = 3\n", "unit = 3", &["unknown field `unit`", "did you mean \"units\"?"]),
    Mistake(NODE, "[[tenant.agent]]", "[[tenant.agents]]", "agents]]", &["unknown field `agents`", "did you mean \"agent\"?"]),
    Mistake(NODE, "  seat = 1\n", "", "[[tenant.agent]]", &["missing field `seat`"]),
    // Types.
    Mistake(NODE, "  units = 3\n", "  units = \"3\"\n", "units = \"3\"", &["invalid type: string \"3\"", "u16"]),
    Mistake(NODE, "\"127.0.0.1:8080\"", "8080", "listen = 8080", &["invalid type: integer `8080`", "string"]),
    Mistake(NODE, "  seat = 1\n", "  seat = -1\n", "seat = -1", &["invalid value: integer `-1`", "u64"]),
    Mistake(NODE, "  units = 3\n", "  units = 70000\n", "units = 70000", &["70000", "u16"]),
    Mistake(NODE, "  units = 3\n", "  units = 2.5\n", "units = 2.5", &["2.5", "u16"]),
    Mistake(
        NODE,
        "origins = [\"https://shop.example\"]",
        "origins = \"https://shop.example\"",
        "origins",
        &["expected a sequence"],
    ),
    Mistake(NODE, "skills = { sales = 8", "skills = { sales = \"high\"", "\"high\"", &["\"high\"", "u8"]),
    // Values.
    Mistake(NODE, "127.0.0.1:8080", "127.0.0.1", "listen", &["listen:", "is no address", "HOST:PORT"]),
    Mistake(NODE, "127.0.0.1:8080", "127.0.0.1:99999", "listen", &["listen:", "is no address", "HOST:PORT"]),
    Mistake(NODE, "# segment_mib = 64 ", "segment_mib = 0 ", "segment_mib", &["segment_mib: is 1 to 1024 (MiB), found 0"]),
    Mistake(NODE, "# segment_mib = 64 ", "segment_mib = 1025 ", "segment_mib", &["segment_mib: is 1 to 1024 (MiB), found 1025"]),
    Mistake(NODE, "# segment_mib = 64 ", "segment_mib = 10240 ", "segment_mib", &["segment_mib: is 1 to 1024 (MiB), found 10240"]),
    Mistake(NODE, "# segment_mib = 64 ", "retain_gib = 655360 ", "retain_gib", &["retain_gib: is 0 (keep all) to 65536 (GiB)"]),
    Mistake(NODE, "# segment_mib = 64 ", "log.level = \"tidegate=loud\" ", "loud", &["log.level:", "write a level such as warn"]),
    Mistake(NODE, "# segment_mib = 64 ", "log.format = \"xml\" ", "xml", &["unknown variant `xml`", "`text`", "`json`"]),
    Mistake(
        NODE,
        "# segment_mib = 64 ",
        "files.largest_mib = 1025 ",
        "largest_mib",
        &["files.largest_mib: is 1 to 1024 (MiB), found 1025"],
    ),
    Mistake(
        NODE,
        "# segment_mib = 64 ",
        "files.largest_mib = 10240 ",
        "largest_mib",
        &["files.largest_mib: is 1 to 1024 (MiB), found 10240"],
    ),
    Mistake(
        NODE,
        "# segment_mib = 64 ",
        "files.tenant_mib = 10 ",
        "tenant_mib",
        &["files.tenant_mib: is 11 to 1073741824 (MiB), found 10"],
    ),
    Mistake(
        NODE,
        "origins = [\"https://shop.example\"]",
        "media_types = [\"image/pgn\"]",
        "media_types",
        &["media_types:", "did you mean \"image/png\"?"],
    ),
    Mistake(NODE, "id = 1", "id = 0", "id = 0", &["tenant.id: a number from 1"]),
    Mistake(NODE, "account = 1", "account = 0", "account = 0", &["inbox \"shop\".account: a number from 1"]),
    Mistake(NODE, "name = \"shop\"", "name = \"\"", "name = \"\"", &["inbox \"\".name: 1 to"]),
    Mistake(NODE, "https://shop.example", "shop.example", "origins", &["inbox \"shop\".origins:", "shop.example"]),
    Mistake(NODE, "  account = 1\n", "  account = 1\n  weight = 0\n", "weight", &["inbox \"shop\".weight: is 1 or more"]),
    Mistake(
        NODE,
        "  account = 1\n",
        "  account = 1\n  queue = \"sale\"\n",
        "queue =",
        &["inbox \"shop\".queue:", "did you mean \"sales\"?"],
    ),
    Mistake(
        NODE,
        "  seat = 2\n",
        "  seat = 1\n",
        "seat = 1\n  name = \"Chen\"",
        &["agent \"Chen\".seat: a number from 1, unlike any other"],
    ),
    Mistake(NODE, "name = \"Lin\"", "name = \"\"", "name = \"\"", &["agent \"\".name: 1 to"]),
    Mistake(NODE, "  units = 3\n", "  units = 0\n", "units = 0", &["agent \"Lin\".units: is 1 to 64, found 0"]),
    Mistake(NODE, "  units = 3\n", "  units = 65\n", "units = 65", &["agent \"Lin\".units: is 1 to 64, found 65"]),
    Mistake(NODE, "sales = 8", "sales = 11", "sales = 11", &["agent \"Lin\".skills.sales: a level is 1 to 10, found 11"]),
    Mistake(NODE, "sales = 8", "sails = 8", "sails", &["agent \"Lin\".skills.sails: unknown name", "did you mean \"sales\"?"]),
    // Other files.
    Mistake(
        NODE,
        "\"policy.toml\"",
        "\"polisy.toml\"",
        "polisy",
        &["tenant.policy:", "polisy.toml", "name an existing policy file"],
    ),
    Mistake(
        NODE,
        "[[tenant]]",
        "[[admin]]\nname = \"ops\"\nscope = \"admin\"\ntoken_file = \"ops.token\"\n\n[[tenant]]",
        "token_file = \"ops",
        &["admin \"ops\".token_file:", "make the file with the token as its first line"],
    ),
    Mistake(
        NODE,
        "[[tenant]]",
        "[[admin]]\nname = \"ops\"\nscope = \"root\"\ntoken_file = \"ops.token\"\n\n[[tenant]]",
        "root",
        &["unknown variant `root`", "`viewer`, `agent`, `supervisor`, `operator`, `planner`, `admin`"],
    ),
    // Traces.
    Mistake(
        NODE,
        "[[tenant]]",
        "[traces]\nendpoint = \"collector:4318\"\n\n[[tenant]]",
        "\"collector",
        &["traces.endpoint: write the collector's base as http://HOST:4318"],
    ),
    Mistake(NODE, "[[tenant]]", "[traces]\nsample_ratio = 0.1\n\n[[tenant]]", "[traces]", &["missing field `endpoint`"]),
    Mistake(
        NODE,
        "[[tenant]]",
        "[traces]\nendpoint = \"http://c:4318\"\nsample_ratio = nan\n\n[[tenant]]",
        "= nan",
        &["traces.sample_ratio: is 0 to 1, found NaN"],
    ),
    Mistake(
        NODE,
        "[[tenant]]",
        "[traces]\nendpoint = \"http://c:4318\"\nqueue_limit = 1048577\n\n[[tenant]]",
        "1048577",
        &["traces.queue_limit: is 1 to 1048576 (spans), found 1048577"],
    ),
    Mistake(
        NODE,
        "[[tenant]]",
        "[traces]\nendpoint = \"http://c:4317\"\nprotocol = \"grpc\"\n\n[[tenant]]",
        "\"grpc\"",
        &["unknown variant `grpc`", "`http/protobuf`"],
    ),
    Mistake(
        NODE,
        "[[tenant]]",
        "[traces]\nendpoint = \"http://c:4318\"\nheaders_file = \"c.headers\"\n\n[[tenant]]",
        "headers_file",
        &["traces.headers_file:", "make the file with a line NAME: VALUE"],
    ),
    // Policies.
    Mistake(
        POLICY,
        "requires = { support = 1 }",
        "requires = { suport = 1 }",
        "suport",
        &["\"suport\"", "did you mean \"support\"?"],
    ),
    Mistake(
        POLICY,
        "offer_timeout = \"20s\"",
        "offer_timeout = \"20\"",
        "\"20\"",
        &["queue.offer_timeout:", "a whole number and a unit: 500ms, 30s"],
    ),
    Mistake(
        POLICY,
        "default_queue = \"sales\"",
        "default_queue = \"sale\"",
        "\"sale\"",
        &["default_queue", "did you mean \"sales\"?"],
    ),
    Mistake(POLICY, "selection = \"best-skilled\"", "selection = \"best\"", "\"best\"", &["selection", "best-skilled"]),
    Mistake(POLICY, "wrap_up = \"15s\"", "wrapup = \"15s\"", "wrapup", &["wrapup", "did you mean \"wrap_up\"?"]),
    Mistake(POLICY, "sales = 5", "sales = 50", "sales = 50", &["requires", "1 to 10"]),
];

#[test]
fn fifty_wrong_files_have_fifty_diagnoses() {
    let mut poor = Vec::new();
    for Mistake(file, from, to, at, words) in MISTAKES {
        let (dir, path) = example(file, from, to);
        let text = fs::read_to_string(dir.path().join(file)).expect("read");
        let offset = text.find(at).unwrap_or_else(|| panic!("{to:?} makes no {at:?}"));
        let line = text[..offset].matches('\n').count() + 1;
        let ran = tidegate(["config", "check", &path]);
        let place = format!("{file}:{line}:");
        let lacks: Vec<&str> = [place.as_str()].into_iter().chain(words.iter().copied()).filter(|w| !ran.err.contains(w)).collect();
        if !lacks.is_empty() || !ran.out.is_empty() || ran.code != Some(3) {
            poor.push(format!("{from:?} -> {to:?}: {:?} lacks {lacks:?}:\n{}{}", ran.code, ran.out, ran.err));
        }
    }
    assert!(poor.is_empty(), "{} of {}:\n{}", poor.len(), MISTAKES.len(), poor.join("\n"));
}
