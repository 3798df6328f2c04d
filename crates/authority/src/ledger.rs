//! The one place where state changes. Orders are decided on what is stored at that moment, in a transaction in which
//! nobody else writes; those that come at the same time share one. Readers see a mutation when it is durable, and whoever
//! ordered it is answered after that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use crate::authority::Parts;
use crate::error::{OpenError, StoreError};
use crate::freshness::{Freshness, Standing};
use crate::housekeeping::{self, Past};
use crate::ignorance::{self, Extend, LastIssued};
use crate::order::{Desk, Order};
use crate::ports::{Clock, Randomness, UnixTime};
use crate::recent::{Lost, Recent, Restore};
use crate::record::Rule;
use crate::revoked_tokens::Loading;
use crate::state::{State, Vault};
use crate::store::{Loaded, Position, Store, Transaction, Waker};

/// Orders that share a transaction, at most.
const MOST_TOGETHER: usize = 1024;

/// How often steps whose time has come are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// Reads what is not in memory, and answers whoever asked.
pub(crate) type Read = Box<dyn FnOnce(&mut dyn Store) + Send>;

/// How often what has expired is removed.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// While there is something to remove, whoever wants to write has so long to come between two parts of it.
const SWEEP_PAUSE: Duration = Duration::from_millis(5);

/// How often a part is removed however many others wait.
const SWEEP_AT_LEAST: Duration = Duration::from_millis(50);

/// For so long it reads at most before it looks for changes of others again.
const READ_AT_MOST: Duration = Duration::from_millis(25);

/// How often the store is to confirm what was read, at least.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);

/// And not more often than this, however little time is given.
const CONFIRM_REST: Duration = Duration::from_millis(100);

/// How long a start waits for that.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(5);

/// After it could not be written what the store has lost.
const RESTORE_REST: Duration = Duration::from_secs(15);

/// What the ledger is asked to do.
pub(crate) enum Errand {
    /// Decide and write.
    Order(Box<dyn Order>),
    /// Read what is not in memory.
    Read(Read),
    /// Do what is due by now.
    Tidy(oneshot::Sender<Result<(), StoreError>>),
    /// Take in what others have changed, and tell whoever waits for it.
    Follow(Option<oneshot::Sender<Result<(), StoreError>>>),
}

/// How a transaction is begun.
#[derive(Debug, Clone, Copy)]
enum Entry {
    /// After those who write now.
    InTurn,
    /// Unless another process does the same.
    IfAlone,
}

/// How long commits take, for whoever counts.
pub type CommitObserver = Box<dyn Fn(Duration, bool) + Send>;

/// The state, the store behind it, and what both need.
pub(crate) struct Ledger {
    store: Box<dyn Store>,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    vault: Vault,
    state: State,
    readers: Arc<ArcSwap<State>>,
    /// Told the position that readers see.
    applied: Box<dyn Fn(Position) + Send>,
    commits: CommitObserver,
    swept_at: Option<Duration>,
    /// Whether there may be more to remove.
    is_sweeping: bool,
    past: Past,
    log_kept: Duration,
    /// What the store's own clock has shown, once a minute.
    store_time: UnixTime,
    /// When it was asked.
    store_asked: Duration,
    follows: Arc<AtomicBool>,
    freshness: Arc<Freshness>,
    standing: Standing,
    minted: Arc<LastIssued>,
    /// When this process was started, known when what there was then is loaded.
    started: Option<UnixTime>,
    /// Rules that tokens were issued in ignorance of, as they must be.
    to_extend: Vec<Rule>,
    /// Of a store that is somewhere else.
    recent: Recent,
    /// Revocations that the store may not have any more.
    lost: Lost,
    /// When to try that, after it has failed.
    restore_from: Option<Instant>,
}

impl Ledger {
    /// Loads everything.
    pub(crate) fn open(parts: Parts, vault: Vault) -> Result<Self, OpenError> {
        let (state, started) = (State::empty(), parts.clock.now());
        let freshness = Freshness::new(parts.staleness, Arc::clone(&parts.clock));
        let mut ledger = Self {
            store: parts.store,
            clock: parts.clock,
            randomness: parts.randomness,
            vault,
            readers: Arc::new(ArcSwap::from_pointee(state.clone())),
            state,
            applied: parts.applied,
            commits: parts.commits,
            swept_at: None,
            is_sweeping: false,
            past: Past::default(),
            log_kept: parts.log_kept,
            store_time: UnixTime(i64::MIN),
            store_asked: Duration::ZERO,
            follows: Arc::new(AtomicBool::new(true)),
            freshness: Arc::new(freshness),
            standing: Standing::Fresh,
            minted: Arc::default(),
            started: None,
            to_extend: Vec::new(),
            recent: Recent::default(),
            lost: Lost::default(),
            restore_from: None,
        };
        let looked = ledger.load()?;
        ledger.started = Some(started);
        let until = Instant::now() + CONFIRMED_WITHIN;
        // Where it is not confirmed in time, nothing is answered by it until it is.
        while ledger.see(looked) < Some(looked) && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
        Ok(ledger)
    }

    /// Has the store call `waker` when there may be something to follow.
    pub(crate) fn wake_by(&mut self, waker: Waker) {
        self.store.wake_by(waker);
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    pub(crate) fn minted(&self) -> Arc<LastIssued> {
        Arc::clone(&self.minted)
    }

    pub(crate) fn freshness(&self) -> Arc<Freshness> {
        Arc::clone(&self.freshness)
    }

    pub(crate) fn readers(&self) -> Arc<ArcSwap<State>> {
        Arc::clone(&self.readers)
    }

    /// Whether what others change is taken in.
    pub(crate) fn follows(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.follows)
    }

    /// Answers when it began.
    fn load(&mut self) -> Result<Duration, OpenError> {
        let looked = self.clock.uptime();
        let mut state = self.state.anew();
        let (vault, mut failure, tokens) = (&mut self.vault, None, Arc::clone(&state.tokens));
        // Millions of them are not kept for later: what is stored is in force.
        let mut loading = Loading::new(&tokens);
        let position = self.store.load(&mut |loaded| match loaded {
            Loaded::Tokens(count) => loading.make_room(count),
            Loaded::Token(id, until) => loading.insert(id, until),
            Loaded::Record(record) if failure.is_none() => failure = state.take_record(&record, vault).err(),
            Loaded::Record(_) => {}
        })?;
        drop(loading);
        if let Some(failure) = failure {
            return Err(failure);
        }
        state.position = position;
        state.newest_at = self.store.log(None, 1)?.first().map_or(UnixTime(i64::MIN), |change| change.at);
        state.keys_changed(crate::store::Kind::Key);
        if let Some(id) = &state.master_key_id {
            self.vault.turn_to(id)?;
        }
        let now = self.clock.now();
        self.lost = self.recent.perhaps_lost(
            state.rules_to_come(),
            |token| token.expires_at.is_some_and(|expires_at| expires_at < now),
            |rule| state.ring().is_some_and(|ring| ring.timing.last_token_gone(rule.until) <= now),
        );
        self.publish(state);
        self.see(looked);
        Ok(looked)
    }

    /// Readers see what was read from this time on. Answers since when that is confirmed to be as young as it seems.
    fn see(&mut self, looked: Duration) -> Option<Duration> {
        let often = (self.freshness.limits().fresh_within / 4).clamp(CONFIRM_REST, CONFIRM_EVERY);
        let confirmed = self.store.confirm(looked, often);
        if let Some(confirmed) = confirmed {
            self.freshness.see(confirmed);
        }
        confirmed
    }

    /// Loads everything when the log does not go on from what is known here: it was trimmed, or the store has another
    /// history than it had, because a backup of it was restored or a server that took over lacks what was newest.
    fn load_anew(&mut self) -> Result<(), OpenError> {
        let known = self.state.position.0;
        tracing::warn!(position = known, "the log does not go on from what is known here; loading everything");
        self.load()?;
        let position = self.state.position.0;
        if position < known {
            tracing::error!(
                position,
                known,
                "the store has lost what was newest: revocations that it lacks are written to it again, if nodes still know them; clients and keys are as they are stored"
            );
        }
        Ok(())
    }

    /// Lets readers see `state`. Revocations first: no reader may see a later state without them.
    fn publish(&mut self, mut state: State) {
        let news = state.new_rules();
        state.share();
        let former = std::mem::replace(&mut self.state, state);
        self.readers.store(Arc::new(self.state.clone()));
        (self.applied)(self.state.position);
        // Only now, when nothing more is issued by what was known before.
        let extended = |rule| ignorance::extended(rule, &former, &self.minted, self.started);
        self.to_extend.extend(news.iter().filter_map(extended));
    }

    /// The same, where `state` comes from the one that they see, by changes that are durable.
    fn publish_changed(&mut self, state: State) {
        if self.store.is_shared() {
            state.note_revoked(&mut self.recent);
            state.rules_to_come().for_each(|rule| self.lost.found(rule));
        }
        self.publish(state);
    }

    /// Takes in what other processes have changed.
    pub(crate) fn follow(&mut self) -> Result<(), OpenError> {
        let looked = self.clock.uptime();
        let changed = match self.store.changes_after(self.state.position) {
            Ok(changed) => changed,
            Err(StoreError::Trimmed) => return self.load_anew(),
            Err(error) => return Err(error.into()),
        };
        if !changed.is_empty() {
            let mut state = self.state.clone();
            state.follow(changed, &mut self.vault)?;
            self.publish_changed(state);
        }
        self.see(looked);
        Ok(())
    }

    /// Decides orders in one transaction, and answers them. Answers whether that was possible.
    fn perform(&mut self, entry: Entry, mut orders: Vec<Box<dyn Order>>) -> bool {
        let started = Instant::now();
        let committed = self.transact(entry, &mut orders);
        (self.commits)(started.elapsed(), committed.is_ok());
        self.freshness.note_transaction(committed.is_ok());
        for order in orders {
            order.done(committed.clone());
        }
        committed.is_ok()
    }

    fn transact(&mut self, entry: Entry, orders: &mut [Box<dyn Order>]) -> Result<(), StoreError> {
        let result = self.try_transact(entry, orders);
        if result == Err(StoreError::Trimmed) {
            self.load_anew()?;
            return self.try_transact(entry, orders);
        }
        result
    }

    fn try_transact(&mut self, entry: Entry, orders: &mut [Box<dyn Order>]) -> Result<(), StoreError> {
        let (mut state, mut looked) = (self.state.clone(), None);
        let (vault, randomness, clock) = (&mut self.vault, &*self.randomness, &*self.clock);
        let is_shared = self.store.is_shared();
        let mut work = |transaction: &mut dyn Transaction| {
            looked = Some(clock.uptime());
            state.follow(transaction.changes_after(state.position)?, vault)?;
            let expected: Vec<_> = orders.iter().filter_map(|order| order.expects()).collect();
            if !expected.is_empty() {
                transaction.expect(&expected)?;
            }
            // Only now, when nobody else writes: what is decided to hold up to now must hold up to now.
            let present = clock.now();
            for order in orders.iter_mut() {
                let mut desk = Desk::new(&state, present, randomness, vault, transaction);
                if !is_shared {
                    // Nobody else's clock was ahead: this one has gone back since. What others have issued by theirs they
                    // see to themselves.
                    desk.issued_until = desk.now;
                }
                let now = desk.now;
                if !order.decide(&mut desk)? {
                    continue;
                }
                let (drafts, answer) = desk.into_drafts();
                // One that could not be read again must not take the others down with it.
                if let Some(error) = drafts.iter().find_map(|(draft, _)| state.check(&draft.put, vault).err()) {
                    order.refuse(error.into());
                    continue;
                }
                if let Some(answer) = answer {
                    transaction.remember_answer(&answer)?;
                }
                for (draft, actor) in &drafts {
                    let place = transaction.write(now, actor, draft)?;
                    state.apply(&draft.put, now, place, vault)?;
                }
            }
            Ok(())
        };
        match entry {
            Entry::InTurn => self.store.transact(&mut work)?,
            Entry::IfAlone => drop(self.store.tend(&mut work)?),
        }
        if state.position > self.state.position {
            self.publish_changed(state);
        }
        if let Some(looked) = looked {
            // Nothing confirms it better than the commit.
            self.freshness.see(looked);
        }
        Ok(())
    }

    /// A time that has certainly passed: by this machine's clock, and by the store's own where it has one. What is revoked
    /// for all nodes must not be forgotten by the clock of one.
    fn certain(&self) -> UnixTime {
        self.past.certain.min(self.store_time)
    }

    /// Whether the clock is further ahead of the store's than clocks may be apart. One machine's mistake must not have all
    /// sign with a key that nobody has heard of.
    fn is_ahead(&self, present: UnixTime, uptime: Duration) -> bool {
        let since = i64::try_from(uptime.saturating_sub(self.store_asked).as_secs()).unwrap_or(i64::MAX);
        let leeway = self.state.terms().map_or(0, |terms| terms.leeway);
        self.store_time.0 != i64::MIN && present > self.store_time.plus(since).plus(leeway)
    }

    /// Steps whose time has come, and what is not needed any more.
    fn tidy(&mut self) -> Result<(), StoreError> {
        let (present, uptime) = (self.clock.now(), self.clock.uptime());
        self.past.observe(present, uptime);
        let now = present.max(self.state.newest_at);
        // Once a minute is often enough for what only takes up room.
        let is_time_to_sweep = self.swept_at.is_none_or(|swept_at| uptime >= swept_at + SWEEP_EVERY);
        if is_time_to_sweep {
            (self.store_asked, self.store_time) = (uptime, self.store.time()?);
        }
        if self.is_ahead(present, uptime) {
            if is_time_to_sweep {
                tracing::error!(
                    now = present.0,
                    store = self.store_time.0,
                    "this machine's clock is ahead of the store's: it takes no key to its next step"
                );
            }
        } else if let Some(order) = housekeeping::due(&self.state, now, self.certain()) {
            self.perform(Entry::IfAlone, vec![order]);
        }
        if is_time_to_sweep {
            self.swept_at = Some(uptime);
            self.is_sweeping = true;
            let sweep = housekeeping::sweep(&self.state, self.certain(), self.log_kept);
            self.state.tokens.sweep(sweep.expired_at, &sweep.retired_keys);
        }
        self.sweep();
        if self.restore_from.is_none_or(|from| Instant::now() >= from) {
            self.restore();
        }
        Ok(())
    }

    /// Removes a part of what is not needed any more from the store.
    fn sweep(&mut self) {
        if self.is_sweeping {
            // Where there was anything, there may be more. What cannot be removed now is looked at again in a minute.
            let sweep = housekeeping::sweep(&self.state, self.certain(), self.log_kept);
            let swept = self.store.sweep(&sweep);
            self.is_sweeping = swept.unwrap_or_else(|error| {
                tracing::warn!(code = error.code(), %error, "what is not needed any more stays in the store for now");
                false
            });
        }
    }

    /// Works until nobody can send errands any more.
    pub(crate) fn run(mut self, errands: &Receiver<Errand>) {
        let (mut tidied, mut swept) = (Instant::now(), Instant::now());
        loop {
            let wait = if self.is_sweeping { SWEEP_PAUSE } else { self.store.look_every() };
            let first = match errands.recv_timeout(wait) {
                Ok(errand) => Some(errand),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let waiting: Vec<_> = first.into_iter().chain(errands.try_iter().take(MOST_TOGETHER)).collect();
            let is_time = tidied.elapsed() >= TIDY_EVERY;
            if is_time {
                tidied = Instant::now();
            }
            // While nobody waits; but those who always do shall not let the store grow for ever.
            let sweeps = !is_time && (waiting.is_empty() || swept.elapsed() >= SWEEP_AT_LEAST);
            if sweeps {
                swept = Instant::now();
            }
            // Whoever waits for an errand that makes this panic is told so; the next ones find the state as it is stored.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.turn(waiting, is_time, sweeps))).unwrap_or_else(|_| {
                tracing::error!("an errand panicked; loading the state anew");
                self.load()?;
                Ok(())
            });
            self.tell_following(&outcome);
            self.tell_standing();
        }
    }

    /// Says to whoever asks whether the store can be followed, and in the log when that changes.
    fn tell_following(&self, outcome: &Result<(), StoreError>) {
        match (outcome, self.follows.swap(outcome.is_ok(), Ordering::Relaxed)) {
            (Err(error), true) => tracing::error!(code = error.code(), %error, "the store cannot be followed"),
            (Ok(()), false) => tracing::info!("the store can be followed again"),
            _ => {}
        }
    }

    /// Says in the log when what is known here gets too old, and when it is not any more.
    fn tell_standing(&mut self) {
        let seen = self.freshness.seen();
        let (standing, age) = (self.freshness.standing(seen), self.freshness.age(seen).as_secs());
        if standing == std::mem::replace(&mut self.standing, standing) {
            return;
        }
        match standing {
            Standing::Fresh => tracing::info!("what is known here is up to date again"),
            Standing::Stale => tracing::warn!(
                age_seconds = age,
                "what is known here is stale, as the store is out of reach or does not commit: tokens are minted and verified by it for now"
            ),
            Standing::Refusing => tracing::error!(
                age_seconds = age,
                "what is known here is too old: nothing is minted or verified until the store is in reach again, and commits"
            ),
        }
    }

    /// Carries out what waits, and takes in what others have changed.
    fn turn(&mut self, waiting: Vec<Errand>, is_time_to_tidy: bool, sweeps: bool) -> Result<(), StoreError> {
        if sweeps {
            self.sweep();
        }
        let (mut orders, mut reads, mut followers) = (Vec::new(), Vec::new(), Vec::new());
        for errand in waiting {
            match errand {
                Errand::Order(order) => orders.push(order),
                Errand::Read(read) => reads.push(read),
                Errand::Tidy(reply) => {
                    let tidied = self.follow().map_err(StoreError::from).and_then(|()| self.tidy());
                    // Whoever is told that it was done sees it.
                    self.tell_following(&tidied);
                    // Whoever asked may have left.
                    drop(reply.send(tidied));
                }
                // As at the end of every turn.
                Errand::Follow(reply) => followers.extend(reply),
            }
        }
        if !orders.is_empty() && self.store.is_shared() {
            // They may have to wait for those who write now; what others have changed is in force here before that. What
            // cannot be followed is told when they are decided.
            let _ = self.follow();
        }
        // A transaction takes in what others have changed, too.
        let is_followed = !orders.is_empty() && self.perform(Entry::InTurn, orders);
        let followed = if is_followed { Ok(()) } else { self.follow().map_err(StoreError::from) };
        for reply in followers {
            let _ = reply.send(followed.clone());
        }
        let is_read = self.read(reads);
        followed?;
        is_read?;
        if is_time_to_tidy {
            self.tidy()?;
        }
        self.extend_rules()
    }

    /// Reads for those who wait for it, and goes on taking in what others have changed: there may be many, and each may take
    /// a while.
    fn read(&mut self, reads: Vec<Read>) -> Result<(), StoreError> {
        let (mut looked, mut outcome) = (Instant::now(), Ok(()));
        for read in reads {
            read(&mut *self.store);
            if looked.elapsed() >= READ_AT_MOST {
                outcome = self.follow().map_err(StoreError::from);
                looked = Instant::now();
            }
        }
        outcome
    }

    /// Has rules cover what was issued here in ignorance of them.
    fn extend_rules(&mut self) -> Result<(), StoreError> {
        if self.to_extend.is_empty() {
            return Ok(());
        }
        let rules = std::mem::take(&mut self.to_extend);
        let result = self.transact(Entry::InTurn, &mut [Box::new(Extend(rules.clone()))]);
        if result.is_err() {
            self.to_extend.extend(rules);
        }
        result
    }

    /// Writes again what the store has lost, as far as that is possible now.
    fn restore(&mut self) {
        while !self.lost.is_empty() {
            let Ok(some) = self.lost.take(&mut *self.store) else { return };
            if some.is_empty() {
                continue;
            }
            if let Err(error) = self.transact(Entry::InTurn, &mut [Box::new(Restore(some.clone()))]) {
                tracing::warn!(code = error.code(), %error, "what the store has lost cannot be written to it yet");
                self.lost.put_back(some);
                self.restore_from = Some(Instant::now() + RESTORE_REST);
                return;
            }
            tracing::warn!(count = some.len(), "revocations that the store had lost were written to it again");
        }
    }
}
