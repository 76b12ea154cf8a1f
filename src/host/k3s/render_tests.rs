//! What k3s reads is as recorded, can be read back, and leaves to k3s what k3s makes.

use super::SOCKET;
use super::render::*;
use crate::host::render::{golden, node, settings};
use crate::host::settings::{PAUSE_IMAGE, Settings};
use serde_json::Value;

#[test]
fn what_k3s_reads_is_as_recorded() {
    for (path, text) in files(&settings()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        golden(&format!("k3s/{name}"), &text);
    }
}

#[test]
fn the_configuration_is_yaml_and_names_each_option_once() {
    let text = configuration(&settings());
    let read: serde_json::Map<String, Value> = serde_yaml_ng::from_str(&text).unwrap();
    assert_eq!(read.len(), entries(&settings()).len());
    assert_eq!(read["https-listen-port"], 6443);
    assert!(!read.contains_key("protect-kernel-defaults"), "a kubelet that finds other kernel settings would not start");
    let protected = configuration(&Settings { kernel_protected: true, ..settings() });
    assert!(protected.ends_with("protect-kernel-defaults: true\n"));
}

#[test]
fn nothing_that_is_k3s_own_is_told_to_its_kubelet_and_the_rest_is_as_in_the_embedded_one() {
    let read = |text: String| serde_json::from_str::<serde_json::Map<String, Value>>(&text).unwrap();
    let (ours, theirs) = (read(node::kubelet(&settings())), read(kubelet(&settings())));
    assert!(KUBELET_OF_K3S.iter().all(|name| ours.contains_key(*name) && !theirs.contains_key(*name)));
    assert!(ours.iter().filter(|(name, _)| !KUBELET_OF_K3S.contains(&name.as_str())).all(|(name, value)| theirs[name] == *value));
}

#[test]
fn its_containerd_lies_where_k3s_expects_it_and_takes_our_network_and_pause_image() {
    let text = containerd(&settings());
    let read: toml::Table = text.parse().unwrap();
    assert_eq!(read["grpc"]["address"].as_str(), Some(SOCKET));
    assert!(text.contains(PAUSE_IMAGE) && text.contains("/var/lib/antihate/current/cni") && !text.contains("BinaryName"));
    assert!(!text.contains("{{"), "k3s reads it as a template");
}
