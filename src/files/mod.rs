//! Files as if the power will fail: atomic replace, locks, the journal.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Replaces `path` by `content` so that a power cut leaves the old or the new file, never a mixture:
/// temp in the same directory, write, fsync, rename, fsync of the directory. An fsync error is final.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut temp = tempfile::Builder::new().prefix(".tmp-").permissions(std::fs::Permissions::from_mode(mode)).tempfile_in(dir)?;
    temp.write_all(content)?;
    temp.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    temp.as_file().sync_all()?;
    temp.persist(path).map_err(|e| e.error)?;
    sync_dir(dir)
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

/// An exclusive lock that ends with the process; the body says who holds it.
pub struct Lock {
    _file: std::fs::File,
}

impl Lock {
    /// Takes the lock at `path`, or returns the body written by its holder.
    pub fn take(path: &Path, body: &str) -> std::io::Result<Result<Lock, String>> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let mut file = std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        if fs2::FileExt::try_lock_exclusive(&file).is_err() {
            return Ok(Err(std::fs::read_to_string(path).unwrap_or_default()));
        }
        file.set_len(0)?;
        file.write_all(body.as_bytes())?;
        Ok(Ok(Lock { _file: file }))
    }
}
