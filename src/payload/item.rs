//! One entry together with its bytes: wherever they lie, they are verified while they are read.

use super::{Entry, PackError};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BUFFER: usize = 256 * 1024;

/// Bytes that can be read at any place, by several readers at once.
#[derive(Clone)]
pub(super) enum Source {
    /// In memory: the embedded pack, a tar header.
    Memory(Bytes),
    /// In an open file.
    File(Arc<File>),
    /// In a file that is opened when it is read.
    Path(PathBuf),
}

/// Where an entry's content is.
#[derive(Clone)]
pub(super) enum Body {
    /// One zstd frame: `len` bytes of the source from `at`.
    Frame { source: Source, at: u64, len: u64, crc32c: u32 },
    /// Plain pieces one after the other, each with its length.
    Plain(Vec<(Source, u64)>),
}

/// An entry that can be read.
#[derive(Clone)]
pub struct Item {
    /// What the index says of it.
    pub entry: Entry,
    pub(super) body: Body,
}

impl Item {
    /// Opens the content. The reader reaches its end only if size and sum are those of the entry.
    pub fn read(&self) -> Result<Verified, PackError> {
        let inner: Box<dyn Read + Send> = match &self.body {
            Body::Frame { source, at, len, crc32c } => {
                let stored = Stored { section: section(source, *at, *len)?, crc: 0, want: *crc32c };
                let decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(BUFFER, stored));
                Box::new(decoder.map_err(|e| PackError::io("read", &self.entry.name, e))?)
            }
            Body::Plain(pieces) => Box::new(Pieces { rest: pieces.clone().into_iter(), now: None }),
        };
        Ok(Verified { inner, hash: Sha256::new(), seen: 0, want: self.entry.clone(), ended: false })
    }

    /// Reads all of it into memory. For small entries, such as manifests.
    pub fn bytes(&self) -> Result<Vec<u8>, PackError> {
        let mut out = Vec::with_capacity(self.entry.size.min(1 << 24) as usize);
        self.read()?.read_to_end(&mut out).map_err(|e| PackError::io("read", &self.entry.name, e))?;
        Ok(out)
    }

    /// The same entry with its content taken from the plain file at `path`.
    pub(super) fn at(&self, path: &Path) -> Result<Item, PackError> {
        let len = std::fs::metadata(path).map_err(|e| PackError::io("read", path, e))?.len();
        Ok(Item { entry: self.entry.clone(), body: Body::Plain(vec![(Source::Path(path.into()), len)]) })
    }

    /// Compares the stored bytes with their check sum (CRC-32C, from the signed index) without decoding them: this finds what a
    /// disk or a copy did to them. What somebody altered on purpose is found by the sha256 when the entry is read.
    pub(super) fn check_stored(&self) -> Result<(), PackError> {
        let Body::Frame { source, at, len, crc32c } = &self.body else { return self.verify() };
        let mut stored = Stored { section: section(source, *at, *len)?, crc: 0, want: *crc32c };
        let damaged = |e: std::io::Error| PackError::DamagedEntry { entry: self.entry.name.clone(), detail: e.to_string() };
        std::io::copy(&mut stored, &mut std::io::sink()).map(drop).map_err(damaged)
    }

    /// Reads all of it and keeps nothing.
    pub fn verify(&self) -> Result<(), PackError> {
        let mut reader = self.read()?;
        std::io::copy(&mut reader, &mut std::io::sink()).map_err(|e| PackError::io("read", &self.entry.name, e))?;
        Ok(())
    }
}

/// A reader that checks size and sha256; a difference is an error at or before the end, never a short success.
pub struct Verified {
    inner: Box<dyn Read + Send>,
    hash: Sha256,
    seen: u64,
    want: Entry,
    ended: bool,
}

impl Verified {
    fn damaged(&self, detail: String) -> std::io::Error {
        let error = PackError::DamagedEntry { entry: self.want.name.clone(), detail };
        std::io::Error::new(std::io::ErrorKind::InvalidData, error)
    }
}

impl Read for Verified {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() || self.ended {
            return Ok(0);
        }
        let n = match self.inner.read(buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => return Err(e),
            Err(e) => return Err(self.damaged(e.to_string())),
        };
        self.seen += n as u64;
        if self.seen > self.want.size || (n == 0 && self.seen < self.want.size) {
            return Err(self.damaged(format!("it should have {} bytes and has {} or more", self.want.size, self.seen)));
        }
        self.hash.update(&buffer[..n]);
        if n == 0 {
            self.ended = true;
            let sum = hex::encode(self.hash.finalize_reset());
            if sum != self.want.sha256 {
                return Err(self.damaged(format!("its sha256 is {sum}, it should be {}", self.want.sha256)));
            }
        }
        Ok(n)
    }
}

/// A part of a source.
struct Section {
    source: Source,
    at: u64,
    left: u64,
}

fn section(source: &Source, at: u64, left: u64) -> Result<Section, PackError> {
    let source = match source {
        Source::Path(path) => Source::File(Arc::new(File::open(path).map_err(|e| PackError::io("open", path, e))?)),
        other => other.clone(),
    };
    Ok(Section { source, at, left })
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let want = (buffer.len() as u64).min(self.left) as usize;
        let n = match &self.source {
            Source::Memory(bytes) => {
                let rest = bytes.get(self.at as usize..).unwrap_or_default();
                let n = want.min(rest.len());
                buffer[..n].copy_from_slice(&rest[..n]);
                n
            }
            Source::File(file) => file.read_at(&mut buffer[..want], self.at)?,
            Source::Path(_) => unreachable!("a section holds an open file"),
        };
        if n == 0 && want > 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file ends too early"));
        }
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// The stored frame; its check sum is compared when all of it was read.
struct Stored {
    section: Section,
    crc: u32,
    want: u32,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.section.read(buffer)?;
        self.crc = crc32c::crc32c_append(self.crc, &buffer[..n]);
        if n == 0 && !buffer.is_empty() && self.crc != self.want {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the check sum of the stored bytes differs"));
        }
        Ok(n)
    }
}

/// Plain pieces, each opened when its turn comes.
struct Pieces {
    rest: std::vec::IntoIter<(Source, u64)>,
    now: Option<Section>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            if let Some(section) = &mut self.now {
                let n = section.read(buffer)?;
                if n > 0 {
                    return Ok(n);
                }
            }
            match self.rest.next() {
                Some((source, len)) => self.now = Some(section(&source, 0, len).map_err(std::io::Error::other)?),
                None => return Ok(0),
            }
        }
    }
}
