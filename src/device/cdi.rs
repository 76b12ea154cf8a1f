//! The Container Device Interface: what a container gets with a card, as the file that containerd reads. Pure.
//!
//! Without hooks, so that no program of ours or NVIDIA's must lie on the host: libraries are bound into one folder under every
//! name that programs ask for, and the loader is told of it.

use super::found::{Found, Gpu};
use super::{RESOURCE, below};
use serde_json::{Value, json};
use std::path::Path;

/// Name of the file in containerd's folder.
pub const FILE: &str = "nvidia.json";
/// Where a container finds the driver's libraries.
pub const LIBRARIES: &str = "/usr/local/nvidia/lib64";
/// Version of the interface: the first that knows a device's path on the host.
const VERSION: &str = "0.5.0";

/// The file's text for these cards; `None` where there is nothing to give.
pub fn render(root: &Path, found: &Found, gpus: &[&Gpu]) -> Option<String> {
    let library = found.library.as_ref().filter(|_| !gpus.is_empty())?;
    let mut mounts: Vec<Value> = library.files.iter().map(|(name, file)| mount(&library.folder.join(file), &format!("{LIBRARIES}/{name}"))).collect();
    mounts.extend(library.program.as_ref().map(|p| mount(p, "/usr/bin/nvidia-smi")));
    let shared: Vec<Value> = found.shared.iter().map(|path| device(root, path)).collect();
    let mut devices: Vec<Value> = gpus.iter().map(|g| json!({"name": g.id(), "containerEdits": {"deviceNodes": [device(root, &g.file())]}})).collect();
    let all: Vec<Value> = gpus.iter().map(|g| device(root, &g.file())).collect();
    devices.push(json!({"name": "all", "containerEdits": {"deviceNodes": all}}));
    let spec = json!({
        "cdiVersion": VERSION,
        "kind": RESOURCE,
        "devices": devices,
        "containerEdits": {
            // The second keeps NVIDIA's own runtime, where somebody uses it, from giving the cards a second time.
            "env": [format!("LD_LIBRARY_PATH={LIBRARIES}"), "NVIDIA_VISIBLE_DEVICES=void"],
            "deviceNodes": shared,
            "mounts": mounts,
        },
    });
    Some(serde_json::to_string_pretty(&spec).expect("plain data") + "\n")
}

/// The name by which a container asks for a card.
pub fn name(id: &str) -> String {
    format!("{RESOURCE}={id}")
}

fn device(root: &Path, path: &str) -> Value {
    let host = below(root, path);
    if host == Path::new(path) { json!({"path": path}) } else { json!({"path": path, "hostPath": host}) }
}

fn mount(from: &Path, to: &str) -> Value {
    json!({"hostPath": from, "containerPath": to, "options": ["ro", "nosuid", "nodev", "bind"]})
}

#[cfg(test)]
mod tests {
    use super::super::library::Library;
    use super::*;

    fn found() -> Found {
        let gpu = |n: u32| Gpu { bus: format!("0000:0{n}:00.0"), model: "NVIDIA H100 80GB HBM3".into(), uuid: Some(format!("GPU-{n}")), minor: n, device: Some((1, 1)), ..Gpu::default() };
        let files = [("libcuda.so", "libcuda.so.580.1"), ("libcuda.so.1", "libcuda.so.580.1"), ("libcuda.so.580.1", "libcuda.so.580.1")];
        let files = files.map(|(a, b)| (a.to_string(), b.to_string())).into();
        let library = Library { folder: "/usr/lib/x86_64-linux-gnu".into(), version: "580.1".into(), files, program: Some("/usr/bin/nvidia-smi".into()) };
        Found { driver: Some("580.1".into()), gpus: vec![gpu(0), gpu(1)], library: Some(library), shared: vec!["/dev/nvidiactl".into(), "/dev/nvidia-uvm".into()], ..Found::default() }
    }

    #[test]
    fn the_file_is_as_recorded() {
        let found = found();
        let text = render(Path::new("/"), &found, &found.gpus.iter().collect::<Vec<_>>()).unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/host/cdi.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "UPDATE_GOLDEN=1 rewrites it");
    }

    #[test]
    fn below_another_root_devices_name_their_place_on_the_host() {
        let found = found();
        let text = render(Path::new("/run/driver"), &found, &[&found.gpus[1]]).unwrap();
        let spec: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(spec["devices"][0], json!({"name": "GPU-1", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia1", "hostPath": "/run/driver/dev/nvidia1"}]}}));
        assert_eq!(spec["devices"][1]["containerEdits"]["deviceNodes"].as_array().unwrap().len(), 1, "all are those that can be used");
        assert_eq!(render(Path::new("/"), &found, &[]), None);
        assert_eq!(render(Path::new("/"), &Found { library: None, ..found.clone() }, &[&found.gpus[0]]), None);
    }
}
