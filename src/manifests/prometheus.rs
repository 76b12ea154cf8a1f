//! Prometheus: what it asks, the guide's alerts, and how much it keeps.

use super::common::{MONITORING, Workload, config_map, http, service};
use super::{images, network, observers};
use crate::config::Resolved;
use serde_json::{Value, json};

const PORTS: [(&str, u16); 1] = [("http", 9090)];

/// Configuration, service, Deployment.
pub fn objects(resolved: &Resolved) -> Vec<Value> {
    let data = json!({"prometheus.yml": scrape(resolved), "alerts.yml": include_str!("alerts.yml")});
    let config = config_map(MONITORING, "prometheus-config", data);
    let deployment = Workload {
        namespace: MONITORING,
        name: "prometheus",
        component: "monitoring",
        image: images::PROMETHEUS,
        args: vec![
            "--config.file=/etc/prometheus/prometheus.yml".into(),
            "--storage.tsdb.retention.time=30d".into(),
            format!("--storage.tsdb.retention.size={}MB", resolved.sizes.prometheus_disk),
        ],
        account: "prometheus-sa",
        user: 65534,
        share: resolved.sizes.prometheus,
        env: vec![],
        ports: PORTS.to_vec(),
        probe: http("/-/healthy", 9090),
        ready: Some(http("/-/ready", 9090)),
        volumes: vec![
            ("config", json!({"configMap": {"name": "prometheus-config"}}), json!({"mountPath": "/etc/prometheus", "readOnly": true})),
            ("data", json!({"persistentVolumeClaim": {"claimName": "prometheus-data"}}), json!({"mountPath": "/data"})),
        ],
        depends_on: vec![&config],
        grace: 30,
        api: false,
    }
    .deployment();
    vec![config.clone(), service(MONITORING, "prometheus", Some(network::PROMETHEUS_IP), &PORTS), deployment]
}

/// One job a service, named after it: the guide's alerts select by job.
fn scrape(resolved: &Resolved) -> String {
    let domain = network::DOMAIN;
    let mut targets: Vec<(String, String)> =
        observers::names(resolved).into_iter().map(|n| (n.clone(), format!("{n}.antihate-observers.svc.{domain}:9090"))).collect();
    targets.push(("analyzer-text".into(), format!("analyzer-text.antihate-analyzers.svc.{domain}:9091")));
    targets.push(("coredns".into(), format!("kube-dns.kube-system.svc.{domain}:9153")));
    targets.push(("prometheus".into(), "localhost:9090".into()));
    let jobs: String = targets.iter().map(|(job, target)| format!("  - job_name: {job}\n    static_configs:\n      - targets: [\"{target}\"]\n")).collect();
    let labels = format!("  external_labels:\n    node: {}\n", resolved.node_name());
    format!("global:\n  scrape_interval: 30s\n  evaluation_interval: 30s\n{labels}rule_files: [/etc/prometheus/alerts.yml]\nscrape_configs:\n{jobs}")
}
