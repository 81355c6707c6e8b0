//! Which processes stand above a process. Read from `/proc`; where it cannot be read, nothing is known.

/// How far up is looked; a deeper tree than this is a loop or an attack.
const DEPTH_MAX: usize = 64;

/// A process above another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ancestor {
    /// Its id.
    pub(crate) pid: i32,
    /// Its name, as the kernel has it.
    pub(crate) name: String,
}

/// The process itself and everything above it, nearest first.
pub(crate) fn of(pid: i32) -> Vec<Ancestor> {
    let mut ancestors: Vec<Ancestor> = Vec::new();
    let mut next = Some(pid);
    while let Some(pid) = next.filter(|pid| *pid > 0 && ancestors.len() < DEPTH_MAX) {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { break };
        let Some((name, parent)) = parse(&stat) else { break };
        ancestors.push(Ancestor { pid, name });
        next = Some(parent);
    }
    ancestors
}

/// Name and parent from `/proc/PID/stat`. The name stands in parentheses and may itself hold any of them.
fn parse(stat: &str) -> Option<(String, i32)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let parent = tail.split_whitespace().nth(1)?.parse().ok()?;
    Some((name.to_owned(), parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        assert_eq!(parse("12 (a) S 99 (b) S 7 0"), Some(("a) S 99 (b".to_owned(), 7)));
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn we_stand_below_our_parent() {
        let own = i32::try_from(std::process::id()).unwrap();
        let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
        let found: Vec<i32> = of(own).into_iter().map(|ancestor| ancestor.pid).collect();
        assert_eq!(found.first(), Some(&own));
        assert_eq!(found.get(1), Some(&parent));
    }
}
