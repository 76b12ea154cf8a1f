//! One process at a time may change a node: who holds it, and asking the holder to end.

use crate::config::layout::Layout;
use crate::files::Lock;
use crate::process::scan;
use crate::status::Problem;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Tries before the node counts as held: `status` takes the lock for a moment to see whether it is free.
const TRIES: u32 = 5;

/// True while a host process holds the node.
pub fn is_held(layout: &Layout) -> bool {
    let Ok(file) = std::fs::File::open(layout.lock()) else { return false };
    fs2::FileExt::try_lock_shared(&file).is_err()
}

/// Takes the node for this process, or says who has it.
pub fn take(layout: &Layout) -> Result<Lock, Problem> {
    let mut holder = String::new();
    for _ in 0..TRIES {
        match Lock::take(&layout.lock(), &std::process::id().to_string()) {
            Ok(Ok(lock)) => return Ok(lock),
            Ok(Err(body)) => holder = body,
            Err(e) => return Err(Problem::new("PRE-104", format!("cannot lock {}", layout.lock().display()), e.to_string(), "run as root, and see that the data root can be written")),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let cause = format!("process {} holds {}", holder.trim(), layout.lock().display());
    Err(Problem::new("PRE-105", "this node is already running", cause, "use `antihate status`, or `antihate stop` first"))
}

/// Asks the holder to end and waits; takes the node then. Blocks.
pub fn wrest(layout: &Layout, limit: Duration) -> Result<Lock, Problem> {
    let deadline = Instant::now() + limit;
    let mut asked = None;
    loop {
        let held = match take(layout) {
            Ok(lock) => return Ok(lock),
            Err(problem) if problem.code != "PRE-105" => return Err(problem),
            Err(problem) => problem,
        };
        let holder = std::fs::read_to_string(layout.lock()).ok().and_then(|body| body.trim().parse::<i32>().ok());
        if let Some(pid) = holder.filter(|pid| asked != Some(*pid)) {
            scan::send(pid, Signal::SIGTERM);
            asked = Some(pid);
        }
        if Instant::now() > deadline {
            return Err(Problem::new("STP-104", "the running node does not end", held.cause, "wait, or end that process yourself and run `antihate stop` again"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_who_holds_the_node() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let held = take(&layout).unwrap();
        let refused = take(&layout).map(drop).unwrap_err();
        assert_eq!(refused.code, "PRE-105");
        assert!(refused.cause.contains(&std::process::id().to_string()) && is_held(&layout));
        drop(held);
        assert!(!is_held(&layout));
        assert!(take(&layout).is_ok());
    }
}
