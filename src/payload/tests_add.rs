//! Packs behind a program: found, extended, and refused when the signer is a stranger or the tail was cut.

use super::*;
use std::path::{Path, PathBuf};

struct Bench {
    dir: tempfile::TempDir,
    build: SigningKey,
}

impl Bench {
    /// A real program (this test's own) to append to.
    fn new() -> Bench {
        let bench = Bench { dir: tempfile::tempdir().unwrap(), build: SigningKey::generate() };
        std::fs::copy("/bin/true", bench.at("program")).unwrap();
        bench
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn pack(&self, name: &str, key: &SigningKey) -> PathBuf {
        let file = self.at(name);
        std::fs::write(&file, name.repeat(1_000)).unwrap();
        let path = self.at(&format!("{name}.pack"));
        create(&path, &collect(&file).unwrap(), key, 3, &mut |_, _| {}).unwrap();
        path
    }

    fn trust(&self, keys: &[&SigningKey]) -> Trust {
        let mut trust = Trust::default();
        keys.iter().for_each(|key| trust.add(key.public()));
        trust
    }

    fn open(&self, embedded: &Path) -> Result<Payload, PackError> {
        let raw: &'static [u8] = std::fs::read(embedded).unwrap().leak();
        Payload::open(&Places { embedded: Some(raw), program: Some(self.at("program")), given: vec![], data: self.at("data") })
    }
}

fn code<T>(result: Result<T, PackError>) -> &'static str {
    result.err().map_or("none", |e| e.code())
}

#[test]
fn packs_are_added_one_behind_the_other_and_found_again() {
    let b = Bench::new();
    let trust = b.trust(&[&b.build]);
    let embedded = b.pack("core", &b.build);
    assert!(append(&b.at("program"), &b.pack("one", &b.build), &trust).unwrap());
    assert!(append(&b.at("program"), &b.pack("two", &b.build), &trust).unwrap());
    assert!(!append(&b.at("program"), &b.at("one.pack"), &trust).unwrap(), "the second time nothing is to do");
    let payload = b.open(&embedded).unwrap();
    let names: Vec<&str> = payload.items(Kind::File).iter().map(|item| item.entry.name.as_str()).collect();
    assert_eq!(names, ["core", "one", "two"]);
    payload.verify(&|_, _| {}).unwrap();
    assert!(std::process::Command::new(b.at("program")).status().unwrap().success(), "it still runs");
}

#[test]
fn a_strangers_pack_is_refused_until_the_owner_trusts_the_key() {
    let b = Bench::new();
    let vendor = SigningKey::generate();
    let (embedded, pack) = (b.pack("core", &b.build), b.pack("extra", &vendor));
    let before = std::fs::read(b.at("program")).unwrap();
    assert_eq!(code(append(&b.at("program"), &pack, &b.trust(&[&b.build]))), "UNP-204");
    assert_eq!(std::fs::read(b.at("program")).unwrap(), before);
    append(&b.at("program"), &pack, &b.trust(&[&b.build, &vendor])).unwrap();
    assert_eq!(code(b.open(&embedded)), "UNP-204", "trusted when added elsewhere, not on this host");
    Trust::remember(&b.at("data"), vendor.public()).unwrap();
    assert_eq!(b.open(&embedded).unwrap().items(Kind::File).len(), 2);
}

#[test]
fn a_program_with_its_tail_cut_or_altered_is_refused() {
    let b = Bench::new();
    let (embedded, pack) = (b.pack("core", &b.build), b.pack("one", &b.build));
    let bare = std::fs::metadata(b.at("program")).unwrap().len() as usize;
    append(&b.at("program"), &pack, &b.trust(&[&b.build])).unwrap();
    let whole = std::fs::read(b.at("program")).unwrap();
    for len in [whole.len() - 1, bare + 200, bare + 1, bare - 1] {
        std::fs::write(b.at("program"), &whole[..len]).unwrap();
        assert_eq!(code(b.open(&embedded)), "UNP-201", "cut to {len} of {} bytes", whole.len());
    }
    let longer = [whole.as_slice(), b"x"].concat();
    std::fs::write(b.at("program"), longer).unwrap();
    assert_eq!(code(b.open(&embedded)), "UNP-201");
}

#[test]
fn a_damaged_pack_is_not_added() {
    let b = Bench::new();
    let pack = b.pack("one", &b.build);
    let mut raw = std::fs::read(&pack).unwrap();
    raw[5] ^= 1;
    std::fs::write(&pack, raw).unwrap();
    let before = std::fs::read(b.at("program")).unwrap();
    assert_eq!(code(append(&b.at("program"), &pack, &b.trust(&[&b.build]))), "UNP-202");
    assert_eq!(std::fs::read(b.at("program")).unwrap(), before);
}

#[test]
fn names_that_leave_their_folder_are_refused() {
    for name in ["../x", "/x", "a/../x", "a//x", "", ".", "a\0"] {
        assert!(!format::safe_path(name), "{name:?}");
    }
    assert!(format::safe_path("cni/host-local"));
}

#[test]
fn a_folder_that_holds_nothing_of_use_is_named() {
    let b = Bench::new();
    let error = collect(b.dir.path()).err().unwrap();
    assert_eq!(error.code(), "UNP-102");
    assert!(error.problem().next.contains("--payload"));
}
