//! Keys of a joined host. A control plane hands them out over the pinned connection of the join, and again by the renewal; a host
//! without a control plane keeps a few leaves, one with it gets the authorities and makes its leaves itself.

use super::cluster::{self, ClusterNames, FLANNEL, LIFE, OF_EVERY_HOST, PkiError, joined_leaves};
use super::{encryption, kit, rotation};
use crate::files;
use std::collections::BTreeMap;
use std::path::Path;
use time::OffsetDateTime;

/// Names and contents of files of the cluster's key folder.
pub type Files = BTreeMap<String, String>;

/// What a joined host's kubeconfigs are for.
const USERS: [&str; 3] = ["kubelet", "kube-proxy", "host"];
/// What a control plane shares with another: authorities, the key of service accounts, the keys of secrets.
const SHARED: [&str; 9] =
    ["ca.crt", "ca.key", "ca.json", "front-proxy-ca.crt", "front-proxy-ca.key", "front-proxy-ca.json", "sa.key", "sa.pub", "encryption.yaml"];

/// Everything that another control plane is to hold while keys are changed, and whom this one trusts.
pub fn pattern(dir: &Path) -> Result<Files, PkiError> {
    let mut all = shared(dir)?;
    all.extend(rotation::FILES.iter().filter_map(|name| Some((name.to_string(), std::fs::read_to_string(dir.join(name)).ok()?))));
    all.insert("trust.crt".into(), rotation::trusted(dir));
    Ok(all)
}

/// Takes over from another control plane's [`pattern`] what may change while the cluster runs: its authority and the keys of secrets.
pub fn follow(dir: &Path, given: &Files) -> Result<(), PkiError> {
    rotation::follow(dir, given)?;
    let path = encryption::file(dir);
    match given.get("encryption.yaml") {
        Some(text) => files::replace_if_changed(&path, text.as_bytes(), 0o600).map(drop).map_err(|source| PkiError::File { path, source }),
        None => Ok(()),
    }
}

/// Signs the leaves of a host without a control plane; keeps nothing of them.
pub fn issue(dir: &Path, names: &ClusterNames, now: OffsetDateTime) -> Result<Files, PkiError> {
    let ca = signing(dir, now)?;
    let mut all = Files::new();
    for leaf in joined_leaves(names) {
        let (crt, key) = ca.issue(&leaf, LIFE, now)?;
        all.insert(format!("{}.crt", leaf.file), crt);
        all.insert(format!("{}.key", leaf.file), key);
    }
    all.insert("trust.crt".into(), text(&rotation::trust(dir))?);
    Ok(all)
}

/// What another control plane needs of this one.
pub fn shared(dir: &Path) -> Result<Files, PkiError> {
    SHARED.iter().map(|name| Ok((name.to_string(), text(&dir.join(name))?))).collect()
}

/// Writes what was handed out; only names that are handed out, whatever the other side sent. Certificates go last, so that one cut
/// off is seen as missing.
pub fn adopt(dir: &Path, given: &Files) -> Result<(), PkiError> {
    let known = |name: &str| SHARED.contains(&name) || name == "trust.crt" || name.rsplit_once('.').is_some_and(|(file, end)| (OF_EVERY_HOST.contains(&file) || file == FLANNEL) && ["crt", "key"].contains(&end));
    let (last, first): (Vec<_>, Vec<_>) = given.iter().filter(|(name, _)| known(name)).partition(|(name, _)| name.ends_with(".crt"));
    for (name, content) in first.into_iter().chain(last) {
        let path = dir.join(name);
        files::replace(&path, content.as_bytes(), 0o600).map_err(|source| PkiError::File { path, source })?;
    }
    Ok(())
}

/// Sees that a joined host's keys are there and writes its kubeconfigs.
pub fn ensure(dir: &Path, api_port: u16) -> Result<(), PkiError> {
    for file in OF_EVERY_HOST {
        drop((cluster::read(dir, file, "crt")?, cluster::read(dir, file, "key")?));
    }
    // One that joined before there was an open mode has none, and needs none.
    let flannel = dir.join(format!("{FLANNEL}.crt")).exists().then_some(FLANNEL);
    cluster::kubeconfigs(dir, &USERS.into_iter().chain(flannel).collect::<Vec<_>>(), api_port)
}

/// A joined host should ask for new certificates: a last third has begun, or one cannot be read.
pub fn is_due(dir: &Path, now: OffsetDateTime) -> bool {
    OF_EVERY_HOST.iter().any(|file| !cluster::read(dir, file, "crt").is_ok_and(|pem| kit::holds(&pem, kit::leaf_rest(LIFE), now)))
}

/// True when another control plane's secrets could be read with what lies in `dir`.
#[cfg(test)]
pub fn has_shared(dir: &Path) -> bool {
    SHARED.iter().all(|name| dir.join(name).exists()) && encryption::exists(dir)
}

fn signing(dir: &Path, now: OffsetDateTime) -> Result<kit::Authority, PkiError> {
    let missing = || PkiError::File { path: dir.join("ca.crt"), source: std::io::ErrorKind::NotFound.into() };
    kit::existing(dir, cluster::AUTHORITIES[0].0, now).ok_or_else(missing)
}

fn text(path: &Path) -> Result<String, PkiError> {
    std::fs::read_to_string(path).map_err(|source| PkiError::File { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(node: &str) -> ClusterNames {
        ClusterNames { node: node.into(), node_ip: [192, 0, 2, 7].into(), service_ip: [10, 43, 0, 1].into(), api_port: 6443, id: node.repeat(2) }
    }

    #[test]
    fn a_joined_host_gets_its_own_leaves_and_no_authority() {
        let (control, joined) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let now = OffsetDateTime::now_utc();
        cluster::ensure(control.path(), &names("a"), now).unwrap();
        let given = issue(control.path(), &names("b"), now).unwrap();
        assert!(!given.keys().any(|name| name.starts_with("ca.")), "{:?}", given.keys());
        assert!(is_due(joined.path(), now) && ensure(joined.path(), 6443).is_err());
        adopt(joined.path(), &given).unwrap();
        ensure(joined.path(), 6443).unwrap();
        assert!(!is_due(joined.path(), now) && is_due(joined.path(), now + time::Duration::days(250)));
        let text = std::fs::read_to_string(joined.path().join("host.kubeconfig")).unwrap();
        assert!(joined.path().join("flannel.kubeconfig").exists());
        std::fs::remove_file(joined.path().join("flannel.crt")).unwrap();
        ensure(joined.path(), 6443).unwrap();
        assert!(!is_due(joined.path(), now), "a host of an encrypted cluster does without");
        assert!(text.contains("127.0.0.1:6443") && !joined.path().join("admin.kubeconfig").exists());
    }

    #[test]
    fn another_control_plane_has_the_same_authorities_and_leaves_of_its_own() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let now = OffsetDateTime::now_utc();
        cluster::ensure(one.path(), &names("a"), now).unwrap();
        adopt(two.path(), &shared(one.path()).unwrap()).unwrap();
        assert!(has_shared(two.path()));
        let made = cluster::ensure(two.path(), &names("b"), now).unwrap();
        assert!(!made.contains(&"sa".to_string()) && !made.contains(&"encryption".to_string()) && made.contains(&"apiserver".to_string()));
        let read = |dir: &Path, file: &str| std::fs::read(dir.join(file)).unwrap();
        for file in ["ca.crt", "front-proxy-ca.crt", "sa.key", "encryption.yaml", "trust.crt"] {
            assert_eq!(read(one.path(), file), read(two.path(), file), "{file}");
        }
        assert_ne!(read(one.path(), "apiserver.key"), read(two.path(), "apiserver.key"));
    }

    #[test]
    fn names_that_are_not_handed_out_are_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let given = Files::from([("../outside.crt".into(), "x".into()), ("admin.crt".into(), "x".into()), ("host.crt".into(), "x".into())]);
        adopt(dir.path(), &given).unwrap();
        let all: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(all, ["host.crt"]);
    }
}
