//! The observers: one Deployment a platform, all from one image and one configuration.

use super::common::{OBSERVERS, Workload, config_map, env, http, service};
use super::{images, network};
use crate::config::{Observation, Resolved};
use serde_json::{Value, json};

const PORTS: [(&str, u16); 1] = [("metrics", 9090)];

/// Platforms with a Deployment on this node; import only where the settings allow it.
pub fn platforms(resolved: &Resolved) -> Vec<&'static str> {
    let mut all = vec!["rss", "mastodon"];
    if resolved.settings.sources.import.enabled {
        all.push("import");
    }
    all
}

/// Configuration, then service and Deployment of each.
pub fn objects(resolved: &Resolved) -> Vec<Value> {
    let observation = Observation::of(resolved);
    let config = config_map(OBSERVERS, "observer-config", json!({"observer.toml": observation.render()}));
    let mut all = vec![config.clone()];
    for platform in platforms(resolved) {
        let name = format!("observer-{platform}");
        all.push(service(OBSERVERS, &name, None, &PORTS));
        all.push(deployment(resolved, &name, platform, &observation, &config));
    }
    all
}

fn deployment(resolved: &Resolved, name: &str, platform: &str, observation: &Observation, config: &Value) -> Value {
    let hashtags: Vec<String> = observation.hashtags.iter().map(|h| format!("#{h}")).collect();
    let mut volumes = vec![("config", json!({"configMap": {"name": "observer-config"}}), json!({"mountPath": "/etc/antihate", "readOnly": true}))];
    if platform == "import" {
        volumes.push(("import", json!({"persistentVolumeClaim": {"claimName": "import-folder"}}), json!({"mountPath": "/import"})));
    }
    Workload {
        namespace: OBSERVERS,
        name,
        component: "observation",
        image: images::WORKER,
        args: vec!["observe".into(), platform.into()],
        account: "observer-sa",
        user: 65532,
        share: resolved.sizes.observer,
        env: vec![
            env("HASHTAGS", hashtags.join(",")),
            env("GEOGRAPHY", &observation.geography),
            env("POSTGRES_HOST", network::POSTGRES_HOST),
            env("KAFKA_BROKER", network::KAFKA_BROKER),
        ],
        ports: PORTS.to_vec(),
        probe: http("/health", 9090),
        ready: Some(http("/ready", 9090)),
        volumes,
        depends_on: vec![config],
        grace: 20,
        api: false,
    }
    .deployment()
}
