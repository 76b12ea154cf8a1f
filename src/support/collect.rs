//! Takes the parts, all at once, each within its own time.

use super::list::{Part, Source};
use crate::config::{self, Valid};
use crate::process::once;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Names that are listed at most.
const NAMES: usize = 20_000;

/// A part as it was taken; empty with a problem where that failed.
pub struct Taken {
    pub name: String,
    pub what: &'static str,
    pub bytes: Vec<u8>,
    pub cut: bool,
    pub took: Duration,
    pub problem: Option<String>,
}

/// Takes them all, in the order of the list. A file that does not answer within its time (a dead network disk) is given up; its thread
/// ends with it or with the process.
pub fn all(parts: Vec<Part>) -> Vec<Taken> {
    let waiting: Vec<_> = parts.into_iter().map(|part| {
        let (name, what, limit, begun) = (part.name.clone(), part.what, part.limit, Instant::now());
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || drop(tell.send(taken(&part.source, part.limit))));
        (name, what, limit, begun, told)
    }).collect();
    waiting.into_iter().map(|(name, what, limit, begun, told)| {
        // A program is ended at its limit and then still has to be heard.
        let rest = (limit + Duration::from_secs(2)).saturating_sub(begun.elapsed());
        let got = told.recv_timeout(rest).unwrap_or_else(|_| Err(format!("it gave no answer within {} s", limit.as_secs())));
        let took = begun.elapsed();
        match got {
            Ok((bytes, cut)) => Taken { name, what, bytes, cut, took, problem: None },
            Err(problem) => Taken { name, what, bytes: Vec::new(), cut: false, took, problem: Some(problem) },
        }
    }).collect()
}

/// The bytes, and whether there is more of them.
fn taken(source: &Source, limit: Duration) -> Result<(Vec<u8>, bool), String> {
    match source {
        Source::Given(bytes) => Ok((bytes.clone(), false)),
        Source::Tail(path, most) => tail(path, *most).map_err(|e| of_file(path, &e)),
        Source::Head(path, most) => head(path, *most).map_err(|e| of_file(path, &e)),
        Source::Names(folder, without) => names(folder, without).map_err(|e| of_file(folder, &e)),
        Source::Settings(path) => settings(path),
        Source::Program(program, arg0, args, env) => {
            let done = once::answer(program, arg0, args, env, limit).map_err(|e| of_file(program, &e))?;
            if done.ok { Ok((done.stdout, false)) } else { Err(done.stderr) }
        }
    }
}

fn of_file(path: &Path, e: &std::io::Error) -> String {
    if e.kind() == ErrorKind::NotFound { "not on this host".into() } else { format!("{}: {e}", path.display()) }
}

/// Refuses what is no regular file: reading a pipe would wait.
fn open(path: &Path) -> std::io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_file() { File::open(path) } else { Err(std::io::Error::other("no regular file")) }
}

fn tail(path: &Path, most: u64) -> std::io::Result<(Vec<u8>, bool)> {
    let mut file = open(path)?;
    let from = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    if from > 0 {
        // The first line may have lost its beginning, and with it the word by which a secret is known.
        let whole = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..whole);
    }
    Ok((bytes, from > 0))
}

fn head(path: &Path, most: u64) -> std::io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    let cut = bytes.len() as u64 > most;
    bytes.truncate(most as usize);
    Ok((bytes, cut))
}

/// What a person set, without whom the site watches.
fn settings(path: &Path) -> Result<(Vec<u8>, bool), String> {
    let mut settings = config::load(path).map(Valid::into_inner).map_err(|p| p.code)?;
    settings.sources = Default::default();
    settings.node.geography = settings.node.geography.map(|_| "set".into());
    Ok((config::save_text(&settings).into_bytes(), false))
}

/// Mode, size and name of everything below `folder`, without what lies in the folders `without`.
fn names(folder: &Path, without: &[&str]) -> std::io::Result<(Vec<u8>, bool)> {
    let (mut out, mut waiting, mut count) = (String::new(), vec![folder.to_path_buf()], 0);
    while let Some(at) = waiting.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(&at)?.flatten().collect();
        entries.sort_by_key(|e| e.file_name());
        for entry in entries {
            let Ok(meta) = entry.metadata() else { continue };
            let name = entry.path().strip_prefix(folder).map(|p| p.display().to_string()).unwrap_or_default();
            out += &format!("{:o} {}:{} {:>12} {name}\n", meta.permissions().mode() & 0o7777, meta.uid(), meta.gid(), meta.len());
            count += 1;
            if count >= NAMES {
                return Ok((out.into_bytes(), true));
            }
            if meta.is_dir() && !without.iter().any(|w| entry.file_name() == *w) {
                waiting.push(entry.path());
            }
        }
    }
    Ok((out.into_bytes(), false))
}
