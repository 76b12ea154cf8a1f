//! The image archive holds all that an importer needs, and is cut off when a blob is damaged.

use super::*;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

fn sum(raw: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(raw))
}

/// An OCI layout with two images that share a layer; returns the path of that layer.
fn layout(folder: &Path) -> PathBuf {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |raw: &[u8]| {
        std::fs::write(blobs.join(sum(raw)), raw).unwrap();
        serde_json::json!({"digest": format!("sha256:{}", sum(raw)), "size": raw.len()})
    };
    let shared = vec![7; 100_000];
    let image = |name: &str| {
        let manifest = serde_json::json!({"schemaVersion": 2, "config": put(name.as_bytes()), "layers": [put(&shared), put(&name.repeat(9).into_bytes())]});
        let mut described = put(manifest.to_string().as_bytes());
        described["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": name});
        described
    };
    let index = serde_json::json!({"manifests": [image("antihate.local/a:1"), image("antihate.local/b:2")]});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.join("oci-layout"), "{}").unwrap();
    blobs.join(sum(&shared))
}

fn open(folder: &Path) -> Payload {
    Payload::open(&Places { embedded: None, program: None, given: vec![folder.into()], data: folder.join("none") }).unwrap()
}

fn members(raw: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(raw);
    let read = |mut e: tar::Entry<'_, &[u8]>| {
        let mut content = Vec::new();
        e.read_to_end(&mut content).unwrap();
        (e.path().unwrap().display().to_string(), content)
    };
    archive.entries().unwrap().map(|e| read(e.unwrap())).collect()
}

#[test]
fn an_archive_of_chosen_images_holds_their_blobs_once_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    layout(dir.path());
    let payload = open(dir.path());
    let mut raw = Vec::new();
    write_layout(&payload, &|_| true, &mut raw, &mut |_| {}).unwrap();
    let all = members(&raw);
    assert_eq!(all.len(), 2 + 2 + 5, "layout and index, two manifests, five blobs");
    for (name, content) in all.iter().filter(|(name, _)| name.starts_with("blobs/")) {
        assert_eq!(name.strip_prefix("blobs/sha256/").unwrap(), sum(content));
    }
    let index: serde_json::Value = serde_json::from_slice(&all["index.json"]).unwrap();
    assert_eq!(index["manifests"][1]["annotations"]["io.containerd.image.name"], "antihate.local/b:2");
    let mut one = Vec::new();
    write_layout(&payload, &|name| name.ends_with("a:1"), &mut one, &mut |_| {}).unwrap();
    assert_eq!(members(&one).len(), 2 + 1 + 3);
    assert_eq!(image_names(&payload).len(), 2);
}

#[test]
fn a_damaged_blob_cuts_the_archive_off() {
    let dir = tempfile::tempdir().unwrap();
    let shared = layout(dir.path());
    let payload = open(dir.path());
    let mut content = std::fs::read(&shared).unwrap();
    content[50_000] ^= 1;
    std::fs::write(&shared, content).unwrap();
    let mut raw = Vec::new();
    let error = write_layout(&payload, &|_| true, &mut raw, &mut |_| {}).unwrap_err();
    assert_eq!(error.code(), "UNP-202");
    assert!(!raw.windows(10).any(|w| w == b"index.json"), "the reader finds no index");
}
