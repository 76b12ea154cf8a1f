//! A host with a secret in every place that can hold one, each quoted in a log, and posts where posts lie: nothing of it comes out.

use super::*;
use crate::files::replace;
use age::secrecy::SecretString;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// A secret and where it lies; each is also quoted by a log.
const SECRETS: [(&str, &str); 7] = [
    ("pki/ca.key", "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49CANARY1keyline0123456789abcdefABCDEF/+12345\n-----END PRIVATE KEY-----\n"),
    ("pki/encryption.yaml", "secret: Q0FOQVJZMnNlY3JldHNrZXkwMTIzNDU2Nzg5YWJjZGVm\n"),
    ("pki/admin.kubeconfig", "client-key-data: CANARY3TU1JR0hBZ0VBTUJNR0J5cUdTTTQ5QWdFR0NDcUdTTTQ5\n"),
    ("identity/device.key", "CANARY4deadbeef0123456789deadbeef0123456789\n"),
    ("secrets/postgres-password", "CANARY5pw9"),
    ("users.json", "{\"users\":[{\"hash\":\"$argon2id$v=19$m=19456,t=2,p=1$CANARY6saltsalt1234567$CANARY6hashhashhash1234567890hashhash\"}]}"),
    ("run/setup-pin", "K7M2-9QXD\nvalid-until: 2026-01-01T00:00:00Z\n"),
];
/// What is quoted in the log although no file holds it.
const SHAPES: [&str; 6] = [
    "Authorization: Bearer CANARY7abcdefgh",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJDQU5BUlk4In0.c2lnbmF0dXJlQ0FOQVJZOA",
    "AHN1.NMUM.0123456789.CANARY9ABCDEFGHJKMNPQRSTVW.0123456789ABCDEF.192.0.2.1:8443.ABCDEFG",
    "connecting to postgres://node:CANARY10@10.43.0.9:5432/posts",
    "password=CANARY11-longer, retrying",
    "AGE-SECRET-KEY-1CANARY12QQQQQQQQQQQQQQQQQQQQ",
];
const POSTS: [&str; 3] = ["volumes/postgresql/base/1/2", "kubernetes/pod-logs/antihate_observer/0.log", "logs/postgresql.log"];

/// Every run of characters in which a canary lies.
fn canaries() -> Vec<String> {
    let text = SECRETS.iter().map(|(_, s)| *s).chain(SHAPES).collect::<Vec<_>>().join("\n");
    let runs = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/_=-".contains(c)));
    let mut all: Vec<String> = runs.filter(|r| r.contains("CANARY") || r.contains("Q0FOQVJZ") || r.contains("DQU5BUlk") || r.contains("CQU5BUlk")).map(str::to_owned).collect();
    all.extend(["CANARY", "K7M2-9QXD", "K7M29QXD", "Q0FOQVJZ"].map(String::from));
    all
}

fn host(root: &Path) -> Layout {
    let layout = Layout::new(root);
    let mut log = String::from("kubelet started\n");
    for (place, secret) in SECRETS {
        let path = if place.starts_with("run/") { layout.run.join(&place[4..]) } else { root.join(place) };
        replace(&path, secret.as_bytes(), 0o600).unwrap();
        log += &format!("something quotes {secret}\n");
    }
    log += &SHAPES.join("\n");
    log += "\nthe PIN was K7M29QXD\nkubelet ended\n";
    replace(&layout.log("kubelet"), log.as_bytes(), 0o600).unwrap();
    for place in POSTS {
        replace(&root.join(place), b"CANARY the text of a post", 0o600).unwrap();
    }
    let settings = "[node]\nname = \"leaf-1\"\ngeography = \"CANARY\"\n[sources]\nhashtags = [\"CANARY\"]\n";
    replace(&root.join("settings.toml"), settings.as_bytes(), 0o600).unwrap();
    layout
}

fn unpacked(archive: &[u8]) -> BTreeMap<String, String> {
    let mut tar = tar::Archive::new(zstd::Decoder::new(archive).unwrap());
    let entries = tar.entries().unwrap().map(Result::unwrap);
    entries.map(|mut e| {
        let (mut text, name) = (String::new(), e.path().unwrap().display().to_string());
        e.read_to_string(&mut text).unwrap();
        (name.strip_prefix("antihate-support/").unwrap().to_owned(), text)
    }).collect()
}

#[test]
fn s6_no_secret_and_no_post_comes_out_and_what_helps_does() {
    let dir = tempfile::tempdir().unwrap();
    let layout = host(dir.path());
    let made = bundle(&layout, vec![Part::checks(&[])], &Seal::Open).unwrap();
    let files = unpacked(&made.bytes);
    for canary in canaries() {
        let found: Vec<_> = files.iter().filter(|(name, text)| name.contains(&canary) || text.contains(&canary)).map(|(name, _)| name).collect();
        assert!(found.is_empty(), "{canary} in {found:?}");
    }
    let log = &files["logs/kubelet.log"];
    assert!(log.contains("kubelet started") && log.contains("kubelet ended") && log.contains("postgres://[removed]10.43.0.9:5432/posts"), "{log}");
    assert!(files["node/settings.toml"].contains("leaf-1") && files["system/proc/meminfo"].contains("MemTotal") && files["node/check.json"] == "[]");
    assert!(files["node/files.txt"].contains("pki/ca.key") && !files["node/files.txt"].contains("base/1"));
    let line = |name: &str| made.manifest.parts.iter().find(|l| l.name == name).unwrap();
    assert!(line("logs/kubelet.log").removed >= SECRETS.len() + SHAPES.len());
    assert_eq!(line("logs/etcd.log").problem.as_deref(), Some("not on this host"));
    assert!(line("cluster/pods.txt").problem.is_some(), "the cluster is down, and the rest is there");
    let told: serde_json::Value = serde_json::from_str(&files["manifest.json"]).unwrap();
    assert_eq!(told["parts"].as_array().unwrap().len(), files.len() - 1);
    assert_eq!(told["left_out"].as_array().unwrap().len(), LEFT_OUT.len());
}

#[test]
fn a_bundle_is_opened_with_its_phrase_or_a_key_and_with_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let layout = host(dir.path());
    let open = |bytes: &[u8], with: &dyn age::Identity| {
        let mut plain = Vec::new();
        let found = age::Decryptor::new(bytes).unwrap().decrypt(std::iter::once(with));
        found.ok().map(|mut reader| reader.read_to_end(&mut plain).map(|_| plain).unwrap())
    };
    let by_phrase = bundle(&layout, Vec::new(), &Seal::Phrase).unwrap();
    let phrase = by_phrase.phrase.clone().unwrap();
    assert!(phrase.len() == 29 && by_phrase.file_name(true).ends_with(".tar.zst.age"));
    let right = age::scrypt::Identity::new(SecretString::from(phrase.to_string()));
    let wrong = age::scrypt::Identity::new(SecretString::from("0000-0000".to_owned()));
    assert!(unpacked(&open(&by_phrase.bytes, &right).unwrap()).contains_key("manifest.json"));
    assert!(open(&by_phrase.bytes, &wrong).is_none());
    let (own, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
    let by_key = bundle(&layout, Vec::new(), &Seal::Keys(vec![own.to_public().to_string()])).unwrap();
    assert!(by_key.phrase.is_none() && open(&by_key.bytes, &own).is_some() && open(&by_key.bytes, &other).is_none());
    assert_eq!(bundle(&layout, Vec::new(), &Seal::Keys(vec!["age1nonsense".into()])).err().unwrap().code, "SUP-101");
    assert!(is_key(&own.to_public().to_string()) && !is_key("age1"));
}

#[test]
fn what_hangs_is_given_up_and_what_is_too_long_loses_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let long = dir.path().join("long.log");
    std::fs::write(&long, "a line\n".repeat(1000)).unwrap();
    let part = |name: &str, source| Part { name: name.into(), what: "", source, limit: std::time::Duration::from_millis(300) };
    let sleep = Source::Program("/bin/sleep".into(), "sleep", vec!["1000"], Vec::new());
    let taken = collect::all(vec![part("pipe", Source::Tail(pipe, 10)), part("long", Source::Tail(long, 100)), part("sleep", sleep)]);
    assert_eq!(taken[0].problem.as_deref().map(|p| p.contains("no regular file")), Some(true));
    assert!(taken[1].cut && taken[1].bytes.starts_with(b"a line\n") && taken[1].bytes.len() <= 100);
    assert!(taken[2].problem.as_deref().unwrap().contains("no answer"));
}
