#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A source that is written to while it is packed is refused, before its turn or in the middle of it; the archive would mix two states.
. "${srcdir:-.}/tests/lib.sh"

# The thorough level of compression takes seconds for the first file, so the others can be changed before their turn comes.
mkdir "$work/src" "$work/dir"
"$PYTHON" - "$work/src" <<'EOF'
import random, sys
rng = random.Random(6)
words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(1, 12))) for _ in range(5000)]
open(sys.argv[1] + "/a.txt", "w").write(" ".join(rng.choices(words, k=150000)))
EOF
echo 1234 >"$work/src/z.txt"

# expect_refused REGEX COMMAND: runs COMMAND when hyc has begun to write, and then wants it to fail.
expect_refused() {
	local pid status=0
	"$HYC" pack -j 1 -o "$work/dir/a.hyc" "$work/src" >"$work/log" 2>&1 &
	pid=$!
	for _ in $(seq 2000); do
		if find "/proc/$pid/fd" -lname "$work/dir/*" 2>/dev/null | grep -q .; then
			break
		fi
		sleep 0.005
	done
	kill -STOP $pid
	eval "$2"
	kill -CONT $pid
	wait $pid || status=$?
	[ $status = 1 ] || fail "$2: exit status $status: $(cat "$work/log")"
	grep -q -E "$1" "$work/log" || fail "$2: $(cat "$work/log")"
	[ -z "$(ls -A "$work/dir")" ] || fail "$2: left $(ls -A "$work/dir")"
}

expect_refused 'z.txt: was changed while it was packed' 'echo 5 >>"$work/src/z.txt"'
expect_refused 'z.txt: was changed while it was packed' 'touch -d 2001-01-01 "$work/src/z.txt"'
expect_refused 'z.txt: was changed while it was packed' 'cp -p "$work/src/z.txt" "$work/z" && mv "$work/z" "$work/src/z.txt"'
expect_refused 'z.txt: cannot be read: No such file' 'mv "$work/src/z.txt" "$work/z"'
mv "$work/z" "$work/src/z.txt"
expect_refused 'a.txt: was changed while it was packed' 'printf x | dd of="$work/src/a.txt" conv=notrunc status=none'
# Whether it had opened the file by then is a matter of luck.
expect_refused 'a.txt: (became shorter|was changed) while it was packed' 'truncate -s 600000 "$work/src/a.txt"'
