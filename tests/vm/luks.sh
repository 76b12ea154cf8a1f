#!/bin/bash
# Volumes on an encrypted disk: formatted, used, cut off, opened again, refused, erased. /dev/vdb is empty, /dev/vdc holds something.
# Runs at two boots of one machine; the power cut comes when the first one says CUT.
# shellcheck source=tests/vm/lib.sh
. /carry/lib.sh
SECRET=the-canary-that-nobody-shall-read

wish() { printf '[storage]\n%s\n' "$1" >"$DATA/settings.toml"; }
judged() { "$FILE" check --json | jq -r '.[] | select(.title == "Disk of the volumes") | if .verdict == "failure" then .problem.code else "ok" end'; }
judged_as() { [ "$(judged)" = "$1" ]; }
mounted() { grep -q " $DATA/encrypted " /proc/self/mountinfo; }
closed() { ! mounted && [ -z "$(cat /sys/block/dm-*/dm/name 2>/dev/null)" ]; }
# Not grep: a disk of zeros is one line that fits into no memory.
raw_has_secret() {
  python3 -c 'import sys
last, mark = b"", sys.argv[2].encode()
with open(sys.argv[1], "rb") as disk:
    while block := disk.read(1 << 22):
        if mark in last + block: sys.exit(0)
        last = block[-100:]
sys.exit(1)' "$1" "$SECRET"
}
both_ends() { { head -c $((4 << 20)) "$1" && tail -c $((4 << 20)) "$1"; } | sha256sum; }
blank() { cmp -s -n $((16 << 20)) "$1" /dev/zero && tail -c $((16 << 20)) "$1" | cmp -s -n $((16 << 20)) - /dev/zero; }
ready() { [ "$(jq .ready "$DATA/encrypted.json")" = true ]; }

first() {
  mkdir -p "$DATA"
  mke2fs -q -t ext4 /dev/vdc
  local before
  before=$(both_ends /dev/vdc)
  wish 'encrypt = "/dev/vdc"'
  expect "check refuses a disk that holds something" judged_as STG-112
  start
  awaited 1200 "the node refuses it, too" summary_has STG-112
  expect "that disk was not touched" [ "$(both_ends /dev/vdc)" = "$before" ]
  expect "no key was made for it" [ ! -e "$DATA/secrets/volumes.key" ]
  stop

  wish 'encrypt = "/dev/vdb"'
  expect "check takes an empty disk" judged_as ok
  start
  # In the middle of the formatting: the record is there, the file system is not yet.
  until [ -e "$DATA/encrypted.json" ]; do sleep 0.02; done
  kill -KILL "$NODE"
  wait "$NODE" 2>/dev/null
  NODE=''
  say "killed while the record said $(tr -d ' \n' <"$DATA/encrypted.json")"
  start
  awaited 900 "the volumes lie on the encrypted disk" [ -d "$DATA/encrypted/antihate-volumes/postgres" ]
  expect "the record says so" ready
  expect "the prepared header is gone" [ ! -e "$DATA/encrypted.header" ]
  expect "the key is root's alone" [ "$(stat -c '%a %u %s' "$DATA/secrets/volumes.key")" = "600 0 64" ]
  expect "the kernel says that it is LUKS2" grep -h '^CRYPT-LUKS2-' /sys/block/dm-0/dm/uuid
  printf '%s\n' "$SECRET" >"$DATA/volumes/canary"
  printf '%s\n' "$SECRET" >/root/canary
  sync
  echo 3 >/proc/sys/vm/drop_caches
  expect "the canary can be read through the key" raw_has_secret /dev/mapper/antihate-volumes
  expect "and not on the raw disk" not raw_has_secret /dev/vdb
  sync
  touch /root/second
  sync
  say CUT
  sleep 600
}

second() {
  expect "after the power cut it is closed" closed
  expect "and the raw disk says nothing" not raw_has_secret /dev/vdb
  start
  awaited 900 "it is opened again" mounted
  awaited 60 "what was written is there" grep -qF "$SECRET" "$DATA/volumes/canary"
  stop
  expect "a stopped node has closed it" closed

  mv "$DATA/secrets/volumes.key" /root/key
  head -c 64 /dev/urandom >"$DATA/secrets/volumes.key"
  start
  awaited 600 "a wrong key is told" summary_has STG-113
  rm "$DATA/secrets/volumes.key"
  expect "check tells of a missing one" judged_as STG-113
  mv /root/key "$DATA/secrets/volumes.key"
  awaited 600 "with the right one it goes on by itself" mounted
  expect "the data are whole" grep -qF "$SECRET" "$DATA/volumes/canary"
  stop

  # The settings name it by another of its names.
  wish 'encrypt = "/dev/vdz"'
  start
  awaited 600 "it is found under another name than the settings have" mounted
  stop
  expect "a reset works while it is closed" "$FILE" reset --yes
  expect "nothing is open" closed
  expect "the disk is empty again" blank /dev/vdb
  expect "nothing of the node is left" [ ! -e "$DATA" ]
  in_a_file
}

in_a_file() {
  mkdir -p "$DATA" /srv/disk
  wish "$(printf 'encrypt = "/srv/disk/volumes.luks"\nencrypt_gib = 8')"
  start
  awaited 1200 "a file takes them, too" mounted
  expect "it is reserved as a whole" [ "$(stat -c %b /srv/disk/volumes.luks)" -ge $((8 << 21)) ]
  printf '%s\n' "$SECRET" >"$DATA/encrypted/canary"
  sync
  expect "and does not show what is in it" not raw_has_secret /srv/disk/volumes.luks
  expect "a reset while it runs" "$FILE" reset --yes
  expect "nothing is open" closed
  expect "the file is gone" [ ! -e /srv/disk/volumes.luks ]
}

bring
if [ -e /root/second ]; then second; else first; fi
