#!/bin/bash
# `antihate install` on a host with systemd and version 2 of control groups: the unit starts the node, and starts it again with the host.
# Runs at both boots of one machine.
# shellcheck source=tests/vm/lib.sh
. /carry/lib.sh
LOG=/var/log/journal-of-the-unit

unit_is() { [ "$(systemctl is-active antihate)" = "$1" ]; }
node_ready() { "$FILE" kubectl get nodes --no-headers | grep -w Ready; }
journal() { journalctl -u antihate --no-pager -o cat >"$LOG" 2>/dev/null; }
fit() { "$FILE" check --json | jq -r '.[] | select(.verdict == "failure") | .problem | .code, .what, .cause' >/tmp/unfit && cat /tmp/unfit && [ ! -s /tmp/unfit ]; }
until_ready() {
  local begun=$SECONDS
  awaited 3000 "the node is Ready ($1)" node_ready
  say "figure: $1: Ready after $((SECONDS - begun)) s"
  journal
}

bring
if [ ! -e /root/second ]; then
  expect "control groups are of version 2" [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]
  expect "the host is fit" fit
  expect "it is installed" "$FILE" install
  expect "a second time changes nothing" sh -c "$FILE install --json | jq -e '.changed == false'"
  expect "the console has a unit that is enabled" [ "$(systemctl is-enabled antihate-console)" = enabled ]
  # The link of the first boot is gone at the second: an address that comes with the host.
  printf '[Unit]\nBefore=antihate.service\n[Service]\nType=oneshot\nExecStart=/bin/sh -c "ip link add lan0 type dummy; ip addr add 192.0.2.10/24 dev lan0; ip link set lan0 up"\n[Install]\nWantedBy=multi-user.target\n' \
    >/etc/systemd/system/lan0.service
  expect "the host has an address at every boot" systemctl enable lan0.service
  expect "the unit starts" systemctl start antihate
  until_ready "first start"
  expect "pods lie in the unit's tree" sh -c 'find /sys/fs/cgroup -path "*kubepods*" -name cgroup.procs | head -n 1 | grep .'
  find /sys/fs/cgroup -maxdepth 3 -name '*antihate*' -o -maxdepth 3 -name 'kubepods*'
  expect "a killed host process is started again" systemctl kill --kill-whom=main -s KILL antihate
  until_ready "killed"
  touch /root/second
  sync
  say "restarting the host"
  systemctl reboot
  sleep 600
else
  awaited 600 "the unit runs after a restart of the host" unit_is active
  until_ready "host restarted"
  awaited 3000 "a probe post comes out of the database" healthy
  expect "the unit stops" systemctl stop antihate
  expect "no process of the node is left" sh -c "! pgrep -f $DATA"
  expect "nothing is left after a reset" "$FILE" reset --yes
  expect "the units are gone, too" sh -c '! ls /etc/systemd/system/antihate*.service'
fi
