//! Another authority for the cluster while it runs, in three steps between which everything is started anew: the next one is
//! announced (everybody trusts both), it signs (what the old one signed still holds), the old one is forgotten. Each step is a
//! change of files that may be cut off anywhere and is finished by the next call of [`finish`]. Other control planes [`follow`] the one
//! on which it is done.

use super::cluster::{AUTHORITIES, PkiError};
use super::kit;
use crate::files;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// How far a rotation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// One authority.
    Idle,
    /// The next one is trusted.
    Announced,
    /// The next one signs, the old one is trusted.
    Signing,
}

const NEXT: &str = "ca-next";
const OLD: &str = "ca-old.crt";
const TRUST: &str = "trust.crt";

fn write(path: PathBuf, text: &str, mode: u32) -> Result<bool, PkiError> {
    files::replace_if_changed(&path, text.as_bytes(), mode).map_err(|source| PkiError::File { path, source })
}

fn read(dir: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(dir.join(file)).ok()
}

/// How far it has come in `dir`.
pub fn phase(dir: &Path) -> Phase {
    match (dir.join(OLD).exists(), dir.join(format!("{NEXT}.crt")).exists()) {
        (true, _) => Phase::Signing,
        (false, true) => Phase::Announced,
        (false, false) => Phase::Idle,
    }
}

/// Every authority that is to be trusted now, PEM, the signing one first: it differs after every step.
pub fn trusted(dir: &Path) -> String {
    let all = [format!("{}.crt", AUTHORITIES[0].0), format!("{NEXT}.crt"), OLD.to_string()];
    let mut found: Vec<String> = all.iter().filter_map(|file| read(dir, file)).collect();
    found.dedup();
    found.concat()
}

/// The file that names every trusted authority.
pub fn trust(dir: &Path) -> PathBuf {
    dir.join(TRUST)
}

/// True when what runs does not trust what it should trust yet.
pub fn is_due(dir: &Path) -> bool {
    is_half_done(dir) || read(dir, TRUST) != Some(trusted(dir))
}

/// Finishes a step that was cut off.
pub fn finish(dir: &Path) -> Result<(), PkiError> {
    if is_half_done(dir) { take_over(dir) } else { Ok(()) }
}

/// Writes the trusted authorities, for those who start now.
pub fn publish(dir: &Path) -> Result<(), PkiError> {
    write(trust(dir), &trusted(dir), 0o644).map(drop)
}

/// Makes the next authority, to be trusted from the next start on.
pub fn announce(dir: &Path, now: OffsetDateTime) -> Result<(), PkiError> {
    kit::authority(dir, NEXT, AUTHORITIES[0].1, now).map(drop)
}

/// Lets the next authority sign from the next start on.
pub fn promote(dir: &Path) -> Result<(), PkiError> {
    let old = read(dir, &format!("{}.crt", AUTHORITIES[0].0)).unwrap_or_default();
    write(dir.join(OLD), &old, 0o644)?;
    take_over(dir)
}

/// Ends the trust in the old authority.
pub fn forget(dir: &Path) -> Result<(), PkiError> {
    absent(dir, OLD)
}

/// Files of a rotation that another control plane needs, beside those of the authority itself.
pub const FILES: [&str; 4] = ["ca-next.crt", "ca-next.key", "ca-next.json", OLD];

/// Brings `dir` to the step at which another control plane is, of which `given` are the files.
pub fn follow(dir: &Path, given: &BTreeMap<String, String>) -> Result<(), PkiError> {
    let of = |file: &str, ending: &str| given.get(&format!("{file}.{ending}"));
    let signing = AUTHORITIES[0].0;
    finish(dir)?;
    if of(signing, "crt").is_some_and(|crt| read(dir, &format!("{signing}.crt")).as_ref() != Some(crt)) {
        stage(dir, |ending| of(signing, ending))?;
        promote(dir)?;
    }
    match given.get(OLD) {
        Some(old) => drop(write(dir.join(OLD), old, 0o644)?),
        None => absent(dir, OLD)?,
    }
    match of(NEXT, "crt") {
        Some(_) => stage(dir, |ending| of(NEXT, ending)),
        None => NEXT_ENDINGS.iter().try_for_each(|(ending, _)| absent(dir, &format!("{NEXT}.{ending}"))),
    }
}

/// In this order: with the certificate it counts as there.
const NEXT_ENDINGS: [(&str, u32); 3] = [("key", 0o600), ("json", 0o644), ("crt", 0o644)];

fn stage<'a>(dir: &Path, of: impl Fn(&str) -> Option<&'a String>) -> Result<(), PkiError> {
    for (ending, mode) in NEXT_ENDINGS {
        let path = dir.join(format!("{NEXT}.{ending}"));
        let missing = || PkiError::File { path: path.clone(), source: std::io::ErrorKind::NotFound.into() };
        write(path.clone(), of(ending).ok_or_else(missing)?, mode)?;
    }
    Ok(())
}

fn absent(dir: &Path, file: &str) -> Result<(), PkiError> {
    let path = dir.join(file);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(PkiError::File { path, source }),
        _ => Ok(()),
    }
}

/// The old certificate was set aside and the next authority's files still have their old names.
fn is_half_done(dir: &Path) -> bool {
    dir.join(OLD).exists() && dir.join(format!("{NEXT}.crt")).exists()
}

/// Certificate last: as long as it has its old name, this is done once more.
fn take_over(dir: &Path) -> Result<(), PkiError> {
    for (ending, mode) in NEXT_ENDINGS {
        let text = read(dir, &format!("{NEXT}.{ending}")).unwrap_or_default();
        write(dir.join(format!("{}.{ending}", AUTHORITIES[0].0)), &text, mode)?;
    }
    for ending in ["crt", "json", "key"] {
        drop(std::fs::remove_file(dir.join(format!("{NEXT}.{ending}"))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::cluster::{ClusterNames, ensure};

    fn made(dir: &Path) -> usize {
        let names = ClusterNames { node: "leaf".into(), node_ip: [10, 9, 0, 2].into(), service_ip: [10, 100, 0, 1].into(), api_port: 6443, id: "1".into() };
        ensure(dir, &names, OffsetDateTime::now_utc()).unwrap().len()
    }

    #[test]
    fn each_step_keeps_what_the_step_before_it_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        made(dir);
        let pem = |file: &str| read(dir, file).unwrap();
        let first = pem("ca.crt");
        assert!(phase(dir) == Phase::Idle && !is_due(dir) && pem(TRUST) == first);

        announce(dir, OffsetDateTime::now_utc()).unwrap();
        assert!(phase(dir) == Phase::Announced && is_due(dir));
        assert_eq!(made(dir), 0, "nothing is signed anew yet");
        let second = pem("ca-next.crt");
        assert_eq!(pem(TRUST), format!("{first}{second}"));
        announce(dir, OffsetDateTime::now_utc()).unwrap();
        assert_eq!(pem("ca-next.crt"), second, "begun once");

        promote(dir).unwrap();
        assert!(phase(dir) == Phase::Signing && is_due(dir));
        assert_eq!(made(dir), 13, "all leaves of this authority");
        assert_eq!((pem("ca.crt"), pem(TRUST)), (second.clone(), format!("{second}{first}")));

        forget(dir).unwrap();
        assert!(phase(dir) == Phase::Idle && is_due(dir));
        assert_eq!((made(dir), pem(TRUST)), (0, second));
        assert!(!is_due(dir));
    }

    #[test]
    fn a_promotion_that_was_cut_off_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        made(dir);
        announce(dir, OffsetDateTime::now_utc()).unwrap();
        let (first, second) = (read(dir, "ca.crt").unwrap(), read(dir, "ca-next.crt").unwrap());
        // Cut off after the key.
        std::fs::write(dir.join(OLD), &first).unwrap();
        std::fs::copy(dir.join("ca-next.key"), dir.join("ca.key")).unwrap();
        assert!(is_due(dir));
        assert_eq!(made(dir), 13);
        assert_eq!(read(dir, "ca.crt").unwrap(), second);
        assert_eq!(read(dir, TRUST).unwrap(), format!("{second}{first}"));
    }

    /// What a control plane hands to another one.
    fn handed(dir: &Path) -> BTreeMap<String, String> {
        let all = ["ca.crt", "ca.key", "ca.json"].into_iter().chain(FILES);
        all.filter_map(|file| Some((file.to_string(), read(dir, file)?))).collect()
    }

    #[test]
    fn another_control_plane_follows_every_step_also_several_at_once_and_after_a_kill() {
        let (one, two, late) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two, late) = (one.path(), two.path(), late.path());
        made(one);
        for dir in [two, late] {
            for (file, text) in handed(one) {
                std::fs::write(dir.join(file), text).unwrap();
            }
            made(dir);
        }
        let old = read(one, "ca.crt").unwrap();
        let steps: [fn(&Path); 3] = [|d| announce(d, OffsetDateTime::now_utc()).unwrap(), |d| promote(d).unwrap(), |d| forget(d).unwrap()];
        for (n, step) in steps.into_iter().enumerate() {
            step(one);
            // Killed in the middle: the key of the other one's authority lies there already.
            if n == 1 {
                std::fs::write(two.join(OLD), &old).unwrap();
                std::fs::write(two.join("ca.key"), read(one, "ca.key").unwrap()).unwrap();
            }
            for _ in 0..2 {
                follow(two, &handed(one)).unwrap();
                assert_eq!((phase(two), trusted(two)), (phase(one), trusted(one)));
            }
            assert_eq!(made(one), made(two), "both issue the same leaves anew");
            assert_eq!(handed(one), handed(two));
        }
        // It was away for all of it; what it signs is anew.
        follow(late, &handed(one)).unwrap();
        assert_eq!(made(late), 13);
        assert!(handed(late) == handed(one) && trusted(late) != old);
    }
}
