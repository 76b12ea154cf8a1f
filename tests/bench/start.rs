//! B1 and B2: how long it takes from exec to a Ready node, and to a stack of which every pod is Ready.

use crate::api;
use crate::measure::{figure, pairs};
use crate::sides::{Archives, Ours, Plain, Side};
use crate::support::testhost::Switch;
use chrono::Utc;

const SECONDS: (&str, usize) = ("s", 2);

/// First on an empty disk, then with everything unpacked and imported and the cluster forgotten.
pub fn b1(switch: &Switch) {
    let archives = Archives::make(switch);
    let (mut same, mut less) = (Vec::new(), Vec::new());
    for _ in 0..pairs() {
        let ours = Ours::new(switch, &[]).seconds_to_ready();
        same.push((ours, Plain::new(switch, &archives, true).seconds_to_ready()));
        less.push((ours, Plain::new(switch, &archives, false).seconds_to_ready()));
    }
    let ours = "B1 exec on an empty disk to node Ready; ours verifies signatures and sums, unpacks, syncs, makes keys, and imports images once the node is Ready";
    figure(&format!("{ours}; the script, with keys, unpacks the same by tar and zstd and imports the same images beside"), SECONDS, "pairs", &same);
    figure(&format!("{ours}; the script, with keys, unpacks the same and imports no image"), SECONDS, "pairs", &less);
    unpacked(switch, &archives);
}

fn unpacked(switch: &Switch, archives: &Archives) {
    let (mut ours, mut plain) = (Ours::new(switch, &[]), Plain::new(switch, archives, true));
    ours.start();
    ours.healthy();
    ours.stop();
    plain.start();
    plain.imported();
    plain.stop();
    let mut measured = Vec::new();
    for _ in 0..pairs() {
        ours.forget();
        plain.forget();
        let a = ours.seconds_to_ready();
        ours.stop();
        let b = plain.seconds_to_ready();
        plain.stop();
        measured.push((a, b));
    }
    figure("B1 exec with everything unpacked and imported, new cluster, to node Ready; ours makes its keys, the script has them", SECONDS, "pairs", &measured);
}

/// The whole stack with sample input: a first start on an empty disk, a stop, a restart on the same disk.
pub fn b2(switch: &Switch) {
    let (mut ready, mut healthy) = (Vec::new(), Vec::new());
    for _ in 0..pairs() {
        let mut node = Ours::new(switch, &["--sample"]);
        let workloads = node.workloads();
        let first = stack(&mut node, workloads);
        node.stop();
        let again = stack(&mut node, workloads);
        node.stop();
        ready.push((again.0, first.0));
        healthy.push((again.1, first.1));
    }
    figure("B2 restart to every pod of the stack Ready in new containers; baseline the first start on an empty disk", SECONDS, "pairs", &ready);
    figure("B2 restart to a probe post out of the database; baseline the first start on an empty disk", SECONDS, "pairs", &healthy);
}

/// Seconds from exec until every pod is Ready, and until a probe post came out of the database.
fn stack(node: &mut Ours, workloads: usize) -> (f64, f64) {
    let since = Utc::now();
    let begun = node.start();
    std::thread::scope(|s| {
        let node = &*node;
        let ready = s.spawn(|| (api::pods_ready(node.host(), &node.pki(), workloads, since) - begun).as_secs_f64());
        let healthy = (node.healthy() - begun).as_secs_f64();
        (ready.join().expect("pods"), healthy)
    })
}
