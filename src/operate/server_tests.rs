//! The rendered stack against a real API server on loopback: every object is accepted, drift is healed, leftovers are pruned.
//!
//! Needs the Kubernetes payload's folder in ANTIHATE_TEST_KUBERNETES and no root. Without it these tests are left out
//! by name (`--ignored` runs them), so that nobody takes a skipped one for a passed one.

use super::apply;
use crate::cluster::test_server::server;
use crate::cluster::{Applied, Cluster, ObjectRef};
use crate::config::{HostFacts, Resolved, Valid};
use crate::manifests::{Credentials, Group, render};
use serde_json::json;
use std::time::Duration;

fn stack(settings: &str) -> Vec<Group> {
    render(&Resolved::new(Valid::parse(settings).unwrap(), HostFacts::example()), &Credentials::masked())
}

async fn applied(cluster: &Cluster, groups: &[Group]) -> apply::Done {
    knowing(cluster, groups, &mut apply::Known::default()).await
}

async fn knowing(cluster: &Cluster, groups: &[Group], known: &mut apply::Known) -> apply::Done {
    // A fresh server makes its priority classes a moment after it answers.
    for _ in 0..50 {
        match apply::everything(cluster, groups, known, &|_| {}).await {
            Ok(done) => return done,
            Err(e) if e.is_transient() => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(e) => panic!("{}", e.problem().render()),
        }
    }
    panic!("the server stays busy");
}

fn deployment(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef { api_version: "apps/v1".into(), kind: "Deployment".into(), namespace: Some(namespace.into()), name: name.into() }
}

#[tokio::test]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn a_server_accepts_the_whole_stack_and_further_passes_change_nothing() {
    let (_server, cluster) = server().await;
    let groups = stack("sample = true");
    let first = applied(&cluster, &groups).await;
    assert_eq!(first.changed.len(), groups.iter().map(|g| g.objects.len()).sum::<usize>());
    // The server writes a claim once more at its second apply, with the same content; from then on nothing moves.
    let second = applied(&cluster, &groups).await;
    assert!(second.changed.iter().all(|o| o.kind == "PersistentVolumeClaim") && second.pruned.is_empty(), "{second:?}");
    assert_eq!(applied(&cluster, &groups).await, apply::Done::default());
}

#[tokio::test]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn drift_is_healed_and_what_nobody_wants_is_pruned_and_what_is_not_ours_stays() {
    let (_server, cluster) = server().await;
    // Once more, because a claim is written at the second apply too; then nothing is left to be done.
    let mut known = apply::Known::default();
    for _ in 0..3 {
        knowing(&cluster, &stack("sample = true"), &mut known).await;
    }
    assert_eq!(knowing(&cluster, &stack("sample = true"), &mut known).await, apply::Done::default());
    let foreign = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-the-site", "namespace": "antihate-system"}, "data": {"a": "b"}});
    assert_eq!(cluster.apply(&foreign).await.unwrap().0, Applied::Changed);
    cluster.delete(&deployment("antihate-monitoring", "prometheus")).await.unwrap();
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kafka-config", "namespace": "antihate-system"},
        "data": {"server.properties": "changed by hand"}});
    cluster.apply(&config).await.unwrap();
    // The server's cache, which a pass asks, hears of it a moment later.
    tokio::time::sleep(Duration::from_millis(500)).await;

    let healed = knowing(&cluster, &stack(""), &mut known).await;

    let names: Vec<&str> = healed.changed.iter().map(|o| o.name.as_str()).collect();
    assert!(names.contains(&"kafka-config") && names.contains(&"prometheus"), "{names:?}");
    assert!(healed.pruned.contains(&deployment("antihate-coordination", "sample")), "{:?}", healed.pruned);
    assert!(cluster.get(&deployment("antihate-coordination", "sample")).await.unwrap().is_none());
    assert!(cluster.get(&ObjectRef::of(&foreign).unwrap()).await.unwrap().is_some());
    let kafka = cluster.get(&ObjectRef::of(&config).unwrap()).await.unwrap().unwrap();
    assert!(kafka.pointer("/data/server.properties").unwrap().as_str().unwrap().contains("advertised.listeners"));
}

#[tokio::test]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn an_apply_that_broke_off_forgets_nothing_that_it_made() {
    let (_server, cluster) = server().await;
    let mut broken = stack("sample = true");
    broken.last_mut().unwrap().objects.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "is-not-there"}}));
    let failed = loop {
        match apply::everything(&cluster, &broken, &mut apply::Known::default(), &|_| {}).await {
            Err(e) if e.is_transient() => tokio::time::sleep(Duration::from_millis(200)).await,
            other => break other,
        }
    };
    assert!(failed.is_err());
    assert!(cluster.get(&deployment("antihate-coordination", "sample")).await.unwrap().is_some());
    let next = applied(&cluster, &stack("")).await;
    assert!(next.pruned.contains(&deployment("antihate-coordination", "sample")), "{:?}", next.pruned);
}
