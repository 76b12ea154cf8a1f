//! Files as if the power will fail: atomic replace, folders that stay, what a killed writer left, locks.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// A change waits so long for another one to end, and looks so often.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);

/// Replaces `path` by `content` so that a power cut leaves the old or the new file, never a mixture:
/// temp in the same directory, write, fsync, rename, fsync of the directory. An fsync error is final.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder(dir, 0o755)?;
    let mut temp = written_alone(dir, mode)?;
    temp.write_all(content)?;
    temp.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    temp.as_file().sync_all()?;
    temp.persist(path).map_err(|e| e.error)?;
    sync_dir(dir)
}

/// What stands before the name of a file that is not whole yet.
const UNFINISHED: &str = ".tmp-";

/// A new file that [`clear_unfinished`] leaves alone while this process has it open.
fn written_alone(dir: &Path, mode: u32) -> std::io::Result<tempfile::NamedTempFile> {
    loop {
        let temp = tempfile::Builder::new().prefix(UNFINISHED).permissions(std::fs::Permissions::from_mode(mode)).tempfile_in(dir)?;
        fs2::FileExt::lock_exclusive(temp.as_file())?;
        // Somebody may have cleared it between the two.
        if temp.as_file().metadata()?.nlink() > 0 {
            return Ok(temp);
        }
    }
}

/// Removes what writers that were killed left in `dir`; what somebody is writing stays. Such a file may hold half a key.
pub fn clear_unfinished(dir: &Path) -> std::io::Result<()> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) || !entry.file_type()?.is_file() {
            continue;
        }
        let left = std::fs::File::open(entry.path()).is_ok_and(|file| fs2::FileExt::try_lock_exclusive(&file).is_ok());
        if left {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes a folder with those above it; each that is new is durable before anything is said to lie in it.
pub fn folder(path: &Path, mode: u32) -> std::io::Result<()> {
    let new: Vec<&Path> = path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
    for made in new {
        sync_dir(made.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Makes names in `dir` durable.
pub fn sync_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::File::open(dir)?.sync_all()
}

/// Replaces only when the content differs; returns whether it wrote.
pub fn replace_if_changed(path: &Path, content: &[u8], mode: u32) -> std::io::Result<bool> {
    if std::fs::read(path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    replace(path, content, mode).map(|()| true)
}

/// Bytes that a write at `path` can still take. `path` must exist.
pub fn free_space(path: &Path) -> std::io::Result<u64> {
    fs2::available_space(path)
}

/// The last `lines` lines of a file, reading at most its last mebibyte.
pub fn tail(path: &Path, lines: usize) -> std::io::Result<Vec<String>> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(1 << 20)))?;
    let mut raw = Vec::new();
    file.take(1 << 20).read_to_end(&mut raw)?;
    let text = String::from_utf8_lossy(&raw);
    let all: Vec<&str> = text.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].iter().map(|l| l.to_string()).collect())
}

/// The components that have a log in `dir`.
pub fn logs(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().to_str()?.strip_suffix(".log").map(String::from)).collect();
    names.sort();
    names
}

/// An exclusive lock that ends with the process; the body says who holds it.
pub struct Lock {
    _file: std::fs::File,
}

impl Lock {
    /// Takes the lock at `path`, or returns the body written by its holder.
    pub fn take(path: &Path, body: &str) -> std::io::Result<Result<Lock, String>> {
        if let Some(dir) = path.parent() {
            folder(dir, 0o755)?;
        }
        let mut file = std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        if fs2::FileExt::try_lock_exclusive(&file).is_err() {
            return Ok(Err(std::fs::read_to_string(path).unwrap_or_default()));
        }
        file.set_len(0)?;
        file.write_all(body.as_bytes())?;
        Ok(Ok(Lock { _file: file }))
    }

    /// Takes the lock of a change that takes moments: waits up to two seconds for another change to end. `None`: it does not.
    pub fn for_a_change(path: &Path) -> std::io::Result<Option<Lock>> {
        for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
            if let Ok(lock) = Lock::take(path, "")? {
                return Ok(Some(lock));
            }
            std::thread::sleep(LOOK);
        }
        Ok(None)
    }
}

/// What tells one version of a file from another where each is a new inode: inode, time of change in seconds and nanoseconds, length.
pub type Version = (u64, i64, i64, u64);

/// The version of the file at `path`; nothing where there is none.
pub fn version(path: &Path) -> std::io::Result<Option<Version>> {
    match std::fs::metadata(path) {
        Ok(m) => Ok(Some((m.ino(), m.mtime(), m.mtime_nsec(), m.size()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_writer_left_is_cleared_and_what_is_being_written_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path(".tmp-left"), "half a key").unwrap();
        std::fs::write(path("whole"), "kept").unwrap();
        std::fs::create_dir(path(".tmp-folder")).unwrap();
        let writing = written_alone(dir.path(), 0o600).unwrap();
        clear_unfinished(dir.path()).unwrap();
        assert!(!path(".tmp-left").exists() && path("whole").exists() && path(".tmp-folder").exists());
        assert!(writing.path().exists(), "it is held");
        writing.persist(path("done")).unwrap();
        clear_unfinished(dir.path()).unwrap();
        clear_unfinished(&path("nowhere")).unwrap();
        assert!(path("done").exists());
    }

    #[test]
    fn folders_are_made_with_those_above_them() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        folder(&deep, 0o700).unwrap();
        folder(&deep, 0o700).unwrap();
        assert_eq!(std::fs::metadata(&deep).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(folder(&dir.path().join("file/under"), 0o700).is_err());
    }
}
