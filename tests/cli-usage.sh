#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Wrong usage: exit status 2, one line that says what is wrong and where help is, and nothing done. Other failures: 1.
. "${srcdir:-.}/tests/lib.sh"

usage() {
	local fragment=$1
	shift
	expect_fail 2 "$fragment" "$HYC" "$@"
	[ ! -s "$work/.stdout" ] || fail "hyc $*: wrong usage, but it printed $(cat "$work/.stdout")"
	if [ $# -gt 0 ] && "$HYC" "$1" --help >/dev/null 2>&1; then
		grep -q -F "try 'hyc $1 --help'" "$work/.stderr" || fail "hyc $*: does not point at the help: $(cat "$work/.stderr")"
	fi
}

cd "$work"
cp -r "$TINY" src
mkdir empty
"$HYC" pack src >/dev/null

usage "a verb is missing"
usage "unknown verb 'frob'" frob
usage "unknown option '--frob'" --frob
for verb in pack ls info cat unpack verify bench top; do
	usage "unknown option '--frob'" $verb --frob src.hyc
	usage "unknown option '-x'" $verb -x src.hyc
	usage "'--help' takes no value" $verb --help=yes
	"$HYC" $verb --help | grep -q "^Usage: hyc $verb " || fail "hyc $verb --help lacks its usage line"
	[ "$("$HYC" $verb --version)" = "$("$HYC" --version)" ] || fail "hyc $verb --version is another one"
done
for verb in ls info cat unpack verify; do
	usage "ARCHIVE is missing" $verb
done
for verb in ls info verify; do
	usage "'two.hyc' is one operand too many" $verb src.hyc two.hyc
	usage "an operand is empty" $verb ''
	expect_fail 1 "no.hyc: " "$HYC" $verb no.hyc
	expect_fail 1 "src: " "$HYC" $verb src
	expect_fail 1 "src/config.json: " "$HYC" $verb src/config.json
	expect_fail 1 "/dev/null" "$HYC" $verb /dev/null
done

usage "SOURCE is missing" pack
usage "several SOURCEs need -o" pack src/config.json src/tokenizer.json
usage "needs -o" pack .
usage "needs -o" pack src/..
usage "needs -o" pack /
usage "--codec cannot be 'zip', only lossless|stored|hyper|tcq" pack --codec=zip src
usage "--codec cannot be 'lossless|stored'" pack '--codec=lossless|stored' src
usage "--codec cannot be ''" pack --codec= src
usage "--codec needs a value: lossless|stored|hyper|tcq" pack src --codec
usage "-o needs a value: ARCHIVE" pack src -o
usage "the value of --output is empty" pack src --output=
usage "--progress cannot be 'always', only auto|never" pack --progress=always src
for n in 0 257 -1 +1 1x '' 1K 99999999999999999999; do
	usage "-j must be a number from 1 to 256, not '$n'" pack src -j "$n"
done
usage "--jobs must be a number from 1 to 256, not 'all'" unpack src.hyc --jobs=all
expect_fail 1 "absent: " "$HYC" pack absent
expect_fail 1 "empty" "$HYC" pack src -o empty
expect_fail 1 "no/such/dir" "$HYC" pack src -o no/such/dir/x.hyc
mkfifo fifo.hyc
ln -s target link.hyc
expect_fail 1 "fifo.hyc: is there and no regular file" "$HYC" pack src -o fifo.hyc
expect_fail 1 "link.hyc: is there and no regular file" "$HYC" pack src -o link.hyc
[ -p fifo.hyc ] && [ -L link.hyc ] && [ ! -e target ] || fail "pack replaced what is no archive"
[ ! -e absent.hyc ] || fail "an archive of nothing was made"

usage "PATH is missing" cat src.hyc
usage "'b' is one operand too many" cat src.hyc a b
usage "--offset must be a number from 0 to 9223372036854775807 (K, M, G or T may follow), not '1Q'" cat src.hyc a --offset=1Q
usage "--length must be a number" cat src.hyc a --length=-1
usage "--length must be a number" cat src.hyc a --length=16777216T
expect_fail 1 "src.hyc: there is no file 'nothing' in it" "$HYC" cat src.hyc nothing
usage "'src' does not end in .hyc, so it needs -C DIR" unpack src
usage "'x' is one operand too many" bench src.hyc x
usage "MOUNTPOINT is missing" top
usage "'x' is one operand too many" top src x
expect_fail 1 "src: no archive is mounted there" "$HYC" top src
expect_fail 1 "absent: no archive is mounted there" "$HYC" top --json absent
usage "'--json' takes no value" ls src.hyc --json=1
usage "--source needs a value: DIR" verify src.hyc --source

# Output that cannot be written is a failure, whoever wrote it.
full() {
	local status=0
	"$HYC" "$@" >/dev/full 2>err || status=$?
	[ $status = 1 ] || fail "hyc $* >/dev/full: exit status $status"
	[ "$(cat err)" = "hyc: standard output: No space left on device" ] || fail "hyc $* >/dev/full: said $(cat err)"
}
full --help
full --version
full ls --help
full ls src.hyc
full ls --tensors --json src.hyc
full info src.hyc
full info --json src.hyc
full cat src.hyc config.json
full verify src.hyc
full verify --json src.hyc

# Names of things must not drive the terminal.
mkdir evil
printf x >"evil/$(printf 'a\033[2Jb\302\233c')"
"$HYC" pack evil >/dev/null
"$HYC" ls evil.hyc >out
if grep -q -e "$(printf '\033')" -e "$(printf '\233')" out; then fail "ls printed an escape sequence"; fi
grep -q -F 'a\x1b[2Jb\xc2\x9bc' out || fail "ls does not show the name: $(cat out)"
