//! Addresses of the cluster's own networks, and the names of its services.

/// Addresses of pods.
pub const POD_CIDR: &str = "10.42.0.0/16";

/// IPv6 addresses of pods, in a cluster that has both.
pub const POD_CIDR6: &str = "fd00:42::/56";

/// Whether this is an address of a pod, or of a host on the mesh between hosts.
pub fn is_pod(address: std::net::Ipv4Addr) -> bool {
    address.octets()[..2] == [10, 42]
}

/// Addresses of services.
pub const SERVICE_CIDR: &str = "10.43.0.0/16";
/// IPv6 addresses of services, in a cluster that has both.
pub const SERVICE_CIDR6: &str = "fd00:43::/112";
/// The API server's service: the first address.
pub const API_IP: &str = "10.43.0.1";
/// Cluster DNS.
pub const DNS_IP: &str = "10.43.0.10";
/// Domain of cluster names.
pub const DOMAIN: &str = "cluster.local";
/// Kafka's service. Fixed, because Kafka tells its clients where to come back to, and the host process has no cluster DNS.
pub const KAFKA_IP: &str = "10.43.0.92";
/// PostgreSQL's service.
pub const POSTGRES_IP: &str = "10.43.0.54";
/// Prometheus' service.
pub const PROMETHEUS_IP: &str = "10.43.0.90";

/// Kafka as pods reach it.
pub const KAFKA_BROKER: &str = "kafka.antihate-system.svc.cluster.local:9092";
/// PostgreSQL as pods reach it.
pub const POSTGRES_HOST: &str = "postgres.antihate-storage.svc.cluster.local";
/// Database of a local node.
pub const POSTGRES_DB: &str = "antihate_leaf";
/// The database's user.
pub const POSTGRES_USER: &str = "antihate";
