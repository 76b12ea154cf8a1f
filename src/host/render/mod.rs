//! Every configuration of the cluster's components as pure functions of [`Settings`](super::settings::Settings).

pub mod commands;
pub mod control;
pub mod etcd;
pub mod node;

use super::settings::Settings;

/// All files that the components read, by name below the rendered folder.
pub fn files(s: &Settings) -> Vec<(&'static str, String)> {
    vec![
        ("audit.yaml", control::audit_policy()),
        ("authentication.yaml", control::authentication()),
        (control::AUTHORIZATION, control::authorization(s)),
        ("nobody.kubeconfig", control::nobody(s)),
        ("scheduler.yaml", control::scheduler(s)),
        ("kubelet.yaml", node::kubelet(s)),
        ("kube-proxy.yaml", node::kube_proxy(s)),
        ("containerd.toml", node::containerd(s)),
        ("cni/10-antihate.conflist", node::cni(s)),
        ("flannel.json", node::flannel()),
        ("resolv.conf", node::resolv_conf(s)),
    ]
}

#[cfg(test)]
pub(super) use tests::{golden, settings};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Place;
    use crate::config::layout::Layout;
    use crate::config::place::{Between, Datastore, Host, Pool, Stack};
    use crate::host::distribution::Distribution;
    use crate::host::settings::CgroupVersion;
    use std::path::Path;

    pub(in crate::host) fn settings() -> Settings {
        Settings {
            layout: Layout::new(Path::new("/var/lib/antihate")),
            distribution: Distribution::Embedded,
            payload: "/var/lib/antihate/current".into(),
            node: "leaf".into(),
            node_ip: [192, 0, 2, 7].into(),
            node_ip_given: false,
            place: crate::config::Place::alone(),
            cgroups: CgroupVersion::V2,
            restrict_oom: false,
            kernel_protected: false,
            resolvers: vec!["192.0.2.53".parse().unwrap()],
            storage: None,
            encrypt: None,
        }
    }

    pub(in crate::host) fn golden(name: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/host").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let want = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, want, "{name} differs; UPDATE_GOLDEN=1 rewrites it");
    }

    #[test]
    fn rendered_files_are_as_recorded() {
        for (name, text) in files(&settings()) {
            golden(&name.replace('/', "-"), &text);
        }
    }

    #[test]
    fn removed_hosts_are_turned_away_as_recorded() {
        let place = Place { gone: vec!["0a1b".into(), "2c3d".into()], ..Place::alone() };
        golden("authorization-removed.yaml", &control::authorization(&Settings { place, ..settings() }));
    }

    fn commands_of(s: &Settings) -> String {
        commands::all(s).iter().map(|c| format!("{} {}\n  {}\n", c.program.display(), c.name, c.args.join("\n  "))).collect()
    }

    #[test]
    fn command_lines_are_as_recorded() {
        golden("commands.txt", &commands_of(&settings()));
    }

    #[test]
    fn command_lines_of_joined_hosts_are_as_recorded() {
        let host = |name: &str, index: u8, control| Host { name: name.into(), index, address: [192, 0, 2, 7 + index].into(), pools: [Pool::Database].into(), control, mesh_key: String::new(), version: String::new() };
        let hosts = vec![host("leaf", 0, true), host("two", 1, true), host("three", 2, false)];
        let of = |index: u8, control, members: &str| {
            let place = Place { index, control, pools: [Pool::Database].into(), datastore: Datastore::Etcd, members: members.into(), hosts: hosts.clone(), ..Place::alone() };
            Settings { node: hosts[usize::from(index)].name.clone(), node_ip: hosts[usize::from(index)].address, place, ..settings() }
        };
        golden("commands-control.txt", &commands_of(&of(1, true, "leaf=https://192.0.2.7:2380,two=https://192.0.2.8:2380")));
        golden("commands-worker.txt", &commands_of(&of(2, false, "")));
        let mut open = of(2, false, "");
        open.place.between = Between::Open;
        let with = commands_of(&open);
        golden("commands-open.txt", with.strip_prefix(&commands_of(&of(2, false, ""))).expect("one component more"));
        assert!(node::cni(&open).contains("1450") && node::cni(&settings()).contains("1420"));
    }

    #[test]
    fn with_both_families_of_addresses_only_what_names_addresses_differs() {
        let (plain, dual) = (settings(), Settings { place: Place { stack: Stack::Dual, index: 10, ..Place::alone() }, ..settings() });
        let differing = |a: &str, b: &str| b.lines().filter(|l| !a.lines().any(|other| other == *l)).map(|l| format!("{l}\n")).collect::<String>();
        let mut text = differing(&commands_of(&plain), &commands_of(&dual));
        for ((name, before), (_, after)) in files(&plain).into_iter().zip(files(&dual)).filter(|(a, b)| a != b) {
            text += &format!("# {name}\n{}", differing(&before, &after));
        }
        golden("dual.txt", &text);
    }

    #[test]
    fn a_host_without_the_capability_restricts_oom_scores() {
        let poor = Settings { restrict_oom: true, ..settings() };
        assert!(node::containerd(&poor).contains("restrict_oom_score_adj = true"));
    }

    #[test]
    fn every_yaml_and_toml_can_be_read_back() {
        for (name, text) in files(&settings()) {
            match name.rsplit('.').next() {
                Some("json") => drop(serde_json::from_str::<serde_json::Value>(&text).expect(name)),
                Some("yaml" | "kubeconfig") => drop(serde_yaml_ng::from_str::<serde_json::Value>(&text).expect(name)),
                Some("toml") => drop(text.parse::<toml::Table>().expect(name)),
                Some("conflist") => drop(serde_json::from_str::<serde_json::Value>(&text).expect(name)),
                _ => assert!(text.starts_with("#"), "{name}"),
            }
        }
    }
}
