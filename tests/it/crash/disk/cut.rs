//! The moment of a power cut: what of everything has reached the disk, and that written to a real folder.

use super::{Disk, Inode, put};
use rand::Rng as _;
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Bytes that reach the disk together.
const SECTOR: usize = 512;

impl Disk {
    /// Cuts the power and writes what the disk holds then to the folder, which must be empty.
    pub fn cut(mut self, chance: &mut StdRng) {
        let pending = std::mem::take(&mut self.changes);
        let mut reached: HashMap<usize, bool> = HashMap::new();
        let mut all = chance.gen_range(0..=pending.len());
        for change in &pending {
            let folder = change.last().expect("a change").0;
            // In order: up to one moment. Otherwise up to a moment of each folder.
            let there = if self.ordered { all > 0 } else { *reached.entry(folder).or_insert(true) && chance.gen_bool(0.7) };
            all = all.saturating_sub(1);
            reached.insert(folder, there);
            if there {
                self.settle(change);
            }
        }
        for inode in &mut self.inodes {
            if let Inode::File { stable, live, writes, .. } = inode {
                *stable = after_a_cut(stable, live, writes, chance);
            }
        }
        self.write(0, &self.root.clone());
    }

    fn write(&self, inode: usize, place: &Path) {
        match &self.inodes[inode] {
            Inode::Link(to) => std::os::unix::fs::symlink(to, place).expect("a link"),
            Inode::File { stable, mode, .. } => {
                std::fs::write(place, stable).expect("written");
                std::fs::set_permissions(place, std::fs::Permissions::from_mode(*mode)).expect("its mode");
            }
            Inode::Folder { stable, mode, .. } => {
                std::fs::create_dir_all(place).expect("a folder");
                stable.iter().for_each(|(name, child)| self.write(*child, &place.join(name)));
                std::fs::set_permissions(place, std::fs::Permissions::from_mode(*mode)).expect("its mode");
            }
        }
    }
}

/// What of a file that was not synced is on the disk.
fn after_a_cut(stable: &[u8], live: &[u8], writes: &[(usize, Vec<u8>)], chance: &mut StdRng) -> Vec<u8> {
    match chance.gen_range(0..4) {
        0 => stable.to_vec(),
        1 => live.to_vec(),
        // Its length is there before its bytes.
        2 if !writes.is_empty() => [stable, &vec![0; live.len().saturating_sub(stable.len())]].concat(),
        _ => {
            let mut now = stable.to_vec();
            let whole = chance.gen_range(0..=writes.len());
            writes[..whole].iter().for_each(|(at, raw)| put(&mut now, *at, raw));
            if let Some((at, raw)) = writes.get(whole) {
                put(&mut now, *at, &raw[..chance.gen_range(0..=raw.len() / SECTOR) * SECTOR]);
            }
            now
        }
    }
}
