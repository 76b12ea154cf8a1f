//! Processor: kind, cores, abilities, and who else takes a part of it.

use super::asked::Asked;
use super::tree::{Tree, field, list};
use super::limits;
use crate::status::check::{Check, Group};

const G: Group = Group::Processor;
/// Share of its time that a virtual machine does not get, percent, and load over cores from which this is told.
const STOLEN: f64 = 10.0;
const LOAD: f64 = 2.0;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The processor is x86-64.
    pub x86_64: bool,
    /// Cores that this program may use.
    pub cores: usize,
    /// What it is called.
    pub model: String,
    /// Its abilities.
    pub flags: Vec<String>,
    /// Cores that are switched off.
    pub offline: String,
    /// How its clock is driven, and by which driver.
    pub governor: (String, String),
    /// Percent of its time since boot that others took.
    pub stolen: f64,
    /// Mean number of programs that wait, over five minutes.
    pub load: f64,
    /// Cores that the control group allows, where it sets a limit.
    pub limit: Option<f64>,
    /// Thousandths of a core that the stack asks for.
    pub requested: u32,
    /// Weaknesses that nothing closes.
    pub weak: Vec<String>,
}

/// Reads them.
pub fn read(tree: &Tree, asked: &Asked) -> Facts {
    let cpuinfo = tree.text("proc/cpuinfo");
    let times: Vec<f64> = tree.field("proc/stat", "cpu").unwrap_or_default().split_whitespace().filter_map(|n| n.parse().ok()).take(8).collect();
    let all: f64 = times.iter().sum();
    const WEAK: &str = "sys/devices/system/cpu/vulnerabilities";
    let weak = tree.names(WEAK).into_iter().filter(|name| tree.text(&format!("{WEAK}/{name}")).starts_with("Vulnerable"));
    Facts {
        x86_64: asked.x86_64,
        cores: asked.cores,
        model: field(&cpuinfo, "model name").unwrap_or_default(),
        flags: field(&cpuinfo, "flags").unwrap_or_default().split(' ').map(String::from).collect(),
        offline: tree.text("sys/devices/system/cpu/offline"),
        governor: (tree.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), tree.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_driver")),
        stolen: times.get(7).map_or(0.0, |stolen| stolen * 100.0 / all.max(1.0)),
        load: tree.text("proc/loadavg").split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0),
        limit: limits::cores(tree),
        requested: asked.requested.0,
        weak: weak.collect(),
    }
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    let mut all = kind(f);
    all.extend(share(f));
    all
}

fn kind(f: &Facts) -> Vec<Check> {
    let has = |flag: &str| f.flags.iter().any(|x| x == flag);
    let slow = ["powersave", "conservative"].contains(&f.governor.0.as_str()) && !f.governor.1.contains("pstate");
    let emulated = f.model.contains("TCG") || f.model.contains("QEMU Virtual");
    vec![
        G.check("processor.architecture", "Processor", "this file carries programs for x86-64 only", std::env::consts::ARCH)
            .fails(!f.x86_64, "CHK-103", "the processor is not x86-64", "Use another host."),
        G.check("processor.cores", "Cores", "classifying and storing share the cores", f.cores.to_string())
            .warns(f.cores < 2, "CHK-115", "the host has one core", "Expect a backlog under load; two cores carry the guide's volume."),
        G.check("processor.vectors", "Vector instructions", "the text model is computed by them; without AVX2 that is slow", if has("avx2") { "AVX2" } else { "no AVX2" })
            .warns(!has("avx2"), "CHK-201", "the processor has no AVX2", "Expect fewer posts an hour, or use a processor made since 2015; in a virtual machine give it the host's own processor model."),
        G.check("processor.ciphers", "Cipher instructions", "traffic between hosts, volumes and the page are encrypted; without AES instructions that takes much of a core", if has("aes") { "AES" } else { "no AES" })
            .warns(!has("aes"), "CHK-202", "the processor has no AES instructions", "In a virtual machine give it the host's own processor model."),
        G.check("processor.offline", "Cores that are switched off", "they do no work", if f.offline.is_empty() { "none" } else { &f.offline })
            .warns(!f.offline.is_empty(), "CHK-203", format!("cores are switched off: {}", f.offline), "Switch each on with `echo 1 > /sys/devices/system/cpu/cpuN/online`."),
        G.check("processor.governor", "Clock of the cores", "cores that are kept slow classify slowly", if f.governor.0.is_empty() { "set by the hardware" } else { &f.governor.0 })
            .warns(slow, "CHK-204", format!("the cores are kept slow ({})", f.governor.0), "Choose `performance` or `schedutil` in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor."),
        G.check("processor.emulated", "Processor of its own", "a processor that is computed by a program is slower by far, and starting takes many minutes", f.model.clone())
            .warns(emulated, "CHK-210", "the processor is emulated", "Give the virtual machine the hardware's virtualisation (KVM)."),
        G.check("processor.weaknesses", "Known weaknesses of the processor", "a program in one pod could read what another one computes", list(&f.weak))
            .warns(!f.weak.is_empty(), "CHK-209", format!("nothing closes these weaknesses of the processor: {}", f.weak.join(", ")), "Install the distribution's newest kernel and the package with microcode, then restart the host."),
    ]
}

fn share(f: &Facts) -> Vec<Check> {
    let cores = f.cores.max(1) as f64;
    let limit = f.limit.unwrap_or(cores);
    vec![
        G.check("processor.stolen", "Time that the machine below takes", "a virtual machine that waits for its host answers late", format!("{:.1} % since boot", f.stolen))
            .warns(f.stolen > STOLEN, "CHK-205", format!("{:.0} % of the processor's time went to other machines", f.stolen), "Give this virtual machine cores of its own, or move its neighbours."),
        G.check("processor.load", "Work of others", "what runs here already takes what the node needs", format!("{:.1} in five minutes, on {} cores", f.load, f.cores))
            .warns(f.load > cores * LOAD, "CHK-206", format!("{:.1} programs wait for {} cores", f.load, f.cores), "See with `top` what runs here; starting takes longer until it ends."),
        G.check("processor.limit", "Limit of the control group", "the stack is made for what it may use: shares follow the smaller of cores and limit", f.limit.map_or_else(|| "none".into(), |n| format!("{n:.1} cores")))
            .warns(limit < cores, "CHK-207", format!("a control group allows {limit:.1} of {cores} cores"), "Nothing has to be done: the stack is scaled to it. Raise the limit for more posts an hour."),
        G.check("processor.requests", "Room for the stack", "Kubernetes starts only what finds its share", format!("{:.2} of {:.1} cores", f64::from(f.requested) / 1000.0, limit))
            .warns(f64::from(f.requested) > limit * 1000.0, "CHK-208", format!("the stack asks for {:.2} cores and may use {limit:.1}", f64::from(f.requested) / 1000.0), "Some parts will wait for ever: give the host another core."),
    ]
}
