# shellcheck shell=bash
# A test host for scripts: a network namespace with mounts, data root and control groups of its own, in which one node runs.
# Whatever is started here is ended by process id, and none of it keeps the caller's lock (descriptor 9). The integration tests have the same in tests/support/testhost.rs.

# host_start NAME: makes the host; sets HOST_NAME, HOST_HOLDER (the process that keeps its namespaces), HOST_DATA, HOST_ADDRESS.
host_start() {
  HOST_NAME=$1 HOST_ADDRESS=192.0.2.10
  ip netns add "$HOST_NAME"
  # Both ends of the link lie here: nothing of it is seen by the machine's own network.
  ip -n "$HOST_NAME" link add eth0 type veth peer name wire0
  ip -n "$HOST_NAME" addr add "$HOST_ADDRESS/24" dev eth0
  local link
  for link in lo wire0 eth0; do ip -n "$HOST_NAME" link set "$link" up; done
  # Not `ip netns exec`: it mounts /sys anew and so hides the control groups.
  nsenter "--net=/run/netns/$HOST_NAME" unshare --mount --propagation private sleep infinity </dev/null 9>&- &
  HOST_HOLDER=$!
  HOST_DATA=$(mktemp -d "${ANTIHATE_TEST_DIR:-${TMPDIR:-/tmp}}/antihate-host-XXXXXX")/data
  until [ "$(readlink "/proc/$HOST_HOLDER/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; do sleep 0.1; done
}

# host_run COMMAND...: becomes a command inside the host; call it in a subshell or in the background.
host_run() { exec nsenter --target "$HOST_HOLDER" --net --mount -- env "ANTIHATE_DATA=$HOST_DATA" "$@"; }

# host_kubeconfig: the administrator's, as src/config/layout.rs says.
host_kubeconfig() { echo "$HOST_DATA/pki/admin.kubeconfig"; }

# host_settings LINE...: the lines of settings.toml, before the first start.
host_settings() {
  mkdir -p "$HOST_DATA"
  printf '%s\n' "$@" >"$HOST_DATA/settings.toml"
}

# host_up FILE LOG ARGUMENTS...: starts the node and waits until it is healthy; sets HOST_NODE to its process.
host_up() {
  local file=$1 log=$2
  shift 2
  (host_run "$file" up --node-ip "$HOST_ADDRESS" "$@") </dev/null >>"$log" 2>&1 9>&- &
  HOST_NODE=$!
  (host_run "$file" status --wait --timeout 900) >/dev/null 2>&1 || {
    tail -n 30 "$log" >&2
    fail "the node did not become healthy; what it said is in $log"
  }
}

# host_join FILE LOG NUMBER ARGUMENTS...: makes another host on the first one's segment, joins it to the cluster and waits until its
# node is healthy. MORE keeps what ends it: name, holder and data root, a line a host; HOST_SWITCH is the segment.
MORE=() HOST_SWITCH=''
host_join() {
  local file=$1 log=$2 number=$3 name=$HOST_NAME-$3 holder data address=192.0.2.$((9 + $3)) code
  shift 3
  if [ -z "$HOST_SWITCH" ]; then
    # A namespace of its own: a bridge beside the first host's packet filter would send its frames through that filter.
    HOST_SWITCH=$HOST_NAME-sw
    ip netns add "$HOST_SWITCH"
    ip -n "$HOST_SWITCH" link add sw0 type bridge
    ip -n "$HOST_SWITCH" link set sw0 up
    ip -n "$HOST_NAME" link set wire0 netns "$HOST_SWITCH"
    ip -n "$HOST_SWITCH" link set wire0 master sw0 up
  fi
  ip netns add "$name"
  ip -n "$HOST_SWITCH" link add "wire$number" type veth peer name eth0 netns "$name"
  ip -n "$HOST_SWITCH" link set "wire$number" master sw0 up
  ip -n "$name" addr add "$address/24" dev eth0
  ip -n "$name" link set lo up
  ip -n "$name" link set eth0 up
  nsenter "--net=/run/netns/$name" unshare --mount --propagation private sleep infinity </dev/null 9>&- &
  holder=$!
  data=$(mktemp -d "${ANTIHATE_TEST_DIR:-${TMPDIR:-/tmp}}/antihate-host-XXXXXX")/data
  until [ "$(readlink "/proc/$holder/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; do sleep 0.1; done
  MORE+=("$name $holder $data")
  code=$(host_run "$file" node add --json | jq -r .code)
  (HOST_HOLDER=$holder HOST_DATA=$data host_run "$file" join "$code" --node-ip "$address" "$@") </dev/null >>"$log" 2>&1 9>&- &
  (HOST_HOLDER=$holder HOST_DATA=$data host_run "$file" status --wait --timeout 900) >/dev/null 2>&1 || {
    tail -n 30 "$log" >&2
    fail "host $number did not become healthy; what it said is in $log"
  }
}

# host_pods: processes of the node's pods, by the control group that src/config/layout.rs names.
host_pods() {
  local group
  group=antihate-$(printf '%s' "$HOST_DATA" | sha256sum | cut -c1-8)
  find /sys/fs/cgroup/"$group" /sys/fs/cgroup/*/"$group" -path '*/kubepods/*' -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u
}

# host_end FILE: ends the node and removes everything of the host. Its pods need not end in peace: they are ended at once.
host_end() {
  [ -n "${HOST_NAME:-}" ] || return 0
  local first=("$HOST_NAME" "$HOST_HOLDER" "$HOST_DATA" "${HOST_NODE:-}") more
  # Those that joined end first: without them the first one has nobody to wait for.
  for more in "${MORE[@]}"; do
    read -r HOST_NAME HOST_HOLDER HOST_DATA <<<"$more"
    HOST_NODE=''
    end_one "$1"
  done
  MORE=()
  [ -z "$HOST_SWITCH" ] || ip netns del "$HOST_SWITCH"
  HOST_SWITCH=''
  HOST_NAME=${first[0]} HOST_HOLDER=${first[1]} HOST_DATA=${first[2]} HOST_NODE=${first[3]}
  end_one "$1"
}

end_one() {
  local pid stop
  (host_run "$1" stop) >/dev/null 2>&1 &
  stop=$!
  while kill -0 "$stop" 2>/dev/null; do
    for pid in $(host_pods); do kill -KILL "$pid" 2>/dev/null || true; done
    sleep 0.5
  done
  wait "$stop" || true
  [ -z "${HOST_NODE:-}" ] || wait "$HOST_NODE" || true
  # A second try where a control group was not empty in time, as after a run that was cut short.
  for _ in 1 2 3; do
    if (host_run "$1" reset --yes) >/dev/null 2>&1; then break; fi
    sleep 3
  done
  for pid in $(ip netns pids "$HOST_NAME"); do kill -KILL "$pid" 2>/dev/null || true; done
  wait "$HOST_HOLDER" 2>/dev/null || true
  ip netns del "$HOST_NAME"
  rm -rf "${HOST_DATA%/data}"
  HOST_NAME=
}
