//! Finds the processes of a node by the mark in their environment, and containers' first processes by their control group.

use super::supervisor::MARK;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::time::{Duration, Instant};

/// A process of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Process identifier.
    pub pid: i32,
    /// Its command line's first word, without folders.
    pub name: String,
}

/// All processes, but not ourselves, that carry the node's mark.
pub fn marked(data: &Path) -> Vec<Found> {
    let mark = [MARK.as_bytes(), b"=", data.as_os_str().as_encoded_bytes()].concat();
    let own = std::process::id() as i32;
    let mark = &mark;
    let carries = move |pid: &i32| {
        *pid != own && std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| env.split(|b| *b == 0).any(|v| v == mark))
    };
    pids().filter(carries).map(|pid| Found { pid, name: name(pid) }).collect()
}

fn pids() -> impl Iterator<Item = i32> {
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// The first word of its command line, without folders; empty for one that is gone.
pub fn name(pid: i32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let first = line.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(first).rsplit('/').next().unwrap_or_default().to_string()
}

/// True while the process exists and is more than a zombie: its first thread can have ended while others still hold its files
/// and ports, so all threads count.
pub fn alive(pid: i32) -> bool {
    let ended = |stat: String| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']));
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().any(|t| std::fs::read_to_string(t.path().join("stat")).is_ok_and(|stat| !ended(stat)))
}

/// True when the process is the first one of its process namespace, and that is not ours: a container's own program.
pub fn is_container_init(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let levels = status.lines().find_map(|l| l.strip_prefix("NSpid:")).unwrap_or_default();
    let levels: Vec<&str> = levels.split_whitespace().collect();
    levels.len() > 1 && levels.last() == Some(&"1")
}

/// Sends a signal; a process that has ended is no error.
pub fn send(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Ends processes at once and waits until they are gone; returns those that are not after `limit`.
pub fn end(pids: &[i32], limit: Duration) -> Vec<i32> {
    for pid in pids {
        send(*pid, Signal::SIGKILL);
    }
    let deadline = Instant::now() + limit;
    loop {
        let left: Vec<i32> = pids.iter().copied().filter(|p| alive(*p)).collect();
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_process_is_found_and_ended_and_another_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let start = |mark: &Path| std::process::Command::new("sleep").arg("1000").env(MARK, mark).spawn().unwrap();
        let (mut ours, mut other) = (start(dir.path()), start(Path::new("/elsewhere")));
        // The environment is the parent's until exec is over.
        let deadline = Instant::now() + Duration::from_secs(10);
        while marked(dir.path()).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(marked(dir.path()), [Found { pid: ours.id() as i32, name: "sleep".into() }]);
        assert!(end(&[ours.id() as i32], Duration::from_secs(5)).is_empty());
        assert!(alive(other.id() as i32));
        other.kill().unwrap();
        drop((ours.wait(), other.wait()));
    }

    #[test]
    fn this_process_is_no_container() {
        assert!(!is_container_init(std::process::id() as i32));
    }
}
