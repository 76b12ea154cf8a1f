//! What a pack promises: whole or refused, and no half effect.

use super::*;
use rand::{Rng, RngCore, SeedableRng};
use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A folder with everything: a small distribution, an image, a model; packed.
struct Bench {
    dir: tempfile::TempDir,
    key: SigningKey,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench { dir: tempfile::tempdir().unwrap(), key: SigningKey::generate() };
        bench.distribution("first");
        bench.image();
        let model = bench.at("in/models/small");
        std::fs::create_dir_all(model.join("training")).unwrap();
        std::fs::write(model.join("model.toml"), "name = \"small\"\nversion = \"1\"\nlicence = \"Apache-2.0\"\n").unwrap();
        std::fs::write(model.join("weights.bin"), noise(3, 70_000)).unwrap();
        std::fs::write(model.join("training/train.py"), "pass").unwrap();
        bench
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn distribution(&self, text: &str) {
        let folder = self.at("in/kubernetes");
        std::fs::create_dir_all(folder.join("cni")).unwrap();
        let files = [("kubernetes", noise(1, 300_000)), ("cni/bridge", text.as_bytes().to_vec()), ("empty", Vec::new())];
        let listed: Vec<_> = files.iter().map(|(path, raw)| {
            std::fs::write(folder.join(path), raw).unwrap();
            serde_json::json!({"name": path, "version": "v1", "licence": "Apache-2.0", "path": path, "sha256": sum(raw), "size": raw.len(), "source": "go:x"})
        }).collect();
        std::fs::write(folder.join("payload.json"), serde_json::to_vec(&listed).unwrap()).unwrap();
    }

    fn image(&self) {
        let blobs = self.at("in/images/blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        let put = |raw: &[u8]| {
            std::fs::write(blobs.join(sum(raw)), raw).unwrap();
            serde_json::json!({"mediaType": "application/octet-stream", "digest": format!("sha256:{}", sum(raw)), "size": raw.len()})
        };
        let (config, layer) = (put(b"{}"), put(&noise(2, 50_000)));
        let mut manifest = put(serde_json::json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string().as_bytes());
        manifest["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "antihate.local/small:1"});
        std::fs::write(self.at("in/images/oci-layout"), "{}").unwrap();
        std::fs::write(self.at("in/images/index.json"), serde_json::json!({"manifests": [manifest]}).to_string()).unwrap();
    }

    fn pack(&self, name: &str, key: &SigningKey) -> PathBuf {
        let path = self.at(name);
        create(&path, &collect(&self.at("in")).unwrap(), key, 3, &mut |_, _| {}).unwrap();
        path
    }

    fn open(&self, path: &Path) -> Result<Payload, PackError> {
        Payload::open(&Places { embedded: None, program: None, given: vec![path.into()], data: self.at("data") })
    }

    fn unpack(&self, payload: &Payload) -> Result<Unpacked, PackError> {
        unpack_kubernetes(payload, &self.at("data"), &|_| Ok(u64::MAX), &mut |_, _| {})
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut raw = vec![0; len];
    rand::rngs::StdRng::seed_from_u64(seed).fill_bytes(&mut raw[..len / 2]); // half of it compresses
    raw
}

fn sum(raw: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(raw))
}

fn code<T>(result: Result<T, PackError>) -> &'static str {
    result.err().map_or("none", |e| e.code())
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(names) = std::fs::read_dir(folder) else { return Vec::new() };
    names.flat_map(|n| { let p = n.unwrap().path(); if p.is_dir() { files_below(&p) } else { vec![p] } }).collect()
}

#[test]
fn a_pack_gives_back_what_went_in() {
    let b = Bench::new();
    let payload = b.open(&b.pack("a.pack", &b.key)).unwrap();
    payload.verify(&|_, _| {}).unwrap();
    let done = b.unpack(&payload).unwrap();
    assert_eq!(std::fs::read(done.folder.join("kubernetes")).unwrap(), noise(1, 300_000));
    assert_eq!(std::fs::read(b.at("data/current/cni/bridge")).unwrap(), b"first");
    assert_eq!(std::fs::metadata(done.folder.join("cni/bridge")).unwrap().permissions().mode() & 0o777, 0o755);
    let models = unpack_models(&payload, &b.at("data"), &|_| Ok(u64::MAX)).unwrap();
    assert_eq!(std::fs::read(models[0].join("weights.bin")).unwrap(), noise(3, 70_000));
    assert!(!models[0].join("training").exists());
}

#[test]
fn the_same_content_and_key_give_the_same_bytes() {
    let b = Bench::new();
    let (one, two) = (b.pack("a.pack", &b.key), b.pack("b.pack", &b.key));
    assert_eq!(std::fs::read(one).unwrap(), std::fs::read(two).unwrap());
}

#[test]
fn a_folder_serves_like_the_pack_made_of_it() {
    let b = Bench::new();
    let (folder, pack) = (b.open(&b.at("in")).unwrap(), b.open(&b.pack("a.pack", &b.key)).unwrap());
    let (one, two) = (b.unpack(&folder).unwrap(), b.unpack(&pack).unwrap());
    assert_eq!((one.folder, two.written), (two.folder, 0));
}

#[test]
fn a_thousand_flipped_bits_are_all_refused_before_any_effect() {
    let b = Bench::new();
    let path = b.pack("a.pack", &b.key);
    let whole = std::fs::read(&path).unwrap();
    let mut random = rand::rngs::StdRng::seed_from_u64(8);
    // Every bit of the footer, where a mistake would cost most, and a thousand places anywhere.
    let footer = (whole.len() - format::FOOTER) * 8..whole.len() * 8;
    let anywhere: Vec<usize> = (0..1_000).map(|_| random.gen_range(0..whole.len() * 8)).collect();
    for bit in footer.chain(anywhere) {
        let mut raw = whole.clone();
        raw[bit / 8] ^= 1 << (bit % 8);
        let found = pack::open_bytes(raw.into(), "test").and_then(|one| one.items.iter().try_for_each(Item::verify));
        assert!(code(found).starts_with("UNP-20"), "bit {bit} of {} went unnoticed", whole.len() * 8);
    }
}

#[test]
fn a_damaged_distribution_leaves_nothing_behind() {
    let b = Bench::new();
    let path = b.pack("a.pack", &b.key);
    let mut raw = std::fs::read(&path).unwrap();
    let distribution = b.open(&path).unwrap().items(Kind::Kubernetes)[0].entry.offset as usize;
    raw[distribution + 1_000] ^= 4;
    std::fs::write(&path, raw).unwrap();
    assert_eq!(code(b.unpack(&b.open(&path).unwrap())), "UNP-202");
    assert_eq!(files_below(&b.at("data")), Vec::<PathBuf>::new());
    assert!(!b.at("data/current").exists());
}

#[test]
fn everything_is_checked_once_and_a_damaged_image_stops_the_first_start() {
    let b = Bench::new();
    let path = b.pack("a.pack", &b.key);
    let raw = std::fs::read(&path).unwrap();
    let image = b.open(&path).unwrap().items(Kind::Blob)[0].entry.offset as usize;
    let mut bad = raw.clone();
    bad[image + 3] ^= 1;
    std::fs::write(&path, bad).unwrap();
    let silent = |_: u64, _: u64| {};
    assert_eq!(code(b.open(&path).unwrap().check_once(&b.at("data"), &silent)), "UNP-202");
    assert_eq!(files_below(&b.at("data")), Vec::<PathBuf>::new());
    std::fs::write(&path, raw).unwrap();
    assert!(b.open(&path).unwrap().check_once(&b.at("data"), &silent).unwrap());
    assert!(!b.open(&path).unwrap().check_once(&b.at("data"), &silent).unwrap(), "the second time it is known");
}

#[test]
fn a_pack_cut_off_anywhere_is_refused() {
    let b = Bench::new();
    let path = b.pack("a.pack", &b.key);
    let whole = std::fs::read(&path).unwrap();
    for len in [0, 1, 159, 160, whole.len() / 2, whole.len() - 1] {
        let found = pack::open_bytes(whole[..len].to_vec().into(), "test").map(drop);
        assert_eq!(code(found), "UNP-201", "cut to {len} bytes");
    }
}

#[test]
fn a_disk_without_room_is_told_before_the_first_byte() {
    let b = Bench::new();
    let payload = b.open(&b.pack("a.pack", &b.key)).unwrap();
    let asked = Cell::new(0);
    let probe = |_: &Path| { asked.set(asked.get() + 1); Ok(1_000_000) };
    let error = unpack_kubernetes(&payload, &b.at("data"), &probe, &mut |_, _| {}).unwrap_err();
    assert_eq!((error.code(), asked.get()), ("UNP-301", 1));
    assert!(error.problem().cause.contains("It needs 32.3 MiB, there are 1.0 MiB"), "{}", error.problem().cause);
    assert!(!b.at("data").exists());
}

#[test]
fn a_disk_that_fills_up_meanwhile_is_told_apart() {
    let b = Bench::new();
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    assert_eq!(PackError::io("write", b.at("x"), full).code(), "UNP-302");
}

#[test]
fn what_a_killed_run_left_is_cleared_and_the_second_run_writes_nothing() {
    let b = Bench::new();
    let payload = b.open(&b.pack("a.pack", &b.key)).unwrap();
    let id = b.unpack(&payload).unwrap().folder;
    let left = b.at("data/store").join(format!(".unpack-{}", id.file_name().unwrap().to_str().unwrap()));
    std::fs::rename(&id, &left).unwrap(); // killed after the last file, before the rename
    std::fs::write(left.join("kubernetes"), "half").unwrap();
    assert!(b.unpack(&payload).unwrap().written > 0);
    assert!(!left.exists());
    let before = std::fs::metadata(id.join("kubernetes")).unwrap().modified().unwrap();
    assert_eq!(b.unpack(&payload).unwrap().written, 0);
    assert_eq!(std::fs::metadata(id.join("kubernetes")).unwrap().modified().unwrap(), before);
    assert!(unpack_models(&payload, &b.at("data"), &|_| Ok(u64::MAX)).unwrap().len() == 1);
    assert!(unpack_models(&payload, &b.at("data"), &|_| Ok(0)).unwrap().is_empty());
}

#[test]
fn a_new_distribution_takes_the_place_of_the_old_by_one_link() {
    let b = Bench::new();
    let first = b.unpack(&b.open(&b.at("in")).unwrap()).unwrap();
    b.distribution("second");
    b.unpack(&b.open(&b.at("in")).unwrap()).unwrap();
    assert_eq!(std::fs::read(b.at("data/current/cni/bridge")).unwrap(), b"second");
    assert_eq!(std::fs::read(first.folder.join("cni/bridge")).unwrap(), b"first");
}

#[test]
fn a_distribution_with_a_file_taken_out_is_unpacked_anew() {
    let b = Bench::new();
    let payload = b.open(&b.at("in")).unwrap();
    let folder = b.unpack(&payload).unwrap().folder;
    std::fs::remove_file(folder.join("cni/bridge")).unwrap();
    assert!(b.unpack(&payload).unwrap().written > 0);
    assert!(folder.join("cni/bridge").exists());
}
