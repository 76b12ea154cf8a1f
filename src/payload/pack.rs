//! Opening packs: from memory (embedded), from a pack file, and from the tail of an ELF, walking backwards.

use super::format::{Footer, FOOTER};
use super::item::{Body, Source};
use super::{elf, Item, Key, PackError};
use bytes::Bytes;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// An opened pack: its index and signature were checked, its entries not yet.
pub struct Opened {
    /// Whose signature it bears.
    pub key: Key,
    /// The entries in the order of the index.
    pub items: Vec<Item>,
}

/// Opens the one pack that fills `bytes`.
pub fn open_bytes(bytes: Bytes, origin: &str) -> Result<Opened, PackError> {
    let len = bytes.len() as u64;
    exactly_one(open_all(&Source::Memory(bytes), 0, len, origin)?, origin)
}

/// Opens every pack in the file at `path`, in the order in which they were appended. An ELF without packs gives none.
pub fn open_file(path: &Path) -> Result<Vec<Opened>, PackError> {
    let io = |doing| move |e| PackError::io(doing, path, e);
    let file = File::open(path).map_err(io("open"))?;
    let len = file.metadata().map_err(io("read"))?.len();
    let origin = if path == Path::new("/proc/self/exe") { "this program".into() } else { path.display().to_string() };
    let start = elf::end(&file).map_err(io("read"))?;
    if start.is_some_and(|end| end > len) {
        return Err(PackError::Damaged { origin, detail: "the program itself is cut off".into() });
    }
    let packs = open_all(&Source::File(Arc::new(file)), start.unwrap_or(0), len, &origin)?;
    if start.is_none() {
        return exactly_one(packs, &origin).map(|one| vec![one]);
    }
    Ok(packs)
}

fn exactly_one(mut packs: Vec<Opened>, origin: &str) -> Result<Opened, PackError> {
    match (packs.pop(), packs.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(PackError::Damaged { origin: origin.into(), detail: "it is not one whole pack".into() }),
    }
}

/// Walks from `end` back to `start`; the walk must meet `start` exactly, or something was cut out or put between.
fn open_all(source: &Source, start: u64, mut end: u64, origin: &str) -> Result<Vec<Opened>, PackError> {
    let damaged = |detail: &str| PackError::Damaged { origin: origin.into(), detail: detail.into() };
    let mut packs = Vec::new();
    while end > start {
        if end - start < FOOTER as u64 {
            return Err(damaged("it ends too early"));
        }
        let raw = read(source, end - FOOTER as u64, FOOTER as u64, origin)?;
        let raw: &[u8; FOOTER] = raw.as_slice().try_into().expect("the length asked for");
        let footer = Footer::decode(raw, end - start).map_err(damaged)?;
        let first = end - footer.pack_len;
        packs.push(open_one(source, first, &footer, origin)?);
        end = first;
    }
    packs.reverse();
    Ok(packs)
}

fn open_one(source: &Source, first: u64, footer: &Footer, origin: &str) -> Result<Opened, PackError> {
    let raw = read(source, first + footer.index_offset, footer.index_len, origin)?;
    let index = footer.open_index(&raw, origin)?;
    let items = index.entries.into_iter().map(|entry| {
        let body = Body::Frame { source: source.clone(), at: first + entry.offset, len: entry.stored_size, crc32c: entry.stored_crc32c };
        Item { entry, body }
    });
    Ok(Opened { key: Key(footer.key), items: items.collect() })
}

fn read(source: &Source, at: u64, len: u64, origin: &str) -> Result<Vec<u8>, PackError> {
    match source {
        Source::Memory(bytes) => Ok(bytes[at as usize..(at + len) as usize].to_vec()),
        Source::File(file) => {
            let mut out = vec![0; len as usize];
            file.read_exact_at(&mut out, at).map_err(|e| PackError::io("read", origin, e))?;
            Ok(out)
        }
        Source::Path(path) => unreachable!("packs are opened before they are read: {}", path.display()),
    }
}

/// The key that signed the one pack that fills `raw`: the build's key, when `raw` is the embedded pack.
pub fn embedded_key(raw: &'static [u8]) -> Result<Key, PackError> {
    open_bytes(Bytes::from_static(raw), "this program").map(|opened| opened.key)
}
