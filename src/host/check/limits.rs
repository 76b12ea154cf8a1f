//! The scaling rule: what the stack's sizes follow from is the smaller of what the host has and what its outermost control group allows.
//!
//! Pods run in a group below that one, so its limits hold for them. `config::sizes` makes shares of the result; nothing is refused
//! for a limit as long as the least of memory is left.

use super::tree::Tree;

/// Numbers from here on mean "no limit".
const NONE: u64 = 1 << 60;

/// Memory that the outermost control group allows, where it sets a limit.
pub fn memory(tree: &Tree) -> Option<u64> {
    let limit = tree.number("sys/fs/cgroup/memory.max").or_else(|| tree.number("sys/fs/cgroup/memory/memory.limit_in_bytes"));
    limit.filter(|bytes| *bytes < NONE)
}

/// Cores that it allows, where it sets a limit.
pub fn cores(tree: &Tree) -> Option<f64> {
    let both = tree.text("sys/fs/cgroup/cpu.max");
    let mut v2 = both.split_whitespace().map_while(|n| n.parse::<f64>().ok());
    let v1 = |file: &str| tree.text(&format!("sys/fs/cgroup/cpu/{file}")).parse::<f64>().ok().filter(|n| *n > 0.0);
    let pair = v2.next().zip(v2.next()).or_else(|| v1("cpu.cfs_quota_us").zip(v1("cpu.cfs_period_us")));
    pair.map(|(quota, period)| quota / period)
}

/// What the stack is made for: thousandths of a core and bytes.
pub fn scaled(cores: usize, memory: u64, limits: (Option<f64>, Option<u64>)) -> (u32, u64) {
    let millis = u32::try_from(cores).unwrap_or(u32::MAX / 1000).saturating_mul(1000);
    let allowed = limits.0.map_or(millis, |cores| (cores * 1000.0) as u32);
    (millis.min(allowed).max(1), limits.1.map_or(memory, |limit| limit.min(memory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_host_and_limit_counts() {
        assert_eq!(scaled(4, 16, (None, None)), (4000, 16));
        assert_eq!(scaled(4, 16, (Some(1.5), Some(8))), (1500, 8));
        assert_eq!(scaled(1, 16, (Some(8.0), Some(64))), (1000, 16), "a limit gives nothing");
    }

    #[test]
    fn limits_of_both_versions_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join("sys/fs/cgroup").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let tree = Tree::new(dir.path());
        assert_eq!((memory(&tree), cores(&tree)), (None, None));
        put("memory/memory.limit_in_bytes", "9223372036854771712\n");
        put("cpu/cpu.cfs_quota_us", "-1\n");
        put("cpu/cpu.cfs_period_us", "100000\n");
        assert_eq!((memory(&tree), cores(&tree)), (None, None), "the largest number is none");
        put("memory/memory.limit_in_bytes", "1024\n");
        put("cpu/cpu.cfs_quota_us", "150000\n");
        assert_eq!((memory(&tree), cores(&tree)), (Some(1024), Some(1.5)));
        put("memory.max", "max\n");
        put("cpu.max", "max 100000\n");
        std::fs::remove_dir_all(dir.path().join("sys/fs/cgroup/memory")).unwrap();
        std::fs::remove_dir_all(dir.path().join("sys/fs/cgroup/cpu")).unwrap();
        assert_eq!((memory(&tree), cores(&tree)), (None, None));
        put("memory.max", "2048\n");
        put("cpu.max", "50000 100000\n");
        assert_eq!((memory(&tree), cores(&tree)), (Some(2048), Some(0.5)));
    }
}
