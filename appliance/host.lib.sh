# shellcheck shell=bash
# What a machine needs to carry a node, and where a node lies. Used by appliance/run.

# what_is_lacking: one line for each thing without which Kubernetes cannot run here; nothing when all is there.
what_is_lacking() {
  if [ "$(id -u)" != 0 ]; then
    echo "root: namespaces, mounts and cgroups belong to it (sudo $0)"
    return
  fi
  unshare --mount --net --pid --ipc --uts --fork true 2>/dev/null ||
    echo "namespaces: this kernel or container does not let root make them (unshare failed)"
  grep -q overlay /proc/filesystems || modprobe overlay 2>/dev/null || echo "overlayfs: the kernel does not have it (modprobe overlay)"
  cgroups_writable || echo "cgroups: none is mounted writable under /sys/fs/cgroup"
  unshare --net ip link add probe0 type veth peer name probe1 2>/dev/null ||
    echo "veth links: the kernel or container does not let root make them"
  local memory
  memory=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
  [ "$memory" -ge 3500 ] || echo "memory: $memory MB, a node needs 3,500 MB"
  local room
  room=$(df -Pm "$(existing "$ANTIHATE_CACHE")" | awk 'NR == 2 { print $4 }')
  [ "$room" -ge 12000 ] || echo "disk: $room MB free for $ANTIHATE_CACHE, building and running need 12,000 MB"
}

# existing PATH: the nearest folder above that exists.
existing() {
  local path=$1
  while [ ! -d "$path" ]; do path=$(dirname "$path"); done
  echo "$path"
}

# cgroups_writable: version 2, or version 1 with the controllers that the kubelet wants.
cgroups_writable() {
  local probe root=/sys/fs/cgroup
  [ -f $root/cgroup.controllers ] || root=/sys/fs/cgroup/memory
  probe=$root/antihate-probe.$$
  mkdir "$probe" 2>/dev/null && rmdir "$probe"
}

# data_root ARGUMENTS...: what --data says, or the product's default.
data_root() {
  local data=${ANTIHATE_DATA:-/var/lib/antihate}
  while [ $# -gt 0 ]; do
    case $1 in
      --data) data=${2:?--data needs a folder} && shift ;;
      --data=*) data=${1#--data=} ;;
    esac
    shift
  done
  realpath -m "$data"
}

# run_folder DATA: where the node keeps sockets and the PIN (as src/config/layout.rs says).
run_folder() { if [ "$1" = /var/lib/antihate ]; then echo /run/antihate; else echo "$1/run"; fi; }

# is_running DATA: a host process holds the node's lock.
is_running() { [ -f "$1/lock" ] && ! flock --nonblock --shared "$1/lock" true; }
