# shellcheck shell=bash
# What the scripts of this folder share. Source it after `set -euo pipefail`; it prints nothing on standard output.
# Every built thing lies in $ANTIHATE_CACHE/<stage>/<hash of what it was made from>/ and is never changed there.

TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ANTIHATE_CACHE=${ANTIHATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/antihate}
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$ANTIHATE_CACHE/target}
export TREE ANTIHATE_CACHE CARGO_TARGET_DIR
# ls, sort and globs must order alike on every machine: hashes depend on it.
export LC_ALL=C.UTF-8

# say TEXT...: one line of progress, with the time.
say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

# fail TEXT...: says what happened and ends the script.
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# need_root: ends the script with the next step where we are not root.
need_root() {
  [ "$(id -u)" = 0 ] || fail "${0##*/} needs root: it makes file systems that belong to other users. Run it as root (sudo $0)."
}

# need_command NAME...: ends the script when a program is missing.
need_command() {
  local name
  for name in "$@"; do
    command -v "$name" >/dev/null || fail "the program '$name' is missing: run appliance/deps, or install it, then try again."
  done
}

# stage_hash FILE|FOLDER|=TEXT...: 32 hex digits over names, modes and contents (of a folder: everything below it).
stage_hash() {
  local item
  for item in "$@"; do
    case $item in
      =*) printf 'text %s\n' "${item#=}" ;;
      *) hash_path "$item" ;;
    esac
  done | sha256sum | cut -c1-32
}

# hash_path PATH: one line a file, sorted; names relative to PATH, so that a tree may lie anywhere.
hash_path() {
  [ -e "$1" ] || fail "cannot hash $1: it does not exist"
  if [ -d "$1" ]; then
    (cd "$1" && find . -type f -printf '%m %p\n' | sort -k2 && find . -type f -print0 | sort -z | xargs -0r sha256sum)
  else
    stat -L -c '%a' "$1" && sha256sum <"$1"
  fi
}

# cache_dir STAGE HASH: prints the folder of that stage and hash; it exists only when it is complete.
cache_dir() { printf '%s/%s/%s\n' "$ANTIHATE_CACHE" "$1" "$2"; }

# publish PARTIAL FINAL: makes a finished folder appear at once under its final name. A kill before leaves only PARTIAL.
publish() {
  rm -rf "$2"
  mkdir -p "$(dirname "$2")"
  mv -T "$1" "$2"
}

# toml_value FILE KEY: the string value of a top-level `key = "value"` line; empty when there is none.
toml_value() { sed -n "s/^$2 *= *\"\\(.*\\)\" *\$/\\1/p" "$1"; }

# own_target: the target folder is shared by all checkouts of this user, so that dependencies are compiled once. Cargo tells our
# own package's freshness by times, which says nothing when another checkout was built last: then that package alone is dropped.
own_target() {
  local stamp=$CARGO_TARGET_DIR/checkout
  if [ "$(cat "$stamp" 2>/dev/null)" != "$TREE" ]; then
    (cd "$TREE" && cargo clean --quiet --release --package antihate >&2)
    mkdir -p "$CARGO_TARGET_DIR"
    printf '%s\n' "$TREE" >"$stamp"
  fi
}

# elapsed START: whole seconds since START (seconds since 1970).
elapsed() { echo $(($(date +%s) - $1)); }
