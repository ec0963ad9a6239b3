#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every dtype of the safetensors format, tensors without bytes or dimensions, odd headers: packed, listed, unpacked, compared. Then hostile
# files through the front door: one sentence, exit 1, no archive.
. "${srcdir:-.}/tests/lib.sh"

src=$work/src
"$PYTHON" "$srcdir/tests/make_safetensors.py" kinds "$src"
for codec in lossless stored; do
	rm -rf "$work/out"
	"$HYC" pack --codec=$codec -o "$work/$codec.hyc" "$src"
	"$HYC" unpack -C "$work/out" "$work/$codec.hyc"
	diff -r "$src" "$work/out" || fail "--codec=$codec does not give the files back"
	"$HYC" verify --deep --source="$src" "$work/$codec.hyc"
	"$HYC" ls --tensors --json "$work/$codec.hyc" >"$work/$codec.json"
done
[ "$(stat -c %s "$work/stored.hyc")" -ge "$(cat "$src"/* | wc -c)" ] || fail "--codec=stored made the files smaller"

"$PYTHON" - "$src" "$work/lossless.json" "$work/stored.json" <<'EOF'
import glob, json, os, struct, sys

want = {}
for path in glob.glob(sys.argv[1] + "/*"):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    for name, t in header.items():
        if name != "__metadata__":
            want[os.path.basename(path), name] = t["dtype"], t["shape"], t["data_offsets"][1] - t["data_offsets"][0]
for listing in sys.argv[2:]:
    tensors = json.load(open(listing))
    got = {(t["file"], t["name"]): (t["dtype"], t["shape"], t["bytes"]) for t in tensors}
    assert len(got) == len(tensors) and got == want, sorted(set(map(str, got.items())) ^ set(map(str, want.items())))[:4]
    assert all(t["exact"] for t in tensors)
codec = {t["name"]: t["codec"] for t in tensors if t["bytes"]}
assert set(codec.values()) == {"stored"}, codec
codec = {t["name"]: t["codec"] for t in json.load(open(sys.argv[2])) if t["bytes"]}
for name in ("BF16.rows", "F16.vector", "F32.rows", "C64.rows", "F8_E4M3.rows"):
    assert codec[name] == "float", (name, codec[name])
for name in ("I64.rows", "U16.vector", "F64.rows", "mask"):
    assert codec[name] == "zstd", (name, codec[name])
print(len(want), "tensors")
EOF

# bad NAME FRAGMENT [WHAT]: the file NAME in bad/ is refused; nothing is left behind.
mkdir "$work/bad"
bad() {
	expect_fail 1 "$2" "$HYC" pack -o "$work/bad.hyc" "$work/bad"
	[ ! -e "$work/bad.hyc" ] || fail "$1: an archive was written"
	rm "$work/bad/$1"
}
u64() { # little-endian
	local i
	for i in 0 8 16 24 32 40 48 56; do printf "\\x$(printf %x $(($1 >> i & 255)))"; done
}
t='"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
st() { # HEADER DATA
	u64 ${#1}
	printf '%s' "$1$2"
}
f=$work/bad/x.safetensors
: >"$f"; bad x.safetensors 'it has only 0 bytes'
{ u64 $((1 << 63)); echo '{}'; } >"$f"; bad x.safetensors 'claims 9223372036854775808 bytes'
head -c 5000 "$src/blocks.safetensors" >"$f"; bad x.safetensors 'but the file has only'
head -c -1 "$src/blocks.safetensors" >"$f"; bad x.safetensors 'but the file has only'
{ cat "$src/blocks.safetensors"; echo; } >"$f"; bad x.safetensors '1 bytes follow the last tensor'
st "{$t,$t}" 1234 >"$f"; bad x.safetensors 'duplicate object key'
st "{$t,${t/a/b}}" 1234 >"$f"; bad x.safetensors 'tensors overlap'
st "{${t/\[1\]/[4294967296,4294967296]}}" 1234 >"$f"; bad x.safetensors 'its shape overflows'
st "{${t/\"a\"/\"a\\nb\"}" 1234 >"$f"; bad x.safetensors 'not valid JSON'
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n' >"$f"; bad x.safetensors 'git lfs pull'
mkdir "$work/bad/d"
f=$work/bad/d/model.safetensors.index.json
for name in ../x /etc/passwd a/b .. ''; do
	printf '{"weight_map":{"a":"%s"}}' "$name" >"$f"
	bad d/model.safetensors.index.json 'no plain file name'
done
echo '{"weight_map":{"a":"x","a":"y"}}' >"$f"; bad d/model.safetensors.index.json 'duplicate object key'
echo '{"weight_map":' >"$f"; bad d/model.safetensors.index.json 'not valid JSON'

# Foreign JSON is just a file, and a shard that is missing is worth a word.
echo '{"a":1,"a":' >"$work/bad/config.json"
echo '{"weight_map":{"a":"here.bin","b":"gone.bin","c":"gone.bin"}}' >"$f"
echo x >"$work/bad/d/here.bin"
"$HYC" pack -o "$work/ok.hyc" "$work/bad" 2>"$work/notes"
grep -q 'names 1 file that is not there, such as gone.bin' "$work/notes" || fail "no note about gone.bin: $(cat "$work/notes")"
[ "$("$HYC" cat "$work/ok.hyc" config.json)" = '{"a":1,"a":' ] || fail "config.json changed"
