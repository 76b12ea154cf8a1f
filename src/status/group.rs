//! The groups of checks, in the order in which they are told.

use serde::Serialize;

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Rights, limits and what else runs here.
    System,
    /// Cores and their abilities.
    Processor,
    /// Memory.
    Memory,
    /// Where data lies.
    Disk,
    /// The kernel's parts and limits.
    Kernel,
    /// Control groups.
    ControlGroups,
    /// Links, ways, filters of others.
    Network,
    /// Ports that the node listens on.
    Ports,
    /// Addresses of the cluster's own networks.
    Ranges,
    /// Names.
    Resolver,
    /// The clock.
    Time,
    /// Cards that compute.
    Gpu,
}

impl Group {
    /// All of them, in the order of telling.
    pub const ALL: [Group; 12] = [
        Group::System, Group::Processor, Group::Memory, Group::Disk, Group::Kernel, Group::ControlGroups, Group::Network, Group::Ports, Group::Ranges,
        Group::Resolver, Group::Time, Group::Gpu,
    ];

    /// Its word, with which the names of its checks begin.
    pub fn name(self) -> &'static str {
        ["system", "processor", "memory", "disk", "kernel", "control-groups", "network", "ports", "ranges", "resolver", "time", "gpu"][self as usize]
    }

    /// For a person.
    pub fn title(self) -> &'static str {
        ["System", "Processor", "Memory", "Disk", "Kernel", "Control groups", "Network", "Ports", "Address ranges", "Name resolution", "Time", "GPU"][self as usize]
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Group> {
        Group::ALL.into_iter().find(|g| g.name() == word)
    }
}
