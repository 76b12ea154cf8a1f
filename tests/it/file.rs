//! The one file and the programs inside its images: what the loader would ask for, and what a flipped bit does.

use crate::support::testhost::{Switch, can_run};
use crate::support::{antihate, needs_the_file, said};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

/// Names of the libraries that a program needs, and whether it names an interpreter; read from its ELF headers.
fn needs(program: &Path) -> (Vec<String>, bool) {
    let ask = |flag: &str| Command::new("readelf").args([flag, "-W"]).arg(program).output().expect("readelf runs");
    let (dynamic, segments) = (ask("-d"), ask("-l"));
    assert!(dynamic.status.success() && segments.status.success(), "{} is no ELF file", program.display());
    let text = String::from_utf8_lossy(&dynamic.stdout).into_owned();
    let name = |line: &str| Some(line.split_once("(NEEDED)")?.1.split_once('[')?.1.trim_end().trim_end_matches(']').to_owned());
    (text.lines().filter_map(name).collect(), String::from_utf8_lossy(&segments.stdout).contains("INTERP"))
}

/// Takes one file out of an image that the complete file carries.
fn out_of_image(image: &str, path: &str, to: &Path) {
    let mut child = Command::new(antihate()).args(["payload", "export", image]).stdout(std::process::Stdio::piped()).spawn().expect("antihate starts");
    let mut outer = tar::Archive::new(child.stdout.take().expect("piped"));
    let mut found = false;
    for entry in outer.entries().expect("an archive") {
        let mut blob = Vec::new();
        entry.expect("an entry").read_to_end(&mut blob).expect("readable");
        // Layers are archives themselves; the other blobs are JSON and hold no entry.
        let mut layer = tar::Archive::new(blob.as_slice());
        for file in layer.entries().into_iter().flatten().map_while(Result::ok) {
            let mut file = file;
            if file.path().is_ok_and(|p| p == Path::new(path)) {
                file.unpack(to).expect("unpacked");
                found = true;
            }
        }
    }
    assert!(child.wait().expect("it ends").success() && found, "{image} holds no {path}");
}

#[test]
fn the_one_file_and_the_worker_need_no_library_and_the_analyzer_only_those_of_its_image() {
    if !needs_the_file() {
        return;
    }
    assert_eq!(needs(&antihate()), (vec![], false), "the one file");
    let dir = tempfile::tempdir().expect("temp");
    let (worker, analyzer) = (dir.path().join("worker"), dir.path().join("analyzer"));
    out_of_image("antihate.local/worker:0.1.0", "antihate-worker", &worker);
    assert_eq!(needs(&worker), (vec![], false), "the worker");
    out_of_image("antihate.local/analyzer:0.1.0", "usr/local/bin/antihate-analyzer", &analyzer);
    let (libraries, interpreter) = needs(&analyzer);
    assert!(interpreter && !libraries.is_empty(), "ONNX Runtime is loaded at run time, which a static program cannot do");
    // ONNX Runtime and CUDA are opened when they are wanted: a host without them must still start the program.
    let foreign: Vec<&String> = libraries.iter().filter(|l| !["libc.", "libm.", "libgcc_s.", "libstdc++.", "ld-linux", "libdl.", "libpthread."].iter().any(|own| l.starts_with(own))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
fn one_flipped_bit_anywhere_in_the_one_files_parts_is_refused_before_anything_is_unpacked() {
    if !needs_the_file() || !can_run() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let copy = host.folder().join("damaged");
    std::fs::copy(antihate(), &copy).expect("copied");
    let size = std::fs::metadata(&copy).expect("there").len();
    // In the middle of the images, and near the end, where the pack's index lies.
    for at in [size / 2, size - 5_000] {
        flip(&copy, at);
        let out = host.command(&copy).args(["up", "--node-ip", &host.address]).env("ANTIHATE_DATA", host.data()).output().expect("it starts");
        assert_eq!(out.status.code(), Some(1), "byte {at}: {}", said(&out));
        assert!(said(&out).contains("UNP-2") && said(&out).contains("next:"), "byte {at}: {}", said(&out));
        assert!(!host.data().join("current").exists() && !host.data().join("store").read_dir().is_ok_and(|mut d| d.next().is_some()), "byte {at}: something was unpacked");
        flip(&copy, at);
    }
}

fn flip(file: &Path, at: u64) {
    let mut file = std::fs::File::options().read(true).write(true).open(file).expect("opened");
    let mut byte = [0u8];
    file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut byte)).expect("read");
    byte[0] ^= 1;
    file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&byte)).expect("written");
}
