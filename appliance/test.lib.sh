# shellcheck shell=bash
# What appliance/test and appliance/bench share. Source it after lib.sh.

# onnxruntime: the library of the analyzer image, for what runs the model on this host; prints its path.
onnxruntime() {
  local dir
  dir=$(cache_dir onnxruntime "$(stage_hash "$TREE/images/analyzer/prepare" "$TREE/images/analyzer/requirements.txt")")
  if [ ! -f "$dir/onnxruntime/libonnxruntime.so" ]; then
    mkdir -p "$dir.partial"
    cp "$TREE/images/analyzer/requirements.txt" "$dir.partial/"
    (cd "$TREE/images/analyzer" && ./prepare "$dir.partial") >&2
    publish "$dir.partial" "$dir"
  fi
  printf '%s\n' "$dir/onnxruntime/libonnxruntime.so"
}

# bench_python: a Python with the packages of the baseline of A1 to A3; prints its path.
bench_python() {
  local dir
  dir=$(cache_dir bench-python "$(stage_hash "$TREE/tests/bench/requirements.txt" "=$(python3 --version)")")
  if [ ! -x "$dir/bin/python" ]; then
    say "the baseline's Python: installing tests/bench/requirements.txt"
    rm -rf "$dir.partial"
    python3 -m venv "$dir.partial" >&2
    "$dir.partial/bin/python" -m pip install -q --disable-pip-version-check -r "$TREE/tests/bench/requirements.txt" >&2
    publish "$dir.partial" "$dir"
  fi
  printf '%s\n' "$dir/bin/python"
}

# one_file: builds the complete file; prints its path, fails when there is none.
one_file() {
  local file
  file=$("$TREE/appliance/build" | tail -n 1) && [ -n "$file" ] && printf '%s\n' "$file"
}
