//! The file of the setup: `<data>/setup.json`, for root alone, replaced whole. No file: nobody is asked, because the node was set up by
//! hand or by an earlier version. A damaged one is told and counts as neither.

use super::State;
use crate::files;
use crate::status::Problem;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The setup on the disk.
pub struct Keep {
    path: PathBuf,
}

impl Keep {
    /// The setup of the node whose data root is `data`.
    pub fn new(data: &Path) -> Keep {
        Keep { path: data.join("setup.json") }
    }

    /// How far it is; nothing where none was begun.
    pub fn read(&self) -> Result<Option<State>, Problem> {
        match std::fs::read(&self.path) {
            Ok(raw) => serde_json::from_slice(&raw).map(Some).map_err(|e| self.unreadable(&format!("it is damaged: {e}"))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.unreadable(&e.to_string())),
        }
    }

    /// Begins it where that was not done: from now on the owner is asked.
    pub fn begin(&self) -> Result<(), Problem> {
        let _alone = self.alone()?;
        if self.read()?.is_none() { self.write(&State::default()) } else { Ok(()) }
    }

    /// Changes it, alone among all processes: nothing is written when `work` refuses.
    pub fn change<T>(&self, work: impl FnOnce(&mut State) -> Result<T, Problem>) -> Result<T, Problem> {
        let _alone = self.alone()?;
        let before = self.read()?;
        let mut state = before.clone().unwrap_or_default();
        let told = work(&mut state)?;
        if before.as_ref() != Some(&state) {
            self.write(&state)?;
        }
        Ok(told)
    }

    fn write(&self, state: &State) -> Result<(), Problem> {
        let raw = serde_json::to_vec_pretty(state).map_err(|e| self.unwritten(&e.to_string()))?;
        files::replace(&self.path, &raw, 0o600).map_err(|e| self.unwritten(&e.to_string()))
    }

    fn alone(&self) -> Result<files::Lock, Problem> {
        let taken = files::Lock::for_a_change(&self.path.with_extension("lock")).map_err(|e| self.unwritten(&e.to_string()))?;
        taken.ok_or_else(|| self.unwritten("another change does not end"))
    }

    fn unreadable(&self, cause: &str) -> Problem {
        let next = "Mend the disk, or put back a copy of the file. Root may remove the file: the node then does what settings.toml says, and asks no more.";
        Problem::new("SET-101", "The setup cannot be read", format!("{}: {cause}", self.path.display()), next)
    }

    fn unwritten(&self, cause: &str) -> Problem {
        Problem::new("SET-102", "The answer was not kept", format!("{}: {cause}", self.path.display()), "Make room on the data disk and try again.")
    }
}
