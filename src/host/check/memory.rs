//! Memory: how much there is, how much of it is free, and whether it can be trusted.

use super::asked::Asked;
use super::limits;
use super::tree::{Tree, field, list, size};
use crate::config::{GIB, MIB};
use crate::status::check::{Check, Group};

const G: Group = Group::Memory;
/// The stack's shares at their least and Kubernetes beside them: all of it was measured at 1.6 GiB with sample input.
const LEAST: u64 = 3 * GIB;
/// From here on shares leave room for load.
const WANTED: u64 = 4 * GIB;
/// What a start takes at once.
const FREE: u64 = 3 * GIB / 2;
/// What the kubelet keeps back for host and evictions, MiB.
const KEPT: u64 = 768 + 200;
/// Percent of the last minute in which something waited for memory.
const PRESSURE: f64 = 10.0;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// All of it, bytes.
    pub total: u64,
    /// What a control group allows, where it sets a limit.
    pub limit: Option<u64>,
    /// What a new program could get, bytes.
    pub available: u64,
    /// What the stack asks for, MiB.
    pub requested: u64,
    /// Swap, bytes.
    pub swap: u64,
    /// The kernel's way of promising memory.
    pub overcommit: u64,
    /// What large pages hold back, bytes.
    pub huge: u64,
    /// What the kernel took out of use because it is broken, bytes.
    pub broken: u64,
    /// Errors that could not be corrected, by controller.
    pub errors: Vec<String>,
    /// Percent of the last minute in which something waited for memory.
    pub pressure: f64,
    /// The kernel stops where memory runs out.
    pub panics: bool,
    /// Programs that the kernel has ended since boot for want of memory.
    pub ended: u64,
}

/// Reads them.
pub fn read(tree: &Tree, asked: &Asked) -> Facts {
    let meminfo = tree.text("proc/meminfo");
    let amount = |name: &str| field(&meminfo, name).and_then(|v| v.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    let pressure = tree.text("proc/pressure/memory");
    let minute = pressure.lines().next().and_then(|l| l.split(' ').find_map(|w| w.strip_prefix("avg60=")));
    let errors = tree.each("sys/devices/system/edac/mc", "ue_count");
    Facts {
        total: amount("MemTotal") * 1024,
        limit: limits::memory(tree),
        available: amount("MemAvailable") * 1024,
        requested: asked.requested.1,
        swap: amount("SwapTotal") * 1024,
        overcommit: tree.number("proc/sys/vm/overcommit_memory").unwrap_or(0),
        huge: amount("HugePages_Total") * amount("Hugepagesize") * 1024,
        broken: amount("HardwareCorrupted") * 1024,
        errors: errors.into_iter().filter(|(_, n)| n != "0").map(|(name, n)| format!("{name}: {n}")).collect(),
        pressure: minute.and_then(|n| n.parse().ok()).unwrap_or(0.0),
        panics: tree.number("proc/sys/vm/panic_on_oom").unwrap_or(0) != 0,
        ended: tree.field("proc/vmstat", "oom_kill").and_then(|n| n.parse().ok()).unwrap_or(0),
    }
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    let mut all = room(f);
    all.extend(state(f));
    all
}

fn room(f: &Facts) -> Vec<Check> {
    let usable = f.limit.map_or(f.total, |limit| limit.min(f.total));
    let needs = (f.requested + KEPT) * MIB;
    vec![
        G.check("memory.total", "Memory", "Kubernetes, queue, database and text model together need 3 GiB at least; shares follow the host from there on", size(usable))
            .fails(usable < LEAST, "CHK-114", format!("the host has {} of memory", size(usable)), "Add memory, or use another host: 4 GiB carry a node, 8 GiB carry it under load.")
            .warns(usable < WANTED, "CHK-114", format!("the host has {} of memory", size(usable)), "The stack takes its smallest shares. Add memory: 4 GiB carry a node, 8 GiB carry it under load."),
        G.check("memory.limit", "Limit of the control group", "the stack is made for what it may use: shares follow the smaller of memory and limit", f.limit.map_or_else(|| "none".into(), size))
            .warns(f.limit.is_some_and(|l| l < f.total), "CHK-215", format!("a control group allows {} of {}", size(usable), size(f.total)), "Nothing has to be done: the stack is scaled to it. Raise the limit for more posts at once."),
        G.check("memory.available", "Free memory", "a start takes 1.5 GiB at once; the kernel ends programs where it is not there", size(f.available))
            .warns(f.available < FREE, "CHK-216", format!("{} of memory are free", size(f.available)), "See with `top` what takes the rest, and end what is not needed."),
        G.check("memory.requests", "Room for the stack", "Kubernetes starts only what finds its share", format!("{} of {}", size(needs), size(usable)))
            .warns(needs > usable, "CHK-217", format!("stack and host need {} and may use {}", size(needs), size(usable)), "Some parts will wait for ever: add memory."),
        G.check("memory.swap", "Swap", "memory limits of pods do not hold with swap, and posts could lie on disk in the clear", size(f.swap))
            .warns(f.swap > 0, "CHK-116", format!("{} of swap are on", size(f.swap)), "Switch it off with `swapoff -a` and take it out of /etc/fstab, or encrypt it."),
        G.check("memory.huge-pages", "Large pages", "memory that large pages hold back is lost for everything else", size(f.huge))
            .warns(f.huge > f.total / 4, "CHK-219", format!("large pages hold {} back", size(f.huge)), "Give it back with `sysctl -w vm.nr_hugepages=0`, unless another program here needs it."),
    ]
}

fn state(f: &Facts) -> Vec<Check> {
    vec![
        G.check("memory.promises", "Promises of memory", "programs of the stack reserve more than they use; a kernel that counts every promise refuses them", f.overcommit.to_string())
            .warns(f.overcommit == 2, "CHK-218", "the kernel counts every promise of memory (vm.overcommit_memory is 2)", "Set it with `sysctl -w vm.overcommit_memory=0`, and for good in /etc/sysctl.d."),
        G.check("memory.broken", "Broken memory", "what the kernel has taken out of use has given wrong data before", size(f.broken))
            .warns(f.broken > 0, "CHK-220", format!("the kernel has taken {} out of use as broken", size(f.broken)), "Have the memory tested (memtest86+) and exchanged before posts lie here."),
        G.check("memory.errors", "Errors of the memory modules", "an error that was not corrected has changed data", list(&f.errors))
            .warns(!f.errors.is_empty(), "CHK-221", format!("memory reports errors that could not be corrected ({})", list(&f.errors)), "Exchange the module that `edac-util -v` names before posts lie here."),
        G.check("memory.pressure", "Waiting for memory", "programs that wait for memory answer late, and time out", format!("{:.1} % of the last minute", f.pressure))
            .warns(f.pressure > PRESSURE, "CHK-222", format!("for {:.0} % of the last minute programs waited for memory", f.pressure), "See with `top` what takes it, and end what is not needed."),
        G.check("memory.panic", "Where memory runs out", "the kernel is to end one program then, not the whole host", if f.panics { "the host stops" } else { "one program is ended" })
            .warns(f.panics, "CHK-223", "the host stops where memory runs out (vm.panic_on_oom)", "Set it with `sysctl -w vm.panic_on_oom=0`, and for good in /etc/sysctl.d."),
        G.check("memory.ended", "Programs that were ended", "where memory ran out once it does so again", f.ended.to_string())
            .warns(f.ended > 0, "CHK-224", format!("the kernel has ended {} programs for want of memory since boot", f.ended), "`dmesg` names them (Out of memory). Add memory, or end what is not needed."),
    ]
}
