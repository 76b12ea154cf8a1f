//! The part of a first start that lies in files: folders, rendered configuration, the distribution and a model unpacked, keys, the
//! page's certificate, the host's place. By the functions that the steps of `antihate up` call, in their order.

use crate::mesh::settings;
use antihate::config::Place;
use antihate::host::settings::{API_PORT, SERVICE_IP};
use antihate::host::{place, prepare};
use antihate::payload::{Payload, Places, unpack_kubernetes, unpack_models, verify_unpacked};
use antihate::pki::cluster::{ClusterNames, ensure};
use antihate::pki::{mesh, page};
use antihate::status::Problem;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use time::OffsetDateTime;

/// What the process that is watched says when its work is done.
pub const DONE: &[u8] = b"the work is done\n";
/// Files of the made-up distribution, and bytes of each.
const FILES: usize = 6;
const SIZE: usize = 40_000;

/// Writes a small distribution and a model to `folder`, as a build leaves them.
pub fn carried(folder: &Path) {
    let kubernetes = folder.join("kubernetes");
    std::fs::create_dir_all(kubernetes.join("cni")).expect("a folder");
    let listed: Vec<_> = (0..FILES).map(|n| {
        let (path, raw) = (if n == 0 { "cni/ptp".to_string() } else { format!("part-{n}") }, vec![b'a' + n as u8; SIZE]);
        std::fs::write(kubernetes.join(&path), &raw).expect("written");
        serde_json::json!({"name": path, "version": "1", "licence": "Apache-2.0", "path": path, "sha256": hex::encode(Sha256::digest(&raw)), "size": SIZE, "source": ""})
    }).collect();
    std::fs::write(kubernetes.join("payload.json"), serde_json::to_vec(&listed).expect("JSON")).expect("written");
}

fn payload(carried: &Path, data: &Path) -> Result<Payload, Problem> {
    let places = Places { embedded: None, program: None, given: vec![carried.join("kubernetes")], data: data.to_path_buf() };
    Payload::open(&places).map_err(|e| e.problem())
}

/// Does the work below `data`; doing it again goes on with it. Returns what had to be made.
pub fn install(carried: &Path, data: &Path) -> Result<Vec<String>, Problem> {
    let (s, now) = (settings(data, "leaf-1", Ipv4Addr::new(192, 0, 2, 10), Place::alone()), OffsetDateTime::now_utc());
    let failed = |what: &dyn std::error::Error| Problem::new("KEY-101", what.to_string(), std::error::Error::source(what).map(|e| e.to_string()).unwrap_or_default(), "");
    let payload = payload(carried, data)?;
    prepare::folders(&s)?;
    let mut made: Vec<String> = prepare::configuration(&s)?.into_iter().map(|p| p.display().to_string()).collect();
    payload.check_once(data, &|_, _| {}).map_err(|e| e.problem())?;
    let space = |_: &Path| Ok(u64::MAX);
    let unpacked = unpack_kubernetes(&payload, data, &space, &mut |_, _| {}).map_err(|e| e.problem())?;
    made.extend((unpacked.written > 0).then(|| "the distribution".to_string()));
    made.extend(unpack_models(&payload, data, &space).map_err(|e| e.problem())?.into_iter().map(|p| p.display().to_string()));
    let id = mesh::id(&mesh::ensure(&s.layout.pki()).map_err(|e| failed(&e))?.public);
    let names = ClusterNames { node: s.node.clone(), node_ip: s.node_ip, service_ip: SERVICE_IP, api_port: API_PORT, id };
    made.extend(ensure(&s.layout.pki(), &names, now).map_err(|e| failed(&e))?);
    page::ensure(&s.layout.pki(), &["leaf-1".into()], &[s.node_ip.into()], now).map_err(|e| failed(&e))?;
    made.extend(place::save(&s.layout, &s.place)?.then(|| "the place".to_string()));
    Ok(made)
}

/// What lies below a folder: permissions with the sum of a file, the target of a link.
pub type Tree = BTreeMap<String, (u32, String)>;

/// Reads it.
pub fn tree(root: &Path) -> Tree {
    let mut all = Tree::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, meta) = (entry.path(), entry.metadata().expect("it is there"));
            let content = match meta.file_type() {
                t if t.is_dir() => String::new(),
                t if t.is_symlink() => std::fs::read_link(&path).expect("a link").display().to_string(),
                _ => hex::encode(Sha256::digest(std::fs::read(&path).expect("read"))),
            };
            all.insert(path.strip_prefix(root).expect("below").display().to_string(), (meta.permissions().mode() & 0o7777, content));
            open.extend(meta.is_dir().then_some(path));
        }
    }
    all
}

/// What is wrong with a node's files after the work; nothing when they are as `wanted`, a tree of the same work on another disk.
/// Keys differ from disk to disk: of files that do so only places and permissions are compared, and that they fit together.
pub fn fault(carried: &Path, data: &Path, wanted: &Tree, fixed: &[String]) -> Option<String> {
    let now = tree(data);
    let names = |t: &Tree| t.keys().cloned().collect::<Vec<_>>();
    if names(&now) != names(wanted) {
        let (more, less) = (names(&now).into_iter().find(|n| !wanted.contains_key(n)), names(wanted).into_iter().find(|n| !now.contains_key(n)));
        return Some(format!("too much: {more:?}, missing: {less:?}"));
    }
    if let Some((name, _)) = now.iter().find(|(name, (mode, content))| *mode != wanted[*name].0 || fixed.contains(name) && *content != wanted[*name].1) {
        return Some(format!("{name} is not as it should be"));
    }
    let payload = payload(carried, data).ok()?;
    if !matches!(verify_unpacked(&payload, data), Ok(Some(n)) if n == (FILES * SIZE) as u64) {
        return Some("what is unpacked is not what was carried".into());
    }
    if let Err(e) = antihate::host::probe::Tls::new(&data.join("pki")) {
        return Some(format!("the keys do not fit together: {e}"));
    }
    match install(carried, data) {
        Ok(made) if made.is_empty() && tree(data) == now => None,
        Ok(made) => Some(format!("a second time changes something: {made:?}")),
        Err(p) => Some(format!("a second time fails: {} {}", p.code, p.cause)),
    }
}
