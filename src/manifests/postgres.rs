//! PostgreSQL 15: one instance with the guide's names, its settings scaled to its memory.

use super::common::{ANALYZERS, OBSERVERS, STORAGE, Workload, config_map, env, env_secret, exec, headless, object, service, tcp};
use super::{Credentials, images, network};
use crate::config::Resolved;
use serde_json::{Value, json};

/// The secret with the database's credentials, in every namespace that needs it.
pub const SECRET: &str = "postgres-creds";
const PORTS: [(&str, u16); 1] = [("postgres", 5432)];

/// Secret, configuration, services, StatefulSet.
pub fn objects(resolved: &Resolved, credentials: &Credentials) -> Vec<Value> {
    let config = config_map(STORAGE, "postgres-config", json!({"postgresql.conf": settings(resolved)}));
    let secret = secret(STORAGE, credentials);
    let workload = workload(resolved, vec![&config, &secret]);
    vec![
        secret.clone(),
        config.clone(),
        service(STORAGE, "postgres", Some(network::POSTGRES_IP), &PORTS),
        headless(STORAGE, "postgres", &PORTS),
        workload.stateful_set("postgres-headless", super::volumes::NOMINAL),
    ]
}

/// The copy of the secret for the analyzers, which write the results.
pub fn secret_for_analyzers(credentials: &Credentials) -> Value {
    secret(ANALYZERS, credentials)
}

/// The copy of the secret for the observers, which keep there how far they have read.
pub fn secret_for_observers(credentials: &Credentials) -> Value {
    secret(OBSERVERS, credentials)
}

fn secret(namespace: &str, credentials: &Credentials) -> Value {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let data = json!({"username": encode(network::POSTGRES_USER), "password": encode(&credentials.postgres_password)});
    object("v1", "Secret", Some(namespace), SECRET, &[], json!({"type": "Opaque", "data": data}))
}

fn workload<'a>(resolved: &Resolved, depends_on: Vec<&'a Value>) -> Workload<'a> {
    Workload {
        namespace: STORAGE,
        name: "postgres",
        component: "storage",
        image: images::POSTGRES,
        args: vec![],
        account: "postgres-sa",
        user: 999,
        share: resolved.sizes.postgres,
        env: vec![
            env("POSTGRES_USER", network::POSTGRES_USER),
            env_secret("POSTGRES_PASSWORD", SECRET, "password"),
            env("POSTGRES_DB", network::POSTGRES_DB),
            env("PGDATA", "/data/pgdata"),
            env("POSTGRES_INITDB_ARGS", "--encoding=UTF8 --locale=en_US.UTF-8"),
        ],
        ports: PORTS.to_vec(),
        // Over TCP: the socket answers earlier, while the password is being renewed.
        probe: exec(&["pg_isready", "-q", "-h", "127.0.0.1", "-U", network::POSTGRES_USER, "-d", network::POSTGRES_DB]),
        // The start was seen by then, and what answers to nobody is ended by the other question.
        ready: Some(tcp(PORTS[0].1)),
        volumes: vec![
            ("data", Value::Null, json!({"mountPath": "/data"})),
            ("config", json!({"configMap": {"name": "postgres-config"}}), json!({"mountPath": "/etc/postgresql", "readOnly": true})),
            ("shm", json!({"emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}}), json!({"mountPath": "/dev/shm"})),
        ],
        depends_on,
        grace: 60,
        api: false,
    }
}

/// The usual shares: a quarter of the memory for shared buffers, three quarters expected in caches.
fn settings(resolved: &Resolved) -> String {
    let memory = resolved.sizes.postgres.memory_limit;
    let buffers = (memory / 4).max(128);
    let cache = memory * 3 / 4;
    let work = (memory / 200).clamp(4, 64);
    let maintenance = (memory / 16).clamp(48, 2048);
    let wal = (resolved.sizes.host.2 * 1024 / 50).clamp(512, 16 * 1024);
    format!(
        "# Scaled to {memory} MiB; the settings that keep what was written are not here, they stay on.\n\
         max_connections = 100\nshared_buffers = {buffers}MB\neffective_cache_size = {cache}MB\nwork_mem = {work}MB\n\
         maintenance_work_mem = {maintenance}MB\nmax_wal_size = {wal}MB\ncheckpoint_timeout = 15min\n\
         checkpoint_completion_target = 0.9\nrandom_page_cost = 1.1\ntrack_io_timing = on\ntimezone = UTC\n"
    )
}
