//! What the console shows, gathered by one function: what the host process published, and a few cheap questions to the kernel.

use super::links::{self, Link};
use crate::config::layout::Layout;
use crate::host::board::published;
use crate::host::check::tree::size;
use crate::host::{facts, gpu};
use crate::process::clock;
use crate::setup::{PinTold, UserKeep, pin_path};
use crate::status::{NodeStatus, PageAt, Problem};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::Path;

/// The PIN of the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// As a person types it.
    pub pin: String,
    /// Until when it is good.
    pub until: DateTime<Utc>,
}

/// What the kernel says of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Somebody keeps it right.
    pub kept: bool,
    /// By how many seconds it may be off.
    pub off: f64,
}

/// The disk below the data root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Bytes that are free.
    pub free: u64,
    /// All of them.
    pub total: u64,
}

/// All of it at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Version of this program.
    pub version: String,
    /// The moment.
    pub at: DateTime<Utc>,
    /// Name of the host.
    pub host: String,
    /// Where the node stands; none where no node runs.
    pub node: Option<NodeStatus>,
    /// Why none runs.
    pub absent: Option<Problem>,
    /// A node was made here before.
    pub made: bool,
    /// Somebody has claimed it; where that cannot be read, it counts as claimed.
    pub claimed: bool,
    /// The PIN, only while nobody has.
    pub pin: Option<Pin>,
    /// Where the page is reached.
    pub page: Option<PageAt>,
    /// Links that lead out of the host.
    pub links: Vec<Link>,
    /// The next host on the way to everything else.
    pub gateway: Option<IpAddr>,
    /// Who is asked for names.
    pub resolvers: Vec<IpAddr>,
    /// The clock, where the kernel tells.
    pub clock: Option<Clock>,
    /// The GPUs in a few words.
    pub gpu: String,
    /// The disk, where it can be asked.
    pub disk: Option<Disk>,
}

/// Gathers them for the node at `layout`. Never fails: what cannot be read is missing.
pub fn gather(layout: &Layout) -> Facts {
    let found = published(layout);
    let claimed = UserKeep::new(&layout.data).read().map_or(true, |users| users.claimed().is_some());
    let told = std::fs::read_to_string(pin_path(&layout.run)).ok().and_then(|text| PinTold::read(&text));
    // What a killed process left does not open anything.
    let told = told.filter(|_| found.is_ok() && !claimed);
    let (node, absent) = match found {
        Ok(status) => (Some(status), None),
        Err(problem) => (None, Some(problem)),
    };
    let disk = |path: &Path| Some(Disk { free: fs2::available_space(path).ok()?, total: fs2::total_space(path).ok()? });
    Facts {
        version: env!("CARGO_PKG_VERSION").into(),
        at: Utc::now(),
        host: facts::hostname(),
        page: node.as_ref().and_then(|n| n.page.clone()).or_else(|| told.as_ref().map(|t| PageAt { addresses: t.addresses.clone(), fingerprint: t.fingerprint.clone(), name: None })),
        pin: told.map(|t| Pin { pin: t.pin, until: t.until }),
        gpu: gpus(node.as_ref()),
        made: layout.lock().exists() || layout.current().exists(),
        links: links::all(Path::new("/sys/class/net")),
        gateway: facts::gateway(&std::fs::read_to_string("/proc/net/route").unwrap_or_default()),
        resolvers: resolvers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
        clock: clock::kept().map(|(kept, off)| Clock { kept, off }),
        disk: disk(&layout.data).or_else(|| disk(Path::new("/"))),
        node,
        absent,
        claimed,
    }
}

/// Those of this host, its own ones too; what pods may ask is another matter.
fn resolvers(text: &str) -> Vec<IpAddr> {
    text.lines().filter_map(|l| l.trim().strip_prefix("nameserver")?.split_whitespace().next()?.parse().ok()).collect()
}

/// As the node judges them; without one, what the driver shows.
fn gpus(node: Option<&NodeStatus>) -> String {
    if let Some(component) = node.and_then(|n| n.components.iter().find(|c| c.place == "host" && c.name == gpu::NAME)) {
        return component.detail.clone();
    }
    match std::fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count) {
        0 => "none; text is classified on the processor".into(),
        n => format!("{n} found by the driver"),
    }
}

impl Disk {
    /// `1.2 of 1.8 TiB free`, with a word where it is short.
    pub fn sentence(&self) -> String {
        let short = if self.free < self.total / 20 { ": SHORT" } else { "" };
        format!("{} of {} free{short}", size(self.free), size(self.total))
    }
}
