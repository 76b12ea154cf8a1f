//! Model folders as one tar each: packed in a fixed order without times or owners, unpacked without trust in names.

use super::folder::{bad, children};
use super::format::safe_path;
use super::item::{Body, Source};
use super::unpack::{check_space, clear, sync_tree, SpaceProbe};
use super::{Entry, Item, Kind, PackError, Payload};
use crate::files;
use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SUM: &str = ".antihate-sum";

#[derive(Deserialize)]
struct Head {
    name: Option<String>,
    version: Option<toml::Value>,
    #[serde(alias = "license")]
    licence: Option<String>,
}

/// The model in `folder` as one entry. How it was trained (`train*`) and hidden files stay outside.
pub(super) fn pack(folder: &Path) -> Result<Item, PackError> {
    let path = folder.join("model.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| PackError::io("read", &path, e))?;
    let head: Head = toml::from_str(&text).map_err(|e| bad(&path, e.to_string()))?;
    let named = folder.canonicalize().ok().and_then(|p| p.file_name().map(|n| n.to_string_lossy().into_owned()));
    let mut pieces = Vec::new();
    add_folder(folder, "", &mut pieces)?;
    pieces.push(bytes_piece(vec![0; 1024]));
    let body = Body::Plain(pieces.clone());
    let size = pieces.iter().map(|(_, len)| len).sum();
    let mut entry = Entry {
        // The folder is the place that the analyzer looks in; what lies there may be any model of the same task.
        name: named.or(head.name).ok_or_else(|| bad(folder, "it has no name"))?,
        kind: Kind::Model,
        version: head.version.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).unwrap_or_default(),
        licence: head.licence.unwrap_or_default(),
        source: String::new(),
        mode: 0o644,
        sha256: String::new(),
        size,
        offset: 0,
        stored_size: 0,
        stored_crc32c: 0,
    };
    entry.sha256 = sum_of(&pieces).map_err(|e| PackError::io("read", folder, e))?;
    Ok(Item { entry, body })
}

fn bytes_piece(raw: Vec<u8>) -> (Source, u64) {
    let len = raw.len() as u64;
    (Source::Memory(Bytes::from(raw)), len)
}

fn add_folder(folder: &Path, prefix: &str, pieces: &mut Vec<(Source, u64)>) -> Result<(), PackError> {
    for path in children(folder)? {
        let name = path.file_name().and_then(|n| n.to_str()).ok_or_else(|| bad(&path, "its name is not UTF-8"))?;
        if name.starts_with('.') || (path.is_dir() && (name.starts_with("train") || name == "__pycache__")) {
            continue;
        }
        let inside = format!("{prefix}{name}");
        if path.is_dir() {
            add_folder(&path, &format!("{inside}/"), pieces)?;
            continue;
        }
        let size = std::fs::metadata(&path).map_err(|e| PackError::io("read", &path, e))?.len();
        let mut header = tar::Header::new_ustar();
        header.set_path(&inside).map_err(|e| PackError::io("name", &path, e))?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        pieces.push(bytes_piece(header.as_bytes().to_vec()));
        pieces.push((Source::Path(path), size));
        pieces.push(bytes_piece(vec![0; (size.next_multiple_of(512) - size) as usize]));
    }
    Ok(())
}

fn sum_of(pieces: &[(Source, u64)]) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    for (source, _) in pieces {
        match source {
            Source::Memory(raw) => hash.update(raw),
            Source::Path(path) => drop(std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?),
            Source::File(_) => unreachable!("a model is made of paths and headers"),
        }
    }
    Ok(hex::encode(hash.finalize()))
}

/// Unpacks every model into `<data>/models/<name>`, read-only. Returns the folders that were written; one that is there
/// with the same sum is left alone.
pub fn unpack_models(payload: &Payload, data: &Path, space: &SpaceProbe<'_>) -> Result<Vec<PathBuf>, PackError> {
    let root = data.join("models");
    let due: Vec<&Item> = payload.items(Kind::Model).into_iter().filter(|item| !is_there(&root, item)).collect();
    if due.is_empty() {
        return Ok(Vec::new());
    }
    check_space(data, due.iter().map(|item| item.entry.size).sum(), space)?;
    files::folder(&root, 0o755).map_err(|e| PackError::io("create", &root, e))?;
    clear(&root)?;
    due.into_iter().map(|item| unpack_one(item, &root)).collect()
}

fn is_there(root: &Path, item: &Item) -> bool {
    let sum = std::fs::read_to_string(root.join(&item.entry.name).join(SUM));
    sum.is_ok_and(|sum| sum.trim() == item.entry.sha256)
}

fn unpack_one(item: &Item, root: &Path) -> Result<PathBuf, PackError> {
    let temp = root.join(format!(".unpack-{}", item.entry.name));
    let io = |doing: &'static str, path: &Path| { let path = path.to_owned(); move |e| PackError::io(doing, path, e) };
    std::fs::create_dir(&temp).map_err(io("create", &temp))?;
    let mut archive = tar::Archive::new(item.read()?);
    for member in archive.entries().map_err(io("read", &temp))? {
        let mut member = member.map_err(io("read", &temp))?;
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        if !safe_path(&name) || !member.header().entry_type().is_file() {
            return Err(PackError::Name { name });
        }
        write_member(&mut member, &temp.join(name))?;
    }
    // To the very end: only there the sum of the whole is compared.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(io("read", &temp))?;
    files::replace(&temp.join(SUM), item.entry.sha256.as_bytes(), 0o444).map_err(io("write", &temp))?;
    sync_tree(&temp)?;
    let place = root.join(&item.entry.name);
    if place.exists() {
        let old = root.join(format!(".unpack-old-{}", item.entry.name));
        std::fs::rename(&place, &old).map_err(io("replace", &place))?;
    }
    std::fs::rename(&temp, &place).map_err(io("create", &place))?;
    files::sync_dir(root).map_err(io("write", root))?;
    clear(root)?;
    Ok(place)
}

fn write_member(member: &mut impl Read, path: &Path) -> Result<(), PackError> {
    let io = |e| PackError::io("write", path, e);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let mut file = std::fs::File::create_new(path).map_err(io)?;
    std::io::copy(member, &mut file).map_err(io)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o444)).map_err(io)?;
    file.sync_all().map_err(io)
}
