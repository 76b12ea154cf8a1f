//! What a hardened cluster must refuse (CIS Kubernetes benchmark, NSA's hardening guide), asked of a running node.

use crate::support::said;
use crate::support::testhost::TestHost;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

/// All of it, on a healthy node.
pub(crate) fn is_hardened(host: &TestHost) {
    nobody_is_let_in_without_credentials(host);
    only_the_own_host_reaches_the_other_components(host);
    the_kubelet_asks_who_may(host);
    a_node_touches_only_what_is_its_own(host);
    files_of_the_control_plane_are_closed(host);
    the_audit_log_says_who_and_not_what(host);
    containers_are_confined(host);
    people_may_what_their_role_says(host);
}

/// The status that a request gets; 0 where nobody answers.
fn status(host: &TestHost, url: &str, more: &[&str]) -> u16 {
    let out = host.command("curl").args(["-sk", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}"]).args(more).arg(url).output().expect("curl");
    String::from_utf8_lossy(&out.stdout).trim().parse().unwrap_or(0)
}

/// CIS 1.2.1, 1.2.6: without credentials only the probes answer; old TLS is not spoken.
fn nobody_is_let_in_without_credentials(host: &TestHost) {
    let api = format!("https://{}:6443", host.address);
    for probe in ["livez", "readyz", "healthz"] {
        assert_eq!(status(host, &format!("{api}/{probe}"), &[]), 200, "{probe}");
    }
    for path in ["api", "apis", "api/v1/secrets", "api/v1/pods", "metrics", "version", "openapi/v2", "debug/pprof/"] {
        assert_eq!(status(host, &format!("{api}/{path}"), &[]), 401, "{path}");
    }
    assert_eq!(status(host, &format!("{api}/api"), &["-H", "Authorization: Bearer made-up"]), 401);
    assert_eq!(status(host, &format!("{api}/livez"), &["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"]), 0, "TLS 1.1 is refused");
}

/// CIS 1.3.7, 1.4.2: controller manager, scheduler and kube-proxy listen on the loopback; the datastore has no port at all.
fn only_the_own_host_reaches_the_other_components(host: &TestHost) {
    for port in [10257, 10259, 10256, 10249, 10248, 2379] {
        assert_eq!(status(host, &format!("https://{}:{port}/healthz", host.address), &[]), 0, "{port}");
        assert_eq!(status(host, &format!("http://{}:{port}/healthz", host.address), &[]), 0, "{port}");
    }
    for port in [10257, 10259] {
        assert_eq!(status(host, &format!("https://127.0.0.1:{port}/metrics"), &[]), 403, "{port}: figures only for who may");
    }
}

fn identity(host: &TestHost, name: &str) -> Vec<String> {
    let file = |ending: &str| host.data().join("pki").join(format!("{name}.{ending}")).display().to_string();
    vec!["--cert".into(), file("crt"), "--key".into(), file("key")]
}

/// CIS 4.2.1, 4.2.2, 4.2.4: no anonymous questions, no port without authentication, and rights are asked of the API server.
fn the_kubelet_asks_who_may(host: &TestHost) {
    let kubelet = format!("https://{}:10250", host.address);
    assert_eq!(status(host, &format!("{kubelet}/pods"), &[]), 401);
    assert_eq!(status(host, &format!("http://{}:10255/pods", host.address), &[]), 0);
    let with = |name: &str| identity(host, name);
    let ask = |name: &str| status(host, &format!("{kubelet}/pods"), &with(name).iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((ask("scheduler"), ask("apiserver-kubelet-client")), (403, 200));
}

fn with_config(host: &TestHost, config: &Path, args: &[&str]) -> Output {
    host.antihate(&[&["kubectl", "--kubeconfig", &config.display().to_string()], args].concat())
}

/// CIS 1.2.8 (NodeRestriction): the kubelet reads the secrets of its pods alone and does not touch others' nodes or labels.
fn a_node_touches_only_what_is_its_own(host: &TestHost) {
    let kubelet = host.data().join("pki/kubelet.kubeconfig");
    for args in [&["get", "secrets", "-A"][..], &["label", "node", "leaf-1", "node-restriction.kubernetes.io/mine=yes"], &["delete", "node", "another"], &["get", "configmaps", "-n", "kube-system"]] {
        let out = with_config(host, &kubelet, args);
        assert!(!out.status.success() && said(&out).contains("orbidden"), "{args:?}: {}", said(&out));
    }
    assert!(with_config(host, &kubelet, &["get", "node", "leaf-1"]).status.success());
}

/// CIS 1.1: keys, kubeconfigs, configuration and the datastore are for root alone.
fn files_of_the_control_plane_are_closed(host: &TestHost) {
    let mode = |path: &Path| std::fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions().mode() & 0o777;
    let data = host.data();
    for folder in ["pki", "kubernetes/kine", "secrets"] {
        let folder = data.join(folder);
        assert!(mode(&folder) == 0o700, "{}", folder.display());
        for file in std::fs::read_dir(&folder).expect("a folder").flatten().filter(|f| f.file_type().is_ok_and(|t| t.is_file())) {
            let open = [Some("crt"), Some("pub"), Some("json")].contains(&file.path().extension().and_then(|e| e.to_str()));
            assert!(open || folder.ends_with("kine") || mode(&file.path()) == 0o600, "{}", file.path().display());
        }
    }
    assert_eq!(mode(&data.join("logs/kube-audit.log")), 0o600);
}

/// CIS 1.2.16 to 1.2.20, 3.2.1: who changed what stands there, and no content of it.
fn the_audit_log_says_who_and_not_what(host: &TestHost) {
    let canary = ["canary", "51d0c2aa", "of-the-audit"].join("-");
    let made = host.antihate(&["kubectl", "create", "secret", "generic", "audited", "-n", "antihate-system", &format!("--from-literal=word={canary}")]);
    assert!(made.status.success(), "{}", said(&made));
    assert!(host.antihate(&["kubectl", "delete", "secret", "audited", "-n", "antihate-system"]).status.success());
    let log = std::fs::read_to_string(host.data().join("logs/kube-audit.log")).expect("the audit log");
    let line = log.lines().find(|l| l.contains("\"create\"") && l.contains("\"audited\"")).expect("the creation is on record");
    assert!(line.contains("antihate-admin") && !line.contains("requestObject"), "{line}");
    let encoded = data_encoding::BASE64.encode(canary.as_bytes());
    assert!(!log.contains(&canary) && !log.contains(&encoded));
}

/// Every container but the runtime's own: a seccomp filter, no new rights, no capability, not root.
fn containers_are_confined(host: &TestHost) {
    let mut seen = 0;
    for pid in host.container_processes() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let value = |field: &str| status.lines().find_map(|l| l.strip_prefix(field)).map(|v| v.split_whitespace().next().unwrap_or_default().to_owned());
        let Some(name) = value("Name:") else { continue }; // it ended meanwhile
        let facts = ["Seccomp:", "NoNewPrivs:", "CapEff:", "CapBnd:"].map(|f| value(f).unwrap_or_default());
        assert_eq!(facts[..3], ["2", "1", "0000000000000000"], "{name}");
        assert_ne!(value("Uid:").as_deref(), Some("0"), "{name}");
        seen += 1;
    }
    assert!(seen >= 8, "{seen} processes in containers");
}

fn people_may_what_their_role_says(host: &TestHost) {
    let config = |role: &str| {
        let out = host.folder().join(format!("{role}.kubeconfig"));
        let made = host.antihate(&["kubeconfig", "--role", role, "--name", "jo", "--server", &host.address, "--out", &out.display().to_string()]);
        assert!(made.status.success(), "{}", said(&made));
        out
    };
    let (viewer, operator, owner) = (config("viewer"), config("operator"), config("owner"));
    let may = |config: &Path, question: &[&str]| with_config(host, config, &[&["auth", "can-i"], question].concat()).status.success();
    let look = [&["list", "pods", "-A"][..], &["get", "pods/log", "-n", "antihate-observers"], &["list", "deployments", "-A"]];
    let act = [&["delete", "pods", "-n", "antihate-observers"][..], &["patch", "deployments", "-n", "antihate-analyzers"]];
    // Entering a pod, or reading the database's password, would show posts.
    let rule = [&["get", "secrets", "-A"][..], &["create", "pods/exec", "-n", "antihate-storage"], &["create", "pods", "-n", "antihate-storage"], &["delete", "namespaces"], &["create", "clusterrolebindings"], &["impersonate", "users"]];
    for (who, config, allowed) in [("viewer", &viewer, 1), ("operator", &operator, 2), ("owner", &owner, 3)] {
        for (rank, questions) in [(1, &look[..]), (2, &act[..]), (3, &rule[..])] {
            for question in questions {
                assert_eq!(may(config, question), rank <= allowed, "{who}: {question:?}");
            }
        }
    }
    let restart = with_config(host, &operator, &["rollout", "restart", "deployment", "-n", "antihate-coordination"]);
    assert!(restart.status.success(), "{}", said(&restart));
    let bad = host.antihate(&["kubeconfig", "--role", "viewer", "--name", "system:admin", "--json"]);
    assert!(!bad.status.success() && said(&bad).contains("CLI-104"), "{}", said(&bad));
}
