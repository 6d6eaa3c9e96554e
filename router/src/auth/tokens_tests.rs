//! API tokens: one spelling, limits at them and above, rotation, revocation, restart, and files that are not ours.

use super::*;
use std::sync::atomic::AtomicU64;

/// Tests move it by themselves; each test uses a thread of its own, so the clock is a thread's own, too.
fn now() -> u64 {
    CLOCK.with(|clock| clock.load(Ordering::Relaxed))
}

thread_local! {
    static CLOCK: AtomicU64 = const { AtomicU64::new(1_800_000_000_000) };
}

fn later(ms: u64) {
    CLOCK.with(|clock| clock.fetch_add(ms, Ordering::Relaxed));
}

struct Kept {
    dir: tempfile::TempDir,
}

impl Kept {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("tokens.json")
    }

    fn open(&self) -> Tokens {
        Tokens::open(&self.path(), b"the node's secret", now).expect("opened")
    }
}

fn new(name: &str, role: Role) -> NewToken {
    NewToken { name: name.to_owned(), role, tenant: None, seat: None, life_s: 3_600 }
}

#[test]
fn a_token_is_good_until_it_ends_and_after_a_restart() {
    let kept = Kept::new();
    let tokens = kept.open();
    let minted = tokens.create(&new("shop", Role::Operator)).expect("made");
    assert_eq!(minted.text.len(), TOKEN_BYTES);
    let grant = tokens.check(&minted.text).expect("good");
    assert_eq!((grant.name.as_str(), grant.role, grant.token.as_str()), ("shop", Role::Operator, minted.view.id.as_str()));
    let again = kept.open();
    assert_eq!(again.check(&minted.text), Some(grant));
    later(3_600_000 - 1);
    assert!(again.check(&minted.text).is_some());
    assert_eq!(again.list()[0].last_used_ms.expect("used") % LAST_USED_STEP_MS, 0);
    later(1);
    assert_eq!(again.check(&minted.text), None);
    let other_node = Tokens::open(&kept.path(), b"another secret", now).expect("opened");
    later(0);
    assert_eq!(other_node.check(&minted.text), None);
}

#[test]
fn the_file_holds_no_secret_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let kept = Kept::new();
    let tokens = kept.open();
    let minted = tokens.create(&new("shop", Role::Viewer)).expect("made");
    let text = std::fs::read_to_string(kept.path()).expect("read");
    let secret = minted.text.rsplit('_').next().expect("a secret");
    assert!(!text.contains(secret) && !text.contains(&minted.text));
    assert!(!format!("{minted:?} {:?} {tokens:?}", TokenText::read(&minted.text)).contains(secret));
    assert_eq!(std::fs::metadata(kept.path()).expect("there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_rotation_keeps_both_secrets_for_its_grace_alone() {
    let kept = Kept::new();
    let tokens = kept.open();
    let first = tokens.create(&new("shop", Role::Viewer)).expect("made");
    let second = tokens.rotate(&first.view.id, 10).expect("rotated");
    assert_eq!(second.view.id, first.view.id);
    assert!(tokens.check(&first.text).is_some() && tokens.check(&second.text).is_some());
    later(9_999);
    assert!(tokens.check(&first.text).is_some());
    later(1);
    assert!(tokens.check(&first.text).is_none() && kept.open().check(&second.text).is_some());
    let third = tokens.rotate(&first.view.id, 0).expect("rotated");
    assert!(tokens.check(&second.text).is_none() && tokens.check(&third.text).is_some());
    assert!(matches!(tokens.rotate(&first.view.id, GRACE_S_MAX + 1), Err(TokensError::Grace)));
    assert!(matches!(tokens.rotate(&first.view.id, GRACE_S_MAX * 10), Err(TokensError::Grace)));
    assert!(tokens.rotate(&first.view.id, GRACE_S_MAX).is_ok());
}

#[test]
fn a_revoked_token_stays_revoked() {
    let kept = Kept::new();
    let tokens = kept.open();
    let minted = tokens.create(&new("shop", Role::Viewer)).expect("made");
    let other = tokens.create(&new("other", Role::Viewer)).expect("made");
    let graced = tokens.rotate(&minted.view.id, 100).expect("rotated");
    tokens.revoke(&minted.view.id).expect("revoked");
    for tokens in [&tokens, &kept.open()] {
        assert!(tokens.check(&minted.text).is_none() && tokens.check(&graced.text).is_none());
        assert!(tokens.check(&other.text).is_some());
        assert!(matches!(tokens.rotate(&minted.view.id, 0), Err(TokensError::Unknown)));
    }
    assert!(matches!(tokens.revoke("000000000000"), Err(TokensError::Unknown)));
}

#[test]
fn one_spelling_alone_is_read() {
    let kept = Kept::new();
    let tokens = kept.open();
    let good = tokens.create(&new("shop", Role::Admin)).expect("made").text;
    let mut wrong = vec![
        String::new(),
        good.to_uppercase(),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        good.replace('_', "-"),
        good.replacen("tg_", "TG_", 1),
        good[..TOKEN_BYTES - 1].to_owned(),
        format!("{good}0"),
        good.repeat(10),
        good.replacen('_', "__", 1),
        format!("tg_{}", "0".repeat(TOKEN_BYTES - 3)),
    ];
    // Every digit of the secret counts.
    for at in [16, 40, TOKEN_BYTES - 1] {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        wrong.push(String::from_utf8(bytes).expect("ASCII"));
    }
    for text in wrong {
        assert_eq!(tokens.check(&text), None, "{text:?}");
    }
    assert!(tokens.check(&good).is_some());
}

#[test]
fn a_hash_is_worth_nothing_in_another_row() {
    let kept = Kept::new();
    let tokens = kept.open();
    let admin = tokens.create(&new("admin", Role::Admin)).expect("made");
    let viewer = tokens.create(&new("viewer", Role::Viewer)).expect("made");
    let (admin_secret, viewer_secret) = (&admin.text[16..], &viewer.text[16..]);
    assert_eq!(tokens.check(&format!("tg_{}_{viewer_secret}", admin.view.id)), None);
    let text = std::fs::read_to_string(kept.path()).expect("read");
    let hash = |minted: &Minted| tokens.hash(TokenText::read(&minted.text).expect("a token"));
    std::fs::write(kept.path(), text.replace(&hash(&admin), &hash(&viewer))).expect("written");
    let moved = kept.open();
    assert_eq!(moved.check(&format!("tg_{}_{viewer_secret}", admin.view.id)), None);
    assert_eq!(moved.check(&format!("tg_{}_{admin_secret}", admin.view.id)), None);
}

#[test]
fn limits_hold_at_them_above_and_far_above() {
    let kept = Kept::new();
    let tokens = kept.open();
    let with = |life_s, name: &str| NewToken { life_s, ..new(name, Role::Viewer) };
    for life in [LIFE_S_MIN - 1, LIFE_S_MAX + 1, LIFE_S_MAX * 10, u64::MAX] {
        assert!(matches!(tokens.create(&with(life, "n")), Err(TokensError::Life)), "{life}");
    }
    for name in [String::new(), "n".repeat(NAME_BYTES_MAX + 1), "n".repeat(NAME_BYTES_MAX * 10), "a\nb".to_owned()] {
        assert!(matches!(tokens.create(&with(60, &name)), Err(TokensError::Name)), "{name:?}");
    }
    assert!(tokens.create(&with(LIFE_S_MAX, &"n".repeat(NAME_BYTES_MAX))).is_ok());
    for (role, tenant, seat) in
        [(Role::Agent, None, None), (Role::Agent, None, Some(SeatId(1))), (Role::Admin, Some(TenantId(1)), Some(SeatId(1)))]
    {
        let wrong = NewToken { tenant, seat, ..new("n", role) };
        assert!(matches!(tokens.create(&wrong), Err(TokensError::Seat)), "{wrong:?}");
    }
    // Filled in memory: a thousand synced files would say no more.
    let full: BTreeMap<_, _> = (0..TOKENS_MAX)
        .map(|i| {
            (
                format!("{i:012x}"),
                Arc::new(Row { id: format!("{i:012x}"), ..tokens.rows.load().values().next().expect("one").copy() }),
            )
        })
        .collect();
    tokens.rows.store(Arc::new(full));
    assert!(matches!(tokens.create(&with(60, "n")), Err(TokensError::TooMany)));
    later(LIFE_S_MAX * 1_000 + DEAD_KEPT_MS);
    assert!(tokens.create(&with(60, "n")).is_ok(), "the dead make room");
}

#[test]
fn files_that_are_not_ours_are_refused_without_their_content() {
    let kept = Kept::new();
    let tokens = kept.open();
    tokens.create(&new("canary-name", Role::Viewer)).expect("made");
    let text = std::fs::read_to_string(kept.path()).expect("read");
    let doubled = text.replace("\"viewer\"", "\"root\"");
    for wrong in ["", "{", "[]", &text[..text.len() / 2], &text.replace("\"version\": 1", "\"version\": 2"), &doubled] {
        std::fs::write(kept.path(), wrong).expect("written");
        let error = Tokens::open(&kept.path(), b"the node's secret", now).expect_err("refused").to_string();
        assert!(error.contains("tokens.json") && error.contains("restore it") && !error.contains("canary-name"), "{error}");
    }
    std::fs::write(kept.path(), vec![b' '; FILE_BYTES_MAX as usize + 1]).expect("written");
    assert!(matches!(Tokens::open(&kept.path(), b"s", now), Err(TokensError::Damaged { .. })));
}
