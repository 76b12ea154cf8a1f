#!/bin/bash
# Network policies with SCTP on a kernel that has it: the same test as anywhere, which is left out where there is none.
# shellcheck source=tests/vm/lib.sh
. /carry/lib.sh
bring
expect "the kernel has SCTP" modprobe sctp
# Its programs are all that is needed of the node.
start
awaited 900 "the programs are unpacked" [ -x "$DATA/current/nft" ]
stop
# A test host has a data root of its own in the place of this one.
mkdir /opt/programs && cp -aL "$DATA/current/nft" "$DATA/current/debian.d" /opt/programs/
expect "nft runs from there" /opt/programs/nft list tables
ANTIHATE_NFT=/opt/programs/nft ANTIHATE_TEST_DIR=/root /carry/it --nocapture --test-threads 1 sctp:: 2>&1 | tee /tmp/sctp.log
expect "the test passed" grep -q '^test result: ok. 1 passed' /tmp/sctp.log
expect "and was not left out" not grep -q SKIPPED /tmp/sctp.log
