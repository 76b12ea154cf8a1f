//! Images as one OCI layout archive, streamed: what `ctr images import -` reads from a pipe.

use super::{Item, Kind, PackError, Payload};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(rename = "mediaType", default)]
    media_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// The references of all images in the payload, with the digest of each manifest.
pub fn image_names(payload: &Payload) -> Vec<(String, String)> {
    payload.items(Kind::Image).into_iter().map(|item| (item.entry.name.clone(), format!("sha256:{}", item.entry.sha256))).collect()
}

/// Writes the images that `wanted` accepts, and the blobs that they need, as a tar. Everything is verified on its way:
/// after an error the archive is cut off, so that its reader refuses it as a whole. Returns the bytes written.
pub fn write_layout(payload: &Payload, wanted: &dyn Fn(&str) -> bool, out: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<u64, PackError> {
    let images: Vec<&Item> = payload.items(Kind::Image).into_iter().filter(|item| wanted(&item.entry.name)).collect();
    let stored: BTreeMap<&str, &Item> = payload.items(Kind::Blob).into_iter().map(|item| (item.entry.name.as_str(), item)).collect();
    let mut due = BTreeSet::new();
    let mut manifests = Vec::new();
    let mut index = Vec::new();
    for item in images {
        let raw = item.bytes()?;
        let damaged = |detail: String| PackError::DamagedEntry { entry: item.entry.name.clone(), detail };
        let manifest: Manifest = serde_json::from_slice(&raw).map_err(|e| damaged(e.to_string()))?;
        due.extend(manifest.layers.into_iter().chain([manifest.config]).map(|part| part.digest));
        index.push(json!({
            "mediaType": manifest.media_type.as_deref().unwrap_or("application/vnd.oci.image.manifest.v1+json"),
            "digest": format!("sha256:{}", item.entry.sha256),
            "size": raw.len(),
            "annotations": {"io.containerd.image.name": item.entry.name, "org.opencontainers.image.ref.name": item.entry.name},
        }));
        manifests.push((item.entry.sha256.as_str(), raw));
    }
    let blobs: Result<Vec<&Item>, PackError> = due.iter().map(|digest| {
        stored.get(digest.as_str()).copied().ok_or_else(|| PackError::Missing { what: format!("image blob {digest}") })
    }).collect();
    let mut archive = Archive { tar: tar::Builder::new(out), done: 0, progress };
    archive.add("oci-layout", 30, br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice())?;
    for item in blobs? {
        archive.add(&format!("blobs/sha256/{}", item.entry.sha256), item.entry.size, item.read()?)?;
    }
    for (sum, raw) in &manifests {
        archive.add(&format!("blobs/sha256/{sum}"), raw.len() as u64, raw.as_slice())?;
    }
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": index}).to_string();
    archive.add("index.json", index.len() as u64, index.as_bytes())?;
    archive.finish()
}

struct Archive<'a> {
    tar: tar::Builder<&'a mut dyn Write>,
    done: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Archive<'_> {
    fn add(&mut self, name: &str, size: u64, mut content: impl std::io::Read) -> Result<(), PackError> {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        self.tar.append_data(&mut header, name, &mut content).map_err(io)?;
        // The tar builder stops at the size; the reader compares the sum only at its end.
        std::io::copy(&mut content, &mut std::io::sink()).map_err(io)?;
        self.done += size;
        (self.progress)(self.done);
        Ok(())
    }

    fn finish(self) -> Result<u64, PackError> {
        let out = self.tar.into_inner().map_err(io)?;
        out.flush().map_err(io)?;
        Ok(self.done)
    }
}

fn io(e: std::io::Error) -> PackError {
    PackError::io("write", Path::new("the image archive"), e)
}
