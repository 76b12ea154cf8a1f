//! Everything that this program carries or was given, as one list of parts.

use super::{collect, pack, Item, Key, Kind, PackError, Trust};
use crate::files;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Where to look for parts.
#[derive(Clone, Debug)]
pub struct Places {
    /// The pack inside the program, if this build carries one.
    pub embedded: Option<&'static [u8]>,
    /// The program's own file, whose tail may hold packs: `/proc/self/exe`, or `None` to leave it out.
    pub program: Option<PathBuf>,
    /// Packs and folders that the operator named; they are trusted because they were named.
    pub given: Vec<PathBuf>,
    /// Data root, where the owner's trusted keys are.
    pub data: PathBuf,
}

/// One pack or folder.
pub struct Part {
    /// Where it is from, for messages.
    pub origin: String,
    /// Who signed it; a folder is not signed.
    pub key: Option<Key>,
    /// Its entries.
    pub items: Vec<Item>,
}

/// All parts, the embedded one first. A later part's entry takes the place of an earlier one of the same kind and name.
#[derive(Default)]
pub struct Payload {
    /// The parts.
    pub parts: Vec<Part>,
    /// The pack inside this program, if there is one: reading it keeps it in memory until its pages are released.
    pub embedded: Option<&'static [u8]>,
}

impl Payload {
    /// Opens all places. Indexes and signatures are checked here, contents when they are read.
    pub fn open(places: &Places) -> Result<Payload, PackError> {
        let mut payload = Payload { embedded: places.embedded, ..Payload::default() };
        let mut trust = Trust::of_owner(&places.data)?;
        if let Some(raw) = places.embedded {
            let origin = "this program".to_string();
            let opened = pack::open_bytes(Bytes::from_static(raw), &origin)?;
            trust.add(opened.key);
            payload.parts.push(Part { origin, key: Some(opened.key), items: opened.items });
        }
        if let Some(program) = &places.program {
            for opened in pack::open_file(program)? {
                let origin = "the tail of this program".to_string();
                trust.check(opened.key, &origin)?;
                payload.parts.push(Part { origin, key: Some(opened.key), items: opened.items });
            }
        }
        for path in &places.given {
            payload.parts.extend(open_given(path)?);
        }
        Ok(payload)
    }

    /// Entries of one kind that are in force, in the order of the parts.
    pub fn items(&self, kind: Kind) -> Vec<&Item> {
        let all: Vec<&Item> = self.parts.iter().flat_map(|part| &part.items).filter(|item| item.entry.kind == kind).collect();
        let replaced = |at: usize| all[at + 1..].iter().any(|later| later.entry.name == all[at].entry.name);
        (0..all.len()).filter(|&at| !replaced(at)).map(|at| all[at]).collect()
    }

    /// Version of the Kubernetes that is carried.
    pub fn kubernetes_version(&self) -> Option<String> {
        self.items(Kind::Kubernetes).into_iter().find(|i| i.entry.name == "kubernetes").map(|i| i.entry.version.clone())
    }

    /// Reads and checks every entry of every part, on all processors. `progress` hears the bytes read so far and their
    /// total. Returns the total.
    pub fn verify(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<u64, PackError> {
        self.each(Item::verify, progress)
    }

    /// Does `check` to every entry on all processors.
    fn each(&self, check: impl Fn(&Item) -> Result<(), PackError> + Sync, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<u64, PackError> {
        let mut items: Vec<&Item> = self.parts.iter().flat_map(|part| &part.items).collect();
        items.sort_by_key(|item| std::cmp::Reverse(item.entry.size)); // the long ones first, so that none is left over at the end
        let total = items.iter().map(|item| item.entry.size).sum();
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let work = || {
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                check(item).inspect_err(|_| next.store(items.len(), Ordering::Relaxed))?;
                progress(done.fetch_add(item.entry.size, Ordering::Relaxed) + item.entry.size, total);
            }
            Ok(())
        };
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(8));
        std::thread::scope(|scope| {
            let hands: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            hands.into_iter().try_for_each(|hand| hand.join().expect("verifying does not panic"))
        })?;
        Ok(total)
    }

    /// Checks the stored bytes of all of it unless this very content was checked before on this host, so that a damaged image is
    /// found before the first effect and a later start costs nothing. Contents are verified when they are unpacked or
    /// imported, and none is visible before it was. Returns whether it read.
    pub fn check_once(&self, data: &Path, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<bool, PackError> {
        let mut hash = Sha256::new();
        for item in self.parts.iter().flat_map(|part| &part.items) {
            hash.update(serde_json::to_vec(&item.entry).expect("an entry is plain data"));
        }
        let (note, sum) = (data.join("store/checked"), hex::encode(hash.finalize()));
        if std::fs::read_to_string(&note).is_ok_and(|known| known == sum) {
            return Ok(false);
        }
        self.each(Item::check_stored, progress)?;
        files::replace(&note, sum.as_bytes(), 0o644).map_err(|e| PackError::io("write", note, e))?;
        Ok(true)
    }
}

fn open_given(path: &Path) -> Result<Vec<Part>, PackError> {
    let origin = path.display().to_string();
    if path.is_dir() {
        return Ok(vec![Part { origin, key: None, items: collect(path)? }]);
    }
    let packs = pack::open_file(path)?;
    Ok(packs.into_iter().map(|one| Part { origin: origin.clone(), key: Some(one.key), items: one.items }).collect())
}
