//! B5: how large the binary is without images and models.

use crate::support::antihate;
use crate::support::testhost::Switch;
use std::process::Command;

/// k3s' own guard for its binary, MiB.
const GUARD: f64 = 70.0;
/// What the whole file may weigh, MB.
const WHOLE: f64 = 600.0;

pub fn b5(_: &Switch) {
    let file = std::fs::metadata(antihate()).expect("the file").len() as f64;
    let listed = Command::new(antihate()).args(["payload", "list", "--json"]).output().expect("it starts");
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).expect("JSON");
    // Everything but Kubernetes: blobs and layouts of images, models, and what describes them.
    let stored = |kubernetes: bool| -> f64 {
        rows.iter().filter(|r| (r["kind"] == "kubernetes") == kubernetes).filter_map(|r| r["stored_size"].as_f64()).sum()
    };
    let own = (file - stored(false)) / f64::from(1 << 20);
    println!("B5 size of the binary without images and models: ours {own:.1} MiB, baseline {GUARD:.0} MiB, ratio {:.2}", own / GUARD);
    let (whole, kubernetes) = (file / 1e6, stored(true) / 1e6);
    println!("B5 size of the whole file: ours {whole:.0} MB, {kubernetes:.0} MB of it Kubernetes, limit {WHOLE:.0} MB, ratio {:.2}", whole / WHOLE);
}
