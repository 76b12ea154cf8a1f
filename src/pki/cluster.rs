//! The cluster's own keys: two authorities, a certificate for every component, kubeconfigs, the service-account key
//! and the key that encrypts secrets at rest. Made once and kept; a leaf is renewed when its specification changes
//! or two thirds of its life are over. Nothing here leaves the host.

use super::encryption;
use super::kit::{self, Leaf};
use super::rotation;
use crate::files;
use base64::Engine;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// Why keys could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("cannot read or write {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A key or certificate could not be made or read.
    #[error("cannot make or read the certificate {name}")]
    Certificate { name: String, source: rcgen::Error },
}

/// What the cluster's certificates depend on.
#[derive(Clone, Debug)]
pub struct ClusterNames {
    /// Name of the node.
    pub node: String,
    /// Address of the node.
    pub node_ip: Ipv4Addr,
    /// Address of the service `kubernetes.default`.
    pub service_ip: Ipv4Addr,
    /// Port of the API server.
    pub api_port: u16,
    /// What the host is called beside its name, see [`mesh::id`](super::mesh::id).
    pub id: String,
}

/// Life of a leaf certificate.
pub const LIFE: Duration = Duration::days(365);

/// Files and names of the two authorities.
pub(super) const AUTHORITIES: [(&str, &str); 2] = [("ca", "antihate-cluster"), ("front-proxy-ca", "antihate-front-proxy")];
/// The client that aggregated API servers know the API server by.
const FRONT_CLIENT: &str = "front-proxy-client";

fn leaf(file: &str, cn: &str, org: Option<&str>, sans: Vec<String>, server: bool, client: bool) -> Leaf {
    Leaf { file: file.into(), cn: cn.into(), orgs: org.map(String::from).into_iter().collect(), sans, server, client }
}

/// The group that is one host's alone: by it, and not by a name that another may have later, a removed host is turned away.
pub fn group_of(id: &str) -> String {
    format!("antihate:id:{id}")
}

/// The leaves of the cluster authority, as a pure function of the names.
pub fn leaves(names: &ClusterNames) -> Vec<Leaf> {
    let local = || vec!["localhost".to_string(), "127.0.0.1".to_string()];
    let mut api = local();
    api.extend(["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"].map(String::from));
    api.extend([names.node.clone(), names.node_ip.to_string(), names.service_ip.to_string()]);
    let mut serving = local();
    serving.extend([names.node.clone(), names.node_ip.to_string()]);
    let member = [local(), vec![ETCD.to_string(), names.node_ip.to_string()]].concat();
    let node_user = format!("system:node:{}", names.node);
    vec![
        leaf("apiserver", "kube-apiserver", None, api, true, false),
        leaf("components", "antihate-components", None, local(), true, false),
        leaf("kubelet-server", &node_user, Some("system:nodes"), serving, true, false),
        leaf("kubelet", &node_user, Some("system:nodes"), vec![], false, true),
        leaf("apiserver-kubelet-client", "kube-apiserver", Some("system:masters"), vec![], false, true),
        leaf("controller-manager", "system:kube-controller-manager", None, vec![], false, true),
        leaf("scheduler", "system:kube-scheduler", None, vec![], false, true),
        leaf("kube-proxy", "system:kube-proxy", None, vec![], false, true),
        leaf(FLANNEL, &format!("antihate:flannel:{}", names.node), Some(FLANNELS), vec![], false, true),
        leaf("admin", "antihate-admin", Some("system:masters"), vec![], false, true),
        leaf("etcd", ETCD, None, member, true, true),
        leaf("etcd-client", "kube-apiserver", None, vec![ETCD.to_string()], false, true),
        Leaf { orgs: vec![HOSTS.into(), group_of(&names.id)], ..leaf("host", &format!("{HOST}{}", names.node), None, vec![], false, true) },
    ]
}

/// Files of the leaves that a host without a control plane has. With `host` its host process asks API servers and control planes.
pub(super) const OF_EVERY_HOST: [&str; 4] = ["kubelet-server", "kubelet", "kube-proxy", "host"];

/// The leaves of a joined host without a control plane: all of them name the host's own group.
pub fn joined_leaves(names: &ClusterNames) -> Vec<Leaf> {
    let own = group_of(&names.id);
    let of_every_host = leaves(names).into_iter().filter(|l| OF_EVERY_HOST.contains(&l.file.as_str()) || l.file == FLANNEL);
    of_every_host
        .map(|mut leaf| {
            leaf.orgs.retain(|org| *org != own);
            leaf.orgs.push(own.clone());
            leaf
        })
        .collect()
}

/// Name in the certificates of etcd's members and of their one client.
pub const ETCD: &str = "antihate-etcd";
/// What stands before a host's name in the common name of `host`.
pub const HOST: &str = "antihate:host:";
/// Group of the host processes of joined hosts.
pub const HOSTS: &str = "antihate:hosts";

/// What flannel asks the API server with, where it runs.
pub(super) const FLANNEL: &str = "flannel";
/// Group of the flannels of all hosts.
pub const FLANNELS: &str = "antihate:flannel";

/// Which leaves also get a kubeconfig.
pub const KUBECONFIGS: [&str; 6] = ["kubelet", "controller-manager", "scheduler", "kube-proxy", FLANNEL, "admin"];

/// Makes what is missing in `dir`; returns the names of what was made.
pub fn ensure(dir: &Path, names: &ClusterNames, now: OffsetDateTime) -> Result<Vec<String>, PkiError> {
    let mut made = Vec::new();
    // A promotion that was cut off comes first: until it is finished there is no whole authority, and another would be made.
    rotation::finish(dir)?;
    let [ca, front] = AUTHORITIES.map(|(file, cn)| kit::authority(dir, file, cn, now));
    let (ca, front) = (ca?, front?);
    rotation::publish(dir)?;
    for leaf in leaves(names) {
        if ca.ensure(dir, &leaf, LIFE, now)? {
            made.push(leaf.file);
        }
    }
    let client = leaf(FRONT_CLIENT, FRONT_CLIENT, None, vec![], false, true);
    if front.ensure(dir, &client, LIFE, now)? {
        made.push(client.file);
    }
    kubeconfigs(dir, &KUBECONFIGS, names.api_port)?;
    service_account_key(dir, &mut made)?;
    if encryption::ensure(dir)? {
        made.push("encryption".into());
    }
    Ok(made)
}

/// Writes a kubeconfig for each of `users` out of its certificate and what is trusted.
pub(super) fn kubeconfigs(dir: &Path, users: &[&str], api_port: u16) -> Result<(), PkiError> {
    for (path, text) in wanted_kubeconfigs(dir, users, api_port)? {
        files::replace_if_changed(&path, text.as_bytes(), 0o600).map_err(|source| PkiError::File { path, source })?;
    }
    Ok(())
}

fn wanted_kubeconfigs(dir: &Path, users: &[&str], api_port: u16) -> Result<Vec<(PathBuf, String)>, PkiError> {
    let trusted = read(dir, "trust", "crt")?;
    let one = |user: &&str| -> Result<(PathBuf, String), PkiError> {
        let text = kubeconfig(user, &trusted, &read(dir, user, "crt")?, &read(dir, user, "key")?, &format!("127.0.0.1:{api_port}"));
        Ok((dir.join(format!("{user}.kubeconfig")), text))
    };
    users.iter().map(one).collect()
}

/// A kubeconfig for a person: `user` in `group`, for a client that reaches the API server at `server` (`HOST:PORT`). Nobody can take
/// it back before it ends, so `life` is to be short. Nothing of it is kept.
pub fn for_person(dir: &Path, (user, group): (&str, &str), server: &str, life: Duration, now: OffsetDateTime) -> Result<String, PkiError> {
    let missing = || PkiError::File { path: dir.join("ca.crt"), source: std::io::ErrorKind::NotFound.into() };
    let ca = kit::existing(dir, AUTHORITIES[0].0, now).ok_or_else(missing)?;
    let (crt, key) = ca.issue(&leaf(user, user, Some(group), vec![], false, true), life, now)?;
    Ok(kubeconfig(user, &read(dir, "trust", "crt")?, &crt, &key, server))
}

/// True when `ensure` would make something anew at this time: a certificate's last third has begun, it does not hold yet, or a file
/// is not what was written.
pub fn is_due(dir: &Path, api_port: u16, now: OffsetDateTime) -> bool {
    let names = ClusterNames { node: String::new(), node_ip: Ipv4Addr::UNSPECIFIED, service_ip: Ipv4Addr::UNSPECIFIED, api_port, id: String::new() };
    let leaves = leaves(&names).into_iter().map(|leaf| leaf.file).chain([FRONT_CLIENT.to_string()]).map(|file| (file, kit::leaf_rest(LIFE)));
    let authorities = AUTHORITIES.map(|(file, _)| (file.to_string(), kit::AUTHORITY_REST));
    let fits = |file: &str, rest| kit::is_whole(dir, file) && read(dir, file, "crt").is_ok_and(|pem| kit::holds(&pem, rest, now));
    rotation::is_due(dir) || leaves.chain(authorities).any(|(file, rest)| !fits(&file, rest)) || !others_fit(dir, api_port)
}

/// What is no certificate is as `ensure` leaves it.
fn others_fit(dir: &Path, api_port: u16) -> bool {
    let same = |(path, text): (PathBuf, String)| std::fs::read_to_string(path).is_ok_and(|there| there == text);
    let kubeconfigs = wanted_kubeconfigs(dir, &KUBECONFIGS, api_port).is_ok_and(|all| all.into_iter().all(same));
    kubeconfigs && service_account_fits(dir) && encryption::exists(dir)
}

/// True when the certificate at `path` is there and ends within `rest`, whoever signed it.
pub fn is_near_its_end(path: &Path, rest: Duration, now: OffsetDateTime) -> bool {
    std::fs::read_to_string(path).is_ok_and(|pem| !kit::holds(&pem, rest, now))
}

pub(super) fn read(dir: &Path, name: &str, ending: &str) -> Result<String, PkiError> {
    let path = dir.join(format!("{name}.{ending}"));
    std::fs::read_to_string(&path).map_err(|source| PkiError::File { path, source })
}

/// A kubeconfig that carries everything it needs; JSON, which is YAML.
fn kubeconfig(user: &str, ca: &str, crt: &str, key: &str, server: &str) -> String {
    let b64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let value = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "antihate",
        "clusters": [{"name": "antihate", "cluster": {"server": format!("https://{server}"), "certificate-authority-data": b64(ca)}}],
        "users": [{"name": user, "user": {"client-certificate-data": b64(crt), "client-key-data": b64(key)}}],
        "contexts": [{"name": "antihate", "context": {"cluster": "antihate", "user": user}}],
    });
    serde_json::to_string_pretty(&value).expect("plain data")
}

fn service_account_fits(dir: &Path) -> bool {
    let (key, public) = (read(dir, "sa", "key"), read(dir, "sa", "pub"));
    let pair = key.ok().and_then(|pem| rcgen::KeyPair::from_pem(&pem).ok());
    pair.is_some_and(|pair| public.is_ok_and(|p| p == pair.public_key_pem()))
}

fn service_account_key(dir: &Path, made: &mut Vec<String>) -> Result<(), PkiError> {
    if service_account_fits(dir) {
        return Ok(());
    }
    let (key, public) = (dir.join("sa.key"), dir.join("sa.pub"));
    let pair = rcgen::KeyPair::generate().map_err(|source| PkiError::Certificate { name: "sa".into(), source })?;
    files::replace(&key, pair.serialize_pem().as_bytes(), 0o600).map_err(|source| PkiError::File { path: key, source })?;
    files::replace(&public, pair.public_key_pem().as_bytes(), 0o644).map_err(|source| PkiError::File { path: public, source })?;
    made.push("sa".into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> ClusterNames {
        ClusterNames { node: "leaf".into(), node_ip: [10, 9, 0, 2].into(), service_ip: [10, 100, 0, 1].into(), api_port: 6443, id: "1".into() }
    }

    #[test]
    fn a_second_call_makes_nothing_and_a_new_address_renews_only_what_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        assert!(ensure(dir.path(), &names(), now).unwrap().len() > 10);
        assert_eq!(ensure(dir.path(), &names(), now).unwrap(), Vec::<String>::new());
        let moved = ClusterNames { node_ip: [10, 9, 0, 3].into(), ..names() };
        assert_eq!(ensure(dir.path(), &moved, now).unwrap(), ["apiserver", "kubelet-server", "etcd"]);
    }

    #[test]
    fn what_was_damaged_is_made_anew_and_a_damaged_authority_takes_its_leaves_along() {
        let dir = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let all = ensure(dir.path(), &names(), now).unwrap().len();
        let damage = |file: &str, how: fn(&mut Vec<u8>)| {
            let mut raw = std::fs::read(dir.path().join(file)).unwrap();
            how(&mut raw);
            std::fs::write(dir.path().join(file), raw).unwrap();
        };
        let flip: fn(&mut Vec<u8>) = |raw| raw[100] ^= 1;
        for (file, made) in [("scheduler.crt", "scheduler"), ("admin.key", "admin"), ("sa.key", "sa"), ("sa.pub", "sa"), ("encryption.yaml", "encryption")] {
            damage(file, if file == "encryption.yaml" { |raw| raw.truncate(90) } else { flip });
            assert!(is_due(dir.path(), 6443, now), "{file}: also seen while the node runs");
            assert_eq!(ensure(dir.path(), &names(), now).unwrap(), [made], "{file}");
        }
        damage("scheduler.kubeconfig", flip);
        assert!(is_due(dir.path(), 6443, now) && ensure(dir.path(), &names(), now).unwrap().is_empty() && !is_due(dir.path(), 6443, now));
        damage("ca.crt", flip);
        assert!(is_due(dir.path(), 6443, now));
        assert_eq!(ensure(dir.path(), &names(), now).unwrap().len(), all - 3, "all leaves of this authority");
        assert!(ensure(dir.path(), &names(), now).unwrap().is_empty());
    }

    #[test]
    fn leaves_are_renewed_in_the_last_third_of_their_life() {
        let dir = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        assert!(is_due(dir.path(), 6443, now), "nothing is there");
        ensure(dir.path(), &names(), now).unwrap();
        let later = |days| now + Duration::days(days);
        assert!(!is_due(dir.path(), 6443, later(200)) && ensure(dir.path(), &names(), later(200)).unwrap().is_empty());
        assert!(is_due(dir.path(), 6443, later(300)) && ensure(dir.path(), &names(), later(300)).unwrap().contains(&"admin".to_string()));
    }

    #[test]
    fn what_a_wrong_clock_made_is_made_anew_once_the_clock_is_right() {
        let dir = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let (ahead, all) = (now + Duration::days(400), ensure(dir.path(), &names(), now).unwrap().len());
        let before = std::fs::read(dir.path().join("ca.crt")).unwrap();
        ensure(dir.path(), &names(), ahead).unwrap();
        assert_eq!(std::fs::read(dir.path().join("ca.crt")).unwrap(), before, "an authority outlives its leaves");
        // Two minutes back is no reason, a year is.
        assert!(!is_due(dir.path(), 6443, ahead - Duration::minutes(2)) && is_due(dir.path(), 6443, now));
        assert_eq!(ensure(dir.path(), &names(), now).unwrap().len(), all - 2, "all leaves; keys have no time");
        let late = now + Duration::days(3650 - 300);
        assert!(is_due(dir.path(), 6443, late));
        ensure(dir.path(), &names(), late).unwrap();
        assert_ne!(std::fs::read(dir.path().join("ca.crt")).unwrap(), before, "an authority near its end is made anew");
    }

    #[test]
    fn the_api_server_certificate_names_every_way_to_reach_it_and_chains_to_the_authority() {
        let dir = tempfile::tempdir().unwrap();
        ensure(dir.path(), &names(), OffsetDateTime::now_utc()).unwrap();
        let pem = |f: &str| x509_parser::pem::parse_x509_pem(&std::fs::read(dir.path().join(f)).unwrap()).unwrap().1;
        let (ca, api) = (pem("ca.crt"), pem("apiserver.crt"));
        let (ca, api) = (ca.parse_x509().unwrap(), api.parse_x509().unwrap());
        api.verify_signature(Some(ca.public_key())).unwrap();
        let sans = format!("{:?}", api.subject_alternative_name().unwrap().unwrap().value);
        for name in ["kubernetes.default.svc.cluster.local", "localhost", "[10, 9, 0, 2]", "[10, 100, 0, 1]", "[127, 0, 0, 1]"] {
            assert!(sans.contains(name), "{name} is missing in {sans}");
        }
    }

    #[test]
    fn keys_can_be_read_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        ensure(dir.path(), &names(), OffsetDateTime::now_utc()).unwrap();
        for file in ["ca.key", "apiserver.key", "sa.key", "encryption.yaml", "admin.kubeconfig"] {
            assert_eq!(std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
    }
}
