//! What processes cost: processor time and proportional set size, read from /proc.

use std::collections::BTreeMap;

/// What the kernel counts a second in, on every Linux for this processor.
const TICKS: f64 = 100.0;

fn read(pid: i32, file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

/// Fields of /proc/PID/stat from the third on; the second, the name, may hold anything.
fn stat(pid: i32) -> Option<Vec<u64>> {
    let text = read(pid, "stat")?;
    let rest = text.rsplit_once(')')?.1;
    Some(rest.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect())
}

/// Seconds of processor time of a process and of its ended children.
pub fn cpu(pid: i32) -> f64 {
    let ticks: u64 = stat(pid).map_or(0, |f| f[11..15].iter().sum());
    ticks as f64 / TICKS
}

/// The process and everything below it.
pub fn tree(root: i32) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let parents: Vec<(i32, i32)> = all.filter_map(|pid| Some((pid, stat(pid)?[1] as i32))).collect();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == found[next]).map(|(pid, _)| *pid).collect::<Vec<_>>());
        next += 1;
    }
    found
}

/// A value of each process, added up by the name that `name` gives to its command line.
pub fn sums(pids: &[i32], name: impl Fn(&str) -> String, value: impl Fn(i32) -> f64) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for pid in pids {
        *sums.entry(name(&command(*pid))).or_insert(0.0) += value(*pid);
    }
    sums
}

/// The command line, words separated by blanks.
pub fn command(pid: i32) -> String {
    read(pid, "cmdline").unwrap_or_default().replace('\0', " ")
}

/// Proportional set size, MiB.
pub fn pss(pid: i32) -> f64 {
    let text = read(pid, "smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("Pss:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Bytes that a process had written to disk so far.
pub fn written(pid: i32) -> f64 {
    let text = read(pid, "io").unwrap_or_default();
    text.lines().find_map(|l| l.strip_prefix("write_bytes:")?.trim().parse().ok()).unwrap_or(0.0)
}

/// Names with their numbers, the largest first.
pub fn told(sums: &BTreeMap<String, f64>, digits: usize) -> String {
    let mut all: Vec<(&String, &f64)> = sums.iter().collect();
    all.sort_by(|a, b| b.1.total_cmp(a.1));
    all.iter().map(|(name, value)| format!("{name} {value:.digits$}")).collect::<Vec<_>>().join(", ")
}

/// Processors of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory of this machine, whole GiB.
pub fn memory_gib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or(1, |k| k.div_ceil(1 << 20))
}
