//! Apache Kafka in KRaft mode: one broker that is its own controller.

use super::common::{SYSTEM, Workload, config_map, env, headless, service, tcp};
use super::{images, network};
use crate::config::Resolved;
use serde_json::{Value, json};

const PORTS: [(&str, u16); 1] = [("kafka", 9092)];

/// Configuration, services, StatefulSet.
pub fn objects(resolved: &Resolved) -> Vec<Value> {
    let config = config_map(SYSTEM, "kafka-config", json!({"server.properties": settings(resolved)}));
    let workload = Workload {
        namespace: SYSTEM,
        name: "kafka",
        component: "queue",
        image: images::KAFKA,
        args: vec![],
        account: "kafka-sa",
        user: 1001,
        share: resolved.sizes.kafka,
        env: vec![env("KAFKA_HEAP", format!("{}m", resolved.sizes.kafka_heap))],
        ports: PORTS.to_vec(),
        probe: tcp(9092),
        ready: None,
        volumes: vec![
            ("data", Value::Null, json!({"mountPath": "/data"})),
            ("config", json!({"configMap": {"name": "kafka-config"}}), json!({"mountPath": "/etc/kafka", "readOnly": true})),
        ],
        depends_on: vec![&config],
        grace: 60,
        api: false,
    };
    let set = workload.stateful_set("kafka-headless", super::volumes::NOMINAL);
    vec![config.clone(), service(SYSTEM, "kafka", Some(network::KAFKA_IP), &PORTS), headless(SYSTEM, "kafka", &PORTS), set]
}

/// One listener for all: the service's fixed address is reachable from pods and from the host alike, with and without cluster DNS.
fn settings(resolved: &Resolved) -> String {
    format!("advertised.listeners=PLAINTEXT://{}:9092\nlog.retention.hours=72\nlog.retention.bytes={}\n", network::KAFKA_IP, resolved.sizes.topic_bytes)
}
