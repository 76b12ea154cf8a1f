//! The product's own sample site; it runs only where the settings ask for it.

use super::common::{COORDINATION, Workload, http, service};
use super::images;
use crate::config::Resolved;
use serde_json::Value;

const PORTS: [(&str, u16); 1] = [("http", 8080)];

/// Service and Deployment.
pub fn objects(resolved: &Resolved) -> Vec<Value> {
    let deployment = Workload {
        namespace: COORDINATION,
        name: "sample",
        component: "sample-site",
        image: images::WORKER,
        args: vec!["sample".into()],
        account: "sample-sa",
        user: 65532,
        share: resolved.sizes.small,
        env: vec![],
        ports: PORTS.to_vec(),
        probe: http("/health", 8080),
        ready: None,
        volumes: vec![],
        depends_on: vec![],
        grace: 5,
        api: false,
    }
    .deployment();
    vec![service(COORDINATION, "sample", None, &PORTS), deployment]
}
