//! Budgets: how much of each was used. A call is judged while its accounts are held, and what it costs is taken before
//! they are let go, so two calls never get the last unit both; what was used goes into the Intent, so the verdict can
//! be recomputed. Which budgets there are and what exceeds one is `policy`'s matter.
//!
//! The accounts are saved once a second with the place in the ledger up to which they count; a start reads the rest.
//! What was judged in the second of a crash may be counted twice, never not at all.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use ledger::Ledger;
use ledger::record::{Intent, Record};
use policy::bounds::{Measure, USED, Used};
use policy::{Action, Decision, Effect, Snapshot};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disk::{self, DiskError};

/// The most accounts; beyond it a new one is as good as used up.
const ACCOUNTS_MAX: usize = 65_536;
/// The longest window: what is older counts for nothing.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
/// Without a change the accounts are saved again after so many entries, so that no start reads more.
const BEHIND_MAX: u64 = 50_000;
/// How many entries are read at a time.
const CHUNK: u64 = 512;

/// All accounts.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    path: PathBuf,
    accounts: Mutex<Accounts>,
    changed: AtomicBool,
    /// Up to where the saved accounts count.
    saved: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Accounts(HashMap<String, Account>);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Account {
    since: Timestamp,
    used: u64,
    /// The window that was left last, and what was used of it: a clock that was wrong for a moment comes back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left: Option<(Timestamp, u64)>,
}

impl Account {
    /// What was used of a window that is about to be entered.
    fn known(&self, since: Timestamp) -> u64 {
        self.left.filter(|(left, _)| *left == since).map_or(0, |(_, used)| used)
    }

    /// Another window begins, or goes on, in which so much more was used.
    fn enters(&mut self, since: Timestamp, more: u64) {
        *self = Self { since, used: self.known(since).saturating_add(more), left: Some((self.since, self.used)) };
    }
}

#[derive(Serialize, Deserialize)]
struct Saved {
    /// The accounts count what the ledger has before this entry.
    position: u64,
    accounts: BTreeMap<String, Account>,
}

/// What one judgement took from accounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spent(Vec<(String, Timestamp, u64)>);

/// The accounts of one call, held while it is judged.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    accounts: MutexGuard<'a, Accounts>,
    changed: &'a AtomicBool,
    uses: BTreeMap<String, Used>,
}

impl Accounts {
    /// Says in the action what was used of the budgets it draws on; what they are, or nothing if there are none. Where
    /// a person has answered already, a question costs nothing.
    pub(crate) fn tell(
        &mut self,
        snapshot: &Snapshot,
        (action, answered): (&mut Action, impl FnOnce(&Action) -> bool),
        now: Timestamp,
    ) -> BTreeMap<String, Used> {
        let mut uses: BTreeMap<String, Used> = BTreeMap::new();
        for charge in snapshot.charges(action) {
            let since = Timestamp::from_second(charge.budget.per.window(now)).unwrap_or(Timestamp::MIN);
            let next = since.checked_add(SignedDuration::from_secs(charge.budget.per.seconds()));
            let account = self.0.get_mut(&charge.account).map(|account| {
                // A clock that was wrong for a moment, far ahead: else what was used would count until it is there again.
                if next.is_ok_and(|next| account.since > next) {
                    account.enters(since, account.used);
                }
                *account
            });
            let (since, used) = match account {
                // A clock that was put back opens no window anew.
                Some(account) if account.since >= since => (account.since, account.used),
                None if self.0.len() >= ACCOUNTS_MAX && !self.forget_old(now) => (since, u64::MAX),
                account => (since, account.map_or(0, |account| account.known(since))),
            };
            let asks = charge.budget.measure == Measure::Asks;
            uses.insert(charge.account, Used { used, cost: charge.cost, since, asks });
        }
        if uses.values().any(|used| used.asks) && answered(action) {
            uses.values_mut().filter(|used| used.asks).for_each(|used| used.cost = Some(0));
        }
        if !uses.is_empty() {
            action.facts.insert(USED.to_owned(), serde_json::to_value(&uses).unwrap_or(Value::Null));
        }
        uses
    }

    /// Takes what a judgement costs.
    pub(crate) fn take(&mut self, uses: BTreeMap<String, Used>, effect: &Effect) -> Spent {
        let due = |used: &Used| match effect {
            Effect::Permit => !used.asks,
            Effect::Ask { .. } => used.asks,
            Effect::Deny => false,
        };
        let due = uses.into_iter().filter(|(_, used)| due(used));
        let spent: Vec<_> = due.map(|(name, used)| (name, used.since, used.cost.unwrap_or(0))).collect();
        spent.iter().for_each(|(name, since, cost)| self.add(name, *since, *cost));
        Spent(spent)
    }

    fn add(&mut self, name: &str, since: Timestamp, cost: u64) {
        let account = self.0.entry(name.to_owned()).or_insert(Account { since, used: 0, left: None });
        if account.since < since {
            account.enters(since, 0);
        }
        account.used = account.used.saturating_add(cost);
    }

    /// Makes room; says whether there is any now.
    fn forget_old(&mut self, now: Timestamp) -> bool {
        self.0.retain(|_, account| now.duration_since(account.since) <= LONGEST);
        self.0.len() < ACCOUNTS_MAX
    }

    /// What an entry of the ledger took.
    fn read(&mut self, ledger: &Ledger, record: &Record) {
        match record {
            Record::Intent(intent) if intent.permits() => _ = self.take(uses(intent), &Effect::Permit),
            Record::Asked(asked) => {
                let Ok(Record::Intent(intent)) = ledger.read(asked.intent).map(|stored| stored.entry.record) else {
                    return tracing::error!(
                        entry = asked.intent,
                        "an intent cannot be read: its question is not counted"
                    );
                };
                let _ = self.take(uses(&intent), &Effect::Ask { groups: Vec::new() });
            }
            _ => {}
        }
    }
}

/// What an intent says of its budgets.
fn uses(intent: &Intent) -> BTreeMap<String, Used> {
    let fact = intent.action.get("facts").and_then(|facts| facts.get(USED));
    fact.and_then(|fact| BTreeMap::deserialize(fact).ok()).unwrap_or_default()
}

impl Budgets {
    /// What an earlier process saved, and what the ledger says since. Without a ledger nothing is counted yet, and
    /// nothing is read back.
    pub(crate) fn open(path: PathBuf, ledger: Option<(&Ledger, Timestamp)>) -> Result<Self, DiskError> {
        let Some((ledger, now)) = ledger else { return Ok(Self { path, ..Self::default() }) };
        let saved: Option<Saved> = disk::read_json(&path)?;
        let mut accounts = Accounts::default();
        let from = match saved {
            Some(saved) => {
                accounts.0 = saved.accounts.into_iter().collect();
                saved.position
            }
            None => first_since(ledger, now - LONGEST),
        };
        for stored in ledger.range(from.min(ledger.len())..ledger.len()) {
            match stored {
                Ok(stored) => accounts.read(ledger, &stored.entry.record),
                Err(error) => tracing::error!(%error, "an entry cannot be read: what it used is not counted"),
            }
        }
        let (accounts, changed) = (Mutex::new(accounts), AtomicBool::new(true));
        Ok(Self { path, accounts, changed, saved: AtomicU64::new(0) })
    }

    /// Holds the accounts that an action draws on and says in it what was used; `None` if it draws on none.
    pub(crate) fn hold(
        &self,
        snapshot: &Snapshot,
        (action, answered): (&mut Action, impl FnOnce(&Action) -> bool),
        now: Timestamp,
    ) -> Option<Held<'_>> {
        if snapshot.charges(action).is_empty() {
            return None;
        }
        let mut accounts = self.lock();
        let uses = accounts.tell(snapshot, (action, answered), now);
        Some(Held { accounts, changed: &self.changed, uses })
    }

    /// Gives back what was taken for something that did not happen.
    pub(crate) fn refund(&self, spent: &Spent) {
        let mut accounts = self.lock();
        for (name, since, cost) in &spent.0 {
            if let Some(account) = accounts.0.get_mut(name).filter(|account| account.since == *since) {
                account.used = account.used.saturating_sub(*cost);
                self.changed.store(true, Ordering::Release);
            }
        }
    }

    /// Writes the accounts if they changed. Blocks.
    pub(crate) fn save(&self, ledger: &Ledger) {
        // The place first: what is recorded after it may be in the accounts already, and never the other way round.
        let position = ledger.len();
        let is_far = position.saturating_sub(self.saved.load(Ordering::Acquire)) > BEHIND_MAX;
        if !self.changed.swap(false, Ordering::AcqRel) && (!is_far || self.lock().0.is_empty()) {
            return;
        }
        self.saved.store(position, Ordering::Release);
        let accounts: BTreeMap<String, Account> =
            self.lock().0.iter().map(|(name, account)| (name.clone(), *account)).collect();
        if let Err(error) = disk::write_json(&self.path, &Saved { position, accounts }) {
            tracing::error!(%error, "what was used of budgets could not be saved; the next start reads it from the ledger");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held<'_> {
    /// Takes what the decision costs, and lets go.
    pub(crate) fn settle(mut self, decision: &Decision) -> Spent {
        if !decision.errors.is_empty() {
            return Spent::default();
        }
        self.changed.store(true, Ordering::Release);
        self.accounts.take(self.uses, &decision.effect)
    }
}

/// The first entry that was recorded since a time.
fn first_since(ledger: &Ledger, oldest: Timestamp) -> u64 {
    let mut upper = ledger.len();
    while upper > 0 {
        let lower = upper.saturating_sub(CHUNK);
        let Some(Ok(stored)) = ledger.range(lower..upper).next() else { return upper };
        if stored.entry.time < oldest {
            return lower;
        }
        upper = lower;
    }
    0
}
