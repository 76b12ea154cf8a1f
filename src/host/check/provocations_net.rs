//! Changes of a sound host, one a check: control groups, network, ports, address ranges, names, time, GPU.

use super::ports;
use super::provocations::Provocation;
use super::sound::Host;
use crate::host::facts::Address;
use crate::status::Problem;
use chrono::Days;

pub const CONTROL_GROUPS: &[Provocation] = &[
    ("control-groups.cpu", |h| h.put("sys/fs/cgroup/cgroup.controllers", "cpuset io memory pids\n")),
    ("control-groups.cpuset", |h| h.put("sys/fs/cgroup/cgroup.controllers", "cpu io memory pids\n")),
    ("control-groups.memory", |h| h.put("sys/fs/cgroup/cgroup.controllers", "cpu cpuset io pids\n")),
    ("control-groups.pids", |h| h.put("sys/fs/cgroup/cgroup.controllers", "cpu cpuset io memory\n")),
    ("control-groups.io", |h| h.put("sys/fs/cgroup/cgroup.controllers", "cpu cpuset memory pids\n")),
    ("control-groups.version", |h| h.gone("sys/fs/cgroup/cgroup.controllers")),
    ("control-groups.writable", |h| h.asked.groups_writable = false),
    ("control-groups.processes", |h| h.put("sys/fs/cgroup/pids.max", "500\n")),
    ("control-groups.left", |h| h.edit("proc/cgroups", "\t80\t", "\t9000\t")),
    ("control-groups.namespace", |h| h.gone("proc/self/ns/cgroup")),
];

fn address(h: &mut Host, link: &str, ip: [u8; 4]) {
    h.asked.addresses.push(Address { link: link.into(), ip: ip.into() });
}

pub const NETWORK: &[Provocation] = &[
    ("network.address", |h| h.asked.addresses.clear()),
    ("network.loopback", |h| h.asked.loopback = false),
    ("network.forwarding", |h| h.asked.forwarding_settable = false),
    ("network.way-out", |h| h.edit("proc/net/route", "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n", "")),
    ("network.chosen", |h| address(h, "eth0", [192, 0, 2, 8])),
    ("network.own-address", |h| h.asked.addresses[0].ip = [169, 254, 7, 7].into()),
    ("network.name", |h| h.asked.hostname = "localhost".into()),
    ("network.packets", |h| h.put("sys/class/net/eth0/mtu", "1280\n")),
    ("network.speed", |h| h.put("sys/class/net/eth0/speed", "10\n")),
    ("network.damaged", |h| h.edit("proc/net/dev", "5000 0 0", "5000 900 0")),
    ("network.reverse-path", |h| h.put("proc/sys/net/ipv4/conf/all/rp_filter", "1\n")),
    ("network.connections", |h| h.put("proc/sys/net/netfilter/nf_conntrack_max", "1024\n")),
    ("network.neighbours", |h| h.put("proc/sys/net/ipv4/neigh/default/gc_thresh3", "64\n")),
    ("network.waiting", |h| h.put("proc/sys/net/core/somaxconn", "16\n")),
    ("network.old-filter", |h| h.put("proc/net/ip_tables_names", "nat\nfilter\n")),
    ("network.docker", |h| h.put("run/docker.pid", "77")),
    ("network.firewall", |h| h.put("etc/ufw/ufw.conf", "# ufw\nENABLED=yes\n")),
];

pub const PORTS: &[Provocation] = &[
    ("ports.join", |h| h.asked.taken.push(crate::join::PORT)),
    ("ports.api", |h| h.asked.taken.push(6443)),
    ("ports.kubelet", |h| h.asked.taken.push(10250)),
    ("ports.kubelet-health", |h| h.asked.taken.push(10248)),
    ("ports.controllers", |h| h.asked.taken.push(10257)),
    ("ports.scheduler", |h| h.asked.taken.push(10259)),
    ("ports.proxy-health", |h| h.asked.taken.push(10256)),
    ("ports.proxy-metrics", |h| h.asked.taken.push(10249)),
    ("ports.page", |h| h.asked.taken.push(8443)),
    ("ports.mesh", |h| h.asked.taken_udp.push(ports::UDP[0])),
    ("ports.vxlan", |h| h.asked.taken_udp.push(ports::UDP[1])),
    ("ports.etcd", |h| h.asked.taken.push(ports::FURTHER[1])),
    ("ports.outgoing", |h| h.put("proc/sys/net/ipv4/ip_local_port_range", "1024 65535\n")),
    ("ports.services", |h| h.put("proc/sys/net/ipv4/ip_local_port_range", "30000 60999\n")),
];

pub const RANGES: &[Provocation] = &[
    ("ranges.pods-address", |h| address(h, "eth1", [10, 42, 9, 9])),
    ("ranges.services-address", |h| address(h, "eth1", [10, 43, 7, 7])),
    ("ranges.pods-way", |h| h.edit("proc/net/route", "veth1\t05002A0A", "eth1\t00002A0A")),
    ("ranges.services-way", |h| h.edit("proc/net/route", "veth1\t05002A0A", "eth1\t00012B0A")),
    ("ranges.gateway", |h| h.edit("proc/net/route", "010200C0", "01002A0A")),
    ("ranges.resolvers", |h| h.put("etc/resolv.conf", "nameserver 10.43.0.99\n")),
];

pub const RESOLVER: &[Provocation] = &[
    ("resolver.file", |h| h.gone("etc/resolv.conf")),
    ("resolver.named", |h| h.put("etc/resolv.conf", "search example.org\n")),
    ("resolver.usable", |h| h.put("etc/resolv.conf", "nameserver 127.0.0.53\n")),
    ("resolver.few", |h| h.put("etc/resolv.conf", &"nameserver 192.0.2.1\n".repeat(4))),
    ("resolver.search", |h| h.put("etc/resolv.conf", "nameserver 192.0.2.1\nsearch a.b c.d e.f g.h i.j k.l m.n\n")),
    ("resolver.cluster", |h| h.put("etc/resolv.conf", "nameserver 192.0.2.1\nsearch lab.cluster.local\n")),
    ("resolver.localhost", |h| h.put("etc/hosts", "192.0.2.7 leaf-1\n")),
    ("resolver.answers", |h| h.asked.answers = Some(false)),
];

pub const TIME: &[Provocation] = &[
    ("time.clock", |h| h.asked.built = h.asked.now + Days::new(1)),
    ("time.future", |h| h.asked.built = h.asked.now - Days::new(3000)),
    ("time.kept", |h| h.asked.kept = Some((false, 0.01))),
    ("time.off", |h| h.asked.kept = Some((true, 4.0))),
    ("time.server", |h| h.gone("run/systemd/timesync")),
    ("time.source", |h| h.put("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n")),
    ("time.battery", |h| h.gone("sys/class/rtc/rtc0")),
    ("time.agree", |h| h.put("sys/class/rtc/rtc0/since_epoch", "0\n")),
];

pub const GPU: &[Provocation] = &[
    ("gpu.driver", |h| (h.asked.gpu.driver, h.asked.gpu.gpus) = (None, vec![])),
    ("gpu.library", |h| h.asked.gpu.library = None),
    ("gpu.same-version", |h| h.asked.gpu.driver = Some("590.0".into())),
    ("gpu.devices", |h| h.asked.gpu.shared.clear()),
    ("gpu.shown", |h| h.asked.gpu.gpus.clear()),
    ("gpu.included", |h| h.asked.gpu.gpus[0].excluded = true),
    ("gpu.computes", |h| h.asked.gpu_tried = Some(Err(Problem::new("GPU-107", "the card does not compute", "cuInit: 999", "Restart the host.")))),
];
