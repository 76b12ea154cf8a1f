//! The node's control groups, on hosts with one hierarchy (v2) and on hosts with one a controller (v1).

use std::path::{Path, PathBuf};

/// Where control groups are mounted.
pub const MOUNT: &str = "/sys/fs/cgroup";

/// A control group, in every hierarchy that the host has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    folders: Vec<PathBuf>,
}

/// True where `mount` is the one hierarchy of cgroup v2.
pub fn is_v2(mount: &Path) -> bool {
    mount.join("cgroup.controllers").exists()
}

/// The hierarchies: the mount itself on v2, its real (not linked) controller folders on v1.
fn hierarchies(mount: &Path) -> Vec<PathBuf> {
    if is_v2(mount) {
        return vec![mount.to_path_buf()];
    }
    let entries = std::fs::read_dir(mount).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).filter(|p| p.join("cgroup.procs").exists()).collect();
    found.sort();
    found
}

impl Cgroup {
    /// Names the group `name` (a relative path) below `mount`; makes nothing.
    pub fn new(mount: &Path, name: &str) -> Cgroup {
        Cgroup { folders: hierarchies(mount).into_iter().map(|h| h.join(name)).collect() }
    }

    /// Makes the group. On v1 a new cpuset is empty and takes no process: it inherits its parent's processors and memory nodes.
    /// On v2 the controllers are handed down to it.
    pub fn create(&self) -> std::io::Result<()> {
        for folder in &self.folders {
            let parent = folder.parent().expect("a group lies below its hierarchy");
            hand_down(parent)?;
            std::fs::create_dir_all(folder)?;
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let (from, to) = (parent.join(file), folder.join(file));
                let empty = std::fs::read_to_string(&to).is_ok_and(|v| v.trim().is_empty());
                if empty && !parent.join("cgroup.controllers").exists() {
                    std::fs::write(&to, std::fs::read(&from)?)?;
                }
            }
        }
        Ok(())
    }

    /// A group inside this one.
    pub fn child(&self, name: &str) -> Cgroup {
        Cgroup { folders: self.folders.iter().map(|f| f.join(name)).collect() }
    }

    /// Puts a process in.
    pub fn join(&self, pid: i32) -> std::io::Result<()> {
        self.folders.iter().try_for_each(|f| std::fs::write(f.join("cgroup.procs"), pid.to_string()))
    }

    /// The processes in this group and below, once each.
    pub fn processes(&self) -> Vec<i32> {
        let mut all: Vec<i32> = self.folders.iter().flat_map(|f| tree(f)).flat_map(|f| read_pids(&f)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Removes the group and those below; fails while a process is in one.
    pub fn remove(&self) -> std::io::Result<()> {
        for folder in self.folders.iter().flat_map(|f| tree(f)) {
            match std::fs::remove_dir(&folder) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// True when no hierarchy has it.
    pub fn is_gone(&self) -> bool {
        self.folders.iter().all(|f| !f.exists())
    }
}

fn hand_down(parent: &Path) -> std::io::Result<()> {
    let Ok(controllers) = std::fs::read_to_string(parent.join("cgroup.controllers")) else { return Ok(()) };
    let wanted: Vec<String> = controllers.split_whitespace().map(|c| format!("+{c}")).collect();
    // One by one: a controller that the host keeps back must not keep the others back. What the kubelet needs it asks for itself.
    for controller in wanted {
        drop(std::fs::write(parent.join("cgroup.subtree_control"), controller));
    }
    Ok(())
}

/// The folder and all below it, deepest first.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).flat_map(|e| tree(&e.path())).collect();
    if folder.exists() {
        all.push(folder.to_path_buf());
    }
    all
}

fn read_pids(folder: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|l| l.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1(dir: &Path) {
        for controller in ["cpuset", "memory"] {
            std::fs::create_dir_all(dir.join(controller)).unwrap();
            std::fs::write(dir.join(controller).join("cgroup.procs"), "").unwrap();
        }
        std::fs::write(dir.join("cpuset/cpuset.cpus"), "0-1\n").unwrap();
        std::fs::write(dir.join("cpuset/cpuset.mems"), "0\n").unwrap();
        std::os::unix::fs::symlink("memory", dir.join("mem")).unwrap();
    }

    #[test]
    fn on_v1_the_group_exists_in_every_hierarchy_once() {
        let dir = tempfile::tempdir().unwrap();
        v1(dir.path());
        let group = Cgroup::new(dir.path(), "node");
        group.create().unwrap();
        assert_eq!(group.folders, [dir.path().join("cpuset/node"), dir.path().join("memory/node")]);
        assert!(!is_v2(dir.path()));
        std::fs::create_dir(dir.path().join("memory/node/deep")).unwrap();
        group.remove().unwrap();
        assert!(group.is_gone());
    }

    #[test]
    fn on_v2_there_is_one_group() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        assert!(is_v2(dir.path()));
        let group = Cgroup::new(dir.path(), "node");
        group.create().unwrap();
        assert_eq!(group.folders, [dir.path().join("node")]);
    }
}
