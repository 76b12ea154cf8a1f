//! What the checks need beside files: answers of the kernel and of this program. Plain values, so that a test makes them up.

use crate::device::Found;
use crate::host::facts::Address;
use crate::host::storage::{check, encryption};
use crate::status::Problem;
use chrono::{DateTime, Utc};
use std::path::PathBuf;
use std::time::Duration;

/// What is asked about the disk of the data root.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// The data root, or what is there of the path to it.
    pub folder: PathBuf,
    /// Bytes of what is not unpacked yet, free bytes, all bytes.
    pub need: u64,
    pub free: u64,
    pub total: u64,
    /// Files that it takes in all, and further ones; nothing where it does not count them.
    pub files: Option<(u64, u64)>,
    /// It can be written.
    pub writable: bool,
    /// Owner and mode of the data root, once it is there.
    pub owner: Option<(u32, u32)>,
    /// Bytes of the longest path of a socket.
    pub socket: usize,
    /// Free bytes of the disk for sockets, where that is another one, and of that for temporary files.
    pub run_free: Option<u64>,
    pub temporary_free: Option<u64>,
    /// What a write takes that survives a power cut; where it was measured.
    pub latency: Option<Duration>,
    /// The disk of the volumes, and how they are encrypted; where that was looked at.
    pub volumes: Option<check::Disk>,
    pub at_rest: Option<encryption::Facts>,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Effective user is root; its capabilities for mounts and links; CAP_SYS_RESOURCE.
    pub root: bool,
    pub capable: bool,
    pub resource: bool,
    /// Open files and processes that a process may have, and bytes that it may leave when it crashes.
    pub open_files: u64,
    pub processes: u64,
    pub core_files: u64,
    /// The processor's kind, and cores that may be used.
    pub x86_64: bool,
    pub cores: usize,
    /// What the stack asks for: thousandths of a core and MiB.
    pub requested: (u32, u64),
    /// The kernel answers an nftables request.
    pub nftables: Option<bool>,
    /// Control groups can be made, packets can be handed on.
    pub groups_writable: bool,
    pub forwarding_settable: bool,
    /// The disk of the data root.
    pub disk: Disk,
    /// Every IPv4 address on a link that is up; the operator names one; the loopback is there.
    pub addresses: Vec<Address>,
    pub address_given: bool,
    pub loopback: bool,
    /// The host's name.
    pub hostname: String,
    /// A node runs here; port of its page; TCP and UDP ports that somebody listens on.
    pub running: bool,
    pub page: u16,
    pub taken: Vec<u16>,
    pub taken_udp: Vec<u16>,
    /// A resolver answers, where one was asked.
    pub answers: Option<bool>,
    /// The clock, when this program was built, whether the clock is kept and how many seconds it may be off.
    pub now: DateTime<Utc>,
    pub built: DateTime<Utc>,
    pub kept: Option<(bool, f64)>,
    /// GPUs, and how a try on each ended.
    pub gpu: Found,
    pub gpu_tried: Option<Result<usize, Problem>>,
    /// A proxy that requests are to be sent to.
    pub proxy: Option<String>,
    /// The k3s binary that is asked for: its version, or why it is refused.
    pub k3s: Option<Result<String, Problem>>,
}
