#!/bin/bash
# The mesh between three hosts (network namespaces) on a kernel that has WireGuard itself: the same test as anywhere, whose process is not needed.
# shellcheck source=tests/vm/lib.sh
. /carry/lib.sh
bring
expect "the kernel has WireGuard" modprobe wireguard
ANTIHATE_FILE=$FILE ANTIHATE_TEST_DIR=/root /carry/it --nocapture --test-threads 1 mesh::pods_of_three 2>&1 | tee /tmp/mesh.log
expect "the test passed" grep -q '^test result: ok. 1 passed' /tmp/mesh.log
expect "the kernel served the mesh" grep -q 'encrypted (kernel)' /tmp/mesh.log
expect "and no process did" grep -q 'no process to kill' /tmp/mesh.log
