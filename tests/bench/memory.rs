//! B4: proportional set size, processor time and bytes written of control plane and runtime on an idle node, and the size of the whole stack.

use crate::measure::{figure, setting};
use crate::procs::{self, command, cpu, pss, sums, told};
use crate::sides::{Archives, Ours, Plain, Side};
use crate::support::testhost::Switch;
use std::time::{Duration, Instant};

const SAMPLES: usize = 7;
const IDLE_WINDOWS: usize = 3;
const IDLE_WINDOW: u64 = 40;
const SAMPLE: &str = "--sample";
/// What the whole stack may take, MiB.
const WHOLE: f64 = 3072.0;

/// Both sides idle at the same time, on the same machine: memory that two processes share is of one file on one side only.
pub fn b4(switch: &Switch) {
    let archives = Archives::make(switch);
    let (mut ours, mut plain) = (Ours::new(switch, &[SAMPLE]), Plain::new(switch, &archives, true));
    ours.start();
    ours.healthy();
    plain.seconds_to_ready();
    plain.imported();
    plain.carry(&[SAMPLE]);
    let idle = setting("ANTIHATE_BENCH_IDLE", 600);
    std::thread::sleep(Duration::from_secs(idle));
    let (mut parts, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let total = |pids: &[i32]| pids.iter().map(|p| pss(*p)).sum::<f64>();
        parts.push((total(&control_plane(&ours)), total(&plain.components())));
        whole.push((total(&everything(&ours)), WHOLE));
        std::thread::sleep(Duration::from_secs(2));
    }
    let what = format!("after {idle} idle s, both carrying the stack with sample input; ours with its host process");
    figure(&format!("B4 proportional set size of control plane and runtime {what}"), ("MiB", 0), "samples of one pair", &parts);
    figure(&format!("B4 proportional set size of everything, shims and pods with sample input, after {idle} s; baseline the limit"), ("MiB", 0), "samples", &whole);
    idle_cost(&ours, &plain, &what);
    println!("B4 MiB by program, ours: {}; the script: {}", by_program(&everything(&ours)), by_program(&plain.components()));
}

/// Processor time and bytes written while nothing is asked of the node but what its stack asks.
fn idle_cost(ours: &Ours, plain: &Plain, what: &str) {
    let sides = || [control_plane(ours), plain.components()];
    let usage = |of: fn(i32) -> f64| sides().map(|pids| pids.into_iter().map(of).sum::<f64>());
    let (mut cores, mut written) = (Vec::new(), Vec::new());
    for _ in 0..IDLE_WINDOWS {
        let (begun, c, w) = (Instant::now(), usage(cpu), usage(procs::written));
        std::thread::sleep(Duration::from_secs(IDLE_WINDOW));
        let (lasted, c2, w2) = (begun.elapsed().as_secs_f64(), usage(cpu), usage(procs::written));
        cores.push(((c2[0] - c[0]) / lasted * 100.0, (c2[1] - c[1]) / lasted * 100.0));
        written.push(((w2[0] - w[0]) / lasted * 86_400.0 / 1e6, (w2[1] - w[1]) / lasted * 86_400.0 / 1e6));
    }
    let windows = format!("windows of {IDLE_WINDOW} s");
    figure(&format!("B4 processor time of control plane and runtime {what}"), ("% of a core", 1), &windows, &cores);
    figure(&format!("B4 written to disk by control plane and runtime {what}"), ("MB a day", 0), &windows, &written);
    println!("B4 % of a core by program, ours: {}; the script: {}", share(&control_plane(ours)), share(&plain.components()));
}

/// Share of a core of each program over a window.
fn share(pids: &[i32]) -> String {
    let before = sums(pids, program, cpu);
    std::thread::sleep(Duration::from_secs(IDLE_WINDOW));
    let now = sums(pids, program, cpu);
    told(&now.into_iter().map(|(name, c)| (name.clone(), (c - before.get(&name).unwrap_or(&0.0)) / IDLE_WINDOW as f64 * 100.0)).collect(), 1)
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
    told(&sums(pids, program, pss), 0)
}

/// Name of the program in a command line.
fn program(line: &str) -> String {
    line.split([' ', ':']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
}
