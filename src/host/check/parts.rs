//! Which parts the kernel has, built in or as modules, as far as it tells.

use super::tree::Tree;

/// What is known of its parts.
pub struct Parts {
    tree: Tree,
    lists: [String; 2],
    config: String,
}

impl Parts {
    /// Of the kernel with this release.
    pub fn new(tree: &Tree, release: &str) -> Parts {
        let list = |name: &str| tree.text(&format!("lib/modules/{release}/{name}"));
        Parts { lists: ["modules.dep", "modules.builtin"].map(list), config: tree.text(&format!("boot/config-{release}")), tree: tree.clone() }
    }

    /// Whether it has the part `name`; nothing where it cannot be told.
    pub fn has(&self, name: &str) -> Option<bool> {
        let file = [name.to_owned(), name.replace('_', "-")].map(|n| format!("/{n}.ko"));
        let listed = self.lists.iter().any(|l| file.iter().any(|f| l.contains(f.as_str())));
        if listed || self.tree.has(&format!("sys/module/{name}")) {
            return Some(true);
        }
        let set = format!("CONFIG_{}=", name.to_uppercase());
        if !self.config.is_empty() {
            return Some(self.config.lines().any(|l| l.starts_with(&set)));
        }
        // A list of modules alone does not name what is built in.
        (!self.lists[0].is_empty() && !self.lists[1].is_empty()).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_wherever_the_kernel_names_it_and_unknown_where_it_names_none() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let has = |name: &str| Parts::new(&Tree::new(dir.path()), "6.1").has(name);
        assert_eq!(has("veth"), None);
        put("lib/modules/6.1/modules.dep", "kernel/drivers/net/veth.ko.xz:\nkernel/drivers/md/dm-crypt.ko:\n");
        assert_eq!((has("veth"), has("dm_crypt"), has("wireguard")), (Some(true), Some(true), None));
        put("lib/modules/6.1/modules.builtin", "kernel/net/x.ko\n");
        assert_eq!(has("wireguard"), Some(false));
        put("boot/config-6.1", "CONFIG_WIREGUARD=m\n# CONFIG_VXLAN is not set\n");
        assert_eq!((has("wireguard"), has("vxlan")), (Some(true), Some(false)));
        put("sys/module/vxlan/x", "");
        assert_eq!(has("vxlan"), Some(true));
    }
}
