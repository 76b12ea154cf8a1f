//! Unpacking the Kubernetes distribution: space first, verified while written, visible by one rename.
//!
//! `store/<id>` holds one state of the distribution, where `<id>` is the sum over its names, modes and sums; `current`
//! points to the one in use. What a killed run left behind bears the prefix `.unpack-` and is cleared by the next.

use super::{Item, Kind, PackError, Payload, spool};
use crate::files;
use sha2::{Digest, Sha256};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Tells how many bytes an unprivileged write can still take at a place. `files::free_space`, or a test's number.
pub type SpaceProbe<'a> = dyn Fn(&Path) -> std::io::Result<u64> + 'a;

/// What is kept free beside the content: directories, block rounding, the journal of the file system.
const MARGIN: u64 = 32 << 20;
const BLOCK: u64 = 4096;

/// Bytes that the parts of the payload take once they are unpacked or imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Need {
    /// The Kubernetes distribution.
    pub kubernetes: u64,
    /// Model folders.
    pub models: u64,
    /// Images: once as blobs, once unpacked.
    pub images: u64,
}

impl Need {
    /// All together.
    pub fn total(&self) -> u64 {
        self.kubernetes + self.models + self.images
    }
}

/// Computes what the whole payload takes.
pub fn need(payload: &Payload) -> Need {
    let sum = |kind| payload.items(kind).iter().map(|item| item.entry.size.next_multiple_of(BLOCK)).sum::<u64>();
    Need { kubernetes: sum(Kind::Kubernetes), models: sum(Kind::Model), images: 2 * sum(Kind::Blob) }
}

/// Fails with UNP-301 unless `bytes` and a margin are free where `place` is or will be.
pub fn check_space(place: &Path, bytes: u64, space: &SpaceProbe<'_>) -> Result<(), PackError> {
    let there = place.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let has = space(there).map_err(|e| PackError::io("measure", there, e))?;
    let needs = bytes + MARGIN;
    if has < needs {
        return Err(PackError::NoSpace { path: there.into(), needs, has });
    }
    Ok(())
}

/// The outcome of unpacking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The folder with the distribution; it never changes once it is there.
    pub folder: PathBuf,
    /// Bytes written; 0 when it was there already.
    pub written: u64,
}

/// Brings the distribution into `<data>/store` and points `<data>/current` to it.
/// `progress` hears the bytes written so far and the total. Doing it again writes nothing.
pub fn unpack_kubernetes(payload: &Payload, data: &Path, space: &SpaceProbe<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<Unpacked, PackError> {
    let items = payload.items(Kind::Kubernetes);
    if items.is_empty() {
        return Err(PackError::Missing { what: "Kubernetes distribution".into() });
    }
    let id = identity(&items);
    let store = data.join("store");
    let folder = store.join(&id);
    let mut written = 0;
    if !is_complete(&folder, &items) {
        check_space(data, items.iter().map(|item| item.entry.size.next_multiple_of(BLOCK)).sum(), space)?;
        files::folder(&store, 0o755).map_err(|e| PackError::io("create", &store, e))?;
        clear(&store)?;
        let temp = store.join(format!(".unpack-{id}"));
        written = write_all(&items, &temp, progress).inspect_err(|_| drop(std::fs::remove_dir_all(&temp)))?;
        move_in(&temp, &folder, &store)?;
    }
    point(data, &id)?;
    Ok(Unpacked { folder, written })
}

/// The name of this state of the distribution: a sum over what every file is.
fn identity(items: &[&Item]) -> String {
    let mut lines: Vec<String> = items.iter().map(|i| format!("{} {:o} {}\n", i.entry.sha256, i.entry.mode, i.entry.name)).collect();
    lines.sort();
    hex::encode(Sha256::digest(lines.concat()))
}

/// A folder gets its name only when all in it is durable, so names and sizes tell; `verify` reads the contents.
fn is_complete(folder: &Path, items: &[&Item]) -> bool {
    items.iter().all(|item| {
        let found = std::fs::symlink_metadata(folder.join(&item.entry.name));
        found.is_ok_and(|m| m.is_file() && m.len() == item.entry.size && m.permissions().mode() & 0o777 == item.entry.mode & 0o777)
    })
}

/// Reads the unpacked distribution and compares it with the payload. Returns the bytes read, `None` when nothing of this
/// payload is unpacked. Fails with UNP-207 on a file that was altered on the disk.
pub fn verify_unpacked(payload: &Payload, data: &Path) -> Result<Option<u64>, PackError> {
    let items = payload.items(Kind::Kubernetes);
    let folder = data.join("store").join(identity(&items));
    if items.is_empty() || !folder.exists() {
        return Ok(None);
    }
    for item in &items {
        let path = folder.join(&item.entry.name);
        let found = item.at(&path).and_then(|copy| copy.verify());
        found.map_err(|_| PackError::Altered { path, folder: folder.clone() })?;
    }
    Ok(Some(items.iter().map(|item| item.entry.size).sum()))
}

fn write_all(items: &[&Item], temp: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<u64, PackError> {
    std::fs::create_dir(temp).map_err(|e| PackError::io("create", temp, e))?;
    let total = items.iter().map(|item| item.entry.size).sum();
    let mut done = 0;
    for item in items {
        write_one(item, &temp.join(&item.entry.name), &mut |n| {
            done += n;
            progress(done, total);
        })?;
    }
    sync_tree(temp)?;
    Ok(done)
}

fn write_one(item: &Item, path: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), PackError> {
    let io = |e| PackError::io("write", path, e);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let mode = item.entry.mode & 0o777;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(io)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(io)?;
    spool::copy(&mut item.read()?, &file, progress).map_err(io)
}

/// Makes the names in `folder` and below durable; the files themselves were synced when written.
pub(super) fn sync_tree(folder: &Path) -> Result<(), PackError> {
    for child in super::folder::children(folder)?.iter().filter(|child| child.is_dir()) {
        sync_tree(child)?;
    }
    files::sync_dir(folder).map_err(|e| PackError::io("write", folder, e))
}

/// Removes what an interrupted run left in `folder`.
pub(super) fn clear(folder: &Path) -> Result<(), PackError> {
    for path in super::folder::children(folder)? {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".unpack-")) {
            std::fs::remove_dir_all(&path).map_err(|e| PackError::io("clear", &path, e))?;
        }
    }
    Ok(())
}

fn move_in(temp: &Path, folder: &Path, store: &Path) -> Result<(), PackError> {
    let io = |e| PackError::io("create", folder, e);
    if folder.exists() {
        // It was found incomplete: somebody took files out of it.
        std::fs::rename(folder, store.join(".unpack-broken")).map_err(io)?;
    }
    std::fs::rename(temp, folder).map_err(io)?;
    files::sync_dir(store).map_err(io)?;
    clear(store)
}

/// Points `current` to `store/<id>` by one rename, unless it does so already.
fn point(data: &Path, id: &str) -> Result<(), PackError> {
    let (link, target) = (data.join("current"), Path::new("store").join(id));
    if std::fs::read_link(&link).is_ok_and(|now| now == target) {
        return Ok(());
    }
    let temp = data.join(".current-next");
    let io = |e| PackError::io("replace", &link, e);
    match std::fs::remove_file(&temp) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(e)),
        _ => {}
    }
    std::os::unix::fs::symlink(&target, &temp).map_err(io)?;
    std::fs::rename(&temp, &link).map_err(io)?;
    files::sync_dir(data).map_err(io)
}
