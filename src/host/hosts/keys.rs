//! This host's keys while those of the cluster are changed: it reports what its components run with, and follows when it is its turn.
//! What is wanted and whose turn it is: see [`keys`].

use super::renewal::{self, doors};
use crate::cluster::Cluster;
use crate::cluster::nodes::NodeSeen;
use crate::config::Place;
use crate::config::layout::Layout;
use crate::host::probe::Tls;
use crate::host::settings::{API_PORT, Settings};
use crate::join::keys::{self, Held, Reports, Turn, Wanted};
use crate::join::registry;
use crate::pki::joined::{self, Files};
use crate::pki::{encryption, rotation};
use crate::status::Problem;
use sha2::{Digest, Sha256};
use std::net::SocketAddrV4;
use std::path::Path;

/// Between changes it is asked at every so manieth look whether one has begun.
const SELDOM: u32 = 4;

/// What is known of them.
#[derive(Default)]
pub struct Keys {
    looks: u32,
    open: bool,
    /// Sum of the keys of secrets with which the API server is known to work.
    secrets: String,
}

/// What came of a look.
#[derive(Debug, PartialEq, Eq)]
pub enum Followed {
    /// Nothing is to be done, or it is the turn of others, who are told.
    Still(Option<String>),
    /// The components have to start anew.
    StartAnew,
}

/// Sum of a text, as hosts report it.
pub fn sum(text: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(text))
}

fn sum_of_file(path: &Path) -> String {
    std::fs::read(path).map(sum).unwrap_or_default()
}

/// Sum of the authorities that are trusted by what starts now.
pub fn published(layout: &Layout) -> String {
    sum_of_file(&rotation::trust(&layout.pki()))
}

/// What lies in the key folder, whether anything runs with it or not.
pub fn in_files(layout: &Layout, control: bool) -> Held {
    let dir = layout.pki();
    if control { Held { trust: sum(rotation::trusted(&dir)), secrets: sum_of_file(&encryption::file(&dir)) } } else { Held { trust: published(layout), ..Held::default() } }
}

/// What the nodes tell of their hosts.
pub fn reports(nodes: &[NodeSeen]) -> Reports {
    nodes.iter().filter_map(|n| Some((n.name.clone(), serde_json::from_str(n.keys.as_ref()?).ok()?))).collect()
}

/// Whether the API server works with the keys of secrets of this sum: its figures name it.
pub async fn works_with(pki: &Path, sum: &str) -> bool {
    let named = format!("hash=\"sha256:{sum}\"");
    // The certificate may be renewed meanwhile: it is read anew.
    let Ok(tls) = Tls::new(pki) else { return false };
    tls.get(API_PORT, "/metrics").await.is_ok_and(|figures| figures.windows(named.len()).any(|w| w == named.as_bytes()))
}

/// A control plane that has not followed itself.
pub(super) fn behind(door: SocketAddrV4) -> Problem {
    Problem::new("HST-112", "this host's keys are older than the cluster's", format!("the control plane at {door} does not have the new ones yet"), "Wait: it is asked again by itself.")
}

impl Keys {
    /// One look; `begun` is the sum of what the components were started with, once all of them are well.
    pub async fn round(&mut self, s: &Settings, now: &Place, cluster: &Cluster, node: Option<&NodeSeen>, begun: Option<String>) -> Result<Followed, Problem> {
        self.looks += 1;
        // Killed between new files and the start with them, or renewed meanwhile.
        if !now.control && begun.as_ref().is_some_and(|trust| *trust != published(&s.layout)) {
            return Ok(Followed::StartAnew);
        }
        if let (Some(node), Some(trust)) = (node, begun) {
            self.report(s, node, trust).await?;
        }
        if !self.open && self.looks % SELDOM != 1 {
            return Ok(Followed::Still(None));
        }
        let Some(wanted) = registry::wanted(cluster).await? else { return Ok(Followed::Still(None)) };
        self.open = wanted.open.is_some();
        let files = in_files(&s.layout, now.control);
        let reports = if wanted.is_met(now.control, &files) { Reports::new() } else { reports(&cluster.nodes().await.map_err(|e| e.problem())?) };
        match keys::turn(&s.node, &now.hosts, &reports, &wanted, &files) {
            Turn::Nothing => return Ok(Followed::Still(None)),
            Turn::Wait(other) => return Ok(Followed::Still(Some(format!("new keys after {other}")))),
            Turn::Tell => {
                registry::want(cluster, &Wanted { held: files, ..wanted }).await?;
                return Ok(Followed::Still(None));
            }
            Turn::Share => share(s, now, &wanted).await?,
            Turn::Renew => renewal::renew(s, Some(&wanted.held.trust)).await?,
        }
        tracing::info!(from = %wanted.from, "this host follows a change of the cluster's keys");
        Ok(if wanted.held.trust == files.trust { Followed::Still(None) } else { Followed::StartAnew })
    }

    async fn report(&mut self, s: &Settings, node: &NodeSeen, trust: String) -> Result<(), Problem> {
        let pki = s.layout.pki();
        if s.place.control {
            let present = sum_of_file(&encryption::file(&pki));
            if present != self.secrets && works_with(&pki, &present).await {
                self.secrets = present;
            }
        }
        let report = serde_json::to_string(&Held { trust, secrets: self.secrets.clone() }).expect("plain data");
        if node.keys.as_ref() == Some(&report) {
            return Ok(());
        }
        // With the kubelet's rights, which end at its own node.
        let kubelet = Cluster::connect(&pki.join("kubelet.kubeconfig")).await.map_err(|e| e.problem())?;
        kubelet.report_keys(&s.node, &report).await.map_err(|e| e.problem())
    }
}

/// Takes over what the control planes share from one that holds what is wanted.
async fn share(s: &Settings, now: &Place, wanted: &Wanted) -> Result<(), Problem> {
    let member = renewal::member(s)?;
    let held = |files: &Files| {
        let of = |name: &str| files.get(name).map(sum).unwrap_or_default();
        Held { trust: of("trust.crt"), secrets: of("encryption.yaml") }
    };
    let mut last = Problem::new("HST-112", "this host's keys are older than the cluster's", "no other control plane is known", "See `antihate node list` on the other control-plane hosts.");
    for door in doors(s, now, &wanted.from) {
        match member.share(door).await {
            Ok(answer) if held(&answer.files) == wanted.held => {
                let failed = |e: crate::pki::cluster::PkiError| Problem::new("HST-113", e.to_string(), std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default(), "See that the data root is writable and has free space.");
                return joined::follow(&s.layout.pki(), &answer.files).map_err(failed);
            }
            Ok(_) => last = behind(door),
            Err(problem) => last = problem,
        }
    }
    Err(renewal::told(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_reports_is_read_back_and_a_report_that_is_none_counts_as_missing() {
        let held = Held { trust: sum("a"), secrets: sum("b") };
        let node = |name: &str, keys: Option<String>| NodeSeen { name: name.into(), keys, ..NodeSeen::default() };
        let all = reports(&[node("a", Some(serde_json::to_string(&held).unwrap())), node("b", Some("?".into())), node("c", None), node("d", Some("{\"trust\":\"x\"}".into()))]);
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "d"]);
        assert_eq!((&all["a"], all["d"].secrets.as_str()), (&held, ""));
    }

    #[test]
    fn the_files_of_a_control_plane_say_what_it_will_trust_and_those_of_another_host_what_it_was_given() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let names = crate::pki::cluster::ClusterNames { node: "n".into(), node_ip: [192, 0, 2, 1].into(), service_ip: [10, 43, 0, 1].into(), api_port: 6443, id: "1".into() };
        crate::pki::cluster::ensure(&layout.pki(), &names, time::OffsetDateTime::now_utc()).unwrap();
        let before = in_files(&layout, true);
        assert_eq!((&before.trust, before.secrets.is_empty()), (&published(&layout), false));
        rotation::announce(&layout.pki(), time::OffsetDateTime::now_utc()).unwrap();
        assert_ne!(in_files(&layout, true).trust, before.trust);
        assert_eq!(in_files(&layout, false), Held { trust: before.trust, secrets: String::new() });
    }
}
