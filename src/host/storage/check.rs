//! Whether the disk that was chosen is there and can hold what the volumes are promised. Pure.

use super::{Step, children};
use crate::config::GIB;
use crate::status::Problem;
use crate::status::check::Verdict;
use std::path::PathBuf;

/// Less than this lets nothing start.
const LEAST: u64 = 2 * GIB;

/// What was found of the disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Where it was looked at.
    pub folder: PathBuf,
    /// What is to be done there, or why it cannot be.
    pub step: Result<Step, Problem>,
    /// Free space, bytes.
    pub free: u64,
    /// What the volumes take already, bytes.
    pub used: u64,
    /// What they may take, bytes.
    pub promised: u64,
}

/// Judges it.
pub fn judge(disk: &Disk) -> Verdict {
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / GIB as f64);
    let place = disk.folder.display();
    let (failure, warning) = (|problem| Verdict::Failure { problem }, |problem| Verdict::Warning { problem });
    match &disk.step {
        Err(problem) => Verdict::Failure { problem: problem.clone() },
        Ok(Step::Make(target)) if !target.parent().is_some_and(std::path::Path::is_dir) => {
            failure(Problem::new("STG-101", format!("no volumes can be made in {}", target.display()), "the folder that storage.folder names is not there", "Mount the disk there, or correct settings.toml."))
        }
        _ if disk.free < LEAST => {
            failure(Problem::new("CHK-118", format!("the disk at {place} has {} free", gib(disk.free)), format!("the volumes need {} to begin", gib(LEAST)), "Free space, or name another disk as storage.folder in settings.toml."))
        }
        _ if disk.free + disk.used < disk.promised => {
            let cause = format!("{} are free at {place} and {} are taken; the kernel does not hold a volume to its size", gib(disk.free), gib(disk.used));
            warning(Problem::new("CHK-118", format!("the volumes may take {} and the disk has not that much", gib(disk.promised)), cause, "Expect it to fill up earlier: `antihate status` warns at the last 5 %. A larger disk can be named as storage.folder before the first start."))
        }
        _ => Verdict::Ok,
    }
}

/// What the volumes take now, where they are there.
pub fn taken(volumes: &std::path::Path) -> u64 {
    children(volumes).iter().map(|v| super::reclaim::used(v)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(free: u64, used: u64, step: Result<Step, Problem>) -> Disk {
        Disk { folder: "/srv/disk".into(), step, free: free * GIB, used: used * GIB, promised: 40 * GIB }
    }

    #[test]
    fn a_disk_is_judged_by_what_is_promised_on_it() {
        let code = |d: &Disk| match judge(d) {
            Verdict::Failure { problem } => ("failure", problem.code),
            Verdict::Warning { problem } => ("warning", problem.code),
            verdict => (verdict.word(), String::new()),
        };
        assert_eq!(code(&disk(50, 0, Ok(Step::Go))), ("ok", String::new()));
        assert_eq!(code(&disk(20, 25, Ok(Step::Go))), ("ok", String::new()), "what is taken already counts");
        assert_eq!(code(&disk(20, 0, Ok(Step::Go))), ("warning", "CHK-118".into()));
        assert_eq!(code(&disk(1, 60, Ok(Step::Go))), ("failure", "CHK-118".into()));
        assert_eq!(code(&disk(50, 0, Ok(Step::Make("/nowhere/at/all".into())))), ("failure", "STG-101".into()));
        assert_eq!(code(&disk(50, 0, Err(Problem::new("STG-102", "", "", "")))), ("failure", "STG-102".into()));
    }
}
