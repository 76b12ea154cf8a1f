//! Cluster DNS: CoreDNS at the fixed address; other names go to the host's resolvers, where there are any.

use super::common::{Workload, config_map, http, object};
use super::{images, network};
use crate::config::Resolved;
use crate::config::place::Stack;
use serde_json::{Value, json};
use std::net::IpAddr;

pub(super) const NAMESPACE: &str = "kube-system";
/// A port that needs no privilege; the service answers on 53.
pub(super) const PORT: u16 = 1053;

/// Configuration, service, deployment.
pub fn objects(resolved: &Resolved) -> Vec<Value> {
    let config = config_map(NAMESPACE, "coredns", json!({"Corefile": corefile(&resolved.host.resolvers)}));
    let workload = Workload {
        namespace: NAMESPACE,
        name: "coredns",
        component: "dns",
        image: images::COREDNS,
        args: ["-conf", "/etc/coredns/Corefile"].map(String::from).to_vec(),
        account: "coredns",
        user: 65532,
        share: resolved.sizes.small,
        env: vec![],
        ports: vec![("metrics", 9153)],
        probe: http("/health", 8080),
        ready: Some(http("/ready", 8181)),
        volumes: vec![("config", json!({"configMap": {"name": "coredns"}}), json!({"mountPath": "/etc/coredns", "readOnly": true}))],
        depends_on: vec![&config],
        grace: 10,
        api: true,
    };
    let mut deployment = workload.deployment();
    let pod = &mut deployment["spec"]["template"]["spec"];
    // Its own names come from the host, not from itself.
    pod["dnsPolicy"] = "Default".into();
    pod["priorityClassName"] = "system-cluster-critical".into();
    let ports = pod["containers"][0]["ports"].as_array_mut().expect("a list");
    ports.extend([("dns", "UDP"), ("dns-tcp", "TCP")].map(|(name, protocol)| json!({"name": name, "containerPort": PORT, "protocol": protocol})));
    vec![service(resolved.stack), config, deployment]
}

/// Where the cluster has both families of addresses, it answers at one of each.
fn service(stack: Stack) -> Value {
    let mut spec = json!({
        "type": "ClusterIP",
        "clusterIP": network::DNS_IP,
        "selector": {"app": "coredns"},
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": PORT},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": PORT},
            {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
        ],
    });
    if stack == Stack::Dual {
        spec["ipFamilyPolicy"] = "PreferDualStack".into();
    }
    object("v1", "Service", Some(NAMESPACE), "kube-dns", &[("k8s-app", "kube-dns")], json!({ "spec": spec }))
}

/// With resolvers, foreign names are forwarded. Without, they are answered at once with "no such name" instead of a wait,
/// in a block of their own: inside the first one the answer would come before that of the cluster's names.
/// A loopback resolver belongs to the host's own network namespace: asked from a pod it would be CoreDNS itself.
fn corefile(resolvers: &[IpAddr]) -> String {
    let usable: Vec<String> = resolvers.iter().filter(|ip| !ip.is_loopback() && !ip.is_unspecified()).take(3).map(IpAddr::to_string).collect();
    let domain = network::DOMAIN;
    let common = "    errors\n    reload\n    prometheus :9153\n";
    let watched = "    health :8080 {\n        lameduck 2s\n    }\n    ready :8181\n    loop\n";
    let own = |fall: &str| format!("    kubernetes {domain} in-addr.arpa ip6.arpa {{\n        pods disabled\n{fall}        ttl 5\n    }}\n");
    if usable.is_empty() {
        let nowhere = "    template ANY ANY {\n        rcode NXDOMAIN\n    }\n";
        return format!("{domain}:{PORT} in-addr.arpa:{PORT} ip6.arpa:{PORT} {{\n{common}{watched}{}}}\n.:{PORT} {{\n{common}{nowhere}}}\n", own(""));
    }
    let fall = "        fallthrough in-addr.arpa ip6.arpa\n";
    format!(".:{PORT} {{\n{common}{watched}{}    forward . {}\n    cache 30\n}}\n", own(fall), usable.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_usable_resolvers_forwards_nowhere() {
        for resolvers in [vec![], vec!["127.0.0.53".parse().unwrap(), "::1".parse().unwrap()]] {
            let text = corefile(&resolvers);
            assert!(!text.contains("forward"), "{text}");
            let (first, rest) = text.split_once("\n}\n").unwrap();
            assert!(first.contains("kubernetes") && !first.contains("NXDOMAIN"), "{text}");
            assert!(rest.starts_with(".:") && rest.contains("NXDOMAIN"), "{text}");
        }
    }

    #[test]
    fn it_answers_at_an_address_of_each_family_where_there_are_two() {
        assert_eq!(service(Stack::Ipv4)["spec"].get("ipFamilyPolicy"), None);
        assert_eq!(service(Stack::Dual)["spec"]["ipFamilyPolicy"], "PreferDualStack");
    }

    #[test]
    fn foreign_names_go_to_the_resolvers_of_the_host() {
        let text = corefile(&["127.0.0.53".parse().unwrap(), "192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]);
        assert!(text.contains("forward . 192.0.2.1 2001:db8::1\n"), "{text}");
    }
}
