//! An emulated machine with Debian's kernel and systemd (`appliance/vm`), for what the kernel of this machine cannot show.
//!
//! One machine keeps its system disk and its other disks over several boots; a boot runs one script of `tests/vm` to its end, or
//! to a power cut. The machine ends with the script, and its disks with the value.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// How a boot ended whose power was cut.
pub const CUT: i32 = 99;

/// One machine.
pub struct Vm {
    folder: tempfile::TempDir,
    disks: Vec<(PathBuf, &'static str)>,
}

impl Vm {
    /// A machine with further disks of these sizes, `/dev/vdb` first; none of it is made before the first boot.
    pub fn new(disks: &[&'static str]) -> Vm {
        let base = std::env::var_os("ANTIHATE_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = tempfile::Builder::new().prefix("antihate-machine-").tempdir_in(base).expect("a folder");
        let disks = disks.iter().enumerate().map(|(n, size)| (folder.path().join(format!("disk{n}")), *size)).collect();
        Vm { folder, disks }
    }

    /// Boots it with `tests/vm/SCRIPT.sh` and waits for its end; prints what it says. Returns the exit code.
    /// Beside the script it finds the complete file (`antihate`), this test's own program (`it`) and `lib.sh`.
    pub fn boot(&self, script: &str, options: &[&str]) -> i32 {
        let (tree, begun) = (Path::new(env!("CARGO_MANIFEST_DIR")), Instant::now());
        let scripts = tree.join("tests/vm");
        let mut command = Command::new(tree.join("appliance/vm"));
        command.arg("run").arg("--root").arg(self.folder.path().join("root.img")).args(options);
        for (file, size) in &self.disks {
            command.arg("--disk").arg(file).arg(size);
        }
        command.arg(scripts.join(format!("{script}.sh"))).args([self.linked("antihate", &super::antihate()), self.linked("it", &std::env::current_exe().expect("this program"))]);
        let mut child = command.arg(scripts.join("lib.sh")).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("appliance/vm starts");
        for line in BufReader::new(child.stdout.take().expect("piped")).split(b'\n').map_while(Result::ok) {
            println!("  vm: {}", String::from_utf8_lossy(&line).trim_end());
        }
        let code = child.wait().expect("it ends").code().unwrap_or(-1);
        println!("  vm: {script} ended with {code} after {:.0} s", begun.elapsed().as_secs_f64());
        code
    }

    /// The file under a plain name; a copy where a link cannot be.
    fn linked(&self, name: &str, file: &Path) -> PathBuf {
        let path = self.folder.path().join(name);
        if !path.exists() && std::fs::hard_link(file, &path).is_err() {
            std::fs::copy(file, &path).expect("a copy");
        }
        path
    }
}
