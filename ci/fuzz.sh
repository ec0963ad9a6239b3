#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ci/fuzz.sh SECONDS [TARGET...]: build the libFuzzer targets and run each for so long; what they find is kept in build-fuzz/found.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:?"usage: ci/fuzz.sh SECONDS [TARGET...]"}
shift
[ $# -gt 0 ] || set -- archive float hyper tcq zstd split torchzip pickle gguf

ci/build.sh fuzz >/dev/null || { echo "ci/fuzz.sh: the build failed; see ci/build.sh fuzz" >&2; exit 1; }
cd build-fuzz
mkdir -p found
status=0
for target; do
	mkdir -p "corpus/$target"
	log=found/$target.log result=ok
	setarch --addr-no-randomize "./fuzz-$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
		-artifact_prefix="found/$target-" "corpus/$target" "../tests/fuzz/corpus/$target" >"$log" 2>&1 || { result=FOUND status=1; }
	echo "fuzz-$target: $result, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions in $seconds s," \
		"$(sed -n 's/.*\(cov: [0-9]* ft: [0-9]*\).*/\1/p' "$log" | tail -n 1)"
	[ $result = ok ] || tail -n 60 "$log"
done
exit $status
