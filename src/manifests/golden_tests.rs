//! The rendered stack against golden YAML, against the Kubernetes types, and against Pod Security `restricted`.

use super::*;
use crate::config::{HostFacts, Valid};
use std::path::PathBuf;

fn stack(settings: &str) -> Vec<Group> {
    render(&Resolved::new(Valid::parse(settings).unwrap(), HostFacts::example()), &Credentials::masked())
}

fn yaml(group: &Group) -> String {
    group.objects.iter().map(|o| format!("---\n{}", serde_yaml_ng::to_string(o).unwrap())).collect()
}

#[test]
fn the_stack_is_rendered_as_the_golden_files_say() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/manifests");
    let mut differing = Vec::new();
    for group in stack("sample = true\n[node]\nname = \"leaf-1\"\ngeography = \"Northern Mumbai\"\n[sources]\nhashtags = [\"#hate-speech-en\"]\n") {
        let path = dir.join(format!("{}.yaml", group.id));
        let text = yaml(&group);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != text {
            differing.push(path);
        }
    }
    assert!(differing.is_empty(), "differ, UPDATE_GOLDEN=1 rewrites them: {differing:?}");
}

/// Reads into the type and back: what the type does not know is lost and so seen.
fn survives<T: serde::de::DeserializeOwned + serde::Serialize>(object: &Value) -> Value {
    let typed: T = serde_json::from_value(object.clone()).unwrap_or_else(|e| panic!("{e}: {object}"));
    serde_json::to_value(typed).unwrap()
}

fn typed(object: &Value) -> Value {
    use k8s_openapi::api::{admissionregistration, apps, core, networking, rbac, storage};
    match object["kind"].as_str().unwrap() {
        "Namespace" => survives::<core::v1::Namespace>(object),
        "ResourceQuota" => survives::<core::v1::ResourceQuota>(object),
        "ServiceAccount" => survives::<core::v1::ServiceAccount>(object),
        "ConfigMap" => survives::<core::v1::ConfigMap>(object),
        "Secret" => survives::<core::v1::Secret>(object),
        "Service" => survives::<core::v1::Service>(object),
        "PersistentVolume" => survives::<core::v1::PersistentVolume>(object),
        "PersistentVolumeClaim" => survives::<core::v1::PersistentVolumeClaim>(object),
        "StorageClass" => survives::<storage::v1::StorageClass>(object),
        "Role" => survives::<rbac::v1::Role>(object),
        "RoleBinding" => survives::<rbac::v1::RoleBinding>(object),
        "ClusterRole" => survives::<rbac::v1::ClusterRole>(object),
        "ClusterRoleBinding" => survives::<rbac::v1::ClusterRoleBinding>(object),
        "NetworkPolicy" => survives::<networking::v1::NetworkPolicy>(object),
        "Deployment" => survives::<apps::v1::Deployment>(object),
        "StatefulSet" => survives::<apps::v1::StatefulSet>(object),
        "ValidatingAdmissionPolicy" => survives::<admissionregistration::v1::ValidatingAdmissionPolicy>(object),
        "ValidatingAdmissionPolicyBinding" => survives::<admissionregistration::v1::ValidatingAdmissionPolicyBinding>(object),
        other => panic!("no type for {other}"),
    }
}

/// Every field of `left` is in `right` with the same value; empty lists and maps may be left out.
fn holds(left: &Value, right: &Value, path: &str) {
    match left {
        Value::Object(map) => map.iter().filter(|(_, v)| **v != serde_json::json!([]) && **v != serde_json::json!({})).for_each(|(k, v)| {
            holds(v, right.get(k).unwrap_or_else(|| panic!("{path}.{k} is unknown to Kubernetes")), &format!("{path}.{k}"));
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| holds(v, &right[i], &format!("{path}[{i}]"))),
        scalar => assert_eq!(scalar, right, "{path}"),
    }
}

#[test]
fn every_field_is_known_to_the_kubernetes_types() {
    for object in stack("sample = true").iter().flat_map(|g| &g.objects) {
        holds(object, &typed(object), &format!("{} {}", object["kind"], object["metadata"]["name"]));
    }
}

#[test]
fn every_pod_keeps_to_the_restricted_standard_and_has_limits() {
    let groups = stack("sample = true");
    let pods: Vec<&Value> = groups.iter().flat_map(|g| &g.objects).map(|o| &o["spec"]["template"]["spec"]).filter(|p| p.is_object()).collect();
    assert_eq!(pods.len(), 9);
    for pod in pods {
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert!(container["resources"]["limits"]["cpu"].is_string() && container["resources"]["requests"]["memory"].is_string());
        for volume in pod["volumes"].as_array().unwrap() {
            let kinds = ["emptyDir", "configMap", "persistentVolumeClaim"];
            assert!(kinds.iter().any(|k| volume.get(k).is_some()), "{volume}");
        }
    }
}

#[test]
fn every_namespace_is_restricted_and_carries_the_name_that_policies_select_by() {
    for object in stack("").iter().flat_map(|g| g.objects.clone()).filter(|o| o["kind"] == "Namespace") {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        assert_eq!(labels["name"], object["metadata"]["name"]);
    }
}

#[test]
fn the_settings_choose_what_runs() {
    let names = |settings: &str| -> Vec<String> {
        let deployments = |o: &&Value| o["kind"] == "Deployment";
        stack(settings).iter().flat_map(|g| &g.objects).filter(deployments).map(|o| o["metadata"]["name"].as_str().unwrap().to_string()).collect()
    };
    assert!(!names("").contains(&"sample".to_string()));
    assert!(names("sample = true").contains(&"sample".to_string()));
    assert!(!names("[sources.import]\nenabled = false").contains(&"observer-import".to_string()));
}

#[test]
fn the_engine_chooses_the_image_and_nothing_else() {
    let image = |settings: &str| stack(settings).iter().find(|g| g.id == "analyzer").unwrap().objects[2]["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_eq!(image(""), images::ANALYZER);
    assert_eq!(image("[analyzer]\nengine = \"tract\""), images::WORKER);
}

#[test]
fn the_password_reaches_only_secrets() {
    let resolved = Resolved::new(Valid::default(), HostFacts::example());
    let groups = render(&resolved, &Credentials { postgres_password: "canary".into() });
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode("canary");
    for object in groups.iter().flat_map(|g| &g.objects) {
        let text = object.to_string();
        assert!(!text.contains("canary"));
        assert!(object["kind"] == "Secret" || !text.contains(&encoded));
    }
}
