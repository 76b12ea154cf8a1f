//! Preflights: what a host must have, should have and had better not have before a node is made of it.
//!
//! One engine for `antihate check`, the start and the page. `ask` asks the kernel, each group reads files below a root into plain
//! facts, and pure functions judge them. A failure means that no node can work here; everything less is a warning, which never
//! keeps a node from starting. Names of checks and codes of problems are stable; `limits` states how the stack follows the host.

pub mod ask;
pub mod asked;
mod ceiling;
mod control_groups;
mod disk;
mod gpu;
mod kernel;
mod kernel_room;
pub mod limits;
mod measure;
mod memory;
mod mount;
mod network;
mod parts;
mod ports;
mod processor;
mod ranges;
mod resolver;
mod system;
pub mod text;
mod time;
pub mod tree;

pub use crate::status::check::{Check, Group, Verdict};
pub use ask::{Question, ask};
pub use asked::Asked;
pub use ports::PAGE;
pub use system::root;
pub use time::{CLOCK, clock};

use super::guard;
use crate::config::layout::Layout;
use std::path::Path;
use tree::Tree;

/// Asks and judges this host.
pub fn look(question: &Question) -> Vec<Check> {
    run(Path::new("/"), &ask(question))
}

/// Without what takes time, for the node that lies, or will lie, at `layout`.
pub fn quick(layout: &Layout) -> Vec<Check> {
    look(&Question { layout, need: 0, address: false, page: PAGE, driver_root: Path::new("/"), running: guard::is_held(layout), quick: true })
}

/// Reads what lies below `root` and judges it with what was asked: every check, in the order of telling.
pub fn run(root: &Path, asked: &Asked) -> Vec<Check> {
    let tree = Tree::new(root);
    let groups = [
        system::judge(&system::read(&tree, asked)),
        processor::judge(&processor::read(&tree, asked)),
        memory::judge(&memory::read(&tree, asked)),
        disk::judge(&disk::read(&tree, asked)),
        kernel::judge(&kernel::read(&tree, asked)),
        control_groups::judge(&control_groups::read(&tree, asked)),
        network::judge(&network::read(&tree, asked)),
        ports::judge(&ports::read(&tree, asked)),
        ranges::judge(&ranges::read(&tree, asked)),
        resolver::judge(&resolver::read(&tree, asked)),
        time::judge(&time::read(&tree, asked)),
        gpu::judge(&gpu::read(asked)),
    ];
    groups.concat()
}

#[cfg(test)]
mod provocations;
#[cfg(test)]
mod provocations_net;
#[cfg(test)]
mod provoked_tests;
#[cfg(test)]
mod sound;
#[cfg(test)]
mod sound_tests;
