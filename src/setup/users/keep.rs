//! The file of the users: `<data>/users.json`, for root alone, replaced whole. Read anew whenever it was replaced, so that
//! `antihate user` and the page see each other's changes at once. A damaged file is never taken for an unclaimed node.

use super::Users;
use crate::files;
use crate::status::Problem;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The users on the disk.
pub struct Keep {
    path: PathBuf,
    known: Mutex<Option<(Option<files::Version>, Arc<Users>)>>,
}

impl Keep {
    /// The users of the node whose data root is `data`.
    pub fn new(data: &Path) -> Keep {
        Keep { path: data.join("users.json"), known: Mutex::default() }
    }

    /// The users of this moment.
    pub fn read(&self) -> Result<Arc<Users>, Problem> {
        let version = files::version(&self.path).map_err(|e| self.unreadable(&e.to_string()))?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, users)) = known.as_ref().filter(|(at, _)| *at == version) {
            return Ok(users.clone());
        }
        let users = Arc::new(self.load()?);
        *known = Some((version, users.clone()));
        Ok(users)
    }

    /// Changes the users, alone among all processes: nothing is written when `work` refuses.
    pub fn change<T>(&self, work: impl FnOnce(&mut Users) -> Result<T, Problem>) -> Result<T, Problem> {
        let _alone = self.alone()?;
        let mut users = self.load()?;
        let told = work(&mut users)?;
        let raw = serde_json::to_vec_pretty(&users).map_err(|e| self.unreadable(&e.to_string()))?;
        files::replace(&self.path, &raw, 0o600).map_err(|e| self.unwritten(&e.to_string()))?;
        Ok(told)
    }

    fn load(&self) -> Result<Users, Problem> {
        match std::fs::read(&self.path) {
            Ok(raw) => serde_json::from_slice(&raw).map_err(|e| self.unreadable(&format!("it is damaged: {e}"))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Users::default()),
            Err(e) => Err(self.unreadable(&e.to_string())),
        }
    }

    fn alone(&self) -> Result<files::Lock, Problem> {
        let taken = files::Lock::for_a_change(&self.path.with_extension("lock")).map_err(|e| self.unwritten(&e.to_string()))?;
        taken.ok_or_else(|| self.unwritten("another change does not end"))
    }

    fn unreadable(&self, cause: &str) -> Problem {
        let next = "Mend the disk, or put back a copy of the file. Root may remove the file: the node can then be claimed anew with a PIN.";
        Problem::new("USR-107", "The users cannot be read", format!("{}: {cause}", self.path.display()), next)
    }

    fn unwritten(&self, cause: &str) -> Problem {
        Problem::new("USR-108", "The change was not kept", format!("{}: {cause}", self.path.display()), "Make room on the data disk and try again.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;
    use chrono::DateTime;
    use std::os::unix::fs::PermissionsExt;

    fn claim(keep: &Keep) -> Result<(), Problem> {
        keep.change(|users| users.claim("ada", ("phc".into(), vec![]), DateTime::UNIX_EPOCH))
    }

    #[test]
    fn two_that_hold_the_same_file_see_each_others_changes() {
        let dir = tempfile::tempdir().expect("dir");
        let (page, command) = (Keep::new(dir.path()), Keep::new(dir.path()));
        assert!(page.read().expect("read").claimed().is_none());
        claim(&command).expect("claimed");
        assert!(page.read().expect("read").claimed().is_some());
        page.change(|users| users.add("bo", Role::Viewer, "x".into(), DateTime::UNIX_EPOCH)).expect("added");
        assert_eq!(command.read().expect("read").all().len(), 2);
        let mode = std::fs::metadata(dir.path().join("users.json")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn of_fifty_who_claim_at_once_one_wins() {
        let dir = tempfile::tempdir().expect("dir");
        let wins = std::thread::scope(|scope| {
            let all: Vec<_> = (0..50).map(|_| scope.spawn(|| claim(&Keep::new(dir.path())).is_ok())).collect();
            all.into_iter().map(|t| t.join().expect("ends")).filter(|won| *won).count()
        });
        assert_eq!(wins, 1);
    }

    #[test]
    fn a_damaged_file_is_told_and_claims_nothing() {
        let dir = tempfile::tempdir().expect("dir");
        for raw in ["", "{", "[]", "{\"users\":[{}]}"] {
            std::fs::write(dir.path().join("users.json"), raw).expect("written");
            let keep = Keep::new(dir.path());
            assert_eq!(keep.read().expect_err("damaged").code, "USR-107");
            assert_eq!(claim(&keep).expect_err("damaged").code, "USR-107");
        }
    }

    #[test]
    fn a_refused_change_writes_nothing() {
        let dir = tempfile::tempdir().expect("dir");
        let keep = Keep::new(dir.path());
        claim(&keep).expect("claimed");
        let before = std::fs::read(dir.path().join("users.json")).expect("read");
        keep.change(|users| users.remove("ada")).expect_err("the last owner stays");
        assert_eq!(std::fs::read(dir.path().join("users.json")).expect("read"), before);
    }
}
