//! The support bundle of a real node (S6): its logs and states are in it, none of its secrets and none of its posts.

use crate::node::rows;
use crate::support::testhost::TestHost;
use crate::support::{said, until};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(300);

/// What must not come out: every line of every key, passwords, tokens, sums of pass phrases, and the texts of stored posts.
fn needles(host: &TestHost, token: &str) -> Vec<String> {
    let data = host.data();
    let mut all = vec![token.to_owned()];
    for folder in ["pki", "identity", "secrets"] {
        for entry in std::fs::read_dir(data.join(folder)).into_iter().flatten().flatten() {
            let path = entry.path();
            let secret = folder == "secrets" || path.extension().is_some_and(|e| e == "key" || e == "yaml" || e == "kubeconfig");
            let text = if secret { std::fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
            // Public parts stand in kubeconfigs, too; their lines are certificates.
            let lines = text.lines().filter(|l| !l.contains("BEGIN") && !l.contains("END") && !l.contains("certificate"));
            all.extend(lines.flat_map(|l| l.split([' ', '"', ',']).map(str::to_owned)).filter(|word| word.len() >= 20 && !word.contains("://") && word.bytes().any(|b| b.is_ascii_digit())));
        }
    }
    let users: serde_json::Value = serde_json::from_slice(&std::fs::read(data.join("users.json")).unwrap_or_default()).unwrap_or_default();
    all.extend(users.to_string().split(['"', '$']).filter(|part| part.len() >= 22).map(str::to_owned));
    assert!(all.len() > 40, "the node has secrets: {}", all.len());
    let texts = until("posts are read", PATIENCE, || rows(host, "SELECT replace(text, E'\\n', ' ') FROM post ORDER BY random() LIMIT 500"));
    all.extend(texts.into_iter().filter(|t| t.len() >= 20));
    all
}

fn unpacked(file: &Path) -> BTreeMap<String, String> {
    let mut tar = tar::Archive::new(zstd::Decoder::new(std::fs::File::open(file).expect("the bundle")).expect("zstd"));
    let entries = tar.entries().expect("entries").map(|e| {
        let (mut entry, mut text) = (e.expect("an entry"), String::new());
        entry.read_to_string(&mut text).expect("text");
        (entry.path().expect("a path").display().to_string().trim_start_matches("antihate-support/").to_owned(), text)
    });
    entries.collect()
}

/// Asks for a bundle in the clear and looks for everything that must not be in it.
pub fn s6_holds_no_secret_and_no_post(host: &TestHost, token: &str) {
    let file = host.folder().join("bundle.tar.zst");
    let out = host.antihate(&["support", "--no-encryption", "--json", "--out", &file.display().to_string()]);
    assert!(out.status.success(), "{}", said(&out));
    let (files, needles) = (unpacked(&file), needles(host, token));
    for needle in &needles {
        let hit: Vec<&String> = files.iter().filter(|(name, text)| text.contains(needle) || name.contains(needle)).map(|(name, _)| name).collect();
        // Never the needle itself: a failing test is read by many.
        assert!(hit.is_empty(), "something of {} characters that must stay stands in {hit:?}", needle.len());
    }
    let has = |name: &str, part: &str| assert!(files.get(name).is_some_and(|text| text.contains(part)), "{name} does not tell {part}");
    has("node/status.json", "leaf-1");
    has("node/check.json", "memory.total");
    has("logs/kubelet.log", "kubelet");
    has("logs/kube-apiserver.log", "apiserver");
    has("cluster/pods.txt", "antihate-storage");
    has("network/rules.txt", "table");
    has("manifest.json", "left_out");
    println!("support bundle: {} files, {} KiB, {} things looked for and not found", files.len(), std::fs::metadata(&file).expect("there").len() / 1024, needles.len());
}

/// With the node stopped a bundle still tells why, and only the holder of the key reads it.
pub fn works_while_the_node_is_down(host: &TestHost) {
    let (file, key) = (host.folder().join("down.age"), age::x25519::Identity::generate());
    let out = host.antihate(&["support", "--key", &key.to_public().to_string(), "--json", "--out", &file.display().to_string()]);
    assert!(out.status.success(), "{}", said(&out));
    let told: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let parts = told["manifest"]["parts"].as_array().expect("parts");
    let line = |name: &str| parts.iter().find(|p| p["name"] == name).expect("the part");
    assert!(line("cluster/pods.txt")["problem"].is_string() && line("logs/kubelet.log")["bytes"].as_u64() > Some(0), "{parts:?}");
    let sealed = std::fs::read(&file).expect("the bundle");
    assert!(age::Decryptor::new(sealed.as_slice()).expect("an age file").decrypt(std::iter::once(&age::x25519::Identity::generate() as &dyn age::Identity)).is_err());
    let mut reader = age::Decryptor::new(sealed.as_slice()).expect("an age file").decrypt(std::iter::once(&key as &dyn age::Identity)).expect("the key opens it");
    let plain = host.folder().join("down.tar.zst");
    std::io::copy(&mut reader, &mut std::fs::File::create(&plain).expect("a file")).expect("read");
    assert!(unpacked(&plain).contains_key("manifest.json"));
}
