//! The operator's file: looked at, judged, copied, asked for its version. Nothing of it is run before its kind and its sum are right.
//!
//! The judgements are pure and each has a code of its own. The copy below the data root is what runs, so that nobody exchanges
//! the file later; its sum is taken anew at every start.

use super::{K3s, Record};
use crate::config::layout::Layout;
use crate::process::once;
use crate::status::Problem;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Major and minor version of the embedded distribution; the stack is made for it and its neighbours.
pub(super) const STACK: (u32, u32) = (1, 37);
/// The sum that whoever built this program allows, if they named one.
const BUILT_IN: Option<&str> = option_env!("ANTIHATE_K3S_SHA256");

/// A program that is k3s says its version within this.
const ANSWER: Duration = Duration::from_secs(30);

/// What the operator asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The file.
    pub file: Option<PathBuf>,
    /// The sum that it must have.
    pub sha256: Option<String>,
}

/// What is read of a file before anything of it is run.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The first bytes.
    pub head: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// The sum of all bytes.
    pub sha256: String,
}

/// Where an expected sum comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Named on the command line or in the settings.
    Given,
    /// Named when this program was built.
    BuiltIn,
    /// Accepted by an earlier start of this node.
    Remembered,
}

/// The sum that holds, the operator's word first.
pub fn pin<'a>(given: Option<&'a str>, built_in: Option<&'a str>, remembered: Option<&'a str>) -> Option<(Pin, &'a str)> {
    [(Pin::Given, given), (Pin::BuiltIn, built_in), (Pin::Remembered, remembered)].into_iter().find_map(|(pin, sum)| Some((pin, sum?)))
}

/// Judges the file itself: a program for this processor that may be run.
pub fn judge_kind(looked: &Looked) -> Result<(), Problem> {
    const X86_64: [u8; 2] = [62, 0];
    let refuse = |code: &str, what: &str, cause: String, next: &str| Err(Problem::new(code, what, cause, next));
    match &looked.head {
        head if head.len() < 20 || &head[..4] != b"\x7fELF" => refuse("K3S-102", "the k3s file is not a program", "it does not begin like an ELF file".into(), "Give the binary of a release itself: not an archive, an image list or a script."),
        head if head[4..6] != [2, 1] || head[18..20] != X86_64 => {
            let cause = format!("its header names machine {}, this host is x86-64", u16::from_le_bytes([head[18], head[19]]));
            refuse("K3S-103", "the k3s file is for another processor", cause, "Take the file of the release that is called plainly `k3s`, which is for x86-64.")
        }
        _ if looked.mode & 0o111 == 0 => refuse("K3S-104", "the k3s file may not be executed", format!("its mode is {:o}", looked.mode & 0o777), "Run `chmod +x` on it, after you have compared its sum."),
        _ => Ok(()),
    }
}

/// Judges the sum against the one that holds.
pub fn judge_sum(sha256: &str, pin: Option<(Pin, &str)>) -> Result<(), Problem> {
    let Some((from, wanted)) = pin.filter(|(_, wanted)| !wanted.eq_ignore_ascii_case(sha256)) else { return Ok(()) };
    let (whose, next) = match from {
        Pin::Given => ("that was given", "Compare both with the sums that the release publishes; fetch the file again if it is damaged."),
        Pin::BuiltIn => ("that this program was built with", "Take the file that was meant, or name another one's sum with --k3s-sha256."),
        Pin::Remembered => ("that this node runs", "If it is to be exchanged, name the new file's sum with --k3s-sha256."),
    };
    Err(Problem::new("K3S-105", "the k3s file has another sum", format!("it is {sha256}, the one {whose} is {wanted}"), next))
}

/// Judges what `k3s --version` said; the version.
pub fn judge_version(said: &str) -> Result<String, Problem> {
    let version = said.lines().find_map(|l| l.strip_prefix("k3s version ")?.split_whitespace().next()).map(String::from);
    let numbers = |v: &str| {
        let mut parts = v.strip_prefix('v')?.split('.');
        Some((parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?))
    };
    let Some((version, (major, minor))) = version.and_then(|v| numbers(&v).map(|n| (v, n))) else {
        let heard: String = said.chars().take(200).collect();
        return Err(Problem::new("K3S-106", "the file does not say that it is k3s", format!("asked for its version it said {heard:?}"), "Give the binary of a k3s release."));
    };
    if major == STACK.0 && minor.abs_diff(STACK.1) <= 1 {
        return Ok(version);
    }
    let cause = format!("it is {version}; the stack is made for {}.{} and the minor versions beside it", STACK.0, STACK.1);
    Err(Problem::new("K3S-107", "this version of k3s does not fit", cause, "Take a release of a version that fits, or another version of antihate."))
}

/// Reads what is judged; the whole file passes once, into `copy` if there is one.
pub fn look(file: &Path, mut copy: Option<&mut std::fs::File>) -> Result<Looked, Problem> {
    let failed = |e: std::io::Error| Problem::new("K3S-101", format!("the k3s file {} cannot be read", file.display()), e.to_string(), "Name a file that exists and that root may read.");
    let mut from = std::fs::File::open(file).map_err(failed)?;
    let meta = from.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(failed(std::io::Error::other("it is not a file")));
    }
    let (mut sum, mut head, mut buffer) = (Sha256::new(), Vec::new(), vec![0u8; 1 << 20]);
    loop {
        let n = from.read(&mut buffer).map_err(failed)?;
        if n == 0 {
            break;
        }
        if head.len() < 64 {
            head.extend(&buffer[..n.min(64)]);
        }
        sum.update(&buffer[..n]);
        if let Some(copy) = copy.as_mut() {
            copy.write_all(&buffer[..n]).map_err(|e| no_copy(&e))?;
        }
    }
    Ok(Looked { head, mode: meta.permissions().mode(), sha256: hex::encode(sum.finalize()) })
}

fn no_copy(e: &std::io::Error) -> Problem {
    Problem::new("K3S-111", "the k3s file cannot be copied below the data root", e.to_string(), "Free space there, and see that it can be written.")
}

/// Judges kind, sum and version of `file` without changing the node: what `antihate check` asks.
pub fn check(wish: &Wish, layout: &Layout) -> Option<Result<K3s, Problem>> {
    let file = wish.file.as_ref()?;
    let remembered = super::recorded(layout).map(|r| r.k3s.sha256);
    Some(look(file, None).and_then(|looked| {
        judge_kind(&looked)?;
        judge_sum(&looked.sha256, pin(wish.sha256.as_deref(), BUILT_IN, remembered.as_deref()))?;
        Ok(K3s { version: judge_version(&ask(file)?)?, sha256: looked.sha256 })
    }))
}

/// Chooses what the node runs: the file that is wished for, or what it was made with; nothing is the embedded distribution.
/// Blocks; the caller holds the node's lock.
pub fn choose(wish: &Wish, layout: &Layout) -> Result<Option<K3s>, Problem> {
    let known = super::recorded(layout);
    let Some(file) = &wish.file else { return known.map(|record| unchanged(record, layout)).transpose() };
    if known.is_none() && layout.kubernetes().join("kine/state.db").exists() {
        let cause = format!("{} is its datastore", layout.kubernetes().join("kine").display());
        return Err(Problem::new("K3S-108", "this node was made with the embedded Kubernetes", cause, "Start it without --k3s, or `antihate reset` it first: posts go with it."));
    }
    alone(known.is_some())?;
    let home = super::home(layout).join("bin");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&home).map_err(|e| no_copy(&e))?;
    let mut copy = tempfile::Builder::new().prefix(".tmp-").tempfile_in(&home).map_err(|e| no_copy(&e))?;
    let looked = look(file, Some(copy.as_file_mut()))?;
    judge_kind(&looked)?;
    let holds = pin(wish.sha256.as_deref(), BUILT_IN, known.as_ref().map(|r| r.k3s.sha256.as_str()));
    judge_sum(&looked.sha256, holds)?;
    if holds.is_none() {
        tracing::warn!(sha256 = looked.sha256, "nobody named the sum of the k3s file: it is taken as it is and remembered; --k3s-sha256 names one");
    }
    let mut k3s = K3s { sha256: looked.sha256, version: String::new() };
    keep(&mut copy, &k3s.program(layout)).map_err(|e| no_copy(&e))?;
    k3s.version = judge_version(&ask(&k3s.program(layout))?)?;
    let foreign_password = known.as_ref().map_or_else(|| Path::new(super::NODE_PASSWORD).exists(), |r| r.foreign_password);
    let record = Record { k3s, foreign_password };
    super::record(layout, &record).map_err(|e| no_copy(&e))?;
    forget_others(&home, &record.k3s.sha256);
    Ok(Some(record.k3s))
}

/// Two k3s on one host would share folders and ports: whoever is there first stays. Ours was ended before this is asked.
fn alone(ours: bool) -> Result<(), Problem> {
    let refuse = |cause: String| Err(Problem::new("K3S-109", "another k3s runs on this host", cause, "Take that one off this host first (`k3s-uninstall.sh`), or use the embedded Kubernetes."));
    if UnixStream::connect(super::SOCKET).is_ok() {
        return refuse(format!("{} answers", super::SOCKET));
    }
    if !ours && Path::new("/var/lib/rancher/k3s/server").exists() {
        return refuse("/var/lib/rancher/k3s holds the state of one, which may start at any time".into());
    }
    match TcpListener::bind(("127.0.0.1", super::INNER_PORT)) {
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => refuse(format!("port {} is taken, behind which k3s has its API server", super::INNER_PORT)),
        _ => Ok(()),
    }
}

/// What was accepted before, if it still is what it was.
fn unchanged(record: Record, layout: &Layout) -> Result<K3s, Problem> {
    let looked = look(&record.k3s.program(layout), None)?;
    judge_sum(&looked.sha256, Some((Pin::Remembered, &record.k3s.sha256)))?;
    // This program may be another one than the one that accepted it.
    judge_version(&format!("k3s version {}", record.k3s.version))?;
    Ok(record.k3s)
}

/// The copy gets its place whole or not at all. A program that was open for writing a moment ago could not be run: it is closed first.
fn keep(copy: &mut tempfile::NamedTempFile, place: &Path) -> std::io::Result<()> {
    copy.as_file().set_permissions(std::fs::Permissions::from_mode(0o700))?;
    copy.as_file().sync_all()?;
    let folder = place.parent().expect("a folder");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::rename(copy.path(), place)?;
    // The temporary file's handle closes with its value; a reading one in its place gives up the right to write at once.
    *copy.as_file_mut() = std::fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(place)?;
    crate::files::sync_dir(folder)
}

fn forget_others(home: &Path, sum: &str) {
    for other in std::fs::read_dir(home).into_iter().flatten().flatten().filter(|e| e.file_name().to_str() != Some(sum)) {
        drop(std::fs::remove_dir_all(other.path()));
    }
}

/// Asks for the version. It unpacks nothing for that; the environment is empty but for a folder that does not exist.
fn ask(program: &Path) -> Result<String, Problem> {
    let env = [("PATH".to_string(), "/usr/bin:/bin".to_string()), (super::DATA_VARIABLE.to_string(), "/nonexistent".to_string())];
    let outcome = once::answer(program, super::NAME, &["--version"], &env, ANSWER)
        .map_err(|e| Problem::new("K3S-106", "the k3s file cannot be run", e.to_string(), "See that the file system of the data root allows programs (no `noexec`)."))?;
    Ok(format!("{}{}", String::from_utf8_lossy(&outcome.stdout), outcome.stderr))
}
