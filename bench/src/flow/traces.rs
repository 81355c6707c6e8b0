//! Recorded runs: what the user said, what was called, what came back, and which calls decide the outcome.
//! What happened is read by `connect::history`, the rest here.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::Path;

use anyhow::Context as _;
use connect::history::{self, Step, What};
use serde::Deserialize;
use serde_json::Value;

/// One recorded run.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) suite: String,
    pub(crate) pipeline: String,
    pub(crate) user_task: String,
    pub(crate) attack: Option<String>,
    /// What the injected text wants, by the benchmark's name for it.
    #[serde(default)]
    pub(crate) injection_task: Option<String>,
    #[serde(default)]
    pub(crate) injections: BTreeMap<String, String>,
    pub(crate) error: Option<Value>,
    /// As they stand in the file.
    events: Vec<Value>,
    /// What happened.
    #[serde(skip)]
    pub(crate) steps: Vec<Step>,
    pub(crate) replay: Replay,
}

/// What re-execution found.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Replay {
    pub(crate) u0: bool,
    pub(crate) s0: bool,
    #[serde(rename = "mut")]
    pub(crate) changes: Vec<i64>,
    pub(crate) done_at: i64,
    pub(crate) atk_crit: Vec<i64>,
    pub(crate) util_crit: Vec<i64>,
    #[serde(default)]
    pub(crate) out_only: bool,
}

/// The three kinds of run, counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Attack,
    Benign,
    /// The goal of an injection, asked honestly by the user.
    Wanted,
}

impl Run {
    pub(crate) fn kind(&self) -> Kind {
        match &self.attack {
            Some(_) => Kind::Attack,
            None if self.user_task.starts_with("injection") => Kind::Wanted,
            None => Kind::Benign,
        }
    }

    /// The calls without which the attack fails. Where several calls each suffice, all that changed something
    /// from the first one with the tool of the completing call on.
    pub(crate) fn attack_calls(&self) -> Vec<i64> {
        if !self.replay.s0 || self.kind() != Kind::Attack {
            return Vec::new();
        }
        if !self.replay.atk_crit.is_empty() {
            return self.replay.atk_crit.clone();
        }
        let tool = |wanted: i64| self.calls().find(|(i, ..)| *i == wanted).map(|(_, tool, _)| tool);
        let done = tool(self.replay.done_at);
        let first = self.calls().find(|(_, tool, _)| done == Some(*tool)).map_or(0, |(i, ..)| i);
        self.replay.changes.iter().copied().filter(|i| *i >= first).collect()
    }

    /// The calls with their numbers, from 0.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (i64, &str, &Value)> {
        let calls =
            self.steps.iter().filter_map(|step| if let What::Call(call) = &step.what { Some(call) } else { None });
        (0..).zip(calls).map(|(i, call)| (i, call.tool.as_str(), &call.arguments))
    }

    /// The unit of the bootstrap: many runs share a task.
    pub(crate) fn task(&self) -> String {
        format!("{}/{}", self.suite, self.user_task)
    }

    /// Whether a text carries one of the injections, however it was escaped or folded.
    pub(crate) fn carries_injection(&self, text: &str) -> bool {
        let text = letters(text);
        self.injections.values().map(|injected| letters(injected)).any(|injected| {
            let piece: String = injected.chars().take(60).collect();
            piece.len() >= 10 && text.contains(&piece)
        })
    }
}

fn letters(text: &str) -> String {
    text.replace("\\n", " ").replace("\\t", " ").chars().filter(|c| c.is_ascii_alphanumeric()).collect()
}

/// Reads `traces.jsonl` or `traces.jsonl.zst`.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Run>> {
    let read = |(at, line): (u32, std::io::Result<String>)| {
        let mut run: Run = serde_json::from_str(&line?)?;
        run.steps = history::runs::steps(at, &std::mem::take(&mut run.events), &run.suite);
        Ok(run)
    };
    (1..).zip(bytes(path)?.lines()).map(read).collect()
}

/// The bytes of a file, unpacked by the `zstd` program if its name says so.
pub(crate) fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.extension().is_none_or(|suffix| suffix != "zst") {
        return std::fs::read(path).with_context(|| format!("read `{}`", path.display()));
    }
    let output = std::process::Command::new("zstd").args(["-dcq"]).arg(path).output().context("run `zstd`")?;
    anyhow::ensure!(output.status.success(), "`zstd` could not read `{}`", path.display());
    Ok(output.stdout)
}
