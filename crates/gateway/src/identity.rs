//! Who is at the other end of a local socket, from the kernel and not from what they say.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest;
use serde_json::Value;

/// The largest program that is hashed, in bytes.
const PROGRAM_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// The most ancestors that are looked at.
const ANCESTORS_MAX: usize = 16;
const DIGESTS_MAX: usize = 256;

/// One running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// Ticks since boot: tells a process from a later one with the same id.
    pub(crate) started: u64,
}

/// Reads a process from `/proc`.
pub(crate) fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so count from its end.
    let rest = stat.rsplit_once(')')?.1;
    let mut words = rest.split_ascii_whitespace();
    let parent = words.nth(1)?.parse().ok()?;
    let started = words.nth(17)?.parse().ok()?;
    Some(Process { pid, parent, started })
}

/// A process's ancestors, nearest first, without init.
pub(crate) fn ancestors(pid: u32) -> Vec<Process> {
    let parent = |process: &Process| Some(process.parent).filter(|pid| *pid > 1).and_then(self::process);
    std::iter::successors(process(pid).as_ref().and_then(parent), parent).take(ANCESTORS_MAX).collect()
}

/// The agent among a process's ancestors: the nearest that is not a shell.
pub(crate) fn agent_process(pid: u32) -> Option<Process> {
    let ancestors = ancestors(pid);
    let is_shell = |process: &&Process| {
        let program = fs::read_link(format!("/proc/{}/exe", process.pid)).unwrap_or_default();
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        matches!(name.as_str(), "sh" | "bash" | "dash" | "zsh" | "ash" | "busybox" | "fish")
    };
    ancestors.iter().find(|process| !is_shell(process)).or(ancestors.first()).copied()
}

/// A user's name, or `uid:N`.
pub(crate) fn user_name(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)?.parse::<u32>().ok()? == uid).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid:{uid}"))
}

type Identity = (u64, u64, u64, i64, i64);

/// Digests of programs, so that each is hashed once.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    /// By device, inode, size and change time: what a replaced program cannot keep.
    known: Mutex<HashMap<Identity, String>>,
}

impl Programs {
    /// What the kernel says of a process: its user, and its program with the digest. Blocks.
    pub(crate) fn evidence(&self, pid: u32, uid: u32) -> BTreeMap<String, Value> {
        let mut evidence = BTreeMap::from([("uid".to_owned(), Value::from(uid))]);
        let link = PathBuf::from(format!("/proc/{pid}/exe"));
        if let Ok(program) = fs::read_link(&link) {
            evidence.insert("program".to_owned(), Value::from(program.to_string_lossy().into_owned()));
            // Through the link, so that the digest is of what runs even if the path now holds another file.
            if let Some(digest) = self.digest(&link) {
                evidence.insert("program_sha256".to_owned(), Value::from(digest));
            }
        }
        evidence
    }

    fn digest(&self, path: &Path) -> Option<String> {
        let mut file = fs::File::open(path).ok()?;
        let meta = file.metadata().ok()?;
        if meta.len() > PROGRAM_MAX_BYTES {
            return None;
        }
        let key = (meta.dev(), meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec());
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Some(known.clone());
        }
        let mut context = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer).ok()?;
            let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else { break };
            context.update(chunk);
        }
        let digest = hex::encode(context.finish());
        let mut known = lock();
        if known.len() < DIGESTS_MAX {
            known.insert(key, digest.clone());
        }
        Some(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_runs_as_a_child_of_something() {
        let own = process(std::process::id()).unwrap();
        assert_eq!(ancestors(own.pid).first().map(|parent| parent.pid), Some(own.parent));
        let evidence = Programs::default().evidence(own.pid, 0);
        assert!(evidence.contains_key("program_sha256"), "{evidence:?}");
    }
}
