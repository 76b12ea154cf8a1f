//! A sum of every row of kine's table, kept beside it: SQLite checks how its pages hang together and never what stands in them.
//!
//! kine adds rows and removes rows, it changes none but the one that counts its compactions. So a row whose sum is another than the
//! one that was kept was damaged. Rows that came after the last [`keep`] are not known yet. A file of sums that is damaged itself
//! counts as none.

use crate::files;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// The one row that kine changes.
const COMPACTION: &str = "compact_rev_key";
/// Bytes of one entry: the row's number and its sum.
const ENTRY: usize = 12;

type Sums = BTreeMap<i64, u32>;

/// Why the sums could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum SumsError {
    /// The table could not be read.
    #[error("the rows cannot be read")]
    Rows(#[from] rusqlite::Error),
    /// The file could not be written.
    #[error("the sums cannot be written")]
    File(#[from] std::io::Error),
}

/// Adds the rows of `database` that came since the last call to the file `sums` and drops those that went. What is known stays as it
/// is known. Reads the new rows alone.
pub fn keep(database: &Path, sums: &Path) -> Result<(), SumsError> {
    let known = read(sums);
    let file = open(database)?;
    let there: BTreeSet<i64> = file.prepare("SELECT id FROM kine")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let last = known.keys().next_back().copied().unwrap_or(0);
    let mut now: Sums = known.iter().filter(|(id, _)| there.contains(id)).map(|(id, sum)| (*id, *sum)).collect();
    now.extend(rows(&file, last)?);
    if now != known {
        write(sums, &now)?;
    }
    Ok(())
}

/// The first row of `database` whose sum is not the one that was kept, in words; `None` where all are, or nothing can be read.
pub fn changed(database: &Path, sums: &Path) -> Option<String> {
    let known = read(sums);
    if known.is_empty() || !database.exists() {
        return None;
    }
    // What cannot be read is damage of another kind, which SQLite tells.
    let now = open(database).and_then(|file| rows(&file, 0)).ok()?;
    let (id, _) = known.iter().find(|(id, sum)| now.get(id).is_some_and(|n| n != *sum))?;
    Some(format!("what stands in row {id} has changed"))
}

fn open(database: &Path) -> rusqlite::Result<Connection> {
    let file = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    file.busy_timeout(Duration::from_secs(2))?;
    Ok(file)
}

/// The sums of all rows after `last`.
fn rows(file: &Connection, last: i64) -> rusqlite::Result<Sums> {
    let mut all = file.prepare("SELECT * FROM kine WHERE id > ?1 AND name IS NOT ?2")?;
    let columns = all.column_count();
    all.query_map((last, COMPACTION), |row| Ok((row.get("id")?, sum(row, columns)?)))?.collect()
}

fn sum(row: &Row, columns: usize) -> rusqlite::Result<u32> {
    (0..columns).try_fold(0, |sum, column| {
        let (kind, bytes): (u8, &[u8]) = match row.get_ref(column)? {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => return Ok(crc32c::crc32c_append(crc32c::crc32c_append(sum, &[1]), &number.to_be_bytes())),
            ValueRef::Real(number) => return Ok(crc32c::crc32c_append(crc32c::crc32c_append(sum, &[2]), &number.to_be_bytes())),
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(blob) => (4, blob),
        };
        let head = [&[kind][..], &(bytes.len() as u64).to_be_bytes()].concat();
        Ok(crc32c::crc32c_append(crc32c::crc32c_append(sum, &head), bytes))
    })
}

/// The kept sums; none where the file is not there or not whole.
fn read(path: &Path) -> Sums {
    let raw = std::fs::read(path).unwrap_or_default();
    let Some((entries, own)) = raw.split_last_chunk::<4>() else { return Sums::new() };
    if crc32c::crc32c(entries) != u32::from_be_bytes(*own) {
        return Sums::new();
    }
    let (chunks, _) = entries.as_chunks::<ENTRY>();
    let entry = |e: &[u8; ENTRY]| Some((i64::from_be_bytes(*e.first_chunk()?), u32::from_be_bytes(*e.last_chunk()?)));
    chunks.iter().filter_map(entry).collect()
}

fn write(path: &Path, sums: &Sums) -> std::io::Result<()> {
    let mut raw: Vec<u8> = sums.iter().flat_map(|(id, sum)| [&id.to_be_bytes()[..], &sum.to_be_bytes()[..]].concat()).collect();
    let own = crc32c::crc32c(&raw);
    raw.extend(own.to_be_bytes());
    files::replace(path, &raw, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(path: &Path) -> Connection {
        let db = Connection::open(path).unwrap();
        db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, value BLOB);").unwrap();
        db.execute_batch("INSERT INTO kine (name, value) VALUES ('compact_rev_key', ''), ('/a', x'0102'), ('/b', x'0304'), ('/c', NULL);").unwrap();
        db
    }

    #[test]
    fn a_changed_bit_in_a_known_row_is_seen_and_kines_own_changes_are_not_damage() {
        let dir = tempfile::tempdir().unwrap();
        let (path, sums) = (dir.path().join("state.db"), dir.path().join("rows.sums"));
        assert_eq!(changed(&path, &sums), None, "nothing there");
        let db = table(&path);
        keep(&path, &sums).unwrap();
        assert_eq!(changed(&path, &sums), None);
        db.execute_batch("UPDATE kine SET value = 'x' WHERE name = 'compact_rev_key'; DELETE FROM kine WHERE name = '/b'; INSERT INTO kine (name, value) VALUES ('/d', x'05');").unwrap();
        assert_eq!(changed(&path, &sums), None);
        keep(&path, &sums).unwrap();
        assert_eq!(read(&sums).keys().copied().collect::<Vec<_>>(), [2, 4, 5]);
        for (id, column) in [(2, "value = x'0103'"), (4, "value = ''"), (5, "name = '/e'")] {
            db.execute_batch(&format!("UPDATE kine SET {column} WHERE id = {id}")).unwrap();
            assert_eq!(changed(&path, &sums).unwrap(), format!("what stands in row {id} has changed"));
            // What is known stays known: damage does not become the truth.
            keep(&path, &sums).unwrap();
            assert!(changed(&path, &sums).is_some());
            drop(std::fs::remove_file(&sums));
            keep(&path, &sums).unwrap();
        }
    }

    #[test]
    fn sums_that_are_damaged_themselves_count_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let (path, sums) = (dir.path().join("state.db"), dir.path().join("rows.sums"));
        drop(table(&path));
        keep(&path, &sums).unwrap();
        let whole = std::fs::read(&sums).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut raw = whole.clone();
            raw[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&sums, raw).unwrap();
            assert!(read(&sums).is_empty(), "bit {bit}");
            assert_eq!(changed(&path, &sums), None);
        }
        keep(&path, &sums).unwrap();
        assert_eq!(read(&sums).len(), 3);
    }
}
