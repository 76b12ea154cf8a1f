//! The seven namespaces of the guide, and the quotas of three of them.
//!
//! A quota is the guide's figure or the host's own amount, whichever is less (limits: one and a half times the
//! host's amount, the guide's own proportion): no namespace may ask for more than there is, and none gets more
//! than the guide grants.

use super::common::{ANALYZERS, COORDINATION, MONITORING, OBSERVERS, SECURITY, STORAGE, SYSTEM, object};
use crate::config::Resolved;
use serde_json::{Value, json};

const WORKLOADS: [&str; 4] = [OBSERVERS, ANALYZERS, STORAGE, COORDINATION];

/// All namespaces of ours.
pub const ALL: [&str; 7] = [SYSTEM, MONITORING, SECURITY, OBSERVERS, ANALYZERS, STORAGE, COORDINATION];

/// The guide's figures: cores and GiB requested, cores and GiB as limits, pods, claims, GiB of storage.
struct Quota {
    namespace: &'static str,
    name: &'static str,
    requests: (u32, u64),
    limits: (u32, u64),
    pods: u32,
    claims: Option<u32>,
    storage: Option<u64>,
}

const QUOTAS: [Quota; 3] = [
    Quota { namespace: ANALYZERS, name: "analyzer-quota", requests: (64, 128), limits: (96, 192), pods: 50, claims: Some(5), storage: None },
    Quota { namespace: OBSERVERS, name: "observer-quota", requests: (16, 32), limits: (24, 48), pods: 30, claims: None, storage: None },
    Quota { namespace: STORAGE, name: "storage-quota", requests: (32, 256), limits: (48, 384), pods: 10, claims: Some(10), storage: Some(10 * 1024) },
];

/// Namespaces first, then their quotas.
pub fn objects(resolved: &Resolved) -> Vec<Value> {
    let quotas = QUOTAS.iter().map(|q| quota(q, resolved.sizes.host));
    ALL.iter().map(|n| namespace(n)).chain(quotas).collect()
}

fn namespace(name: &str) -> Value {
    let mut labels = vec![("name", name)];
    if WORKLOADS.contains(&name) {
        labels.extend([("node-level", "local"), ("istio-injection", "enabled")]);
    }
    for mode in ["enforce", "audit", "warn"] {
        labels.push(match mode {
            "enforce" => ("pod-security.kubernetes.io/enforce", "restricted"),
            "audit" => ("pod-security.kubernetes.io/audit", "restricted"),
            _ => ("pod-security.kubernetes.io/warn", "restricted"),
        });
    }
    object("v1", "Namespace", None, name, &labels, json!({}))
}

fn quota(q: &Quota, (cpu, memory, disk): (u32, u64, u64)) -> Value {
    let cores = |guide: u32, host: u32| cpu_text((guide * 1000).min(host));
    let gib = |guide: u64, host: u64| memory_text((guide * 1024).min(host));
    let mut hard = json!({
        "requests.cpu": cores(q.requests.0, cpu),
        "requests.memory": gib(q.requests.1, memory),
        "limits.cpu": cores(q.limits.0, cpu * 3 / 2),
        "limits.memory": gib(q.limits.1, memory * 3 / 2),
        "pods": q.pods.to_string(),
    });
    if let Some(claims) = q.claims {
        hard["persistentvolumeclaims"] = claims.to_string().into();
    }
    if let Some(storage) = q.storage {
        hard["requests.storage"] = format!("{}Gi", storage.min(disk.max(super::volumes::NOMINAL_GIB))).into();
    }
    object("v1", "ResourceQuota", Some(q.namespace), q.name, &[], json!({"spec": {"hard": hard}}))
}

fn cpu_text(millis: u32) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

fn memory_text(mib: u64) -> String {
    if mib.is_multiple_of(1024) { format!("{}Gi", mib / 1024) } else { format!("{mib}Mi") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{GIB, HostFacts, Valid};

    fn hard(cpu_millis: u32, gib: u64, disk: u64) -> Vec<Value> {
        let facts = HostFacts { cpu_millis, memory_bytes: gib * GIB, disk_bytes: disk * GIB, ..HostFacts::example() };
        let objects = objects(&Resolved::new(Valid::default(), facts));
        objects.iter().filter(|o| o["kind"] == "ResourceQuota").map(|o| o["spec"]["hard"].clone()).collect()
    }

    #[test]
    fn a_large_host_has_exactly_the_quotas_of_the_guide() {
        let quotas = hard(256_000, 1024, 20_000);
        assert_eq!(quotas[0], json!({"requests.cpu": "64", "requests.memory": "128Gi", "limits.cpu": "96", "limits.memory": "192Gi", "pods": "50", "persistentvolumeclaims": "5"}));
        assert_eq!(quotas[1], json!({"requests.cpu": "16", "requests.memory": "32Gi", "limits.cpu": "24", "limits.memory": "48Gi", "pods": "30"}));
        assert_eq!(quotas[2]["requests.storage"], "10240Gi");
    }

    #[test]
    fn a_small_host_has_its_own_amounts_as_quotas() {
        let quotas = hard(2000, 8, 64);
        assert_eq!(quotas[1]["requests.cpu"], "2");
        assert_eq!(quotas[1]["limits.cpu"], "3");
        assert_eq!(quotas[2]["limits.memory"], "12Gi");
        assert_eq!(quotas[2]["requests.storage"], "64Gi");
    }
}
