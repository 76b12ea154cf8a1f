//! Making packs, and appending them to the one file.

use super::format::{Footer, Index, FORMAT};
use super::{pack, Item, Key, PackError, SigningKey, Trust};
use crate::files;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Number of entries.
    pub entries: usize,
    /// Bytes of the contents.
    pub content: u64,
    /// Bytes of the pack.
    pub stored: u64,
    /// Whose signature it bears.
    pub key: Key,
}

/// Writes `items` as a pack at `path`. The same items, key and level give the same bytes. `level` is zstd's, 1 to 19.
pub fn create(path: &Path, items: &[Item], key: &SigningKey, level: i32, progress: &mut dyn FnMut(u64, u64)) -> Result<Created, PackError> {
    let io = |e| PackError::io("write", path, e);
    let total = items.iter().map(|item| item.entry.size).sum();
    let mut temp = temp_beside(path)?;
    let mut index = Index { format: FORMAT, entries: Vec::new() };
    let (mut at, mut done) = (0, 0);
    let mut seen = BTreeSet::new();
    for item in items.iter().filter(|item| seen.insert((item.entry.kind, item.entry.name.clone()))) {
        let mut frame = Counted { out: BufWriter::with_capacity(1 << 20, temp.as_file_mut()), len: 0, crc: 0 };
        compress(item, &mut frame, level).map_err(io)?;
        frame.flush().map_err(io)?;
        let mut entry = item.entry.clone();
        (entry.offset, entry.stored_size, entry.stored_crc32c) = (at, frame.len, frame.crc);
        at += frame.len;
        done += entry.size;
        index.entries.push(entry);
        progress(done, total);
    }
    let raw = serde_json::to_vec(&index).expect("an index is plain data");
    let footer = Footer::sign(&raw, at, &key.0);
    let file = temp.as_file_mut();
    file.write_all(&raw).and_then(|()| file.write_all(&footer.encode())).map_err(io)?;
    persist(temp, path, 0o644)?;
    Ok(Created { entries: index.entries.len(), content: done, stored: footer.pack_len, key: key.public() })
}

fn compress(item: &Item, frame: &mut Counted<'_>, level: i32) -> std::io::Result<()> {
    let mut encoder = zstd::Encoder::new(frame, level)?;
    encoder.include_checksum(false)?; // sum and check sum are in the signed index
    encoder.set_pledged_src_size(Some(item.entry.size))?;
    // Windows of 8 MiB at most, so that reading needs little memory; workers do not change the bytes.
    encoder.window_log(23)?;
    encoder.multithread(std::thread::available_parallelism().map_or(1, |n| n.get().min(8) as u32))?;
    let mut reader = item.read().map_err(std::io::Error::other)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = reader.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        encoder.write_all(&buffer[..n])?;
    }
    encoder.finish()?;
    Ok(())
}

/// Counts and sums what is stored.
struct Counted<'a> {
    out: BufWriter<&'a mut File>,
    len: u64,
    crc: u32,
}

impl Write for Counted<'_> {
    fn write(&mut self, raw: &[u8]) -> std::io::Result<usize> {
        let n = self.out.write(raw)?;
        self.len += n as u64;
        self.crc = crc32c::crc32c_append(self.crc, &raw[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Appends the pack file `from` to the program at `target`, after all of it was verified and its signer found trusted.
/// The program is replaced by one rename, so that it may run meanwhile. A pack that is there already is not appended again.
pub fn append(target: &Path, from: &Path, trust: &Trust) -> Result<bool, PackError> {
    let mut adds = Vec::new();
    for opened in pack::open_file(from)? {
        trust.check(opened.key, &from.display().to_string())?;
        for item in &opened.items {
            item.verify()?;
        }
        adds.extend(opened.items.into_iter().map(|item| item.entry));
    }
    let there = pack::open_file(target)?;
    if there.iter().any(|one| one.items.iter().map(|item| &item.entry).eq(&adds)) {
        return Ok(false);
    }
    let io = |e| PackError::io("write", target, e);
    let mode = std::fs::metadata(target).map_err(io)?.permissions().mode() & 0o777;
    let mut temp = temp_beside(target)?;
    for path in [target, from] {
        let mut source = File::open(path).map_err(|e| PackError::io("open", path, e))?;
        std::io::copy(&mut source, temp.as_file_mut()).map_err(io)?;
    }
    temp.as_file_mut().rewind().map_err(io)?;
    persist(temp, target, mode)?;
    Ok(true)
}

fn temp_beside(path: &Path) -> Result<tempfile::NamedTempFile, PackError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| PackError::io("create", folder, e))?;
    tempfile::Builder::new().prefix(".pack-").tempfile_in(folder).map_err(|e| PackError::io("create a file in", folder, e))
}

fn persist(temp: tempfile::NamedTempFile, path: &Path, mode: u32) -> Result<(), PackError> {
    let io = |e| PackError::io("write", path, e);
    temp.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).map_err(io)?;
    temp.as_file().sync_all().map_err(io)?;
    temp.persist(path).map_err(|e| io(e.error))?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    files::sync_dir(folder).map_err(io)
}
