//! The driver's libraries for programs: where they lie, which version they are, under which names programs ask for them.

use super::below;
use super::found::is_version;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The library by which all others are found.
pub const CUDA: &str = "libcuda.so.1";
/// Folders of the usual systems, in the order of looking; those that the host's own list of libraries names come first.
const FOLDERS: [&str; 8] = [
    "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/lib/x86_64-linux-gnu", "/lib64", "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/x86_64-linux-gnu/nvidia/current", "/usr/lib",
];
/// What computing and video need; libraries that draw are left out.
const WANTED: [&str; 19] = [
    "libcuda", "libcudadebugger", "libnvcuvid", "libnvidia-allocator", "libnvidia-cfg", "libnvidia-compiler", "libnvidia-encode", "libnvidia-gpucomp", "libnvidia-ml",
    "libnvidia-nscq", "libnvidia-nvvm", "libnvidia-nvvm70", "libnvidia-opencl", "libnvidia-opticalflow", "libnvidia-pkcs11", "libnvidia-pkcs11-openssl3",
    "libnvidia-ptxjitcompiler", "libnvidia-sandboxutils", "libnvidia-tileiras",
];
/// Programs of the driver that are of use in a container.
const PROGRAMS: [&str; 2] = ["/usr/bin/nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi"];

/// The libraries of one driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Library {
    /// Folder that holds them, as the host sees it.
    pub folder: PathBuf,
    /// Version of the one that computes.
    pub version: String,
    /// Name under which a program asks for it, and the file behind it; both in `folder`.
    pub files: BTreeMap<String, String>,
    /// The driver's own program that shows cards, where there is one.
    pub program: Option<PathBuf>,
}

/// Looks below `root`. Where several versions lie about, that of the `driver` is taken; otherwise the first.
pub fn find(root: &Path, driver: &str) -> Option<Library> {
    let cache = std::fs::read(below(root, "/etc/ld.so.cache")).unwrap_or_default();
    let mut folders = named(&cache);
    folders.extend(FOLDERS.map(String::from));
    let mut all: Vec<Library> = folders.iter().filter_map(|f| within(&below(root, f))).collect();
    let at = all.iter().position(|l| l.version == driver).unwrap_or(0);
    let mut chosen = (at < all.len()).then(|| all.swap_remove(at))?;
    chosen.program = PROGRAMS.iter().map(|p| below(root, p)).find(|p| p.is_file());
    Some(chosen)
}

/// Folders of the library in the host's own list, which ends every path with a zero byte.
fn named(cache: &[u8]) -> Vec<String> {
    let words = cache.split(|b| *b == 0).filter_map(|w| std::str::from_utf8(w).ok());
    words.filter_map(|w| w.strip_suffix(CUDA)?.strip_suffix('/').filter(|f| f.starts_with('/')).map(String::from)).collect()
}

/// The libraries in `folder`, if the one that computes is there, for this processor.
fn within(folder: &Path) -> Option<Library> {
    let real = behind(folder, CUDA)?;
    if !is_64_bit(&folder.join(&real)) {
        return None;
    }
    let version = real.strip_prefix("libcuda.so.").filter(|v| is_version(v))?.to_owned();
    let ending = format!(".so.{version}");
    let wanted = |file: &str| file.strip_suffix(&ending).is_some_and(|stem| WANTED.contains(&stem));
    let stem = |name: &String| name.split_once(".so").is_some_and(|(stem, _)| WANTED.contains(&stem));
    let names = std::fs::read_dir(folder).ok()?.flatten().filter_map(|e| e.file_name().into_string().ok()).filter(stem);
    let files = names.filter_map(|name| Some((behind(folder, &name).filter(|f| wanted(f))?, name))).map(|(file, name)| (name, file)).collect();
    Some(Library { folder: folder.to_path_buf(), version, files, program: None })
}

/// The file in the same folder that a name stands for, through links.
fn behind(folder: &Path, name: &str) -> Option<String> {
    let mut name = name.to_owned();
    for _ in 0..8 {
        match std::fs::read_link(folder.join(&name)) {
            Ok(to) => name = to.file_name()?.to_str()?.to_owned(),
            Err(_) => return folder.join(&name).is_file().then_some(name),
        }
    }
    None
}

/// Programs of the other word length have libraries of the same name.
fn is_64_bit(file: &Path) -> bool {
    use std::io::Read;
    let mut head = [0u8; 5];
    std::fs::File::open(file).and_then(|mut f| f.read_exact(&mut head)).is_ok() && head == *b"\x7fELF\x02"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn put(root: &Path, folder: &str, version: &str, class: u8) {
        let folder = below(root, folder);
        std::fs::create_dir_all(&folder).unwrap();
        for stem in ["libcuda", "libnvidia-ml", "libGLX_nvidia"] {
            let file = format!("{stem}.so.{version}");
            std::fs::write(folder.join(&file), [0x7f, b'E', b'L', b'F', class]).unwrap();
            drop(std::fs::remove_file(folder.join(format!("{stem}.so.1"))));
            symlink(&file, folder.join(format!("{stem}.so.1"))).unwrap();
        }
        drop(symlink("libcuda.so.1", folder.join("libcuda.so")));
    }

    #[test]
    fn the_library_is_found_with_every_name_that_programs_use() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(find(root.path(), "580.1"), None);
        put(root.path(), "/usr/lib64", "580.1", 2);
        let found = find(root.path(), "580.1").unwrap();
        assert_eq!(found.version, "580.1");
        let names: Vec<&str> = found.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["libcuda.so", "libcuda.so.1", "libcuda.so.580.1", "libnvidia-ml.so.1", "libnvidia-ml.so.580.1"], "what draws is left out");
        assert_eq!(found.files["libcuda.so"], "libcuda.so.580.1");
    }

    #[test]
    fn of_several_versions_the_drivers_own_is_taken_and_another_word_length_never() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "/usr/lib/x86_64-linux-gnu", "535.54.03", 2);
        put(root.path(), "/opt/nvidia", "580.1", 2);
        put(root.path(), "/lib64", "580.1", 1);
        std::fs::create_dir_all(root.path().join("etc")).unwrap();
        assert_eq!(find(root.path(), "580.1").unwrap().version, "535.54.03", "nobody names the other folder");
        std::fs::write(root.path().join("etc/ld.so.cache"), b"glibc-ld.so.cache1.1\0libcuda.so.1\0/opt/nvidia/libcuda.so.1\0libc.so.6\0/lib/libc.so.6\0").unwrap();
        assert_eq!(find(root.path(), "580.1").unwrap().folder, root.path().join("opt/nvidia"));
        assert_eq!(find(root.path(), "535.54.03").unwrap().version, "535.54.03");
        assert_eq!(find(root.path(), "1.2").unwrap().version, "580.1", "the host's own list comes first");
    }
}
