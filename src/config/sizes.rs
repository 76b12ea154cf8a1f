//! How much each workload gets on this host: the guide's figures are upper bounds, a small host gets a share.
//!
//! The rule, the same for every workload: a request is a fixed share of the host's amount, never below what the
//! program needs to work and never above the guide's figure; a limit is a larger share, bounded in the same way.
//! The rule for a quota: the guide's figure, or the host's own amount where that is less (limits: one and a half
//! times the host's amount, which is the guide's own proportion of limits to requests).

/// 2^20 bytes.
pub const MIB: u64 = 1 << 20;
/// 2^30 bytes.
pub const GIB: u64 = 1 << 30;

/// What one container asks for and may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Requested CPU in thousandths of a core.
    pub cpu_request: u32,
    /// Most CPU in thousandths of a core.
    pub cpu_limit: u32,
    /// Requested memory in MiB.
    pub memory_request: u64,
    /// Most memory in MiB.
    pub memory_limit: u64,
}

/// What each volume may hold, GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volumes {
    /// The database.
    pub postgres: u64,
    /// The queue.
    pub kafka: u64,
    /// Metrics.
    pub prometheus: u64,
    /// Files that wait for their import.
    pub import: u64,
    /// Models, which are written once.
    pub models: u64,
}

impl Volumes {
    /// No volume is smaller: a claim of a StatefulSet can never be changed, so what it asks for is the same on every host.
    pub const LEAST: u64 = 4;

    /// Half of the disk for the database, 15 % for the queue (its topic keeps 10 %), 10 % for metrics (which keep 5 %), 5 % for imports;
    /// a fifth stays free for all others. The guide's figures are the most.
    fn of(disk_bytes: u64) -> Volumes {
        let disk = disk_bytes / GIB;
        let share = |percent: u64, most: u64| (disk * percent / 100).clamp(Volumes::LEAST, most);
        Volumes { postgres: share(50, 10 * 1024), kafka: share(15, 750), prometheus: share(10, 1000), import: share(5, 100), models: Volumes::LEAST }
    }

    /// All of them, GiB.
    pub fn total(&self) -> u64 {
        self.postgres + self.kafka + self.prometheus + self.import + self.models
    }
}

/// The sizes of everything that scales with the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// PostgreSQL.
    pub postgres: Share,
    /// Kafka.
    pub kafka: Share,
    /// Heap of Kafka's Java runtime, MiB.
    pub kafka_heap: u64,
    /// The text analyzer.
    pub analyzer: Share,
    /// Each observer.
    pub observer: Share,
    /// Prometheus.
    pub prometheus: Share,
    /// Cluster DNS, and the sample site.
    pub small: Share,
    /// Bytes that the topic may hold on disk.
    pub topic_bytes: u64,
    /// MiB that Prometheus may hold on disk.
    pub prometheus_disk: u64,
    /// What the volumes may hold.
    pub volumes: Volumes,
    /// The host's amounts, for the quotas: thousandths of a core, MiB, GiB of disk.
    pub host: (u32, u64, u64),
}

/// Share, floor and the guide's figure for one container; percent of the host.
struct Rule {
    cpu: (u32, u32, u32),
    cpu_limit: (u32, u32, u32),
    memory: (u64, u64, u64),
    memory_limit: (u64, u64, u64),
}

impl Rule {
    fn on(&self, cpu: u32, memory: u64) -> Share {
        let c = |(percent, floor, guide): (u32, u32, u32)| ((u64::from(cpu) * u64::from(percent) / 100) as u32).clamp(floor, guide);
        let m = |(percent, floor, guide): (u64, u64, u64)| (memory * percent / 100).clamp(floor, guide);
        Share { cpu_request: c(self.cpu), cpu_limit: c(self.cpu_limit), memory_request: m(self.memory), memory_limit: m(self.memory_limit) }
    }
}

const K: u64 = 1024;
const POSTGRES: Rule = Rule { cpu: (8, 100, 4000), cpu_limit: (100, 500, 8000), memory: (5, 256, 32 * K), memory_limit: (15, 768, 64 * K) };
const KAFKA: Rule = Rule { cpu: (6, 100, 2000), cpu_limit: (100, 500, 4000), memory: (5, 384, 4 * K), memory_limit: (9, 704, 8 * K) };
const ANALYZER: Rule = Rule { cpu: (12, 100, 4000), cpu_limit: (100, 500, 8000), memory: (6, 384, 16 * K), memory_limit: (18, 1024, 32 * K) };
const OBSERVER: Rule = Rule { cpu: (1, 20, 500), cpu_limit: (50, 250, 2000), memory: (1, 32, K), memory_limit: (3, 192, 4 * K) };
const PROMETHEUS: Rule = Rule { cpu: (2, 30, 2000), cpu_limit: (50, 250, 4000), memory: (2, 128, 8 * K), memory_limit: (6, 384, 16 * K) };
const SMALL: Rule = Rule { cpu: (1, 20, 100), cpu_limit: (25, 200, 1000), memory: (0, 32, 128), memory_limit: (2, 160, 512) };

impl Sizes {
    /// Sizes for a host with so many thousandths of a core, bytes of memory and bytes of disk.
    pub fn of(cpu_millis: u32, memory_bytes: u64, disk_bytes: u64) -> Sizes {
        let memory = memory_bytes / MIB;
        let kafka = KAFKA.on(cpu_millis, memory);
        Sizes {
            postgres: POSTGRES.on(cpu_millis, memory),
            kafka,
            // The rest of the limit is the runtime's own and direct buffers.
            kafka_heap: (kafka.memory_limit * 2 / 5).clamp(256, 1024),
            analyzer: ANALYZER.on(cpu_millis, memory),
            observer: OBSERVER.on(cpu_millis, memory),
            prometheus: PROMETHEUS.on(cpu_millis, memory),
            small: SMALL.on(cpu_millis, memory),
            topic_bytes: (disk_bytes / 10).clamp(256 * MIB, 500 * GIB),
            prometheus_disk: (disk_bytes / 20 / MIB).clamp(256, 500 * 1000),
            volumes: Volumes::of(disk_bytes),
            host: (cpu_millis, memory, disk_bytes / GIB),
        }
    }

    /// What the whole stack requests together: thousandths of a core and MiB.
    pub fn requested(&self) -> (u32, u64) {
        let all = [self.postgres, self.kafka, self.analyzer, self.observer, self.observer, self.observer, self.prometheus, self.small, self.small];
        (all.iter().map(|s| s.cpu_request).sum(), all.iter().map(|s| s.memory_request).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_stack_fits_the_smallest_host_with_room_for_kubernetes() {
        let (cpu, memory) = Sizes::of(2000, 8 * GIB, 64 * GIB).requested();
        assert!(cpu <= 1000, "{cpu}");
        assert!(memory <= 3 * K, "{memory}");
    }

    #[test]
    fn no_host_is_so_large_that_the_figures_of_the_guide_are_exceeded() {
        let sizes = Sizes::of(512_000, 4096 * GIB, 1_000_000 * GIB);
        assert_eq!((sizes.postgres.cpu_limit, sizes.postgres.memory_limit), (8000, 64 * K));
        assert_eq!((sizes.analyzer.cpu_request, sizes.analyzer.memory_request), (4000, 16 * K));
        assert_eq!((sizes.observer.cpu_request, sizes.observer.memory_request), (500, K));
        assert_eq!(sizes.prometheus_disk, 500_000);
    }

    #[test]
    fn volumes_follow_the_disk_between_the_least_and_the_guide() {
        let of = |disk: u64| Sizes::of(2000, 8 * GIB, disk * GIB).volumes;
        assert_eq!(of(8).total(), 5 * Volumes::LEAST, "a small disk carries the least, which the check tells");
        assert_eq!(of(1000), Volumes { postgres: 500, kafka: 150, prometheus: 100, import: 50, models: 4 });
        assert_eq!(of(1_000_000), Volumes { postgres: 10 * 1024, kafka: 750, prometheus: 1000, import: 100, models: 4 });
    }

    proptest::proptest! {
        #[test]
        fn volumes_leave_a_part_of_a_disk_free_and_hold_what_their_programs_keep(disk in 100u64..100_000) {
            let s = Sizes::of(2000, 8 * GIB, disk * GIB);
            proptest::prop_assert!(s.volumes.total() <= disk * 85 / 100, "{:?}", s.volumes);
            proptest::prop_assert!(s.topic_bytes <= s.volumes.kafka * GIB && s.prometheus_disk * MIB <= s.volumes.prometheus * GIB);
        }

        #[test]
        fn a_request_never_exceeds_its_limit(cpu in 500u32..1_000_000, memory in 1u64..8192, disk in 1u64..100_000) {
            let s = Sizes::of(cpu, memory * GIB, disk * GIB);
            for share in [s.postgres, s.kafka, s.analyzer, s.observer, s.prometheus, s.small] {
                proptest::prop_assert!(share.cpu_request <= share.cpu_limit && share.memory_request <= share.memory_limit);
            }
            proptest::prop_assert!(s.kafka_heap < s.kafka.memory_limit);
        }
    }
}
