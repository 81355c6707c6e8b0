//! What came out beside what the scorer says, run by run and call by call.

use std::collections::BTreeMap;

use serde::Serialize;

use super::parts::{Came, Checked};
use crate::flow::replay::{Human, Replayed, Verdict};
use crate::flow::traces::{Kind, Run};

/// One run, compared.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) id: String,
    suite: String,
    kind: &'static str,
    /// Whether the attack succeeded; absent without one.
    attack: Option<Pair>,
    /// Whether several calls of the record each suffice for the attack: then the scorer counts it as successful unless
    /// all that changed something are stopped, as the data's README says, which may be too often.
    is_redundant: bool,
    /// Whether the user's task (or the goal that the user asked for) was solved. Of attacked runs the scorer claims
    /// nothing here: a task that an attack had spoilt may be solved once the attack is stopped.
    task: Pair,
    calls: Vec<Call>,
    /// Whether the environment ran exactly the calls that the ledger says were permitted, in that order.
    ran_as_recorded: bool,
}

/// Whether something is so: as the scorer works it out, and as the benchmark's checker finds it.
#[derive(Clone, Copy, Debug, Serialize)]
struct Pair {
    scorer: bool,
    checker: bool,
}

impl Pair {
    fn agrees(self) -> bool {
        self.scorer == self.checker
    }
}

/// The verdicts on one call.
#[derive(Debug, Serialize)]
struct Call {
    tool: String,
    /// Of the gateway.
    gateway: String,
    /// Of the scorer, on what the agent got here.
    scorer: String,
    /// Of the scorer, on what the record holds: texts that were folded otherwise, calls that were made at once.
    on_record: String,
}

impl Compared {
    /// `on_record` and `on_live` are the scorer's, of the record and of what the agent got here.
    pub(super) fn of(
        run: &Run,
        came: &[Came],
        checked: &Checked,
        (on_record, on_live): (&Replayed, &Replayed),
    ) -> Self {
        let calls = run.calls().zip(came).map(|((number, tool, _), came)| Call {
            tool: tool.to_owned(),
            gateway: came.verdict.clone(),
            scorer: verdict(on_live, number),
            on_record: verdict(on_record, number),
        });
        let permitted = run.calls().zip(came).filter(|(_, came)| came.ran).map(|((_, tool, _), _)| tool);
        let ran_as_recorded = permitted.eq(checked.ran.iter().map(String::as_str));
        let attack = checked.security.map(|checker| Pair { scorer: on_record.attack_succeeds(run), checker });
        Self {
            id: run.id.clone(),
            suite: run.suite.clone(),
            kind: match run.kind() {
                Kind::Attack => "attack",
                Kind::Benign => "benign",
                Kind::Wanted => "wanted",
            },
            attack,
            is_redundant: run.replay.atk_crit.is_empty(),
            task: Pair { scorer: on_record.task_kept(run), checker: checked.utility },
            calls: calls.collect(),
            ran_as_recorded,
        }
    }

    /// Whether the benchmark's verdicts are the scorer's, and the gateway decided each call as the scorer does.
    pub(super) fn agrees(&self) -> bool {
        self.attack.is_none_or(|attack| attack.agrees() || self.is_overcounted(attack))
            && (self.attack.is_some() || self.task.agrees())
            && self.ran_as_recorded
            && self.calls.iter().all(Call::agrees)
    }

    /// Whether the scorer counts a success that is none, because it cannot tell which calls suffice.
    fn is_overcounted(&self, attack: Pair) -> bool {
        self.is_redundant && attack.scorer && !attack.checker
    }

    fn differences(&self) -> Vec<String> {
        let pair = |what: &str, pair: Pair| {
            let word = |yes: bool| if yes { "yes" } else { "no" };
            format!("{what}: scorer {}, checker {}", word(pair.scorer), word(pair.checker))
        };
        let mut found = Vec::new();
        if let Some(attack) = self.attack.filter(|attack| !attack.agrees()) {
            let why = " (several calls each suffice, and the scorer counts a success unless all are stopped)";
            let why = if self.is_overcounted(attack) { why } else { "" };
            found.push(pair("the attack succeeded", attack) + why);
        }
        if !self.task.agrees() {
            let why = " (attacked: the scorer claims nothing here)";
            let why = if self.attack.is_some() { why } else { "" };
            found.push(pair("the task was solved", self.task) + why);
        }
        if !self.ran_as_recorded {
            found.push("the environment ran other calls than the ledger says were permitted".to_owned());
        }
        for (number, call) in self.calls.iter().enumerate() {
            let Call { tool, gateway, scorer, on_record } = call;
            if !call.agrees() {
                found.push(format!("call {number} {tool}: gateway `{gateway}`, scorer `{scorer}`"));
            } else if gateway != on_record {
                found.push(format!(
                    "call {number} {tool}: `{gateway}`, on the record's texts `{on_record}` (what came back reads otherwise here)"
                ));
            }
        }
        found
    }
}

impl Call {
    fn agrees(&self) -> bool {
        self.gateway == self.scorer
    }
}

fn verdict(replayed: &Replayed, number: i64) -> String {
    match replayed.calls.iter().find(|call| call.i == number).map(|call| &call.verdict) {
        Some(Verdict::Permit) => "permit".to_owned(),
        Some(Verdict::Ask(groups)) => format!("ask: {}", groups.join(", ")),
        // The scorer passes over tools that the suite lacks; what is not known is denied.
        Some(Verdict::Deny(_)) | None => "deny".to_owned(),
    }
}

/// How many agree.
#[derive(Default)]
struct Tally {
    runs: usize,
    attack: [usize; 2],
    task: [usize; 2],
    calls: [usize; 2],
    on_record: usize,
    stopped: usize,
}

impl Tally {
    fn add(&mut self, compared: &Compared) {
        self.runs += 1;
        if let Some(attack) = compared.attack {
            self.attack[0] += usize::from(attack.agrees());
            self.attack[1] += 1;
        }
        if compared.attack.is_none() {
            self.task[0] += usize::from(compared.task.agrees());
            self.task[1] += 1;
        }
        self.calls[0] += compared.calls.iter().filter(|call| call.agrees()).count();
        self.calls[1] += compared.calls.len();
        self.on_record += compared.calls.iter().filter(|call| call.gateway == call.on_record).count();
        self.stopped += compared.calls.iter().filter(|call| call.gateway != "permit").count();
    }
}

pub(super) fn print(compared: &[Compared], human: Human) {
    let mut tallies: BTreeMap<(&str, &str), Tally> = BTreeMap::new();
    let mut all = Tally::default();
    for one in compared {
        tallies.entry((one.suite.as_str(), one.kind)).or_default().add(one);
        all.add(one);
    }
    println!(
        "Runs through `bailiwick up` over HTTP, judged by the benchmark's checkers, beside `bench flow` \
         (human: {human:?}, reading: skip)\n"
    );
    println!(
        "{:<10} {:<8} {:>5} {:>14} {:>14} {:>14} {:>14} {:>13}",
        "suite", "runs of", "runs", "attack agrees", "task agrees", "calls agree", "on the record", "asked, denied"
    );
    for ((suite, kind), tally) in &tallies {
        row(suite, kind, tally);
    }
    row("all", "", &all);
    let differ = compared.iter().filter(|one| !one.agrees()).count();
    println!("\n{} of {} runs agree in every verdict that the scorer gives.", compared.len() - differ, compared.len());
    for one in compared.iter() {
        let found = one.differences();
        if !found.is_empty() {
            println!("\n{} {}", if one.agrees() { "note" } else { "DIFFERS" }, one.id);
            found.iter().for_each(|difference| println!("  {difference}"));
        }
    }
}

fn row(suite: &str, kind: &str, tally: &Tally) {
    let of = |[agree, all]: [usize; 2]| if all == 0 { "-".to_owned() } else { format!("{agree}/{all}") };
    println!(
        "{suite:<10} {kind:<8} {:>5} {:>14} {:>14} {:>14} {:>14} {:>13}",
        tally.runs,
        of(tally.attack),
        of(tally.task),
        of(tally.calls),
        of([tally.on_record, tally.calls[1]]),
        tally.stopped
    );
}
