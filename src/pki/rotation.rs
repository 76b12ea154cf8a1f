//! Another authority for the cluster while it runs, in three steps between which everything is started anew: the next one is
//! announced (everybody trusts both), it signs (what the old one signed still holds), the old one is forgotten. Each step is a
//! change of files that may be cut off anywhere and is finished by the next call of [`settle`].

use super::cluster::{AUTHORITIES, PkiError};
use super::kit;
use crate::files;
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

/// Every authority that is to be trusted now, PEM, the signing one first.
fn trusted(dir: &Path) -> String {
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

/// Finishes a step that was cut off, and writes the trusted authorities.
pub fn settle(dir: &Path) -> Result<(), PkiError> {
    if is_half_done(dir) {
        take_over(dir)?;
    }
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
    let path = dir.join(OLD);
    std::fs::remove_file(&path).map_err(|source| PkiError::File { path, source })
}

/// The old certificate was set aside and the next authority's files still have their old names.
fn is_half_done(dir: &Path) -> bool {
    dir.join(OLD).exists() && dir.join(format!("{NEXT}.crt")).exists()
}

/// Certificate last: as long as it has its old name, this is done once more.
fn take_over(dir: &Path) -> Result<(), PkiError> {
    for (ending, mode) in [("key", 0o600), ("json", 0o644), ("crt", 0o644)] {
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
        let names = ClusterNames { node: "leaf".into(), node_ip: [10, 9, 0, 2].into(), service_ip: [10, 100, 0, 1].into(), api_port: 6443 };
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
        assert_eq!(made(dir), 12, "all leaves of this authority");
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
        assert_eq!(made(dir), 12);
        assert_eq!(read(dir, "ca.crt").unwrap(), second);
        assert_eq!(read(dir, TRUST).unwrap(), format!("{second}{first}"));
    }
}
