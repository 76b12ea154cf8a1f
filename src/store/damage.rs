//! Whether an SQLite file is whole.

use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// What is wrong with the structure of the SQLite file at `path`, indexes too, in SQLite's words; `None` when it is whole, not there, or in
/// use in a way that does not let it be looked at. Reads all of it and writes nothing but what an open of its log recovers.
pub fn damage(path: &Path) -> Option<String> {
    if !path.exists() {
        return None;
    }
    match check(path) {
        Ok(word) if word == "ok" => None,
        Ok(word) => Some(word),
        Err(e) if matches!(e.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => None,
        Err(e) => Some(e.to_string()),
    }
}

fn check(path: &Path) -> rusqlite::Result<String> {
    let file = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    file.busy_timeout(Duration::from_secs(2))?;
    file.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_zeroed_and_foreign_files_are_told_from_whole_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        assert_eq!(damage(&path), None, "nothing there");
        let made = Connection::open(&path).unwrap();
        made.execute_batch("CREATE TABLE kine (id INTEGER PRIMARY KEY, value BLOB); CREATE INDEX by_value ON kine (value);").unwrap();
        made.execute_batch("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO kine SELECT i, hex(i) FROM n;").unwrap();
        drop(made);
        assert_eq!(damage(&path), None);
        let whole = std::fs::read(&path).unwrap();
        let mut zeroed = whole.clone();
        zeroed[8192..16384].fill(0);
        for (what, bytes) in [("cut off", &whole[..whole.len() / 2]), ("zeroed in the middle", &zeroed[..]), ("something else", &[7; 8192])] {
            std::fs::write(&path, bytes).unwrap();
            assert!(damage(&path).is_some(), "{what}");
        }
    }
}
