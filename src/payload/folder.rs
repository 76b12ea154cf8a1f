//! Entries from folders: what the build scripts leave behind, used as it lies there or made into a pack.
//!
//! A folder is a Kubernetes payload (`payload.json`), an OCI layout (`oci-layout`) or a model (`model.toml`); any other
//! folder is looked through one level deeper, so that one folder can hold all three.

use super::format::safe_path;
use super::item::{Body, Source};
use super::{model, Entry, Item, Kind, PackError};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The entries that `path` stands for: a folder as described above, or a single file.
pub fn collect(path: &Path) -> Result<Vec<Item>, PackError> {
    if path.is_file() {
        return single(path).map(|item| vec![item]);
    }
    let items = look(path, 2)?;
    if items.is_empty() {
        return Err(bad(path, "it holds no payload.json, oci-layout or model.toml"));
    }
    Ok(items)
}

fn look(path: &Path, depth: u8) -> Result<Vec<Item>, PackError> {
    if path.join("payload.json").is_file() {
        return kubernetes(path);
    }
    if path.join("oci-layout").is_file() {
        return layout(path);
    }
    if path.join("model.toml").is_file() {
        return model::pack(path).map(|item| vec![item]);
    }
    let mut items = Vec::new();
    if depth > 0 {
        for child in children(path)?.into_iter().filter(|child| child.is_dir()) {
            items.extend(look(&child, depth - 1)?);
        }
    }
    Ok(items)
}

/// The folder's entries in the order of their names, so that two runs agree.
pub(super) fn children(path: &Path) -> Result<Vec<PathBuf>, PackError> {
    let io = |e| PackError::io("read", path, e);
    let names: Result<Vec<PathBuf>, _> = std::fs::read_dir(path).map_err(io)?.map(|entry| entry.map(|e| e.path())).collect();
    let mut names = names.map_err(io)?;
    names.sort();
    Ok(names)
}

pub(super) fn bad(path: &Path, detail: impl Into<String>) -> PackError {
    PackError::Folder { path: path.into(), detail: detail.into() }
}

fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, PackError> {
    let raw = std::fs::read(path).map_err(|e| PackError::io("read", path, e))?;
    serde_json::from_slice(&raw).map_err(|e| bad(path, e.to_string()))
}

/// An item whose content is one plain file of known size and sum.
fn plain(path: PathBuf, entry: Entry) -> Result<Item, PackError> {
    let size = std::fs::metadata(&path).map_err(|e| PackError::io("read", &path, e))?.len();
    if size != entry.size {
        return Err(bad(&path, format!("it has {size} bytes, its list says {}", entry.size)));
    }
    Ok(Item { body: Body::Plain(vec![(Source::Path(path), size)]), entry })
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    version: String,
    licence: String,
    path: String,
    sha256: String,
    size: u64,
    source: String,
}

fn kubernetes(folder: &Path) -> Result<Vec<Item>, PackError> {
    let list: Vec<Listed> = json(&folder.join("payload.json"))?;
    let item = |listed: Listed| {
        if !safe_path(&listed.path) {
            return Err(PackError::Name { name: listed.path });
        }
        let path = folder.join(&listed.path);
        let source = format!("{} ({})", listed.source, listed.name);
        let (version, licence) = (listed.version, listed.licence);
        plain(path, Entry { source, ..entry(listed.path, Kind::Kubernetes, version, licence, 0o755, listed.sha256, listed.size) })
    };
    list.into_iter().map(item).collect()
}

fn entry(name: String, kind: Kind, version: String, licence: String, mode: u32, sha256: String, size: u64) -> Entry {
    Entry { name, kind, version, licence, source: String::new(), mode, sha256, size, offset: 0, stored_size: 0, stored_crc32c: 0 }
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct LayoutIndex {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

fn layout(folder: &Path) -> Result<Vec<Item>, PackError> {
    let index: LayoutIndex = json(&folder.join("index.json"))?;
    let blob = |digest: &str| match digest.strip_prefix("sha256:").filter(|hex| safe_path(hex)) {
        Some(hex) => Ok((folder.join("blobs/sha256").join(hex), hex.to_string())),
        None => Err(bad(folder, format!("'{digest}' is no sha256 digest"))),
    };
    let mut images = Vec::new();
    let mut blobs = BTreeMap::new();
    for described in index.manifests {
        let name = described.annotations.get("org.opencontainers.image.ref.name").cloned();
        let name = name.ok_or_else(|| bad(folder, format!("image {} has no name", described.digest)))?;
        let (path, sum) = blob(&described.digest)?;
        let manifest: Manifest = json(&path)?;
        let version = name.rsplit_once(':').map_or("", |(_, tag)| tag).to_string();
        let licence = manifest.annotations.get("org.opencontainers.image.licenses").cloned().unwrap_or_default();
        images.push(plain(path, entry(name, Kind::Image, version, licence, 0o644, sum, described.size))?);
        for part in manifest.layers.into_iter().chain([manifest.config]) {
            let (path, sum) = blob(&part.digest)?;
            if !blobs.contains_key(&part.digest) {
                let one = entry(part.digest.clone(), Kind::Blob, String::new(), String::new(), 0o644, sum, part.size);
                blobs.insert(part.digest, plain(path, one)?);
            }
        }
    }
    images.extend(blobs.into_values());
    Ok(images)
}

fn single(path: &Path) -> Result<Item, PackError> {
    let io = |e| PackError::io("read", path, e);
    let name = path.file_name().and_then(|n| n.to_str()).ok_or_else(|| bad(path, "its name is not UTF-8"))?;
    let mode = std::fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
    let mut hash = Sha256::new();
    let size = std::io::copy(&mut std::fs::File::open(path).map_err(io)?, &mut hash).map_err(io)?;
    plain(path.into(), entry(name.into(), Kind::File, String::new(), String::new(), mode, hex::encode(hash.finalize()), size))
}
