# shellcheck shell=bash
# The steps of appliance/images. Globals: KUBE, WORKER, ANALYZER (inputs, '-' when absent), TREE, ANTIHATE_CACHE.

# In building order: base first.
# shellcheck disable=SC2034 # read by appliance/images
IMAGES=(base pause coredns postgres kafka prometheus worker analyzer)
APT_STATE=$ANTIHATE_CACHE/apt
# One moment for every file of every image, so that two builds agree. Never exported by lib.sh: compilers' build scripts
# read it too, and cargo would compile every C library again whenever it comes or goes.
SOURCE_DATE_EPOCH=1735689600
export APT_STATE SOURCE_DATE_EPOCH

# b ...: buildah with a store of our own; nothing of the machine's own containers is touched.
b() { buildah --root "$ANTIHATE_CACHE/buildah/store" --runroot "$ANTIHATE_CACHE/buildah/run" --storage-driver overlay "$@"; }

recipe() { toml_value "$TREE/images/$1/image.toml" "$2"; }
image_dir() { cache_dir images "$(image_key "$1")"; }
manifest_digest() { jq -r '.manifests[0].digest' "$1/oci/index.json"; }

# input_path INPUT: where an input named in image.toml lies: worker, analyzer, or kubernetes:PATH.
input_path() {
  case $1 in
    worker) echo "$WORKER" ;;
    analyzer) echo "$ANALYZER" ;;
    kubernetes:*) if [ "$KUBE" = - ]; then echo -; else echo "$KUBE/${1#kubernetes:}"; fi ;;
    *) fail "image.toml names the unknown input '$1'" ;;
  esac
}

inputs_present() {
  local input
  input=$(recipe "$1" input)
  [ -z "$input" ] && return
  input=$(input_path "$input")
  [ "$input" != - ] || return 1
  [ -f "$input" ] || fail "the input $input of image $1 does not exist"
}

# image_key NAME: hash of everything that the image is made from.
image_key() {
  local name=$1 input parts
  parts=("$TREE/images/$name" "$TREE/appliance/images.lib.sh" "=$SOURCE_DATE_EPOCH" "=$(cat "$APT_STATE/state")")
  input=$(recipe "$name" input)
  [ -z "$input" ] || parts+=("$(input_path "$input")")
  [ "$name" = base ] || parts+=("$TREE/images/base")
  stage_hash "${parts[@]}"
}

# ensure_apt_state: one state of the package lists for all images, kept until --refresh.
ensure_apt_state() {
  if [ ! -s "$APT_STATE/state" ]; then
    say "package lists: taking their present state"
    rm -rf "$APT_STATE"
    "$TREE/appliance/apt-state" "$APT_STATE"
  fi
  install -m 755 "$TREE/images/base/install" "$APT_STATE/install"
}

# ensure_image NAME: builds it unless the cache has it.
ensure_image() {
  local name=$1 dir started
  dir=$(image_dir "$name")
  if [ -d "$dir" ]; then return; fi
  [ "$name" = base ] || ensure_base_of "$name"
  started=$(date +%s)
  say "image $name: building"
  rm -rf "$dir.partial"
  build_image "$name" "$dir.partial"
  publish "$dir.partial" "$dir"
  say "image $name: $(du -sm "$dir/oci" | cut -f1) MB with its base, $(elapsed "$started") s"
}

# ensure_base_of NAME: the base is in the store under the name that the Containerfiles use.
ensure_base_of() {
  local dir reference
  ensure_image base
  dir=$(image_dir base) reference=$(recipe base reference)
  if [ "$(b images -q --no-trunc "$reference" 2>/dev/null)" != "$(cat "$dir/id")" ]; then
    b pull -q "oci:$dir/oci:$reference" >/dev/null
    b tag "sha256:$(sed 's/^sha256://' "$dir/id")" "$reference"
  fi
}

# build_image NAME FOLDER: FOLDER/oci (layout of this one image), FOLDER/sbom.spdx.json, FOLDER/id.
build_image() {
  local name=$1 out=$2 context input reference
  reference=$(recipe "$name" reference)
  mkdir -p "$out"
  context=$out/context
  cp -r "$TREE/images/$name" "$context"
  input=$(recipe "$name" input)
  [ -z "$input" ] || install -m 755 -D -t "$context/inputs" "$(input_path "$input")"
  [ ! -x "$context/prepare" ] || "$context/prepare" "$context" >&2
  b bud -q --isolation chroot --pull-never --layers=false --identity-label=false --timestamp "$SOURCE_DATE_EPOCH" \
    --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" --volume "$APT_STATE:/mnt" \
    --tag "$reference" --file "$context/Containerfile" "$context" >"$out/build.log" 2>&1 ||
    { tail -n 30 "$out/build.log" >&2 && fail "image $name did not build; if a package was not found, run appliance/images with --refresh"; }
  export_layout "$reference" "$out"
  b images -q --no-trunc "$reference" >"$out/id"
  check_user "$name" "$out"
  write_sbom "$name" "$out"
  rm -rf "$context"
}

# export_layout REFERENCE FOLDER: the image as the OCI layout FOLDER/oci. buildah's own `oci:` always compresses layers,
# which would hide from the pack that images share contents; its `dir:` does not.
export_layout() {
  local raw=$2/raw blobs=$2/oci/blobs/sha256 digest
  b push -q --disable-compression --format oci "$1" "dir:$raw" >&2
  mkdir -p "$blobs"
  digest=$(sha256sum <"$raw/manifest.json" | cut -d' ' -f1)
  jq --arg digest "sha256:$digest" --arg reference "$1" --argjson size "$(stat -c %s "$raw/manifest.json")" -n \
    '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [{mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest: $digest, size: $size, annotations: {"org.opencontainers.image.ref.name": $reference}}]}' >"$2/oci/index.json"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$2/oci/oci-layout"
  mv "$raw/manifest.json" "$blobs/$digest"
  rm -f "$raw/version" "$raw"/signature-*
  mv "$raw"/* "$blobs/"
  rmdir "$raw"
}

# check_user NAME FOLDER: what image.toml promises is what the image does.
check_user() {
  local user
  user=$(b inspect --type image --format '{{.OCIv1.Config.User}}' "$(recipe "$1" reference)")
  [ "${user:-0}" = "$(recipe "$1" user)" ] || fail "image $1 runs as '${user:-0}', image.toml says '$(recipe "$1" user)'"
}

# write_sbom NAME FOLDER: what is inside, read from the finished root file system.
write_sbom() {
  local container root
  container=$(b from --pull-never "$(recipe "$1" reference)")
  root=$(b mount "$container")
  "$TREE/appliance/sbom" "$root" "$TREE/images/$1/image.toml" >"$2/sbom.spdx.json"
  b rm "$container" >/dev/null
}

# merge_layouts OUT FOLDER...: one layout with every blob once (hard links) and every manifest under its full name.
merge_layouts() {
  local out=$1 dir partial=$1.partial
  shift
  rm -rf "$partial"
  mkdir -p "$partial/blobs/sha256" "$partial/sbom"
  for dir in "$@"; do
    cp -lnr "$dir/oci/blobs/sha256/." "$partial/blobs/sha256/"
    cp "$dir/sbom.spdx.json" "$partial/sbom/$(jq -r .name "$dir/sbom.spdx.json").spdx.json"
  done
  cp "$1/oci/oci-layout" "$partial/oci-layout"
  jq -s '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: (map(.manifests[]) | sort_by(.annotations["org.opencontainers.image.ref.name"]))}' \
    "${@/%//oci/index.json}" >"$partial/index.json"
  publish "$partial" "$out"
}

# layer_differences FOLDER FOLDER WORK: which files make two builds of one image differ. WORK is filled.
layer_differences() {
  local one two pair x=$3/one y=$3/two
  local query='.manifests[0].digest | sub("sha256:";"")'
  one=$1/oci/blobs/sha256/$(jq -r "$query" "$1/oci/index.json") two=$2/oci/blobs/sha256/$(jq -r "$query" "$2/oci/index.json")
  paste <(jq -r '.layers[].digest' "$one") <(jq -r '.layers[].digest' "$two") | while read -r -a pair; do
    [ "${pair[0]}" != "${pair[1]}" ] || continue
    mkdir -p "$x" "$y"
    tar -xf "$1/oci/blobs/sha256/${pair[0]#sha256:}" -C "$x" && tar -xf "$2/oci/blobs/sha256/${pair[1]#sha256:}" -C "$y"
    diff -rq --no-dereference "$x" "$y" || true
  done
}
