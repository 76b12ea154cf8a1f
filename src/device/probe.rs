//! Runs one small computation on a card, by a program of its own: ours is static and cannot load the driver's library.

use super::found::{Found, Gpu};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Name of the program.
pub const PROGRAM: &str = "antihate-gpu-probe";

/// What the program says of a card on which it computed rightly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What the library calls the card.
    pub name: String,
    /// Its number, as the library tells it.
    pub uuid: String,
    /// Its memory in bytes.
    pub memory: u64,
    /// What it can do, such as `9.0`.
    pub capability: String,
    /// The newest interface that the driver speaks, such as `13000`.
    pub cuda: i32,
    /// Numbers that the card computed, all of them right.
    pub computed: u32,
}

/// Where the program is: what the one file carries (compressed), written to `folder`; otherwise beside our own file.
pub fn program(carried: Option<&[u8]>, folder: &Path) -> std::io::Result<PathBuf> {
    let Some(bytes) = carried else {
        let beside = std::env::current_exe()?.with_file_name(PROGRAM);
        return if beside.is_file() { Ok(beside) } else { Err(std::io::Error::new(std::io::ErrorKind::NotFound, format!("this build carries no {PROGRAM}, and none lies beside it"))) };
    };
    let bytes = zstd::decode_all(bytes)?;
    let path = folder.join(PROGRAM);
    if std::fs::read(&path).is_ok_and(|old| old == bytes) {
        return Ok(path);
    }
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
    file.write_all(&bytes)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o700))?;
    // Closed before it is run: a file that is open for writing cannot be.
    file.into_temp_path().persist(&path).map_err(|e| e.error)?;
    Ok(path)
}

/// Computes on `gpu`; blocks; the program ends itself when the driver takes too long. The error is in words.
pub fn prove(program: &Path, found: &Found, gpu: &Gpu) -> Result<Proof, String> {
    let library = found.library.as_ref().ok_or("the driver's library is missing")?;
    let mut command = Command::new(program);
    command.arg(library.folder.join(super::library::CUDA)).env_clear().env("LD_LIBRARY_PATH", &library.folder).env("CUDA_CACHE_DISABLE", "1");
    // Named by its number where it has one: the order of the cards is the library's own matter.
    command.args(gpu.uuid.as_deref()).stdin(Stdio::null());
    let out = started(&mut command).map_err(|e| format!("{}: {e}", program.display()))?;
    let said = String::from_utf8_lossy(if out.status.success() { &out.stdout } else { &out.stderr }).trim().to_owned();
    if !out.status.success() {
        return Err(if said.is_empty() { format!("the try ended with {}", out.status) } else { said });
    }
    serde_json::from_str(&said).map_err(|e| format!("the try said {said:?}: {e}"))
}

/// Another child that was forked while the program was being written may hold it open for a moment.
fn started(command: &mut Command) -> std::io::Result<std::process::Output> {
    for _ in 0..20 {
        match command.output() {
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::sleep(std::time::Duration::from_millis(50)),
            done => return done,
        }
    }
    command.output()
}

#[cfg(test)]
mod tests {
    use super::super::library::Library;
    use super::*;

    fn with(script: &str) -> Result<Proof, String> {
        let dir = tempfile::tempdir().unwrap();
        let carried = zstd::encode_all(format!("#!/bin/sh\n{script}\n").as_bytes(), 1).unwrap();
        let program = program(Some(&carried), dir.path()).unwrap();
        let found = Found { library: Some(Library { folder: "/driver".into(), ..Library::default() }), ..Found::default() };
        prove(&program, &found, &Gpu { uuid: Some("GPU-7".into()), ..Gpu::default() })
    }

    #[test]
    fn the_program_is_asked_with_library_and_number_and_its_words_are_kept() {
        let said = with(r#"echo "{\"name\":\"$1\",\"uuid\":\"$2\",\"memory\":1,\"capability\":\"9.0\",\"cuda\":13000,\"computed\":4}""#).unwrap();
        assert_eq!((said.name.as_str(), said.uuid.as_str(), said.computed), ("/driver/libcuda.so.1", "GPU-7", 4));
        assert_eq!(with("echo cuInit: error 803 >&2; exit 1").unwrap_err(), "cuInit: error 803");
        assert!(with("kill -9 $$").unwrap_err().contains("signal: 9"));
        assert!(with("echo nonsense").unwrap_err().contains("nonsense"));
    }

    #[test]
    fn without_a_library_or_a_program_nothing_is_tried() {
        let none = prove(Path::new("/bin/true"), &Found::default(), &Gpu::default());
        assert_eq!(none.unwrap_err(), "the driver's library is missing");
    }
}
