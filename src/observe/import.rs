//! Import of files: a watched folder with JSON Lines (`.jsonl`, `.ndjson`) and CSV (`.csv`, with a header line).
//!
//! A file is read in pieces; the cursor is its name and the byte after the last acknowledged record. A file that was
//! read to its end moves to `done/`; where the folder is read-only, the cursor remembers it instead.
//! Put a file there by renaming it: what ends in `.part` or `.tmp` or starts with a dot is not looked at.

use super::{Page, Source, SourceError, sane_date, text};
use crate::domain::Post;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Records a page.
const PAGE: usize = 500;

/// A watched folder.
pub struct Import {
    dir: PathBuf,
    finished: Option<PathBuf>,
}

impl Import {
    /// A source for the files in `dir`.
    pub fn new(dir: PathBuf) -> Self {
        Import { dir, finished: None }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// The file at work and the byte to go on at.
    file: Option<(String, u64)>,
    /// Files that were finished but could not be moved, with their sizes.
    done: BTreeMap<String, u64>,
}

/// A record of either form; fields that it does not know are ignored.
#[derive(Deserialize)]
struct Record {
    id: Option<String>,
    text: String,
    url: Option<String>,
    author: Option<String>,
    lang: Option<String>,
    published_at: Option<DateTime<Utc>>,
}

#[async_trait::async_trait]
impl Source for Import {
    fn name(&self) -> String {
        format!("import:{}", self.dir.display())
    }

    async fn next(&mut self, cursor: &Value, now: DateTime<Utc>) -> Result<Page, SourceError> {
        let mut state = State::deserialize(cursor).unwrap_or_default();
        state.done.retain(|name, _| self.dir.join(name).exists());
        let Some((name, size)) = self.pick(&state)? else {
            let cursor = serde_json::to_value(State { file: None, ..state }).unwrap_or_default();
            return Ok(Page { cursor, ..Page::default() });
        };
        let path = self.dir.join(&name);
        let from = state.file.take().filter(|(at_work, _)| *at_work == name).map_or(0, |(_, at)| at);
        let read = read(&path, from).map_err(|source| SourceError::File { path: path.display().to_string(), source })?;
        let written = std::fs::metadata(&path).and_then(|m| m.modified()).map_or(now, DateTime::from);
        let mut page = Page { more: true, ..Page::default() };
        for record in read.records {
            match record {
                Ok(record) => page.posts.extend(post(record, written.min(now), now)),
                Err(why) => page.bad.push(why),
            }
        }
        if read.end {
            state.done.insert(name, size);
            self.finished = Some(path);
        } else {
            state.file = Some((name, read.next));
        }
        page.cursor = serde_json::to_value(&state).unwrap_or_default();
        Ok(page)
    }

    /// Moves a finished file away; a folder that does not allow it is no error, the cursor knows the file.
    async fn settle(&mut self) {
        let Some(path) = self.finished.take() else { return };
        let done = self.dir.join("done");
        let moved = std::fs::create_dir_all(&done).and_then(|()| std::fs::rename(&path, done.join(path.file_name().unwrap_or_default())));
        if let Err(e) = moved {
            tracing::info!(error = %e, "a finished file stays where it is and is remembered");
        }
    }
}

impl Import {
    /// The file at work, or else the first by name that is not done.
    fn pick(&self, state: &State) -> Result<Option<(String, u64)>, SourceError> {
        let at = |source| SourceError::File { path: self.dir.display().to_string(), source };
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&self.dir).map_err(at)? {
            let entry = entry.map_err(at)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let size = entry.metadata().map_err(at)?.len();
            if form(&name).is_some() && state.done.get(&name) != Some(&size) {
                found.insert(name, size);
            }
        }
        let at_work = state.file.as_ref().and_then(|(name, _)| found.remove_entry(name));
        Ok(at_work.or_else(|| found.pop_first()))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    JsonLines,
    Csv,
}

fn form(name: &str) -> Option<Form> {
    if name.starts_with('.') {
        return None;
    }
    match Path::new(name).extension()?.to_str()? {
        "jsonl" | "ndjson" => Some(Form::JsonLines),
        "csv" => Some(Form::Csv),
        _ => None,
    }
}

struct Piece {
    records: Vec<Result<Record, &'static str>>,
    next: u64,
    end: bool,
}

fn read(path: &Path, from: u64) -> std::io::Result<Piece> {
    match form(&path.to_string_lossy().rsplit('/').next().unwrap_or_default().to_string()) {
        Some(Form::Csv) => read_csv(path, from),
        _ => read_lines(path, from),
    }
}

fn read_lines(path: &Path, from: u64) -> std::io::Result<Piece> {
    let mut file = BufReader::new(File::open(path)?);
    file.seek(SeekFrom::Start(from))?;
    let mut piece = Piece { records: Vec::new(), next: from, end: false };
    let mut line = Vec::new();
    while piece.records.len() < PAGE {
        line.clear();
        let read = file.read_until(b'\n', &mut line)?;
        piece.next += read as u64;
        if read == 0 {
            piece.end = true;
            break;
        }
        if !line.trim_ascii().is_empty() {
            piece.records.push(serde_json::from_slice(line.trim_ascii()).map_err(|_| "record"));
        }
    }
    Ok(piece)
}

fn read_csv(path: &Path, from: u64) -> std::io::Result<Piece> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(std::io::Error::other)?;
    let headers = reader.headers().map_err(std::io::Error::other)?.clone();
    if from > 0 {
        let mut at = csv::Position::new();
        at.set_byte(from);
        reader.seek(at).map_err(std::io::Error::other)?;
    }
    let mut piece = Piece { records: Vec::new(), next: from, end: false };
    let mut row = csv::StringRecord::new();
    while piece.records.len() < PAGE {
        match reader.read_record(&mut row) {
            Ok(false) => {
                piece.end = true;
                break;
            }
            Ok(true) => piece.records.push(row.deserialize(Some(&headers)).map_err(|_| "record")),
            Err(_) => piece.records.push(Err("row")),
        }
        piece.next = reader.position().byte();
    }
    Ok(piece)
}

/// A record without an identity gets one from its content, so that the same file read twice gives the same posts.
fn post(record: Record, written: DateTime<Utc>, now: DateTime<Utc>) -> Option<Post> {
    let content = [record.author.as_deref().unwrap_or(""), record.url.as_deref().unwrap_or(""), &record.text].join("\n");
    let id = record.id.filter(|id| !id.is_empty() && id.len() <= 512 && !id.contains('\0'));
    let id = id.unwrap_or_else(|| format!("sha256:{}", hex::encode(Sha256::digest(content.as_bytes()))));
    (!record.text.trim().is_empty()).then(|| Post {
        platform: "import".into(),
        id,
        url: record.url.filter(|u| !u.is_empty()),
        author: record.author.filter(|a| !a.is_empty()),
        lang: record.lang.filter(|l| !l.is_empty()),
        text: text::bounded(record.text),
        published_at: sane_date(record.published_at, now).unwrap_or(written),
        observed_at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(source: &mut Import, mut cursor: Value) -> (Vec<String>, usize, Value) {
        let (mut ids, mut bad) = (Vec::new(), 0);
        loop {
            let page = source.next(&cursor, Utc::now()).await.unwrap();
            ids.extend(page.posts.iter().map(|p| p.id.clone()));
            bad += page.bad.len();
            cursor = page.cursor;
            source.settle().await;
            if !page.more {
                return (ids, bad, cursor);
            }
        }
    }

    #[tokio::test]
    async fn both_forms_are_read_to_their_end_and_moved_away() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.jsonl"), "{\"id\":\"1\",\"text\":\"one\"}\nnot json\n\n{\"id\":\"2\",\"text\":\"two\"}").unwrap();
        std::fs::write(dir.path().join("b.csv"), "id,text,lang\n3,\"three, \n3\",en\n4,four,\n").unwrap();
        std::fs::write(dir.path().join("c.jsonl.part"), "{\"id\":\"9\",\"text\":\"nine\"}").unwrap();
        let mut source = Import::new(dir.path().into());
        let (ids, bad, cursor) = all(&mut source, Value::Null).await;
        assert_eq!((ids, bad), (vec!["1".into(), "2".into(), "3".into(), "4".to_string()], 1));
        assert!(dir.path().join("done/a.jsonl").exists() && dir.path().join("done/b.csv").exists());
        assert_eq!(all(&mut source, cursor).await.0.len(), 0);
    }

    #[tokio::test]
    async fn a_long_file_goes_on_at_the_saved_byte_after_a_kill() {
        for (name, head) in [("a.jsonl", ""), ("a.csv", "id,text\n")] {
            let dir = tempfile::tempdir().unwrap();
            let line = |i: usize| if name == "a.csv" { format!("{i},\"t {i}\"\n") } else { format!("{{\"id\":\"{i}\",\"text\":\"t {i}\"}}\n") };
            std::fs::write(dir.path().join(name), format!("{head}{}", (0..1200).map(line).collect::<String>())).unwrap();
            let first = Import::new(dir.path().into()).next(&Value::Null, Utc::now()).await.unwrap();
            let (rest, bad, _) = all(&mut Import::new(dir.path().into()), first.cursor).await;
            assert_eq!((first.posts.len(), rest.len(), bad), (PAGE, 700, 0), "{name}");
            assert_eq!((rest[0].as_str(), rest[699].as_str()), ("500", "1199"));
        }
    }

    #[tokio::test]
    async fn a_record_without_an_identity_has_the_same_one_every_time() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.jsonl"), "{\"text\":\"one\"}\n").unwrap();
        let first = Import::new(dir.path().into()).next(&Value::Null, Utc::now()).await.unwrap();
        let again = Import::new(dir.path().into()).next(&Value::Null, Utc::now()).await.unwrap();
        assert_eq!((first.posts[0].key(), first.posts[0].published_at), (again.posts[0].key(), again.posts[0].published_at));
    }

    #[tokio::test]
    async fn a_missing_folder_is_named() {
        let e = Import::new("/nonexistent/inbox".into()).next(&Value::Null, Utc::now()).await.unwrap_err();
        assert_eq!(e.to_string(), "OBS-202: /nonexistent/inbox cannot be read");
    }
}
