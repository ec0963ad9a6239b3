#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Parameters of the lossy codecs that make no sense are refused before any work, with the name of the option and its range.
. "${srcdir:-.}/tests/lib.sh"

cd "$work"
cp -r "$TINY" src
refused() {
	local fragment=$1
	shift
	expect_fail 2 "$fragment" "$HYC" pack "$@" -o a.hyc src
	grep -q -F "try 'hyc pack --help'" "$work/.stderr" || fail "hyc pack $*: does not point at the help: $(cat "$work/.stderr")"
	[ ! -e a.hyc ] || fail "hyc pack $*: made an archive"
}

for r in 1.99 9.01 0 -4 nan inf 1e9 4x 4,5 '0x4' ' 4' 1e; do
	refused "--bpw must be a number from 2 to 9, not '$r'" --codec=tcq --bpw="$r"
done
refused "the value of --bpw is empty" --codec=tcq --bpw=
for codec in lossless stored hyper; do
	refused "--bpw needs --codec=tcq" --codec=$codec --bpw=4
done
refused "--bpw needs --codec=tcq" --bpw=4
for codec in lossless stored; do
	refused "--keep needs --codec=tcq or hyper" --codec=$codec --keep='*'
	refused "--lossy needs --codec=tcq or hyper" --codec=$codec --lossy='*'
done
refused "the value of --keep is empty" --codec=tcq --keep=
for codec in lossless stored tcq; do
	for option in l=0.1 nodes=225 classes=3 threshold=0.001 limit=0.006; do
		refused "--hyper-${option%=*} needs --codec=hyper" --codec=$codec "--hyper-$option"
	done
done
for l in 0 -1 1e-7 1000001 nan inf x; do
	refused "--hyper-l must be a number from 1e-06 to 1000000" --codec=hyper --hyper-l="$l"
done
for n in 3 4097 0 -1600 1600.5 nan many; do
	refused "--hyper-nodes must be a whole number from 4 to 4096" --codec=hyper --hyper-nodes="$n"
done
for n in 0 11 -1 2.5 inf; do
	refused "--hyper-classes must be a whole number from 1 to 10" --codec=hyper --hyper-classes="$n"
done
for e in -0.001 1000001 nan; do
	refused "--hyper-threshold must be a number from 0 to 1000000" --codec=hyper --hyper-threshold="$e"
	refused "--hyper-limit must be a number from 0 to 1000000" --codec=hyper --hyper-limit="$e"
done
refused "--codec cannot be 'lossy', only lossless|stored|hyper|tcq" --codec=lossy
globs=()
for i in $(seq 257); do globs+=("--keep=$i"); done
refused "--keep is given more than 256 times" --codec=tcq "${globs[@]}"

# The ends of the ranges are in them.
for args in "tcq --bpw=2" "tcq --bpw=9" "tcq --bpw=+4e0" "hyper --hyper-l=1e-6" "hyper --hyper-l=1000000" "hyper --hyper-nodes=4" "hyper --hyper-nodes=4096" \
	"hyper --hyper-classes=1" "hyper --hyper-classes=10" "hyper --hyper-threshold=0 --hyper-limit=0" "hyper --hyper-threshold=1e6 --hyper-limit=1e6"; do
	# shellcheck disable=SC2086
	"$HYC" pack --codec=$args -o a.hyc src >/dev/null 2>&1 || fail "hyc pack --codec=$args is refused"
	"$HYC" verify --deep a.hyc >/dev/null || fail "hyc pack --codec=$args makes a bad archive"
done
