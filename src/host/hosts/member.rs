//! This host's member of etcd: noticed as damaged, set aside and made anew.
//!
//! A damaged member must not begin again under its old name with less than it had: it could vote twice. So a control plane whose
//! member is whole takes it off and adds it as a new one without a vote, which learns everything and gets its vote back
//! ([`tend`](super::tend)). That control plane refuses where too few votes would be left; then nothing is touched. A member that is
//! the only one is made anew as kine's file is: out of our own manifests. What was there is set aside, not deleted.
//!
//! Killed anywhere, the next start goes on: the note stays until the new list of members is written.

use super::renewal::{self, doors};
use crate::config::Place;
use crate::config::layout::Layout;
use crate::config::place::Datastore;
use crate::files;
use crate::host::place;
use crate::host::settings::Settings;
use crate::join::door::WAIT;
use crate::status::Problem;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A member that was made anew is not made anew again so soon.
const PAUSE: Duration = Duration::from_secs(600);
/// So long after a refusal it is asked again.
const AGAIN: Duration = Duration::from_secs(120);
/// What a control plane answers that knows better than one that is silent.
const DECIDED: [&str; 5] = [WAIT, "ETC-105", "JOI-116", "JOI-109", "JOI-122"];
/// A member that ended so often in a row does not come up by itself.
const ENDS: u32 = 3;
/// Of the log, lines that may tell why it ended last.
const LINES: usize = 40;
/// Reasons to end that are no damage: with them a new member would end as well.
const EXCUSES: [&str; 4] = ["address already in use", "no space left on device", "too many open files", "permission denied"];

fn note(layout: &Layout) -> PathBuf {
    layout.kubernetes().join("rebuild-member")
}

fn mark(layout: &Layout) -> PathBuf {
    layout.kubernetes().join("rebuilt-member")
}

fn refusal(layout: &Layout) -> PathBuf {
    layout.kubernetes().join("refused-member")
}

/// Lies beside the data of a member that has worked.
fn worked(layout: &Layout) -> PathBuf {
    layout.kubernetes().join("etcd.worked")
}

fn failed(e: &std::io::Error) -> Problem {
    Problem::new("ETC-106", "etcd's member on this host cannot be made anew", e.to_string(), "See that the data root is writable and has free space; it is tried again.")
}

/// The member works: from now on it is damage when its files are gone.
pub fn has_worked(layout: &Layout) {
    if !worked(layout).exists() {
        drop(files::replace(&worked(layout), b"", 0o600));
    }
    forget(&[refusal(layout)]);
}

/// Whether what runs has a damaged member: then the reason. `ends`: how often etcd ended in a row.
pub fn notice(s: &Settings, ends: u32) -> Option<String> {
    let younger = |file: PathBuf, than| std::fs::metadata(file).and_then(|m| m.modified()).is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age < than));
    if s.place.datastore != Datastore::Etcd || younger(mark(&s.layout), PAUSE) || younger(refusal(&s.layout), AGAIN) {
        return None;
    }
    let log = files::tail(&s.layout.log("etcd"), LINES).unwrap_or_default();
    gone(&s.layout).or_else(|| (ends >= ENDS && !is_excused(&log)).then(|| format!("etcd ended {ends} times in a row")))
}

fn is_excused(log: &[String]) -> bool {
    log.iter().any(|line| EXCUSES.iter().any(|excuse| line.contains(excuse)))
}

/// What a member that has worked lacks.
fn gone(layout: &Layout) -> Option<String> {
    let data = layout.etcd().join("member");
    let log = std::fs::read_dir(data.join("wal")).is_ok_and(|mut all| all.any(|f| f.is_ok_and(|f| f.file_name().to_string_lossy().ends_with(".wal"))));
    let database = std::fs::metadata(data.join("snap/db")).is_ok_and(|m| m.len() > 0);
    (worked(layout).exists() && !(log && database)).then(|| "files of etcd are gone".to_string())
}

/// Leaves a note for the next start.
pub fn ask_for(layout: &Layout, why: &str) -> Result<(), Problem> {
    files::replace(&note(layout), why.as_bytes(), 0o600).map_err(|e| failed(&e))
}

/// Why the member has to be made anew before anything runs; nothing where it is whole, as far as can be seen.
pub fn damage(s: &Settings) -> Option<String> {
    if s.place.datastore != Datastore::Etcd {
        return None;
    }
    std::fs::read_to_string(note(&s.layout)).ok().or_else(|| gone(&s.layout))
}

/// Makes it anew; afterwards the program has to start again with the new list of members. Returns false where that was refused and the
/// old files are still there: then the member is tried once more as it is, because what ended it may have passed.
pub async fn make_anew(s: &Settings, why: &str) -> Result<bool, Problem> {
    ask_for(&s.layout, why)?; // What is gone would not be missed any more once the rest of it is set aside.
    let now = place::load(&s.layout)?;
    let members = if now.controls().any(|h| h.name != s.node) { others(s, &now).await } else { Ok(String::new()) };
    act(s, now, members, why).await
}

/// Does what was answered: begins with the new list, or is refused.
async fn act(s: &Settings, now: Place, answered: Result<String, Problem>, why: &str) -> Result<bool, Problem> {
    let members = match answered {
        Ok(members) => members,
        Err(problem) if problem.code == WAIT || gone(&s.layout).is_some() => return Err(problem),
        Err(problem) => return refuse(&s.layout, &problem).map(|()| false),
    };
    tracing::warn!(why, "etcd's member on this host is made anew; posts are not touched");
    let (layout, why) = (s.layout.clone(), why.to_owned());
    let done = tokio::task::spawn_blocking(move || {
        set_aside(&layout).map_err(|e| failed(&e))?;
        place::save(&layout, &Place { members, ..now })?;
        files::replace(&mark(&layout), why.as_bytes(), 0o600).map_err(|e| failed(&e))?;
        forget(&[note(&layout), refusal(&layout)]);
        Ok(true)
    });
    done.await.unwrap_or_else(|e| Err(failed(&std::io::Error::other(e))))
}

/// Asks the other control planes to take the old member off and to add a new one; the list with which it begins.
async fn others(s: &Settings, now: &Place) -> Result<String, Problem> {
    let member = renewal::member(s)?;
    let (mut decided, mut silent) = (None, super::etcd::too_few("no other control plane is known".into()));
    for door in doors(s, now, "") {
        match member.anew(door).await {
            Ok(answer) => return Ok(answer.members),
            Err(problem) if DECIDED.contains(&problem.code.as_str()) => decided = Some(renewal::told(problem)),
            Err(problem) => silent = super::etcd::too_few(format!("{}: {}", problem.what, problem.cause)),
        }
    }
    Err(decided.unwrap_or(silent))
}

/// Keeps what was told, for whoever asks why Kubernetes does not come up.
fn refuse(layout: &Layout, problem: &Problem) -> Result<(), Problem> {
    tracing::error!(code = %problem.code, cause = %problem.cause, next = %problem.next, "{}", problem.what);
    files::replace(&refusal(layout), &serde_json::to_vec(problem).expect("plain data"), 0o600).map_err(|e| failed(&e))?;
    forget(&[note(layout)]);
    Ok(())
}

/// Why the member could not be made anew, as long as it does not work.
pub fn refused(layout: &Layout) -> Option<Problem> {
    serde_json::from_slice(&std::fs::read(refusal(layout)).ok()?).ok()
}

fn forget(all: &[PathBuf]) {
    all.iter().for_each(|file| drop(std::fs::remove_file(file)));
}

/// The old files, beside the new ones; those of an earlier time go.
fn set_aside(layout: &Layout) -> std::io::Result<()> {
    let aside = layout.etcd().with_extension("damaged");
    if layout.etcd().exists() {
        match std::fs::remove_dir_all(&aside) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => std::fs::rename(layout.etcd(), aside)?,
        }
    }
    match std::fs::remove_file(worked(layout)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => files::sync_dir(&layout.kubernetes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::render;

    fn settings(dir: &std::path::Path) -> Settings {
        let s = Settings { layout: Layout::new(dir), place: Place { datastore: Datastore::Etcd, members: "old".into(), ..Place::alone() }, ..render::settings() };
        for folder in ["member/wal", "member/snap"] {
            std::fs::create_dir_all(s.layout.etcd().join(folder)).unwrap();
        }
        std::fs::write(s.layout.etcd().join("member/wal/0.wal"), "log").unwrap();
        std::fs::write(s.layout.etcd().join("member/snap/db"), "data").unwrap();
        s
    }

    #[test]
    fn a_member_that_ends_again_and_again_is_damaged_and_one_that_lacks_room_or_a_port_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let s = settings(dir.path());
        has_worked(&s.layout);
        assert_eq!((notice(&s, 2), damage(&s)), (None, None));
        assert_eq!(notice(&s, 3).unwrap(), "etcd ended 3 times in a row");
        std::fs::create_dir_all(s.layout.log("etcd").parent().unwrap()).unwrap();
        std::fs::write(s.layout.log("etcd"), "listen tcp 0.0.0.0:2380: bind: address already in use\n").unwrap();
        assert_eq!(notice(&s, 9), None);
        let kine = Settings { place: Place::alone(), ..s.clone() };
        std::fs::remove_dir_all(s.layout.etcd()).unwrap();
        assert_eq!((notice(&kine, 9), damage(&kine)), (None, None), "it has no member");
    }

    #[test]
    fn files_that_are_gone_are_damage_once_the_member_has_worked() {
        let dir = tempfile::tempdir().unwrap();
        let s = settings(dir.path());
        let log = s.layout.etcd().join("member/wal/0.wal");
        std::fs::remove_file(&log).unwrap();
        assert_eq!(damage(&s), None, "it begins");
        has_worked(&s.layout);
        assert!(damage(&s).is_some() && notice(&s, 0).is_some());
        std::fs::write(&log, "log").unwrap();
        assert_eq!(damage(&s), None);
        std::fs::write(s.layout.etcd().join("member/snap/db"), "").unwrap();
        assert!(damage(&s).is_some());
    }

    #[tokio::test]
    async fn the_only_member_is_set_aside_and_begins_anew_once() {
        let dir = tempfile::tempdir().unwrap();
        let s = settings(dir.path());
        place::save(&s.layout, &s.place).unwrap();
        has_worked(&s.layout);
        ask_for(&s.layout, "etcd ended 3 times in a row").unwrap();
        let why = damage(&s).unwrap();
        assert!(make_anew(&s, &why).await.unwrap());
        assert!(!s.layout.etcd().exists() && s.layout.kubernetes().join("etcd.damaged/member/snap/db").exists());
        assert_eq!(place::load(&s.layout).unwrap().members, "");
        assert_eq!((damage(&s), notice(&s, 9)), (None, None), "not again so soon");
    }

    #[tokio::test]
    async fn what_the_others_refuse_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let s = settings(dir.path());
        place::save(&s.layout, &s.place).unwrap();
        let few = || Err(crate::host::hosts::etcd::too_few("a test".into()));
        ask_for(&s.layout, "a test").unwrap();
        assert!(!act(&s, s.place.clone(), few(), "a test").await.unwrap(), "it is tried as it is");
        assert_eq!((refused(&s.layout).unwrap().code.as_str(), damage(&s), notice(&s, 9)), ("ETC-105", None, None));
        assert!(s.layout.etcd().join("member/snap/db").exists());
        assert_eq!(place::load(&s.layout).unwrap(), s.place);
        has_worked(&s.layout);
        assert!(refused(&s.layout).is_none(), "it works again");
        std::fs::remove_file(s.layout.etcd().join("member/snap/db")).unwrap();
        assert_eq!(act(&s, s.place.clone(), few(), "files of etcd are gone").await.unwrap_err().code, "ETC-105", "and never with less than it had");
        assert!(act(&s, s.place.clone(), Ok("a=1,b=2".into()), "files of etcd are gone").await.unwrap());
        assert_eq!(place::load(&s.layout).unwrap().members, "a=1,b=2");
    }
}
