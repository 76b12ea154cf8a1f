//! B4: proportional set size of control plane and runtime on an idle node, and of the whole stack.

use crate::measure::{figure, setting};
use crate::procs::{command, pss, sums, told};
use crate::sides::{Archives, Ours, Plain, Side};
use crate::support::testhost::Switch;
use std::time::Duration;

const SAMPLES: usize = 7;
/// What the whole stack may take, MiB.
const WHOLE: f64 = 3072.0;

/// Both sides idle at the same time, on the same machine: memory that two processes share is of one file on one side only.
pub fn b4(switch: &Switch) {
    let archives = Archives::make(switch);
    let (mut ours, mut plain) = (Ours::new(switch, &["--sample"]), Plain::new(switch, &archives, false));
    ours.start();
    ours.healthy();
    plain.seconds_to_ready();
    let idle = setting("ANTIHATE_BENCH_IDLE", 600);
    std::thread::sleep(Duration::from_secs(idle));
    let (mut parts, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let total = |pids: &[i32]| pids.iter().map(|p| pss(*p)).sum::<f64>();
        parts.push((total(&control_plane(&ours)), total(&plain.components())));
        whole.push((total(&everything(&ours)), WHOLE));
        std::thread::sleep(Duration::from_secs(2));
    }
    let what = format!("after {idle} idle s; ours with its host process, carrying its stack with sample input; the script's without any pod");
    figure(&format!("B4 proportional set size of control plane and runtime {what}"), ("MiB", 0), "samples of one pair", &parts);
    figure(&format!("B4 proportional set size of everything, shims and pods with sample input, after {idle} s; baseline the limit"), ("MiB", 0), "samples", &whole);
    println!("B4 MiB by program, ours: {}; the script: {}", by_program(&everything(&ours)), by_program(&plain.components()));
}

/// Kubernetes' components with the process that looks after them; shims belong to pods.
fn control_plane(ours: &Ours) -> Vec<i32> {
    let mut pids = ours.group().child("host").processes();
    pids.retain(|p| !command(*p).contains("containerd-shim"));
    pids.push(ours.pid());
    pids
}

fn everything(ours: &Ours) -> Vec<i32> {
    let mut pids = ours.group().processes();
    pids.push(ours.pid());
    pids
}

fn by_program(pids: &[i32]) -> String {
    let name = |line: &str| line.split([' ', ':']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
    told(&sums(pids, name, pss), 0)
}
