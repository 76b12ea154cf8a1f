//! The observers: one Deployment a platform (one a server for Mastodon), all from one image.

use super::common::{OBSERVERS, Workload, config_map, env, env_secret, http, service};
use super::postgres::{SECRET, secret_for_observers};
use super::{Credentials, images, network};
use crate::config::{Observation, Resolved};
use serde_json::{Value, json};

const PORTS: [(&str, u16); 1] = [("metrics", 9090)];

/// One observer's Deployment: its name, its platform, and what it alone is told.
struct Observer {
    name: String,
    platform: &'static str,
    env: Vec<Value>,
}

/// Names of the observers that the settings ask for.
pub fn names(resolved: &Resolved) -> Vec<String> {
    wanted(resolved, &Observation::of(resolved)).into_iter().map(|o| o.name).collect()
}

/// An observer runs where it has something to observe.
fn wanted(resolved: &Resolved, observation: &Observation) -> Vec<Observer> {
    let mut all = Vec::new();
    if !observation.rss.is_empty() {
        let feeds: Vec<&str> = observation.rss.iter().map(|f| f.url.as_str()).collect();
        let env = vec![env("HASHTAGS", tags(&observation.hashtags)), env("FEED_URLS", feeds.join(","))];
        all.push(Observer { name: "observer-rss".into(), platform: "rss", env });
    }
    for (i, instance) in observation.mastodon.iter().enumerate() {
        let name = if i == 0 { "observer-mastodon".to_string() } else { format!("observer-mastodon-{}", i + 1) };
        let hashtags = match (&instance.hashtags, instance.public) {
            (own, _) if !own.is_empty() => own.clone(),
            (_, true) => Vec::new(),
            _ => observation.hashtags.clone(),
        };
        let env = vec![env("HASHTAGS", tags(&hashtags)), env("MASTODON_URL", instance.server.as_str().trim_end_matches('/'))];
        all.push(Observer { name, platform: "mastodon", env });
    }
    if resolved.settings.sources.import.enabled {
        let env = vec![env("HASHTAGS", ""), env("IMPORT_DIR", "/import")];
        all.push(Observer { name: "observer-import".into(), platform: "import", env });
    }
    all
}

fn tags(bare: &[String]) -> String {
    bare.iter().map(|t| format!("#{t}")).collect::<Vec<_>>().join(",")
}

/// Secret and configuration, then service and Deployment of each.
pub fn objects(resolved: &Resolved, credentials: &Credentials) -> Vec<Value> {
    let observation = Observation::of(resolved);
    let config = config_map(OBSERVERS, "observer-config", json!({"observer.toml": observation.render()}));
    let secret = secret_for_observers(credentials);
    let mut all = vec![secret.clone(), config.clone()];
    for observer in wanted(resolved, &observation) {
        all.push(service(OBSERVERS, &observer.name, None, &PORTS));
        all.push(deployment(resolved, observer, &observation, vec![&secret, &config]));
    }
    all
}

fn deployment(resolved: &Resolved, observer: Observer, observation: &Observation, depends_on: Vec<&Value>) -> Value {
    let mut volumes = vec![("config", json!({"configMap": {"name": "observer-config"}}), json!({"mountPath": "/etc/antihate", "readOnly": true}))];
    if observer.platform == "import" {
        volumes.push(("import", json!({"persistentVolumeClaim": {"claimName": "import-folder"}}), json!({"mountPath": "/import"})));
    }
    let mut environment = observer.env;
    environment.extend([
        env("GEOGRAPHY", &observation.geography),
        env("POLL_SECONDS", observation.poll_seconds),
        env("BACKFILL", resolved.settings.sample),
        env("KAFKA_BROKER", network::KAFKA_BROKER),
        env("POSTGRES_HOST", network::POSTGRES_HOST),
        env("POSTGRES_DB", network::POSTGRES_DB),
        env("POSTGRES_USER", network::POSTGRES_USER),
        env_secret("POSTGRES_PASSWORD", SECRET, "password"),
    ]);
    Workload {
        namespace: OBSERVERS,
        name: &observer.name,
        component: "observation",
        image: images::WORKER,
        args: vec!["observe".into(), "--platform".into(), observer.platform.into()],
        account: "observer-sa",
        user: 65532,
        share: resolved.sizes.observer,
        env: environment,
        ports: PORTS.to_vec(),
        probe: http("/health", 9090),
        ready: Some(http("/ready", 9090)),
        volumes,
        depends_on,
        grace: 20,
        api: false,
    }
    .deployment()
}
