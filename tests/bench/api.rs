//! Asks the API server of a test host, from a thread that has entered the host's network.

use crate::support::testhost::TestHost;
use antihate::host::probe::Tls;
use antihate::host::settings::API_PORT;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two questions; as often as the product itself asks.
const POLL: Duration = Duration::from_millis(50);
/// Guards against hanging forever.
const PATIENCE: Duration = Duration::from_secs(600);

/// Asks for `paths` until `done` holds of the answers; returns the moment at which it did.
pub fn reached(what: &str, host: &TestHost, pki: &Path, paths: &[&str], done: impl Fn(&[Value]) -> bool + Send) -> Instant {
    let network = host.network();
    let ask = move || {
        nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).expect("the thread enters the network");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if runtime.block_on(answers(pki, paths)).is_some_and(|a| done(&a)) {
                return Instant::now();
            }
            assert!(Instant::now() < deadline, "never came true: {what}");
            std::thread::sleep(POLL);
        }
    };
    std::thread::scope(|s| s.spawn(ask).join().expect("it came true"))
}

async fn answers(pki: &Path, paths: &[&str]) -> Option<Vec<Value>> {
    let tls = Tls::new(pki).ok()?; // the keys may not be there yet
    let mut all = Vec::new();
    for path in paths {
        let body = tokio::time::timeout(Duration::from_secs(5), tls.get(API_PORT, path)).await.ok()?.ok()?;
        all.push(serde_json::from_slice(&body).ok()?);
    }
    Some(all)
}

fn condition(object: &Value, kind: &str) -> bool {
    object["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(|c| c["type"] == kind && c["status"] == "True"))
}

/// The moment at which the node is Ready. The API server must not know it from an earlier start.
pub fn node_ready(host: &TestHost, pki: &Path, node: &str) -> Instant {
    let path = format!("/api/v1/nodes/{node}");
    reached("the node is Ready", host, pki, &[path.as_str()], |a| condition(&a[0], "Ready"))
}

/// The moment at which `workloads` workloads have what they want and every pod is Ready in containers that began after `since`.
pub fn pods_ready(host: &TestHost, pki: &Path, workloads: usize, since: DateTime<Utc>) -> Instant {
    let paths = ["/api/v1/pods", "/apis/apps/v1/deployments", "/apis/apps/v1/statefulsets", "/apis/apps/v1/daemonsets"];
    reached("every pod is Ready", host, pki, &paths, move |a| {
        let (pods, sets): (_, Vec<&Value>) = (items(&a[0]), a[1..].iter().flat_map(items).collect());
        sets.len() >= workloads && pods.len() >= workloads && sets.into_iter().all(has_what_it_wants) && pods.iter().all(|p| ready_since(p, since))
    })
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn has_what_it_wants(set: &Value) -> bool {
    let wanted = set["spec"]["replicas"].as_i64().or(set["status"]["desiredNumberScheduled"].as_i64());
    let ready = set["status"]["readyReplicas"].as_i64().or(set["status"]["numberReady"].as_i64());
    wanted.is_some_and(|w| w > 0) && wanted == ready
}

/// What the API server says of a pod may be from before a restart; when its containers began tells.
fn ready_since(pod: &Value, since: DateTime<Utc>) -> bool {
    let began = |c: &Value| c["state"]["running"]["startedAt"].as_str().and_then(|t| t.parse::<DateTime<Utc>>().ok());
    let fresh = |c: &Value| began(c).is_some_and(|t| t.timestamp() >= since.timestamp());
    condition(pod, "Ready") && pod["status"]["containerStatuses"].as_array().is_some_and(|all| all.iter().all(fresh))
}
