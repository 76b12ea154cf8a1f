//! The command line of etcd's member on this host, and how its API server asks it.

use crate::config::place::Host;
use crate::host::settings::Settings;
use crate::pki::cluster::ETCD as MEMBER;

/// Where clients of this host ask.
pub const CLIENT_PORT: u16 = 2379;
/// Where the members talk to each other.
pub const PEER_PORT: u16 = 2380;
/// Where its figures are.
pub const METRICS_PORT: u16 = 2381;

/// The address at which the others reach this host's member.
pub fn peer_url(host: &Host) -> String {
    format!("https://{}:{PEER_PORT}", host.address)
}

/// The member on this host.
pub fn command(s: &Settings) -> Vec<String> {
    let pki = |f: &str| s.layout.pki().join(f).display().to_string();
    let peer = format!("https://{}:{PEER_PORT}", s.node_ip);
    // Both are read by a member without data only. One that lost its data while it ran must not begin a cluster of its own beside the
    // others: it ends, and is made anew.
    let members = if s.place.members.is_empty() { format!("{}={peer}", s.node) } else { s.place.members.clone() };
    let state = if s.place.members.is_empty() && !s.place.elects() { "new" } else { "existing" };
    vec![
        format!("--name={}", s.node),
        format!("--data-dir={}", s.layout.etcd().display()),
        format!("--listen-client-urls=https://127.0.0.1:{CLIENT_PORT}"),
        format!("--advertise-client-urls=https://127.0.0.1:{CLIENT_PORT}"),
        format!("--listen-peer-urls=https://0.0.0.0:{PEER_PORT}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster={members}"),
        format!("--initial-cluster-state={state}"),
        format!("--listen-metrics-urls=http://127.0.0.1:{METRICS_PORT}"),
        "--client-cert-auth=true".into(),
        // People's certificates are of the same authority: only the API server's own client may ask.
        format!("--client-cert-allowed-hostname={MEMBER}"),
        format!("--trusted-ca-file={}", pki("trust.crt")),
        format!("--cert-file={}", pki("etcd.crt")),
        format!("--key-file={}", pki("etcd.key")),
        "--peer-client-cert-auth=true".into(),
        format!("--peer-trusted-ca-file={}", pki("trust.crt")),
        format!("--peer-cert-file={}", pki("etcd.crt")),
        format!("--peer-key-file={}", pki("etcd.key")),
        // Only certificates of this name may be members: any other client of the cluster's authority is turned away.
        format!("--peer-cert-allowed-cn={MEMBER}"),
        // Disks of such hosts are slow, and a lost leader costs seconds at most.
        "--heartbeat-interval=300".into(),
        "--election-timeout=3000".into(),
        "--auto-compaction-mode=periodic".into(),
        "--auto-compaction-retention=30m".into(),
        "--snapshot-count=10000".into(),
        "--logger=zap".into(),
        "--log-level=warn".into(),
    ]
}

/// How the API server of this host asks.
pub fn client(s: &Settings) -> Vec<String> {
    let pki = |f: &str| s.layout.pki().join(f).display().to_string();
    vec![
        format!("--etcd-servers=https://127.0.0.1:{CLIENT_PORT}"),
        format!("--etcd-cafile={}", pki("trust.crt")),
        format!("--etcd-certfile={}", pki("etcd-client.crt")),
        format!("--etcd-keyfile={}", pki("etcd-client.key")),
    ]
}
