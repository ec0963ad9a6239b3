#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# unpack gives back contents, modes and mtimes; keeps within its directory; replaces files whole; leaves no temporary file.
. "${srcdir:-.}/tests/lib.sh"
requires cmp diff

cd "$work"
mkdir -p src/sub/deep src/locked
cp "$TINY"/*.json "$TINY/model.safetensors" src/
cp src/config.json src/sub/a.json
cp src/config.json src/sub/deep/b.json
echo locked >src/locked/file
: >src/sub/nothing
chmod 0640 src/config.json
chmod 0400 src/sub/a.json
chmod 0755 src/sub/deep/b.json
chmod 0711 src/sub
chmod 2770 src/sub/deep
chmod 0500 src/locked
touch -d '2001-02-03 04:05:06.789012345 UTC' src/config.json src/sub
touch -d '1969-12-31 23:59:58.5 UTC' src/sub/a.json src/sub/nothing
touch -d '2040-01-01 00:00:00.000000001 UTC' src
"$HYC" pack src -o a.hyc >/dev/null

# attributes DIR: everything that stat knows and unpack restores.
attributes() {
	(cd "$1" && find . -printf '%p %y %m %TY-%Tm-%Td %TT\n' | sort)
}
no_temporaries() {
	[ -z "$(find . -name '.hyc*')" ] || fail "left behind: $(find . -name '.hyc*')"
}

umask 077
"$HYC" unpack a.hyc
diff -r src a || fail "contents differ"
diff <(attributes src) <(attributes a) || fail "modes or mtimes differ"
"$HYC" unpack a.hyc -C made/with/parents -j 3
diff <(attributes src) <(attributes made/with/parents) || fail "modes or mtimes differ below -C"
no_temporaries

# Set-user-ID and the like are not an archive's to give.
mkdir suid
cp /bin/true suid/prog
chmod 6755 suid/prog
"$HYC" pack suid -o suid.hyc >/dev/null
"$HYC" unpack suid.hyc -C suid.out
[ "$(stat -c %a suid.out/prog)" = 755 ] || fail "mode of suid.out/prog is $(stat -c %a suid.out/prog)"

# Directories that are there stay as they are; their files are replaced, whole.
mkdir -p there/sub
chmod 0700 there/sub
echo old >there/config.json
ln there/config.json there/other-name
echo mine >there/sub/mine
"$HYC" unpack a.hyc -C there
cmp there/config.json src/config.json || fail "the old file was not replaced"
[ "$(cat there/other-name)" = old ] || fail "the old file was written into, not replaced"
[ "$(cat there/sub/mine)" = mine ] || fail "a file that is not in the archive was touched"
[ "$(stat -c %a there/sub)" = 700 ] || fail "the mode of a directory that was there has changed"
# (Not locked/, where an ordinary user may not write a second time.)
"$HYC" unpack a.hyc -C there sub '*.json' model.safetensors
diff -r src there >diff || :
[ "$(sort diff)" = "$(printf 'Only in there/sub: mine\nOnly in there: other-name')" ] || fail "the second time: $(cat diff)"

# GLOBs: whole paths, * matches /, a directory comes with its contents, parents are made.
globs() {
	local want=$1
	shift
	chmod -R u+w out 2>/dev/null || :
	rm -rf out
	"$HYC" unpack a.hyc -C out "$@"
	have=$(cd out && find . -type f | sort | tr '\n' ' ')
	[ "$have" = "$want" ] || fail "globs $*: unpacked $have"
}
globs "./config.json " config.json
globs "./sub/deep/b.json " sub/deep
globs "./sub/a.json ./sub/deep/b.json " 'sub/*.json'
globs "./config.json ./locked/file " 'c*.json' locked
globs "./sub/a.json " '[st]ub/?.json'
[ "$(stat -c %a out/sub)" = 711 ] || fail "the directory of a chosen file lacks its mode"
expect_fail 1 "nothing in it matches 'nope*'" "$HYC" unpack a.hyc -C never 'c*' 'nope*'
[ ! -e never ] || fail "a glob without a match still wrote something"
expect_fail 1 "nothing in it matches 'sub/'" "$HYC" unpack a.hyc -C never sub/

# Links that somebody planted lead nowhere.
mkdir outside
echo precious >outside/target
mkdir trap1 trap2
ln -s ../outside trap1/sub
expect_fail 1 "trap1/sub: something that is no directory is in the way" "$HYC" unpack a.hyc -C trap1
[ -z "$(find outside -mindepth 1 ! -name target)" ] || fail "unpack followed a link to a directory"
ln -s ../outside/target trap2/config.json
"$HYC" unpack a.hyc -C trap2 config.json
[ "$(cat outside/target)" = precious ] || fail "unpack wrote through a link"
[ ! -L trap2/config.json ] && cmp trap2/config.json src/config.json || fail "the link was not replaced"
mkdir inway inway/config.json
expect_fail 1 "inway/config.json: cannot be put in place: Is a directory" "$HYC" unpack a.hyc -C inway config.json
echo file >plain
expect_fail 1 "plain: cannot be used as a directory" "$HYC" unpack a.hyc -C plain
expect_fail 1 "plain/sub" "$HYC" unpack a.hyc -C plain/sub
# The directory itself may be a link: it is the user's choice.
ln -s out link
"$HYC" unpack a.hyc -C link config.json
cmp out/config.json src/config.json || fail "-C does not follow a link"
no_temporaries

# One damaged file: it is named and left out, the others are there.
cp a.hyc bad.hyc
printf '\377\376\375' | dd of=bad.hyc bs=1 seek=$(($(stat -c %s a.hyc) / 2)) conv=notrunc 2>/dev/null
expect_fail 1 "model.safetensors" "$HYC" unpack bad.hyc
diff -r src bad >diff || :
[ "$(cat diff)" = "Only in src: model.safetensors" ] || fail "a damaged archive: $(cat diff)"
no_temporaries

# A signal in the middle leaves no temporary file; one that is ignored, as with nohup, does nothing.
head -c 150000000 /dev/zero >big
"$HYC" pack --codec=stored big -o big.hyc >/dev/null
wait_for_temporary() {
	local _
	for _ in $(seq 1000); do
		[ -z "$(find "$1" -name '.hyc-*' 2>/dev/null)" ] || return 0
		sleep 0.002
	done
}
for sig in INT TERM HUP; do
	(
		trap - INT HUP TERM
		exec "$HYC" unpack big.hyc -C "int.$sig" -j 1
	) 2>err &
	pid=$!
	wait_for_temporary "int.$sig"
	kill -s $sig $pid
	status=0
	wait $pid || status=$?
	[ $status = $((128 + $(kill -l $sig))) ] || fail "SIG$sig: status $status, $(cat err)"
	[ ! -e "int.$sig/big" ] || fail "SIG$sig came too late to test anything"
	[ ! -s err ] || fail "SIG$sig: $(cat err)"
	no_temporaries
done
(
	trap '' HUP
	exec "$HYC" unpack big.hyc -C nohup -j 1
) 2>err &
pid=$!
wait_for_temporary nohup
kill -s HUP $pid
wait $pid || fail "an ignored SIGHUP ended unpack: $(cat err)"
cmp big nohup/big || fail "contents differ after an ignored SIGHUP"
