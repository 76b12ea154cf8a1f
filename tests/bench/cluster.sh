#!/usr/bin/env bash
# The baseline of B1 and B4: the product's own Kubernetes components, started by a plain shell script with default settings.
# Places, addresses, keys and what the machine forbids are given; everything else is each component's default.
#   ROOT=FOLDER KEYS=FOLDER CGROUP=NAME NODE=NAME IP=ADDRESS [ARCHIVE=FILE.tar.zst] [IMAGES=FILE.tar.zst] [RESTRICT=true] cluster.sh
# ARCHIVE is unpacked first, IMAGES are imported beside the start. KEYS come from the product's own pki.
# On SIGTERM it ends what it started, by process id.
set -euo pipefail

program=$ROOT/current/kubernetes
etc=$ROOT/etc run=$ROOT/run
pids=()

# start NAME ARGUMENTS...: the component NAME of the one program, which goes by the name it is called with.
start() {
  local name=$1
  shift
  (exec -a "$name" "$program" "$@") >"$ROOT/logs/$name.log" 2>&1 &
  pids+=($!)
}

end() {
  trap - TERM
  kill "${pids[@]}" 2>/dev/null || true
  # The API server would wait for a datastore that ends at the same time.
  sleep 2
  kill -KILL "${pids[@]}" 2>/dev/null || true
  wait
  exit 0
}
trap end TERM

for group in /sys/fs/cgroup/"$CGROUP"/host /sys/fs/cgroup/*/"$CGROUP"/host; do
  [ ! -d "$group" ] || echo $$ >"$group/cgroup.procs"
done
# What containerd and the network plugins write outside the root stays in this host's own mounts.
for place in /run/containerd /var/lib/cni; do
  mkdir -p "$place"
  mount -t tmpfs none "$place"
done
mkdir -p "$etc/cni" "$run" "$ROOT/logs" "$ROOT/kine" "$ROOT/home"
[ -z "${ARCHIVE:-}" ] || zstd -dcq "$ARCHIVE" | tar -x -C "$ROOT"

cat >"$etc/containerd.toml" <<END
version = 3
root = "$ROOT/containerd"
state = "$run/containerd"
[grpc]
address = "$run/containerd.sock"
[ttrpc]
address = "$run/containerd.sock.ttrpc"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "antihate.local/pause:3.10.2"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = ${RESTRICT:-false}
netns_mounts_under_state_dir = true
enable_unprivileged_ports = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["$ROOT/current/cni"]
conf_dir = "$etc/cni"
use_internal_loopback = true
END
cat >"$etc/cni/10-plain.conflist" <<END
{"cniVersion": "1.0.0", "name": "plain", "plugins": [{"type": "ptp", "ipMasq": true, "ipMasqBackend": "nftables",
 "ipam": {"type": "host-local", "dataDir": "$ROOT/cni", "ranges": [[{"subnet": "10.42.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
cat >"$etc/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
containerRuntimeEndpoint: unix://$run/containerd.sock
clusterDNS: [10.43.0.10]
clusterDomain: cluster.local
tlsCertFile: $KEYS/kubelet-server.crt
tlsPrivateKeyFile: $KEYS/kubelet-server.key
authentication: {x509: {clientCAFile: $KEYS/ca.crt}}
podLogsDir: $ROOT/pod-logs
END
cat >"$etc/kube-proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: 10.42.0.0/16
hostnameOverride: $NODE
clientConnection: {kubeconfig: $KEYS/kube-proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
END

export PATH=$ROOT/current:/usr/bin:/bin HOME=$ROOT/home
start kine --endpoint="sqlite://$ROOT/kine/state.db?_journal=WAL&cache=shared&_busy_timeout=30000&_txlock=immediate" \
  --listen-address="unix://$run/kine.sock"
start containerd --config "$etc/containerd.toml"
start kube-apiserver --advertise-address="$IP" --etcd-servers="unix://$run/kine.sock" --service-cluster-ip-range=10.43.0.0/16 \
  --authorization-mode=Node,RBAC --client-ca-file="$KEYS/ca.crt" --tls-cert-file="$KEYS/apiserver.crt" --tls-private-key-file="$KEYS/apiserver.key" \
  --kubelet-certificate-authority="$KEYS/ca.crt" --kubelet-client-certificate="$KEYS/apiserver-kubelet-client.crt" \
  --kubelet-client-key="$KEYS/apiserver-kubelet-client.key" --kubelet-preferred-address-types=InternalIP \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file="$KEYS/sa.pub" \
  --service-account-signing-key-file="$KEYS/sa.key"

# Beside the start of the API server, as soon as the runtime listens.
import() {
  until [ -S "$run/containerd.sock" ]; do sleep 0.05; done
  zstd -dcq "$IMAGES" | (exec -a ctr "$program" --address "$run/containerd.sock" --namespace k8s.io images import -) >"$ROOT/logs/import.log" 2>&1
  touch "$ROOT/imported"
}
if [ -n "${IMAGES:-}" ]; then
  import &
  pids+=($!)
fi

until curl -fs -o /dev/null --cacert "$KEYS/ca.crt" --cert "$KEYS/admin.crt" --key "$KEYS/admin.key" https://127.0.0.1:6443/livez; do sleep 0.05; done
start kube-controller-manager --kubeconfig="$KEYS/controller-manager.kubeconfig" --service-account-private-key-file="$KEYS/sa.key" \
  --root-ca-file="$KEYS/ca.crt" --use-service-account-credentials=true
start kube-scheduler --kubeconfig="$KEYS/scheduler.kubeconfig"
start kubelet --config="$etc/kubelet.yaml" --kubeconfig="$KEYS/kubelet.kubeconfig" --root-dir="$ROOT/kubelet" \
  --cert-dir="$ROOT/kubelet/pki" --hostname-override="$NODE" --node-ip="$IP" \
  --node-labels=antihate.io/pool-general=true,antihate.io/pool-database=true,antihate.io/pool-analysis=true
start kube-proxy --config="$etc/kube-proxy.yaml"
wait
