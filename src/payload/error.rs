//! What can go wrong with a pack, each with a stable code, the cause and the next step.

use crate::status::Problem;
use std::path::PathBuf;

/// A failure of reading, verifying, writing or unpacking a pack.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Neither an embedded pack, nor an appended one, nor a given one holds what is asked for.
    #[error("there is no {what} to unpack")]
    Missing { what: String },
    /// Footer or index is not what was written; nothing in the pack can be believed.
    #[error("the pack in {origin} is damaged: {detail}")]
    Damaged { origin: String, detail: String },
    /// One entry's bytes are not those that the index names.
    #[error("entry '{entry}' is damaged: {detail}")]
    DamagedEntry { entry: String, detail: String },
    /// The signature does not fit the index.
    #[error("the signature of the pack in {origin} does not fit its content")]
    Signature { origin: String },
    /// The pack is whole, but signed by a key that nobody here trusts.
    #[error("the pack in {origin} is signed by a key that is not trusted: {key}")]
    Untrusted { origin: String, key: String },
    /// Written by a later version.
    #[error("the pack in {origin} has format {found}, this program reads up to {known}")]
    TooNew { origin: String, found: u32, known: u32 },
    /// A name in the pack would leave its folder, or is no name.
    #[error("'{name}' is not an acceptable name in a pack")]
    Name { name: String },
    /// An unpacked file is not what was unpacked.
    #[error("{path} was altered after it was unpacked")]
    Altered { path: PathBuf, folder: PathBuf },
    /// A folder given instead of a pack lacks something.
    #[error("{path} cannot be used as payload: {detail}")]
    Folder { path: PathBuf, detail: String },
    /// The disk cannot hold what is to be unpacked; found before the first byte.
    #[error("{path} has {has} bytes free, {needs} are needed")]
    NoSpace { path: PathBuf, needs: u64, has: u64 },
    /// The disk filled up while writing.
    #[error("the disk became full while writing {path}")]
    Full { path: PathBuf, source: std::io::Error },
    /// The system refused a read or a write.
    #[error("cannot {doing} {path}")]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// A key file does not hold a key.
    #[error("{path} does not hold a key of 64 hexadecimal digits")]
    KeyFile { path: PathBuf },
}

impl PackError {
    /// Wraps an I/O error; one of ours that travelled inside `std::io::Error` comes out again, ENOSPC is told apart.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> PackError {
        let path = path.into();
        if source.kind() == std::io::ErrorKind::StorageFull {
            return PackError::Full { path, source };
        }
        match source.downcast::<PackError>() {
            Ok(ours) => ours,
            Err(source) => PackError::Io { doing, path, source },
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            PackError::Missing { .. } => "UNP-101",
            PackError::Folder { .. } => "UNP-102",
            PackError::KeyFile { .. } => "UNP-103",
            PackError::Damaged { .. } => "UNP-201",
            PackError::DamagedEntry { .. } => "UNP-202",
            PackError::Signature { .. } => "UNP-203",
            PackError::Untrusted { .. } => "UNP-204",
            PackError::TooNew { .. } => "UNP-205",
            PackError::Name { .. } => "UNP-206",
            PackError::Altered { .. } => "UNP-207",
            PackError::NoSpace { .. } => "UNP-301",
            PackError::Full { .. } => "UNP-302",
            PackError::Io { .. } => "UNP-401",
        }
    }

    /// The same failure as a person is told it.
    pub fn problem(&self) -> Problem {
        let (cause, next) = self.cause_and_next();
        Problem::new(self.code(), self.to_string(), cause, next)
    }

    fn cause_and_next(&self) -> (String, String) {
        let recopy = "Copy the file again from where it came, compare its sha256, then start it again. Nothing was changed on this host.";
        match self {
            PackError::Missing { .. } => (
                "This build carries no such part, and none was given.".into(),
                "Use the file that `appliance/build` makes, or name a pack or folder with --payload.".into(),
            ),
            PackError::Folder { .. } => ("The folder is incomplete or of another kind.".into(), "Build it again, or name another folder with --payload.".into()),
            PackError::KeyFile { .. } => ("The file is empty, or of another form.".into(), "Ask the sender of the pack for the .pub file that belongs to it.".into()),
            PackError::Damaged { .. } | PackError::DamagedEntry { .. } => ("The file was cut off or altered since it was made, in transfer or on its disk.".into(), recopy.into()),
            PackError::Signature { .. } => ("The pack was altered after it was signed, or its signature was.".into(), recopy.into()),
            PackError::Untrusted { key, .. } => (
                "Only packs of the build that this file is from are trusted without a word of the owner.".into(),
                format!("If you know the sender, ask for the .pub file that holds {key}, and name it: `antihate pack add --key FILE.pub PACK`, or `antihate pack trust FILE.pub` where the pack is there already."),
            ),
            PackError::TooNew { .. } => ("The pack was made by a later version.".into(), "Use the antihate of the same or a later version.".into()),
            PackError::Name { .. } => ("The pack was not made by antihate, or was made to do harm.".into(), "Do not use this pack; ask its sender.".into()),
            PackError::Altered { folder, .. } => (
                "The disk is failing, or somebody changed the file.".into(),
                format!("Stop the node, remove {}, and start it again: it is unpacked anew.", folder.display()),
            ),
            PackError::NoSpace { path, needs, has } => (
                format!("It needs {}, there are {}; nothing was written.", bytes(*needs), bytes(*has)),
                format!("Free {} under {}, or choose another place with --data, then start again.", bytes(needs - has), path.display()),
            ),
            PackError::Full { source, .. } => (source.to_string(), "Free some space, then start again; what was half written is cleared away.".into()),
            PackError::Io { source, path, .. } => (source.to_string(), format!("See that {} exists and can be read and written by root, then start again.", path.display())),
        }
    }
}

/// `1.5 GiB`, `12 MiB`: sizes as a person reads them.
fn bytes(n: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    let mib = n as f64 / MIB;
    if mib >= 1024.0 { format!("{:.1} GiB", mib / 1024.0) } else { format!("{mib:.1} MiB") }
}

impl From<PackError> for Problem {
    fn from(error: PackError) -> Problem {
        error.problem()
    }
}
