//! Unpacking in a process of its own that is killed again and again; and the list of contents beside the Go modules.

use super::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const PLACE: &str = "ANTIHATE_TEST_PLACE";

fn sum(raw: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(raw))
}

/// A distribution of `n` files of 1 MB.
fn distribution(folder: &Path, n: u8) {
    std::fs::create_dir_all(folder).unwrap();
    let listed: Vec<_> = (0..n).map(|i| {
        let (path, raw) = (format!("part-{i}"), vec![i; 1_000_000]);
        std::fs::write(folder.join(&path), &raw).unwrap();
        serde_json::json!({"name": path, "version": "1", "licence": "Apache-2.0", "path": path, "sha256": sum(&raw), "size": raw.len(), "source": ""})
    }).collect();
    std::fs::write(folder.join("payload.json"), serde_json::to_vec(&listed).unwrap()).unwrap();
}

fn unpack_at(place: &Path) -> Unpacked {
    let given = vec![place.join("in")];
    let payload = Payload::open(&Places { embedded: None, program: None, given, data: place.join("data") }).unwrap();
    unpack_kubernetes(&payload, &place.join("data"), &|_| Ok(u64::MAX), &mut |_, _| {}).unwrap()
}

#[test]
#[ignore = "the process that the next test starts and kills"]
fn unpacks_where_it_is_told() {
    unpack_at(&PathBuf::from(std::env::var_os(PLACE).expect("started by the next test")));
}

#[test]
fn killed_at_any_moment_it_goes_on_and_shows_nothing_half() {
    let place = tempfile::tempdir().unwrap();
    distribution(&place.path().join("in"), 24);
    let store = place.path().join("data/store");
    for millis in (0..60).step_by(4) {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "payload::tests_kill::unpacks_where_it_is_told"]);
        let mut child = child.env(PLACE, place.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        let visible = std::fs::read_dir(&store).into_iter().flatten().map(|e| e.unwrap()).filter(|e| !e.file_name().to_string_lossy().starts_with('.'));
        for folder in visible {
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 24, "what is visible is whole");
        }
    }
    let done = unpack_at(place.path());
    assert_eq!(std::fs::read(done.folder.join("part-7")).unwrap(), vec![7; 1_000_000]);
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), 1, "nothing is left over");
    assert_eq!(std::fs::read_link(place.path().join("data/current")).unwrap(), Path::new("store").join(done.folder.file_name().unwrap()));
    assert_eq!(unpack_at(place.path()).written, 0);
}

#[test]
fn an_unpacked_file_that_was_altered_is_named() {
    let place = tempfile::tempdir().unwrap();
    distribution(&place.path().join("in"), 3);
    let (given, data) = (vec![place.path().join("in")], place.path().join("data"));
    let payload = Payload::open(&Places { embedded: None, program: None, given, data: data.clone() }).unwrap();
    assert_eq!(verify_unpacked(&payload, &data).unwrap(), None);
    let folder = unpack_at(place.path()).folder;
    assert_eq!(verify_unpacked(&payload, &data).unwrap(), Some(3_000_000));
    let mut raw = vec![1; 1_000_000];
    raw[500_000] = 0;
    std::fs::write(folder.join("part-1"), raw).unwrap();
    let problem = verify_unpacked(&payload, &data).unwrap_err().problem();
    assert_eq!(problem.code, "UNP-207");
    assert!(problem.what.contains("part-1") && problem.next.contains("unpacked anew"), "{problem:?}");
}

#[test]
fn payload_toml_names_the_versions_that_the_go_modules_lock() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("appliance/kubernetes");
    let list: toml::Value = toml::from_str(&std::fs::read_to_string(folder.join("payload.toml")).unwrap()).unwrap();
    let locked: String = ["cluster", "runc", "cni", "dns"].iter().map(|m| std::fs::read_to_string(folder.join(m).join("go.mod")).unwrap()).collect();
    let mut compared = 0;
    for entry in list["entry"].as_array().unwrap() {
        let Some(modules) = entry["source"].as_str().unwrap().strip_prefix("go:") else { continue };
        for module in modules.split("; ") {
            // The first module has the entry's version, others say theirs.
            let (name, version) = module.split_once(' ').unwrap_or((module, entry["version"].as_str().unwrap()));
            assert!(locked.lines().any(|line| line.trim().trim_start_matches("require ").starts_with(&format!("{name} {version}"))), "{name} {version}");
            compared += 1;
        }
    }
    assert!(compared >= 9, "only {compared} versions were compared");
}
