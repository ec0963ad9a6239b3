#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Build hycfs in every way and run its whole suite: ./check.sh [--quick]
# --quick is the ordinary build and its tests only. The last line is "N passed, N failed[, N skipped]"; exit 0 if nothing failed.
set -eu
cd "$(dirname "$0")"
. ci/setup.sh

modes="gcc clang asan tsan distcheck"
case "${1:-}" in
"") ;;
--quick) modes=gcc ;;
*) echo "usage: ./check.sh [--quick]" >&2; exit 2 ;;
esac

# shellcheck disable=SC2086
need_packages $BUILD_PACKAGES $RUN_PACKAGES $CHECK_PACKAGES
need_python
export PYTHON=$VENV_PYTHON
[ -d ../shared/models ] || say "no ../shared/models beside the checkout: the tests make do with tests/data"

passed=0 failed=0 skipped=0 failures=() skips=()

# count MODE DIR: adds up the results the test harness left in DIR.
count() {
	local trs name n=0
	while read -r trs; do
		name="$1 ${trs#"$2"/}"
		name=${name%.trs}
		n=$((n + 1))
		case $(sed -n 's/^:test-result: *//p' "$trs") in
		PASS* | XFAIL*) passed=$((passed + 1)) ;;
		SKIP*)
			skipped=$((skipped + 1))
			skips+=("$name: $(sed -n 's/^SKIP: //p' "${trs%.trs}.log" | tail -n 1)")
			;;
		*) failed=$((failed + 1)) failures+=("$name: see ${trs%.trs}.log") ;;
		esac
	done < <(find "$2" -name '*.trs' -not -path '*/_build/*' | sort)
	[ $n -gt 0 ]
}

for mode in $modes; do
	dir=build-$mode
	[ $mode != gcc ] || dir=build
	mkdir -p "$dir"
	started=$SECONDS status=0
	say "$mode: building and testing in $dir"
	ci/build.sh $mode >"$dir/check-$mode.log" 2>&1 </dev/null || status=$?
	before=$failed
	if [ $mode = distcheck ]; then
		[ $status != 0 ] || passed=$((passed + 1))
	else
		count $mode "$dir" || status=1
	fi
	if [ $status != 0 ] && [ $failed = $before ]; then
		failed=$((failed + 1)) failures+=("$mode: see $dir/check-$mode.log")
	fi
	[ $status = 0 ] || tail -n 200 "$dir/check-$mode.log"
	say "$mode: $([ $status = 0 ] && echo done || echo FAILED) after $((SECONDS - started)) s"
done

[ ${#skips[@]} = 0 ] || printf 'skipped: %s\n' "${skips[@]}"
[ ${#failures[@]} = 0 ] || printf 'failed: %s\n' "${failures[@]}"
echo "$passed passed, $failed failed$([ $skipped = 0 ] || echo ", $skipped skipped")"
[ $failed = 0 ] && [ $passed -gt 0 ]
