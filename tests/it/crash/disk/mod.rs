//! A disk that loses its power, as a model: what a process wrote is known to the kernel, and what of it has reached the disk is a
//! matter of chance, but for what was synced.
//!
//! Two kinds of file system, by chance: one that keeps the order of its names (a journal, as ext4's and XFS's), where a sync of
//! anything makes every earlier name durable; and one that promises only what POSIX does, where a folder's names are durable when
//! that folder was synced. In both, bytes that were not synced are there, not there, cut off at a sector, or zeros.

mod cut;

use super::trace::{Argument, Call};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Of the processes that are watched.
const UMASK: u32 = 0o022;

type Names = BTreeMap<OsString, usize>;

#[derive(Clone)]
enum Inode {
    File { stable: Vec<u8>, live: Vec<u8>, writes: Vec<(usize, Vec<u8>)>, mode: u32 },
    Folder { stable: Names, live: Names, mode: u32 },
    Link(PathBuf),
}

/// Names that change together: folder, name, what it names then.
type Change = Vec<(usize, OsString, Option<usize>)>;

/// The disk below one folder.
#[derive(Clone)]
pub struct Disk {
    root: PathBuf,
    inodes: Vec<Inode>,
    /// Not yet durable, in order.
    changes: Vec<Change>,
    ordered: bool,
    open: HashMap<i64, (usize, usize)>,
}

impl Disk {
    /// An empty one below `root`; `ordered`: it keeps the order of its names.
    pub fn new(root: &Path, ordered: bool) -> Disk {
        let folder = Inode::Folder { stable: Names::new(), live: Names::new(), mode: 0o755 };
        Disk { root: root.into(), inodes: vec![folder], changes: Vec::new(), ordered, open: HashMap::new() }
    }

    /// True when the call concerns this disk: only then it can be a fault point.
    pub fn concerns(&self, call: &Call) -> bool {
        call.arguments.iter().any(|a| a.path().starts_with(&self.root)) && !(call.name == "openat" && !call.arguments[2].path().to_string_lossy().contains("O_CREAT"))
    }


    fn find(&self, path: &Path) -> Option<usize> {
        let mut now = 0;
        for part in path.strip_prefix(&self.root).ok()?.components() {
            let Component::Normal(name) = part else { continue };
            let Inode::Folder { live, .. } = &self.inodes[now] else { return None };
            now = *live.get(name)?;
        }
        Some(now)
    }

    fn parent(&self, path: &Path) -> Option<(usize, OsString)> {
        Some((self.find(path.parent()?)?, path.file_name()?.into()))
    }

    fn change(&mut self, change: Change) {
        for (folder, name, to) in &change {
            let Inode::Folder { live, .. } = &mut self.inodes[*folder] else { panic!("not a folder") };
            match to {
                Some(to) => live.insert(name.clone(), *to),
                None => live.remove(name),
            };
        }
        self.changes.push(change);
    }

    fn make(&mut self, path: &Path, inode: Inode) -> Option<usize> {
        let (folder, name) = self.parent(path)?;
        self.inodes.push(inode);
        let made = self.inodes.len() - 1;
        self.change(vec![(folder, name, Some(made))]);
        Some(made)
    }

    /// Does what the call did. Calls that concern other places do nothing.
    pub fn apply(&mut self, call: &Call) {
        let path = |n: usize| call.arguments.get(n).map(Argument::path).unwrap_or_default();
        // Those that end in `at` name a folder before the path; a path that is absolute replaces it.
        let at = |n: usize| path(n).join(path(n + 1));
        match call.name.as_str() {
            "openat" => self.opened(call),
            "write" | "pwrite64" => self.written(call),
            "ftruncate" => self.cut_to(call),
            "mkdir" => drop(self.make(&path(0), folder(call.arguments[1].number() as u32))),
            "mkdirat" => drop(self.make(&at(0), folder(call.arguments[2].number() as u32))),
            "symlink" => drop(self.make(&path(1), Inode::Link(path(0)))),
            "symlinkat" => drop(self.make(&at(1), Inode::Link(path(0)))),
            "rename" => self.renamed(&path(0), &path(1)),
            "renameat" | "renameat2" => self.renamed(&at(0), &at(2)),
            "unlink" | "rmdir" => self.removed(&path(0)),
            "unlinkat" => self.removed(&at(0)),
            "chmod" => self.moded(self.find(&path(0)), &call.arguments[1]),
            "fchmod" => self.moded(self.find(&path(0)), &call.arguments[1]),
            "fchmodat" => self.moded(self.find(&at(0)), &call.arguments[2]),
            "fsync" | "fdatasync" => self.synced(call),
            other => assert!(!call.arguments.iter().any(|a| a.path().starts_with(&self.root)), "the model does not know {other}: {call:?}"),
        }
    }

    fn opened(&mut self, call: &Call) {
        let (path, flags) = (call.arguments[0].path().join(call.arguments[1].path()), call.arguments[2].path().to_string_lossy().into_owned());
        self.open.remove(&call.returned.0);
        let mode = call.arguments.get(3).map_or(0, |m| m.number() as u32);
        let new = || Inode::File { stable: vec![], live: vec![], writes: vec![], mode: mode & !UMASK };
        let Some(found) = self.find(&path).or_else(|| flags.contains("O_CREAT").then(|| self.make(&path, new())).flatten()) else { return };
        if let (true, Inode::File { live, writes, .. }) = (flags.contains("O_TRUNC"), &mut self.inodes[found]) {
            live.clear();
            writes.clear();
        }
        self.open.insert(call.returned.0, (found, 0));
    }

    fn written(&mut self, call: &Call) {
        let (Argument::File(fd, path), Argument::Bytes(raw)) = (&call.arguments[0], &call.arguments[1]) else { return };
        let Some((inode, at)) = self.open.get_mut(fd).filter(|_| path.starts_with(&self.root)) else { return };
        let begin = if call.name == "pwrite64" { call.arguments[3].number() as usize } else { *at };
        let raw = &raw[..call.returned.0 as usize];
        *at = begin + raw.len();
        if let Inode::File { live, writes, .. } = &mut self.inodes[*inode] {
            put(live, begin, raw);
            writes.push((begin, raw.to_vec()));
        }
    }

    fn cut_to(&mut self, call: &Call) {
        let (Argument::File(fd, _), length) = (&call.arguments[0], call.arguments[1].number() as usize) else { return };
        if let Some(Inode::File { live, .. }) = self.open.get(fd).map(|(n, _)| *n).and_then(|n| self.inodes.get_mut(n)) {
            live.resize(length, 0);
        }
    }

    fn renamed(&mut self, from: &Path, to: &Path) {
        if let (Some(inode), Some((a, old)), Some((b, new))) = (self.find(from), self.parent(from), self.parent(to)) {
            self.change(vec![(a, old, None), (b, new, Some(inode))]);
        }
    }

    fn removed(&mut self, path: &Path) {
        if let Some((folder, name)) = self.parent(path) {
            self.change(vec![(folder, name, None)]);
        }
    }

    fn moded(&mut self, inode: Option<usize>, to: &Argument) {
        match inode.map(|n| &mut self.inodes[n]) {
            Some(Inode::File { mode, .. } | Inode::Folder { mode, .. }) => *mode = to.number() as u32,
            _ => {}
        }
    }

    fn synced(&mut self, call: &Call) {
        let Argument::File(_, path) = &call.arguments[0] else { return };
        let Some(inode) = self.find(path) else { return };
        if let Inode::File { stable, live, writes, .. } = &mut self.inodes[inode] {
            stable.clone_from(live);
            writes.clear();
        }
        let durable = |change: &Change, ordered: bool| ordered || change.iter().any(|(folder, ..)| *folder == inode);
        let (done, rest): (Vec<Change>, Vec<Change>) = std::mem::take(&mut self.changes).into_iter().partition(|c| durable(c, self.ordered));
        self.changes = rest;
        done.iter().for_each(|c| self.settle(c));
    }

    fn settle(&mut self, change: &Change) {
        for (folder, name, to) in change {
            let Inode::Folder { stable, .. } = &mut self.inodes[*folder] else { panic!("not a folder") };
            match to {
                Some(to) => stable.insert(name.clone(), *to),
                None => stable.remove(name),
            };
        }
    }
}

fn put(file: &mut Vec<u8>, at: usize, raw: &[u8]) {
    file.resize(file.len().max(at + raw.len()), 0);
    file[at..at + raw.len()].copy_from_slice(raw);
}

fn folder(mode: u32) -> Inode {
    Inode::Folder { stable: Names::new(), live: Names::new(), mode: mode & !UMASK }
}
