# shellcheck shell=bash
# The steps of appliance/conformance: which cases, the run, what came of it. Source lib.sh first.
# A result is one JSON line in $RESULTS: {"name", "state", "seconds", "why"}; the last line of a name holds.

E2E=$TREE/appliance/e2e

# named_layout LAYOUT NAMES: the images under every name that the suite uses for them; prints the layout's folder.
named_layout() {
  local out
  out=$(cache_dir oci "$(stage_hash "=$1" "$2")")
  if [ ! -d "$out" ]; then
    rm -rf "$out.partial"
    cp -lr "$1" "$out.partial"
    rm "$out.partial/index.json"
    # An image is known by the last part of its name: `.../agnhost:built` serves as every version of agnhost.
    jq --rawfile names "$2" 'def ref: "org.opencontainers.image.ref.name"; def short: sub(":[^:/]*$"; "") | sub("^.*/"; "");
      (.manifests | map({key: (.annotations[ref] | short), value: .}) | from_entries) as $built |
      .manifests = [$names | split("\n")[] | select(startswith("antihate.local/e2e/")) | . as $name |
                    $built[$name | short] | values | .annotations[ref] = $name]' "$1/index.json" >"$out.partial/index.json"
    publish "$out.partial" "$out"
  fi
  printf '%s\n' "$out"
}

# known KIND: `name<TAB>reason` of the cases that known.txt lists as KIND (fails, cannot); what needs SCTP cannot where the kernel has none.
known() {
  awk -v kind="$1" -v other="$(has_sctp || echo sctp)" -v one="$([ "$HOSTS" -gt 1 ] || echo one)" '/^#/ || !NF { next }
    /^[a-z]+: / { now = $1; sub(/:$/, "", now); reason = $0; sub(/^[a-z]+: /, "", reason); next }
    now == kind || (kind == "cannot" && (now == other || now == one)) { sub(/^ +/, ""); print $0 "\t" reason }' "$E2E/known.txt"
}

has_sctp() { modprobe -q sctp 2>/dev/null || true; grep -q '^SCTP ' /proc/net/protocols; }

# chosen: the names that fit a line of chosen.txt.
chosen() { grep -E -f <(sed -e '/^#/d' -e '/^$/d' "$E2E/chosen.txt") "$1"; }

# latest: the last result of each case, one a line, by name.
latest() { [ ! -f "$RESULTS" ] || jq -c -s 'group_by(.name)[] | last' "$RESULTS"; }

# settled: names that need no further run: passed, not runnable, or failed as known.
settled() {
  latest | jq -r 'select(.state == "passed" or .state == "skipped").name'
  comm -12 <(latest | jq -r 'select(.state != "passed").name' | sort) <(known fails | cut -f1 | sort)
}

# patterns NAMES: for each name an expression that fits it alone; the runner puts the name of the suite before each.
patterns() { sed -e 's/[][\.*^$+?(){}|]/\\&/g' -e 's/$/$/' "$1"; }

# run_cases NAMES FOLDER: runs them in the host; FOLDER gets the log and the reports, RESULTS the results. Sets RUNNER while it runs.
run_cases() {
  local names=$1 folder=$2 total focus
  total=$(wc -l <"$names")
  mapfile -t focus < <(patterns "$names")
  mkdir -p "$folder"
  ln -sfn "$HOST_DATA/current/kubernetes" "$folder/kubectl"
  : >"$folder/log"
  (cd "$folder" && KUBE_TEST_REPO_LIST=$E2E/repos.yaml host_run "$SUITE/ginkgo" -v --no-color "--procs=$JOBS" --timeout=8h "${focus[@]/#/--focus=}" \
    "$SUITE/e2e.test" -- "--kubeconfig=$(host_kubeconfig)" "--kubectl-path=$folder/kubectl" --provider=skeleton "--num-nodes=$HOSTS" \
    "--kubelet-root-dir=$HOST_DATA/kubernetes/kubelet" "--report-dir=$folder" --report-complete-ginkgo --disable-log-dump \
    "--e2e-output-dir=$folder") </dev/null >>"$folder/log" 2>&1 &
  RUNNER=$!
  tail -n +1 -f --pid="$RUNNER" "$folder/log" | progress "$total" &
  wait "$RUNNER" || true
  RUNNER=
  keep_results "$folder"
}

# progress TOTAL: one line a finished case, from the runner's output.
progress() {
  awk -v total="$1" '/^(•|S|P) \[/ { said = $0; next }
    said != "" && /^\[sig-/ { n++; sub(/^[^ ]+ /, "", said); printf "%5d of %d  %s %s\n", n, total, said, substr($0, 1, 150); fflush(); said = "" }' >&2
}

# keep_results FOLDER: adds what the report says to RESULTS; the report itself is reduced to the cases that ran.
keep_results() {
  local report=$1/ginkgo/report.json
  [ -s "$report" ] || fail "the runner left no report; what it said is in $1/log"
  jq '[.[].SpecReports[] | select(.LeafNodeType == "It" and .NumAttempts > 0)]' "$report" >"$1/cases.json"
  jq -c '.[] | {name: ((.ContainerHierarchyTexts // []) + [.LeafNodeText] | join(" ")), state: .State, seconds: (.RunTime / 1e9 | round),
                why: (.Failure.Message // "" | split("\n") | map(select(. != "")) | .[0:6] | join(" ") | .[0:400])}
         | select(.state != "interrupted" and .state != "aborted")' "$1/cases.json" >>"$RESULTS"
  rm -r "$1/ginkgo"
}

# verdicts NAMES: `verdict<TAB>name<TAB>reason` for each: passed, unexpected, fails, failed, cannot, missing.
verdicts() {
  jq -n -r --slurpfile results <(latest) --rawfile names "$1" --rawfile fails <(known fails) --rawfile cannot <(known cannot) '
    def table: split("\n") | map(select(. != "") | split("\t") | {key: .[0], value: .[1]}) | from_entries;
    ($results | map({key: .name, value: .}) | from_entries) as $result | ($fails | table) as $fails | ($cannot | table) as $cannot |
    $names | split("\n")[] | select(. != "") | . as $name | $result[$name] as $r |
    (if $cannot[$name] and $r.state != "passed" then ["cannot", $cannot[$name]]
     elif $r == null then ["missing", "not run yet"]
     elif $r.state == "passed" then (if $fails[$name] then ["unexpected", "passes: remove it from known.txt"] else ["passed", ""] end)
     elif $r.state == "skipped" then ["cannot", $r.why]
     elif $fails[$name] then ["fails", $fails[$name]]
     else ["failed", $r.why] end) as [$verdict, $why] | [$verdict, $name, $why] | @tsv'
}

# table: a Markdown table of verdicts, by area, then every case that did not pass with its reason.
table() {
  awk -F'\t' '
    { area = $2; sub(/^\[sig-/, "", area); sub(/\].*/, "", area); seen[area] = 1
      v = $1; if (v == "unexpected") v = "passed"; if (v == "fails") v = "failed"
      n[area, v]++; n["all", v]++; total[area]++; total["all"]++
      if ($1 != "passed") rest[$1] = rest[$1] "- " $2 ": " $3 "\n" }
    function row(a) { printf "| %s | %d | %d | %d | %d | %d |\n", a, total[a], n[a, "passed"], n[a, "failed"], n[a, "cannot"], n[a, "missing"] }
    END { print "| area | cases | passed | failed | not runnable | not run yet |\n| --- | --- | --- | --- | --- | --- |"
      m = asorti_plain(seen, names); for (i = 1; i <= m; i++) row(names[i]); row("all")
      show("failed", "Failed, and not known to fail:"); show("fails", "Failed, as known:")
      show("unexpected", "Known to fail, and passed:"); show("cannot", "Not runnable:") }
    function show(v, title) { if (rest[v] != "") printf "\n%s\n\n%s", title, rest[v] }
    function asorti_plain(from, to,   k, i, j, m) {
      for (k in from) { for (i = m + 1; i > 1 && to[i - 1] > k; i--) to[i] = to[i - 1]; to[i] = k; m++ }
      return m }'
}

# counts: one line as cargo's, which appliance/test adds up.
counts() {
  awk -F'\t' '$1 == "passed" || $1 == "unexpected" { p++ } $1 == "failed" || $1 == "missing" { f++ } $1 == "fails" || $1 == "cannot" { i++ }
    END { printf "test result: %s. %d passed; %d failed; %d ignored\n", f ? "FAILED" : "ok", p, f, i }'
}
