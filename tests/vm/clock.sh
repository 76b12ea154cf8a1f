#!/bin/bash
# A clock that is wrong at the first start, and one that is set while the node runs, as the table in src/host/upkeep.rs has it.
# The machine was started in 1970; the right time is that of the files that were brought in.
# shellcheck source=tests/vm/lib.sh
. /carry/lib.sh
RIGHT=$(stat -c %Y /carry/script)
UP0=$(cut -d. -f1 /proc/uptime)

# right: what a right clock would say now.
right() { echo $((RIGHT + $(cut -d. -f1 /proc/uptime) - UP0)); }
set_clock() { date -u -s "@$1" >/dev/null; }
node_ready() { "$FILE" kubectl get nodes --no-headers | grep -w Ready; }
listens() { ss -ltn | grep -q ":$1 "; }
api() { pgrep -f 'kube-apiserver --' | head -n 1; }
anew() { local pid && pid=$(api) && [ -n "$pid" ] && [ "$pid" != "$1" ]; }
# covers FILE: the certificate holds now by this host's clock.
covers() {
  python3 -c 'import ssl, sys, time
c = ssl._ssl._test_decode_cert(sys.argv[1])
begin, end = (ssl.cert_time_to_seconds(c[k]) for k in ("notBefore", "notAfter"))
print(c["notBefore"], c["notAfter"], time.ctime())
sys.exit(not begin <= time.time() <= end)' "$DATA/pki/$1.crt"
}
containers() { "$FILE" kubectl get pods -A -o 'jsonpath={range .items[*].status.containerStatuses[*]}{.containerID}{"\n"}{end}' 2>/dev/null | grep . | sort; }
# Those of before are all there: others may have come.
same_containers() { containers >/tmp/after && [ -s /tmp/after ] && [ -z "$(comm -23 /tmp/before /tmp/after)" ]; }
# How often the log tells of a clock that was set.
told() { grep -c "the clock was set" "$LOG"; }

# jump SECONDS NAME: sets the running node's clock; it has to notice, start its components anew and be Ready, while pods go on.
jump() {
  local before begun
  containers >/tmp/before
  before=$(api) begun=$(cut -d. -f1 /proc/uptime)
  set_clock $(($(date +%s) + $1))
  awaited 900 "$2: the API server is started anew" anew "$before"
  awaited 1800 "$2: the node is Ready again" ready_again
  say "figure: $2: Ready again after $(($(cut -d. -f1 /proc/uptime) - begun)) s"
  grep -o "the clock was set [a-z ]*[-0-9]*[^\"]*" "$LOG" | tail -n 1
  for leaf in apiserver kubelet admin; do expect "$2: the certificate $leaf holds" covers $leaf; done
  awaited 300 "$2: no container was started anew" same_containers
}
ready_again() { step_is kubernetes "done" && node_ready; }

bring
set_clock 86400
start
awaited 600 "in 1970 the node waits for its clock" summary_has CHK-113
expect "the page listens meanwhile" listens 8443
expect "no key was made" [ ! -e "$DATA/pki/ca.crt" ]
set_clock "$(right)"
say "the time server answers late: the clock is right"
awaited 1200 "the keys are made" step_is keys "done"
expect "they hold" covers apiserver
begun=$(cut -d. -f1 /proc/uptime)
awaited 3000 "the node is Ready" ready_again
say "figure: keys to Ready: $(($(cut -d. -f1 /proc/uptime) - begun)) s"
awaited 3000 "Cluster DNS runs" sh -c "$FILE kubectl get pods -A --no-headers | grep dns | grep -w Running"

was=$(api) count=$(told)
set_clock $(($(date +%s) + 30))
sleep 30
expect "half a minute is no reason" [ "$(api) $(told)" = "$was $count" ]
jump 300 "+5 min"
jump -300 "-5 min"
jump 86400 "+1 d"
jump -86400 "-1 d"
jump $((400 * 86400)) "+400 d"
jump $((-400 * 86400)) "-400 d"

set_clock 86400
awaited 900 "1970 while it runs: it waits" summary_has CHK-113
set_clock "$(right)"
awaited 1800 "and goes on with the right time" ready_again
expect "its certificates hold" covers apiserver
stop
