# shellcheck shell=bash
# What the scripts share that run inside the emulated machine (appliance/vm). A script says what it finds; one that ends with 0 found all.
set -u
# shellcheck disable=SC2034 # for the scripts
FILE=/usr/local/bin/antihate DATA=/var/lib/antihate LOG=/var/log/up.log
NODE=''

say() { printf '%5s s  %s\n' "$(cut -d. -f1 /proc/uptime)" "$*"; }

fail() {
  say "FAILED: $*"
  tail -n 25 "$LOG" 2>/dev/null
  "$FILE" status 2>&1 | head -n 40
  exit 1
}

# expect WHAT COMMAND...: the command has to work.
expect() {
  local what=$1
  shift
  "$@" >/tmp/said 2>&1 || fail "$what: $* said $(tail -n 5 /tmp/said)"
  say "ok: $what"
}

# awaited SECONDS WHAT COMMAND...: the same, within that time, which only guards against hanging.
awaited() {
  local end=$(($(cut -d. -f1 /proc/uptime) + $1)) what=$2
  shift 2
  until "$@" >/tmp/said 2>&1; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || fail "$what never came true: $* said $(tail -n 5 /tmp/said)"
    [ -z "$NODE" ] || kill -0 "$NODE" 2>/dev/null || fail "the node ended while it was waited for: $what"
    sleep 1
  done
  say "ok: $what"
}

# not COMMAND...: works when the command does not.
not() { ! "$@"; }

# bring: the file as somebody would put it onto a host, and a link with an address.
bring() {
  [ -x "$FILE" ] || install -m 755 /carry/antihate "$FILE"
  ip link show lan0 >/dev/null 2>&1 || { ip link add lan0 type dummy && ip addr add 192.0.2.10/24 dev lan0 && ip link set lan0 up; }
}

# A program that carries nothing finds a folder `kubernetes`.
[ ! -d /carry/kubernetes ] || export ANTIHATE_PAYLOAD=/carry/kubernetes

# start: the node, as on a host without any program. NODE is its process.
start() {
  env -i PATH=/nonexistent ${ANTIHATE_PAYLOAD:+"ANTIHATE_PAYLOAD=$ANTIHATE_PAYLOAD"} "$FILE" up --name leaf-1 </dev/null >>"$LOG" 2>&1 &
  NODE=$!
}

# summary_has TEXT, step_is ID STATE: what the node says of itself.
summary_has() { "$FILE" status --json 2>/dev/null | jq -r .summary | grep -F -- "$1"; }
step_is() { [ "$("$FILE" status --json 2>/dev/null | jq -r --arg id "$1" '.steps[] | select(.id == $id).state')" = "$2" ]; }
healthy() { "$FILE" status >/dev/null 2>&1; }

stop() {
  expect "the node stops" "$FILE" stop --timeout 600
  wait "$NODE" 2>/dev/null
  NODE=''
}
