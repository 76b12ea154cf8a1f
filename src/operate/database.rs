//! The database as the host process reaches it: by the address of its pod.
//!
//! The host has no cluster DNS, and a host without a default route has no way to service addresses either; to its own
//! pods it always has one. The address changes with the pod, so it is asked for again when the database is silent.

use super::credentials::credentials;
use crate::cluster::{Cluster, ObjectRef};
use crate::config::layout::Layout;
use crate::manifests::network;
use crate::status::Problem;
use crate::store::{PgConfig, Postgres};
use serde_json::Value;

/// The node's store; connects when it is first asked. Make it anew when it does not answer.
pub async fn store(cluster: &Cluster, layout: &Layout) -> Result<Postgres, Problem> {
    let place = ObjectRef { api_version: "v1".into(), kind: "Endpoints".into(), namespace: Some("antihate-storage".into()), name: "postgres".into() };
    let endpoints = cluster.get(&place).await.map_err(|e| e.problem())?;
    let host = endpoints.as_ref().and_then(address).ok_or_else(|| {
        Problem::new("OPR-102", "the database is not ready", "no pod of postgres is ready", "Wait: it is asked again. `antihate logs antihate-storage/postgres` says more.")
    })?;
    Ok(Postgres::new(PgConfig {
        host,
        port: 5432,
        user: network::POSTGRES_USER.into(),
        password: credentials(layout)?.postgres_password,
        database: network::POSTGRES_DB.into(),
    }))
}

/// The first address that is ready.
fn address(endpoints: &Value) -> Option<String> {
    Some(endpoints.pointer("/subsets/0/addresses/0/ip")?.as_str()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_ready_pod_has_an_address() {
        let ready = json!({"subsets": [{"addresses": [{"ip": "10.42.0.3"}], "ports": [{"port": 5432}]}]});
        assert_eq!(address(&ready).as_deref(), Some("10.42.0.3"));
        assert_eq!(address(&json!({"subsets": [{"notReadyAddresses": [{"ip": "10.42.0.3"}]}]})), None);
        assert_eq!(address(&json!({})), None);
    }
}
