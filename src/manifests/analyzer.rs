//! The text analyzer: ONNX Runtime in its own image, or tract in the worker's, on the same model folder.

use super::common::{ANALYZERS, Workload, env, env_secret, http, service};
use super::postgres::{SECRET, secret_for_analyzers};
use super::{Credentials, images, network};
use crate::config::{Engine, Resolved};
use serde_json::{Value, json};

const PORTS: [(&str, u16); 1] = [("metrics", 9091)];

/// Secret, service, Deployment.
pub fn objects(resolved: &Resolved, credentials: &Credentials) -> Vec<Value> {
    let secret = secret_for_analyzers(credentials);
    let deployment = deployment(resolved, &secret);
    vec![secret, service(ANALYZERS, "analyzer-text", None, &PORTS), deployment]
}

fn deployment(resolved: &Resolved, secret: &Value) -> Value {
    let analyzer = &resolved.settings.analyzer;
    Workload {
        namespace: ANALYZERS,
        name: "analyzer-text",
        component: "analysis",
        image: match analyzer.engine {
            Engine::Onnxruntime => images::ANALYZER,
            Engine::Tract => images::WORKER,
        },
        args: vec!["analyze".into()],
        account: "analyzer-sa",
        user: 65532,
        share: resolved.sizes.analyzer,
        env: environment(resolved),
        ports: PORTS.to_vec(),
        probe: http("/health", 9091),
        ready: Some(http("/ready", 9091)),
        volumes: vec![
            ("models", json!({"persistentVolumeClaim": {"claimName": "ml-models-pvc", "readOnly": true}}), json!({"mountPath": "/models", "readOnly": true})),
            ("shm", json!({"emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}}), json!({"mountPath": "/dev/shm"})),
        ],
        depends_on: vec![secret],
        grace: 30,
        api: false,
    }
    .deployment()
}

fn environment(resolved: &Resolved) -> Vec<Value> {
    let analyzer = &resolved.settings.analyzer;
    vec![
        env("MODEL_PATH", "/models/text"),
        env("BATCH_SIZE", analyzer.batch_size),
        env("KAFKA_CONSUMER_GROUP", "analyzer-text-group"),
        env("MAX_SEQUENCE_LENGTH", analyzer.max_sequence_length),
        env("GEOGRAPHY", resolved.geography()),
        env("RETENTION_DAYS", resolved.settings.retention_days),
        env("KAFKA_BROKER", network::KAFKA_BROKER),
        env("POSTGRES_HOST", network::POSTGRES_HOST),
        env("POSTGRES_DB", network::POSTGRES_DB),
        env("POSTGRES_USER", network::POSTGRES_USER),
        env_secret("POSTGRES_PASSWORD", SECRET, "password"),
    ]
}
