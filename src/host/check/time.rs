//! Time: whether the clock can be right, who sets it, and what is left of it after a power cut.

use super::asked::Asked;
use super::tree::Tree;
use crate::status::check::{Check, Group};
use chrono::{DateTime, Utc};

const G: Group = Group::Time;
/// Code of a clock that cannot be right.
pub const CLOCK: &str = "CHK-113";
/// A clock that is so many days beyond the build is more likely wrong than the program old.
const OLD: i64 = 5 * 365;
/// Seconds.
const UNSURE: f64 = 1.0;
const APART: i64 = 120;
/// Traces of a program that sets the clock.
const SERVERS: [&str; 8] = [
    "run/systemd/timesync", "run/chrony", "run/chronyd.pid", "run/chrony.pid", "run/ntpd.pid", "run/ntp.pid", "run/openntpd.pid", "run/ptp4l",
];
/// Clocks of the machine that are slow to read.
const SLOW: [&str; 5] = ["hpet", "acpi_pm", "pit", "jiffies", "refined-jiffies"];

/// What was found.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The clock, and when this program was built.
    pub now: DateTime<Utc>,
    pub built: DateTime<Utc>,
    /// The kernel knows that somebody sets it, and how far it may be off in seconds.
    pub kept: Option<(bool, f64)>,
    /// Who sets it.
    pub servers: Vec<&'static str>,
    /// What the kernel counts by.
    pub source: String,
    /// The clock with a battery: seconds since 1970.
    pub battery: Option<i64>,
}

/// Reads them.
pub fn read(tree: &Tree, asked: &Asked) -> Facts {
    Facts {
        now: asked.now,
        built: asked.built,
        kept: asked.kept,
        servers: tree.those(&SERVERS),
        source: tree.text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
        battery: tree.text("sys/class/rtc/rtc0/since_epoch").parse().ok(),
    }
}

/// The clock, which may be set right later than a host starts.
pub fn clock(now: DateTime<Utc>, built: DateTime<Utc>) -> Check {
    let told = now.format("%F %R").to_string();
    G.check("time.clock", "Clock", "certificates made now would be wrong", told.clone())
        .fails(now < built, CLOCK, format!("the clock says {told}, before this program was built"), "Set the clock: `date -s '2026-11-23 12:00'`, or connect a time server.")
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    let told = f.now.format("%F %R").to_string();
    let (kept, off) = f.kept.unwrap_or((true, 0.0));
    let apart = f.battery.map_or(0, |b| (b - f.now.timestamp()).abs());
    let late = (f.now - f.built).num_days() > OLD;
    vec![
        clock(f.now, f.built),
        G.check("time.future", "Clock, not too far ahead", "certificates made now would not hold yet for anybody else", told.clone())
            .warns(late, "CHK-340", format!("the clock says {told}, more than five years after this program was built"), "Set the clock; if it is right, take a newer file."),
        G.check("time.kept", "Clock that is kept right", "a clock that nobody sets drifts by seconds a day; certificates, logs and delays follow it", if kept { "yes" } else { "no" })
            .only_if(f.kept.is_some(), "this kernel does not tell")
            .warns(!kept, "CHK-341", "nobody keeps the clock right", "Install `systemd-timesyncd` or `chrony`; on a site without internet point it at a clock of the own network."),
        G.check("time.off", "How far it may be off", "the hub refuses reports whose time is far from its own", format!("{off:.3} s at most"))
            .only_if(f.kept.is_some_and(|k| k.0), "the clock is not kept by anybody")
            .warns(off > UNSURE, "CHK-343", format!("the clock may be off by {off:.1} s"), "See whether the time server is reached: `timedatectl timesync-status` or `chronyc sources`."),
        G.check("time.server", "Program that sets the clock", "without one the clock drifts", f.servers.first().map_or("none", |s| s.trim_start_matches("run/")))
            .warns(f.servers.is_empty(), "CHK-342", "no program sets the clock (neither systemd-timesyncd nor chrony nor ntpd)", "Install `systemd-timesyncd` or `chrony`, unless the machine below sets the clock."),
        G.check("time.source", "What the kernel counts by", "every measurement and every log line reads it", f.source.clone())
            .warns(SLOW.contains(&f.source.as_str()), "CHK-344", format!("the kernel counts time by {}, which is slow to read", f.source), "In a virtual machine choose the host's own clock (kvm-clock, hyperv); otherwise look in `dmesg` why it left the processor's."),
        G.check("time.battery", "Clock with a battery", "after a power cut the clock begins where it stood, or in 1970", if f.battery.is_some() { "there" } else { "none" })
            .warns(f.battery.is_none(), "CHK-345", "there is no clock with a battery", "See that a time server is reached at every start: the node waits for a clock that can be right."),
        G.check("time.agree", "Both clocks", "after a power cut the clock begins where the one with the battery stands", format!("{apart} s apart"))
            .only_if(f.battery.is_some(), "there is no clock with a battery")
            .warns(apart > APART, "CHK-346", format!("the clock with the battery is {apart} s away from the other"), "Set it with `hwclock --systohc --utc`; if it falls behind again, exchange the battery."),
    ]
}
