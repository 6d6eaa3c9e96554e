//! Subscriptions as they run: one loop each that reads, sends and saves; and what an operator may do with them.
//!
//! A loop reads a page when there is room and news, starts what the plan allows, and saves the cursor a moment after it
//! moved: a kill in between costs repetitions, never a loss. What an operator changes is on the disk before he is answered.
//! Time is wall time, carried on by the runtime's clock from the start. It refuses to know routes and JSON.

use super::book::{Book, BookError, Part, Pause, Secret, Standing, Subscription, decode_letters, encode_letters};
use super::client::{Message, Sender};
use super::face::{Draft, HOOKS_PER_TENANT_MAX, HookError, HookView, WebhooksConfig, checked_secret, new_secret};
use super::plan::{Answer, Letter, Next, Plan, Ticket, Verdict};
use crate::cell::chain;
use crate::events::{Body, Cursor, Event, EventNo, Fact, Filter, Names, cloud_event};
use crate::node::WeakNode;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidegate_journal::RealDisk;
use tidegate_model::{Seq, TenantId, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Events that one page may bring beyond what it was asked for, and what it is asked for: room for both is left.
const PAGE_ROOM: usize = 512;
/// How long a loop waits when the journal cannot be read, or its files not be written.
const AGAIN: Duration = Duration::from_secs(1);

/// All subscriptions of a node. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    inner: Arc<Inner>,
}

struct Inner {
    config: WebhooksConfig,
    book: Book<RealDisk>,
    sender: Sender,
    node: WeakNode,
    hooks: Mutex<BTreeMap<u32, Arc<Hook>>>,
    /// One change of the list at a time.
    list: tokio::sync::Mutex<u32>,
    loops: Mutex<JoinSet<()>>,
    runtime: tokio::runtime::Handle,
    stopping: AtomicBool,
    began: (Instant, u64),
}

struct Hook {
    id: u32,
    state: Mutex<State>,
    bell: Notify,
    /// One save at a time, so that an older one never replaces a newer.
    saving: tokio::sync::Mutex<()>,
}

struct State {
    subscription: Subscription,
    filter: Filter,
    plan: Plan,
    read: EventNo,
    /// Counts rewinds: a page read before one is dropped.
    life: u64,
    /// Counts an operator's changes: what was asked before one says nothing about what is asked now.
    revision: u64,
    gaps: u64,
    last_gap: Option<(EventNo, EventNo)>,
    last_failure: Option<String>,
    dirty: bool,
    letters_dirty: bool,
    removed: bool,
}

impl Hook {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn hooks(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Hook>>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.began.1 + self.began.0.elapsed().as_millis() as u64
    }

    fn find(&self, tenant: TenantId, id: u32) -> Result<Arc<Hook>, HookError> {
        let hook = self.hooks().get(&id).cloned().ok_or(HookError::Unknown)?;
        let own = hook.state().subscription.tenant == tenant;
        if own { Ok(hook) } else { Err(HookError::Unknown) }
    }

    /// Does something with the files on a thread that may wait.
    async fn files<R: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Book<RealDisk>) -> Result<R, BookError> + Send + 'static,
    ) -> Result<R, HookError> {
        let inner = Arc::clone(self);
        let done = self.runtime.spawn_blocking(move || act(&inner.book)).await;
        done.map_err(|_| HookError::Closed)?.map_err(HookError::from)
    }

    /// Writes what has moved: letters before the cursor that no longer holds them.
    async fn save(self: &Arc<Self>, hook: &Arc<Hook>) -> Result<(), HookError> {
        let _one = hook.saving.lock().await;
        let (standing, letters) = {
            let mut state = hook.state();
            if state.removed || !state.dirty {
                return Ok(());
            }
            state.dirty = false;
            let letters = std::mem::take(&mut state.letters_dirty).then(|| encode_letters(state.plan.letters(EventNo::START)));
            let standing = Standing {
                read: state.read,
                pending: state.plan.pending(),
                counts: state.plan.counts(),
                gaps: state.gaps,
                last_gap: state.last_gap,
            };
            (standing.encode(), letters)
        };
        let (id, with_letters) = (hook.id, letters.is_some());
        let written = self.files(move |book| {
            if let Some(letters) = letters {
                book.write(id, Part::Letters, &letters)?;
            }
            book.write(id, Part::Standing, &standing)
        });
        let written = written.await;
        if written.is_err() {
            let mut state = hook.state();
            state.dirty = true;
            state.letters_dirty |= with_letters;
        }
        written
    }

    async fn save_settings(self: &Arc<Self>, hook: &Arc<Hook>, subscription: &Subscription) -> Result<(), HookError> {
        let (id, bytes) = (hook.id, subscription.encode());
        self.files(move |book| book.write(id, Part::Subscription, &bytes)).await
    }
}

impl Webhooks {
    /// Reads what is there and starts a loop for each. Blocks for the files.
    ///
    /// # Errors
    /// The directory, or settings that cannot be read: a node that silently forgets a subscription would lose its events. A
    /// damaged cursor pauses its subscription instead.
    pub(crate) fn start(config: WebhooksConfig, node: WeakNode, runtime: tokio::runtime::Handle) -> Result<Self, HookError> {
        let directory = config.directory.clone();
        let named = |source| HookError::Directory { directory: directory.display().to_string(), source };
        std::fs::create_dir_all(&config.directory).map_err(named)?;
        let book = Book(RealDisk::open(&config.directory).map_err(named)?);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_millis() as u64);
        let mut hooks = BTreeMap::new();
        for id in book.list()? {
            hooks.insert(id, Arc::new(load(&book, id, &config)?));
        }
        let last = hooks.keys().next_back().copied().unwrap_or(0);
        let inner = Arc::new(Inner {
            sender: Sender::new(config.allow_inside, config.attempt),
            config,
            book,
            node,
            hooks: Mutex::new(hooks),
            list: tokio::sync::Mutex::new(last),
            loops: Mutex::new(JoinSet::new()),
            runtime,
            stopping: AtomicBool::new(false),
            began: (Instant::now(), wall),
        });
        let webhooks = Self { inner };
        let all: Vec<_> = webhooks.inner.hooks().values().cloned().collect();
        for hook in all {
            webhooks.spawn(hook);
        }
        Ok(webhooks)
    }

    fn spawn(&self, hook: Arc<Hook>) {
        let inner = Arc::clone(&self.inner);
        let mut loops = self.inner.loops.lock().unwrap_or_else(PoisonError::into_inner);
        while loops.try_join_next().is_some() {}
        loops.spawn_on(run(inner, hook), &self.inner.runtime);
    }

    /// Ends all loops; attempts under way are dropped (and made again later), cursors are saved.
    pub(crate) async fn stop(&self) {
        self.inner.stopping.store(true, Ordering::Release);
        let all: Vec<_> = self.inner.hooks().values().cloned().collect();
        for hook in &all {
            hook.bell.notify_one();
        }
        let mut loops = std::mem::take(&mut *self.inner.loops.lock().unwrap_or_else(PoisonError::into_inner));
        while loops.join_next().await.is_some() {}
    }

    /// Makes a subscription; it begins with the next event. Gives its secret, which is not shown again.
    ///
    /// # Errors
    /// [`HookError`], by cause.
    pub async fn create(&self, tenant: TenantId, draft: Draft) -> Result<(HookView, String), HookError> {
        let inner = &self.inner;
        let url = draft.url.unwrap_or_default();
        inner.sender.check(&url)?;
        let types = draft.types.unwrap_or_default();
        let filter = Filter::of(types.iter().map(String::as_str))?;
        let secret = match draft.secret {
            Some(text) => checked_secret(text)?,
            None => new_secret()?,
        };
        let mut last = inner.list.lock().await;
        let count = inner.hooks().values().filter(|hook| hook.state().subscription.tenant == tenant).count();
        if count >= HOOKS_PER_TENANT_MAX {
            return Err(HookError::TooMany);
        }
        let newest = inner.node.upgrade().and_then(|node| node.events().map(crate::events::Events::newest));
        let from = newest.ok_or(HookError::Closed)?;
        let id = *last + 1;
        let subscription = Subscription {
            id,
            tenant,
            url,
            types,
            include_bodies: draft.include_bodies.unwrap_or(false),
            pause: draft.paused.unwrap_or(false).then_some(Pause::Asked),
            secrets: vec![Secret { text: secret.clone(), until_ms: None }],
            created_ms: inner.now_ms(),
            from,
        };
        let hook = Arc::new(hook_of(subscription.clone(), filter, &inner.config, from));
        inner.save_settings(&hook, &subscription).await?;
        *last = id;
        inner.hooks().insert(id, Arc::clone(&hook));
        self.spawn(Arc::clone(&hook));
        Ok((self.view_of(&hook), secret))
    }

    /// Changes what is given; a pause of any kind ends with `paused: false`, and the receiver is tried at once.
    ///
    /// # Errors
    /// [`HookError`], by cause.
    pub async fn change(&self, tenant: TenantId, id: u32, draft: Draft) -> Result<HookView, HookError> {
        let _one = self.inner.list.lock().await;
        let hook = self.inner.find(tenant, id)?;
        let mut subscription = hook.state().subscription.clone();
        if let Some(url) = draft.url {
            self.inner.sender.check(&url)?;
            subscription.url = url;
        }
        if let Some(types) = draft.types {
            subscription.types = types;
        }
        let filter = Filter::of(subscription.types.iter().map(String::as_str))?;
        subscription.include_bodies = draft.include_bodies.unwrap_or(subscription.include_bodies);
        match draft.paused {
            Some(true) => subscription.pause = Some(Pause::Asked),
            Some(false) => subscription.pause = None,
            None => {}
        }
        self.inner.save_settings(&hook, &subscription).await?;
        {
            let mut state = hook.state();
            state.subscription = subscription;
            state.filter = filter;
            state.revision += 1;
            state.plan.revive();
        }
        hook.bell.notify_one();
        Ok(self.view_of(&hook))
    }

    /// Gives a new secret; the one before signs beside it for so long.
    ///
    /// # Errors
    /// [`HookError`], by cause.
    pub async fn rotate(
        &self,
        tenant: TenantId,
        id: u32,
        secret: Option<String>,
        keep: Duration,
    ) -> Result<(HookView, String), HookError> {
        let _one = self.inner.list.lock().await;
        let hook = self.inner.find(tenant, id)?;
        let text = match secret {
            Some(text) => checked_secret(text)?,
            None => new_secret()?,
        };
        let mut subscription = hook.state().subscription.clone();
        let now = self.inner.now_ms();
        // Two at a time: of those before only the newest goes on, for its time.
        let before = subscription.secrets.pop().map(|old| Secret { until_ms: Some(now + keep.as_millis() as u64), ..old });
        subscription.secrets = before.into_iter().filter(|old| old.until_ms > Some(now)).collect();
        subscription.secrets.push(Secret { text: text.clone(), until_ms: None });
        self.inner.save_settings(&hook, &subscription).await?;
        hook.state().subscription = subscription;
        Ok((self.view_of(&hook), text))
    }

    /// Removes a subscription with its dead letters; attempts under way may still arrive.
    ///
    /// # Errors
    /// [`HookError`], by cause.
    pub async fn remove(&self, tenant: TenantId, id: u32) -> Result<(), HookError> {
        let _one = self.inner.list.lock().await;
        let hook = self.inner.find(tenant, id)?;
        {
            let _saved = hook.saving.lock().await;
            hook.state().removed = true;
            let removed = self.inner.files(move |book| book.remove(id)).await;
            if removed.is_err() {
                hook.state().removed = false;
            }
            removed?;
        }
        self.inner.hooks().remove(&id);
        hook.bell.notify_one();
        Ok(())
    }

    /// The tenant's subscriptions, by number.
    #[must_use]
    pub fn list(&self, tenant: TenantId) -> Vec<HookView> {
        let all: Vec<_> = self.inner.hooks().values().cloned().collect();
        all.iter().map(|hook| self.view_of(hook)).filter(|view| view.subscription.tenant == tenant).collect()
    }

    /// Every subscription of the node, by number.
    #[must_use]
    pub fn all(&self) -> Vec<HookView> {
        let all: Vec<_> = self.inner.hooks().values().cloned().collect();
        all.iter().map(|hook| self.view_of(hook)).collect()
    }

    /// One subscription.
    ///
    /// # Errors
    /// [`HookError::Unknown`].
    pub fn view(&self, tenant: TenantId, id: u32) -> Result<HookView, HookError> {
        let hook = self.inner.find(tenant, id)?;
        Ok(self.view_of(&hook))
    }

    /// Dead letters behind a number, in order.
    ///
    /// # Errors
    /// [`HookError::Unknown`].
    pub fn letters(&self, tenant: TenantId, id: u32, after: EventNo, max: usize) -> Result<Vec<Letter>, HookError> {
        let hook = self.inner.find(tenant, id)?;
        let letters = hook.state().plan.letters(after).take(max).cloned().collect();
        Ok(letters)
    }

    /// Sends a dead letter again, beside its conversation.
    ///
    /// # Errors
    /// [`HookError`], by cause.
    pub async fn resend(&self, tenant: TenantId, id: u32, no: EventNo) -> Result<(), HookError> {
        let hook = self.inner.find(tenant, id)?;
        {
            let mut state = hook.state();
            if !state.plan.resend(no) {
                return Err(HookError::UnknownLetter);
            }
            state.dirty = true;
            state.letters_dirty = true;
        }
        hook.bell.notify_one();
        self.inner.save(&hook).await
    }

    /// Delivers again what follows an event; what is pending is forgotten, because it follows, too, or is given up by it.
    ///
    /// # Errors
    /// [`HookError::Place`] when that is no longer kept, and by cause.
    pub async fn rewind(&self, tenant: TenantId, id: u32, after: EventNo) -> Result<HookView, HookError> {
        let hook = self.inner.find(tenant, id)?;
        let node = self.inner.node.upgrade().ok_or(HookError::Closed)?;
        let events = node.events().ok_or(HookError::Closed)?;
        let (floor, newest) = (events.floor(), events.newest());
        let after = if after == EventNo::START { floor } else { after };
        if after < floor || after > newest {
            return Err(HookError::Place { floor, newest });
        }
        {
            let mut state = hook.state();
            state.plan.rewind();
            state.read = after;
            state.life += 1;
            state.dirty = true;
        }
        hook.bell.notify_one();
        self.inner.save(&hook).await?;
        Ok(self.view_of(&hook))
    }

    /// Sends a ping, once, beside everything else; says how it went.
    ///
    /// # Errors
    /// [`HookError::Unknown`].
    pub async fn ping(&self, tenant: TenantId, id: u32) -> Result<Answer, HookError> {
        let hook = self.inner.find(tenant, id)?;
        let subscription = hook.state().subscription.clone();
        let at = Timestamp(self.inner.now_ms());
        // Its own number: a receiver that drops repetitions must hear each ping.
        let no = EventNo { seq: Seq(at.0), index: u32::MAX };
        let event = Event { no, tenant, at, fact: Fact::Ping };
        let body = cloud_event(&event, &Names::default(), &Body::Withheld).to_string();
        let id = format!("ping_{:x}_{}", subscription.id, at.0);
        let message = Message { url: &subscription.url, id: &id, body, secrets: &subscription.secrets, now_ms: at.0 };
        Ok(self.inner.sender.send(message).await)
    }

    fn view_of(&self, hook: &Hook) -> HookView {
        let newest = self.inner.node.upgrade().and_then(|node| node.events().map(|events| events.newest().seq));
        let state = hook.state();
        let (pending, in_flight) = state.plan.load();
        HookView {
            subscription: state.subscription.clone(),
            read: state.read,
            pending,
            in_flight,
            letters: state.plan.letters_len(),
            counts: state.plan.counts(),
            gaps: state.gaps,
            last_gap: state.last_gap,
            is_broken: state.plan.is_broken(),
            last_failure: state.last_failure.clone(),
            lag_entries: newest.unwrap_or_default().0.saturating_sub(state.read.seq.0),
            oldest: state.plan.oldest(),
        }
    }
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks").field("subscriptions", &self.inner.hooks().len()).finish_non_exhaustive()
    }
}

fn hook_of(subscription: Subscription, filter: Filter, config: &WebhooksConfig, read: EventNo) -> Hook {
    let seed = crate::cell::entropy() ^ u64::from(subscription.id);
    let state = State {
        filter,
        plan: Plan::new(config.pace, seed),
        read,
        life: 0,
        revision: 0,
        gaps: 0,
        last_gap: None,
        last_failure: None,
        // A cursor of its own from the first save on: what came before its creation is never sent.
        dirty: true,
        letters_dirty: false,
        removed: false,
        subscription,
    };
    Hook { id: state.subscription.id, state: Mutex::new(state), bell: Notify::new(), saving: tokio::sync::Mutex::new(()) }
}

fn load(book: &Book<RealDisk>, id: u32, config: &WebhooksConfig) -> Result<Hook, HookError> {
    let damaged = |part, what| BookError::Damaged { file: super::book::file_name(id, part), what };
    let bytes = book.read(id, Part::Subscription)?.unwrap_or_default();
    let subscription = Subscription::decode(&bytes).map_err(|what| damaged(Part::Subscription, what))?;
    let filter = Filter::of(subscription.types.iter().map(String::as_str)).unwrap_or(Filter::ALL);
    let letters = match book.read(id, Part::Letters)?.map(|bytes| decode_letters(&bytes)) {
        None => Vec::new(),
        Some(Ok(letters)) => letters,
        Some(Err(what)) => return Err(damaged(Part::Letters, what).into()),
    };
    let from = subscription.from;
    let hook = hook_of(subscription, filter, config, from);
    {
        let mut state = hook.state();
        let standing = match book.read(id, Part::Standing)?.map(|bytes| Standing::decode(&bytes)) {
            // Killed before its first save: it begins where it began.
            None => Standing { read: from, ..Standing::default() },
            Some(Ok(standing)) => standing,
            Some(Err(what)) => {
                tracing::error!(webhook = id, what, "the cursor is damaged: the subscription is paused until it is rewound");
                state.subscription.pause = Some(Pause::CursorDamaged);
                Standing { read: from, ..Standing::default() }
            }
        };
        state.read = standing.read;
        state.gaps = standing.gaps;
        state.last_gap = standing.last_gap;
        // A kill between the two files leaves an event in both: the letter holds.
        let is_letter = |no: EventNo| letters.iter().any(|letter| letter.event.no == no);
        let pending = standing.pending.into_iter().filter(|pending| !is_letter(pending.event.no)).collect();
        state.plan.restore(pending, letters.clone(), standing.counts);
    }
    Ok(hook)
}

/// An attempt that has ended, with the revision of the settings under which it was made.
type Ended = (Ticket, u64, Answer);

/// A loop's own view of where it reads.
struct Reading {
    cursor: Cursor,
    life: u64,
    has_more: bool,
    names: Arc<Names>,
}

async fn run(inner: Arc<Inner>, hook: Arc<Hook>) {
    let Some(mut news) = inner.node.upgrade().and_then(|node| node.events().map(crate::events::Events::watch)) else { return };
    let mut sends: JoinSet<Ended> = JoinSet::new();
    let mut reading = {
        let state = hook.state();
        Reading { cursor: Cursor::after(state.read), life: state.life, has_more: true, names: Arc::default() }
    };
    let mut save_at: Option<Instant> = None;
    let mut read_at = Instant::now();
    // Names first: what a stop left pending is sent as it was before.
    let tenant = hook.state().subscription.tenant;
    while let Some(node) = inner.node.upgrade()
        && !node.learn_names(tenant, Arc::make_mut(&mut reading.names)).await
        && !inner.stopping.load(Ordering::Acquire)
    {
        drop(node);
        tokio::time::sleep(AGAIN).await;
    }
    loop {
        if inner.stopping.load(Ordering::Acquire) || hook.state().removed {
            break;
        }
        // News that came while an answer was being dealt with is news all the same.
        reading.has_more |= news.has_changed().unwrap_or(true);
        news.mark_unchanged();
        if Instant::now() >= read_at && !read(&inner, &hook, &mut reading).await {
            read_at = Instant::now() + AGAIN;
        }
        let wake = start(&inner, &hook, &reading, &mut sends);
        if hook.state().dirty && save_at.is_none() {
            save_at = Some(Instant::now() + inner.config.save_every);
        }
        if save_at.is_some_and(|at| at <= Instant::now()) {
            save_at = None;
            if let Err(error) = inner.save(&hook).await {
                tracing::error!(webhook = hook.id, error = chain(&error), "the cursor cannot be saved; tried again");
                save_at = Some(Instant::now() + AGAIN);
            }
        }
        let far = Instant::now() + Duration::from_secs(3_600);
        let wake = wake.map_or(far, |ms| Instant::now() + Duration::from_millis(ms.saturating_sub(inner.now_ms()).max(1)));
        let read_again = if read_at > Instant::now() { read_at } else { far };
        tokio::select! {
            Some(ended) = sends.join_next() => {
                ended_one(&inner, &hook, ended).await;
                while let Some(ended) = sends.try_join_next() {
                    ended_one(&inner, &hook, ended).await;
                }
            }
            changed = news.changed() => {
                if changed.is_err() {
                    break;
                }
                reading.has_more = true;
            }
            () = hook.bell.notified() => {}
            () = tokio::time::sleep_until(wake.min(save_at.unwrap_or(far)).min(read_again)) => {}
        }
    }
    sends.shutdown().await;
    if let Err(error) = inner.save(&hook).await {
        tracing::error!(webhook = hook.id, error = chain(&error), "the cursor cannot be saved; some events will be repeated");
    }
}

/// Reads while there is room and news; whether the journal could be read.
async fn read(inner: &Inner, hook: &Hook, reading: &mut Reading) -> bool {
    loop {
        let tenant = {
            let state = hook.state();
            if state.life != reading.life {
                *reading = Reading {
                    cursor: Cursor::after(state.read),
                    life: state.life,
                    has_more: true,
                    names: Arc::clone(&reading.names),
                };
            }
            if !reading.has_more
                || state.subscription.pause.is_some()
                || state.plan.room() < PAGE_ROOM.min(inner.config.pace.window)
            {
                return true;
            }
            state.subscription.tenant
        };
        let Some(node) = inner.node.upgrade() else { return true };
        let (cursor, page) = match node.event_page(reading.cursor, tenant).await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(webhook = hook.id, error = chain(&error), "events cannot be read");
                hook.state().last_failure = Some("the event journal cannot be read; see the node's log".to_owned());
                return false;
            }
        };
        if page.events.iter().any(|event| matches!(event.fact, Fact::PolicyActivated { .. })) {
            node.learn_names(tenant, Arc::make_mut(&mut reading.names)).await;
        }
        let mut state = hook.state();
        if state.life != reading.life {
            continue;
        }
        reading.cursor = cursor;
        reading.has_more = page.more;
        let filter = state.filter;
        for event in page.events.into_iter().filter(|event| filter.wants(&event.fact)) {
            state.plan.push(event);
            state.dirty = true;
        }
        if let Some(gap) = page.gap {
            state.gaps += 1;
            state.last_gap = Some((gap.from, gap.oldest));
            state.dirty = true;
        }
        state.read = state.read.max(cursor.position());
    }
}

/// Starts what may be sent now; when the next may, if nothing else happens.
fn start(inner: &Arc<Inner>, hook: &Arc<Hook>, reading: &Reading, sends: &mut JoinSet<Ended>) -> Option<u64> {
    let mut state = hook.state();
    if state.subscription.pause.is_some() {
        return None;
    }
    loop {
        match state.plan.next(inner.now_ms()) {
            Next::Send(attempt) => {
                let (inner, names) = (Arc::clone(inner), Arc::clone(&reading.names));
                let (subscription, revision) = (state.subscription.clone(), state.revision);
                sends.spawn(async move {
                    let answer = send(&inner, &subscription, &attempt.event, &names).await;
                    (attempt.ticket, revision, answer)
                });
            }
            Next::Wait(until) => return Some(until),
            Next::Idle => return None,
        }
    }
}

async fn send(inner: &Inner, subscription: &Subscription, event: &Event, names: &Names) -> Answer {
    let body = match inner.node.upgrade() {
        Some(node) if subscription.include_bodies => node.event_body(event).await,
        _ => Body::Withheld,
    };
    let body = cloud_event(event, names, &body).to_string();
    // Without a full stop, which joins the signed parts; the same for every attempt.
    let id = format!("msg_{:x}_{}", subscription.id, event.no);
    let message = Message { url: &subscription.url, id: &id, body, secrets: &subscription.secrets, now_ms: inner.now_ms() };
    inner.sender.send(message).await
}

async fn ended_one(inner: &Arc<Inner>, hook: &Arc<Hook>, ended: Result<Ended, tokio::task::JoinError>) {
    // A panic of an attempt is a fault of ours: without its ticket the lane would wait for ever, so everything is read again.
    let Ok((ticket, revision, answer)) = ended else {
        let mut state = hook.state();
        let oldest = state.plan.pending().first().map(|pending| pending.event.no);
        if let Some(no) = oldest {
            state.read = EventNo { seq: Seq(no.seq.0.saturating_sub(1)), index: u32::MAX };
        }
        state.plan.rewind();
        state.life += 1;
        return;
    };
    let pause = {
        let mut state = hook.state();
        if let Answer::Failed { why, .. } = &answer {
            state.last_failure = Some(why.clone());
        }
        let verdict = state.plan.done(ticket, answer, inner.now_ms());
        state.dirty |= verdict != Verdict::Old;
        state.letters_dirty |= verdict == Verdict::Dead;
        let pause = match verdict {
            // Said by the place before the change, perhaps.
            Verdict::Gone | Verdict::Full if revision != state.revision => None,
            Verdict::Gone => Some(Pause::Gone),
            Verdict::Full => Some(Pause::DeadLettersFull),
            _ => None,
        };
        pause.inspect(|pause| state.subscription.pause = Some(*pause))
    };
    if pause.is_some() {
        // Behind any change that is being saved, and as it stands then.
        let _one = inner.list.lock().await;
        let subscription = hook.state().subscription.clone();
        if let Err(error) = inner.save_settings(hook, &subscription).await {
            tracing::error!(webhook = hook.id, error = chain(&error), "the pause cannot be saved; it holds until a restart");
        }
    }
}
