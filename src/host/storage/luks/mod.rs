//! Volumes on an encrypted disk (LUKS2), or in an encrypted file.
//!
//! Its life: the settings name an empty disk. A key is made, then a header in a file beside it, then the record that says which
//! disk was chosen; only then is the disk written, from the header file, and a file system made. Whatever breaks off in between,
//! the next start knows from the record and the header file that the disk is ours and not finished, and goes on. From then on
//! each start opens and mounts it before the volumes are used, each stop closes it, and a reset makes the disk empty again.
//! A disk that holds anything else is never written. The key lies on the system disk: who takes out the encrypted one reads
//! nothing, who carries the whole host away reads everything.

mod act;
pub mod disk;

pub use act::{close, ensure, erase, judge, look};

use crate::config::Storage;
use crate::config::layout::Layout;
use crate::files;
use crate::status::Problem;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use uuid::Uuid;

/// What the settings ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The disk or the file.
    pub on: PathBuf,
    /// Size of the file, bytes; none for a disk.
    pub size: Option<u64>,
}

impl Wish {
    /// What is asked for, if it is.
    pub fn of(storage: &Storage) -> Option<Wish> {
        storage.encrypt.clone().map(|on| Wish { on, size: storage.encrypt_gib.map(|gib| u64::from(gib) << 30) })
    }
}

/// What is remembered of the disk; without it nothing was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What the settings named.
    pub on: PathBuf,
    /// The name in its header, by which it is known wherever it is plugged in.
    pub uuid: Uuid,
    /// The file system was made: from now on it holds posts and is never formatted again.
    pub ready: bool,
}

impl Record {
    fn file(layout: &Layout) -> PathBuf {
        layout.data.join("encrypted.json")
    }

    /// Reads it. One that cannot be read is a problem: without it a disk with posts would be a stranger's.
    pub fn load(layout: &Layout) -> Result<Option<Record>, Problem> {
        let path = Record::file(layout);
        let wrong = |why: String| Problem::new("STG-118", format!("{} cannot be read", path.display()), why, "Restore the file from a copy; nothing is written to the disk until then.");
        match std::fs::read(&path) {
            Ok(raw) => serde_json::from_slice(&raw).map(Some).map_err(|e| wrong(e.to_string())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(wrong(e.to_string())),
        }
    }

    fn save(&self, layout: &Layout) -> std::io::Result<()> {
        files::replace(&Record::file(layout), &serde_json::to_vec_pretty(self).expect("plain data"), 0o600)
    }
}

/// What lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is no such disk or file.
    Missing,
    /// Somebody else uses it.
    Busy,
    /// It has only so many bytes.
    Small(u64),
    /// Zeros at both ends, where every file system, partition table and volume manager leaves its mark.
    Blank,
    /// Zeros and parts of the header that was prepared for it.
    Begun,
    /// A whole LUKS header with this name.
    Luks(Uuid),
    /// Anything else.
    Data,
}

/// How far it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not at all.
    Closed,
    /// The key is in the kernel, nothing is mounted.
    Open,
    /// The volumes can be used.
    Mounted,
}

/// Everything that the decision depends on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What is remembered.
    pub record: Option<Record>,
    /// The disk, where it was found; otherwise what the settings name.
    pub on: PathBuf,
    /// What lies on it.
    pub found: Found,
    /// How far it is opened.
    pub state: State,
    /// The key is there.
    pub key: bool,
    /// The kernel has dm-crypt.
    pub dm_crypt: bool,
    /// Volumes lie elsewhere already.
    pub elsewhere: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Go,
    /// Mount it.
    Mount,
    /// Open and mount it.
    Open,
    /// Format, open and mount it; or go on with that.
    Format,
}

/// Decides.
pub fn decide(wish: Option<&Wish>, facts: &Facts) -> Result<Step, Problem> {
    match (wish, &facts.record) {
        (None, None) => Ok(Step::Go),
        (None, Some(record)) => Err(Problem::new(
            "STG-116", "the volumes lie on an encrypted disk and the settings name none", format!("posts lie on {}; they are never left behind", record.on.display()),
            format!("Set storage.encrypt = \"{}\" again.", record.on.display()),
        )),
        (Some(wish), Some(record)) if record.ready => opened(wish, record, facts),
        (Some(wish), _) => formatted(wish, facts),
    }
}

fn opened(wish: &Wish, record: &Record, facts: &Facts) -> Result<Step, Problem> {
    match (facts.state, &facts.found) {
        (State::Mounted, _) => Ok(Step::Go),
        (State::Open, _) => Ok(Step::Mount),
        (State::Closed, Found::Luks(uuid)) if *uuid == record.uuid && facts.key => Ok(Step::Open),
        (State::Closed, Found::Luks(uuid)) if *uuid == record.uuid => Err(no_key("the key of the encrypted volumes is not there", "secrets/volumes.key in the data root is missing")),
        (State::Closed, Found::Missing) => {
            Err(Problem::new("STG-102", "the disk of the volumes is not there", format!("no disk has the header with the name {}", record.uuid), "Connect the disk; the node goes on by itself. Without the disk only `antihate reset` helps."))
        }
        (State::Closed, _) => Err(Problem::new(
            "STG-114", format!("{} is not the disk of the volumes", wish.on.display()), format!("what lies on it is not what this node made ({})", record.uuid),
            "Connect the right disk; the node finds it under any name. Nothing is written to this one.",
        )),
    }
}

fn formatted(wish: &Wish, facts: &Facts) -> Result<Step, Problem> {
    let on = wish.on.display();
    let kept = |cause: String, next: &str| Err(Problem::new("STG-112", format!("{on} is not formatted"), cause, next));
    let ours = facts.record.as_ref();
    if !facts.dm_crypt {
        return Err(Problem::new("STG-110", "this kernel cannot encrypt the volumes", "it has no dm-crypt, which LUKS needs", "Boot a kernel with dm-crypt (every distribution's own has it), or remove storage.encrypt and keep the host locked away."));
    }
    if facts.elsewhere {
        return Err(Problem::new("STG-116", "the volumes lie elsewhere already, not encrypted", "posts are never left behind, and they are not moved by themselves", "Remove storage.encrypt, or begin anew with `antihate reset`, which removes all posts."));
    }
    match &facts.found {
        Found::Missing if wish.size.is_none() => Err(Problem::new("STG-111", format!("there is no disk {on}"), "storage.encrypt names it", "Connect the disk, or correct settings.toml: `lsblk` lists the disks.")),
        Found::Busy if facts.state == State::Closed => kept("it is in use: mounted, or a part of another volume".into(), "Name an empty disk that nothing uses."),
        Found::Small(bytes) => kept(format!("it has {} MiB; the volumes need {} to begin", bytes >> 20, disk::LEAST >> 20), "Name a larger disk."),
        Found::Luks(uuid) if ours.is_some_and(|r| r.uuid == *uuid) => Ok(Step::Format),
        Found::Begun if ours.is_some() => Ok(Step::Format),
        Found::Missing | Found::Blank => Ok(Step::Format),
        Found::Busy => Ok(Step::Format), // by our own mapping
        Found::Begun | Found::Luks(_) | Found::Data => kept(
            "it is not empty: its first or last 16 MiB hold something".into(),
            "Name an empty disk. If nothing on this one is wanted any more, empty it yourself: `blkdiscard --zeroout` and its name erase all of it for good.",
        ),
    }
}

/// A key that is missing or wrong.
fn no_key(what: &str, cause: &str) -> Problem {
    Problem::new("STG-113", what, cause, "Restore secrets/volumes.key from a copy. Without it nobody can read these posts: only `antihate reset` helps.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(record: Option<bool>, found: Found) -> Facts {
        let record = record.map(|ready| Record { on: "/dev/sdb".into(), uuid: Uuid::from_u128(7), ready });
        Facts { record, on: "/dev/sdb".into(), found, state: State::Closed, key: true, dm_crypt: true, elsewhere: false }
    }

    fn said(f: &Facts) -> String {
        let wish = Wish { on: "/dev/sdb".into(), size: None };
        decide(Some(&wish), f).map_or_else(|p| p.code, |step| format!("{step:?}"))
    }

    #[test]
    fn only_an_empty_disk_is_formatted() {
        let (ours, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let cases = [
            (Found::Blank, "Format"), (Found::Data, "STG-112"), (Found::Luks(ours), "STG-112"), (Found::Begun, "STG-112"),
            (Found::Busy, "STG-112"), (Found::Small(1 << 20), "STG-112"), (Found::Missing, "STG-111"),
        ];
        for (found, wanted) in cases {
            assert_eq!(said(&facts(None, found.clone())), wanted, "at first: {found:?}");
        }
        // Broken off before it was finished: it goes on, but on no other disk.
        let cases = [(Found::Blank, "Format"), (Found::Begun, "Format"), (Found::Luks(ours), "Format"), (Found::Luks(other), "STG-112"), (Found::Data, "STG-112"), (Found::Missing, "STG-111")];
        for (found, wanted) in cases {
            assert_eq!(said(&facts(Some(false), found.clone())), wanted, "begun: {found:?}");
        }
        // Finished: whatever is found, nothing is formatted.
        let cases = [(Found::Blank, "STG-114"), (Found::Begun, "STG-114"), (Found::Luks(other), "STG-114"), (Found::Data, "STG-114"), (Found::Missing, "STG-102"), (Found::Luks(ours), "Open")];
        for (found, wanted) in cases {
            assert_eq!(said(&facts(Some(true), found.clone())), wanted, "ready: {found:?}");
        }
    }

    #[test]
    fn what_is_lacking_is_told_with_its_own_code() {
        assert_eq!(said(&Facts { dm_crypt: false, ..facts(None, Found::Blank) }), "STG-110");
        assert_eq!(said(&Facts { elsewhere: true, ..facts(None, Found::Blank) }), "STG-116");
        assert_eq!(said(&Facts { key: false, ..facts(Some(true), Found::Luks(Uuid::from_u128(7))) }), "STG-113");
        assert_eq!(decide(None, &facts(Some(true), Found::Blank)).unwrap_err().code, "STG-116");
        assert_eq!(decide(None, &facts(None, Found::Data)), Ok(Step::Go));
        let file = Wish { on: "/srv/disk/volumes.luks".into(), size: Some(8 << 30) };
        assert_eq!(decide(Some(&file), &facts(None, Found::Missing)), Ok(Step::Format), "a file is made");
    }

    #[test]
    fn what_is_open_is_used_as_it_is() {
        assert_eq!(said(&Facts { state: State::Open, ..facts(Some(true), Found::Busy) }), "Mount");
        assert_eq!(said(&Facts { state: State::Mounted, ..facts(Some(true), Found::Busy) }), "Go");
        assert_eq!(said(&Facts { state: State::Open, ..facts(Some(false), Found::Busy) }), "Format", "killed before the file system was whole");
    }

    #[test]
    fn a_record_that_cannot_be_read_is_no_permission_to_format() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(Record::load(&layout).unwrap(), None);
        let record = Record { on: "/dev/sdb".into(), uuid: Uuid::from_u128(1), ready: true };
        record.save(&layout).unwrap();
        assert_eq!(Record::load(&layout).unwrap(), Some(record));
        std::fs::write(Record::file(&layout), "{").unwrap();
        assert_eq!(Record::load(&layout).unwrap_err().code, "STG-118");
    }
}
