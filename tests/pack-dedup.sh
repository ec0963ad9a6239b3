#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is there twice is stored once: tensors under several names, shapes and dtypes, and whole files; and it all comes back.
. "${srcdir:-.}/tests/lib.sh"

size() {
	stat -c %s "$1"
}

# expect_growth FEWER: dir packed again takes less than FEWER bytes more than before, and comes back.
before=0
expect_growth() {
	"$HYC" pack -o "$work/a.hyc" "$work/dir"
	[ $(($(size "$work/a.hyc") - before)) -lt "$1" ] ||
		fail "the archive grew from $before to $(size "$work/a.hyc") bytes: $(ls "$work/dir")"
	before=$(size "$work/a.hyc")
	rm -rf "$work/out"
	"$HYC" unpack -C "$work/out" "$work/a.hyc"
	diff -r "$work/dir" "$work/out"
	"$HYC" verify --deep --source="$work/dir" "$work/a.hyc"
}

"$PYTHON" "$srcdir/tests/make_safetensors.py" tied "$work/tied"
mkdir "$work/dir"
cp "$work/tied/one.safetensors" "$work/dir/m.safetensors"
expect_growth 2000000

# tensors of another file, before it and behind it in the archive, the same several times in one file
cp "$work/tied/two.safetensors" "$work/dir/a.safetensors"
expect_growth 2000
cp "$work/tied/two.safetensors" "$work/dir/z.safetensors"
expect_growth 2000

# files that are no model, large and small
head -c 1000000 /dev/urandom >"$work/dir/noise.bin"
expect_growth 1010000
mkdir "$work/dir/sub"
cp "$work/dir/noise.bin" "$work/dir/sub/again.bin"
ln "$work/dir/noise.bin" "$work/dir/sub/hard"
ln -s ../noise.bin "$work/dir/sub/soft"
for i in $(seq 50); do echo same >"$work/dir/sub/$i"; done
expect_growth 3000

# the same length with one other byte is another file
"$PYTHON" - "$work/dir" <<'EOF'
import sys
data = bytearray(open(sys.argv[1] + "/noise.bin", "rb").read())
data[-1] ^= 1
open(sys.argv[1] + "/sub/almost.bin", "wb").write(data)
EOF
expect_growth 1010000
[ "$before" -gt 3000000 ] || fail "two different files of 1 MB of noise take only $before bytes"

# the bytes of a tensor as a plain file: the format keeps these apart
tail -c +9 "$work/dir/m.safetensors" | tail -c 2016000 | head -c 2000000 >"$work/dir/wte.raw"
expect_growth 2000000
