#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is mounted is what was packed: contents, names, modes, times to the nanosecond, link counts; and xattrs and statfs tell the truth.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse
requires diff find stat

# Names whose order differs between paths and directories, awkward characters, a directory of several readdir pages, empty things.
src=$work/src
mnt=$work/mnt
mkdir -p "$src/a/deep/er" "$src/a-b" "$src/a.b" "$src/empty dir" "$src/many" "$src/zz/1" "$src/zz/2" "$src/zz/3"
cp "$TINY"/* "$src"
chmod u+w "$src"/*
for name in a/x a/y a-b/x 'a.b/with space' "zz/quote ' and \" and \\" zz/ünïcode zz/-dash "zz/$(printf 'n%.0s' $(seq 255))" "$(printf 'tab\tnewline\nend')"; do
	echo "this is $name" >"$src/$name"
done
: >"$src/zz/empty"
for i in $(seq 2000); do
	echo "$i" >"$src/many/a-rather-long-file-name-to-fill-the-pages-of-readdir-$i"
done
chmod 600 "$src/a/x"
chmod 755 "$src/a/y"
chmod 4551 "$src/a-b/x"
chmod 700 "$src/empty dir"
chmod 1777 "$src/zz"
touch -d '2001-02-03 04:05:06.789012345' "$src/a/x"
touch -d '1960-01-01 00:00:00.5' "$src/a/y"
touch -d '2100-01-01 00:00:00.000000001' "$src/zz/empty" "$src/zz"
touch -d '2020-02-20 20:20:20.2' "$src"

"$HYC" pack -o "$work/a.hyc" "$src" >/dev/null
mount_hyc "$work/a.hyc" "$mnt"
diff -r --no-dereference "$src" "$mnt" || fail "contents differ"

list() {
	(cd "$1" && find . \( -type f -printf '%P\0%m %T@ %A@ %C@ %s %n\0' \) -o \( -type d -printf '%P/\0%m %T@\0' \)) | tr '\n\t\0' '??\n' | paste - - | sort
}
list "$mnt" | awk -F '\t' '{ split($2, f, " "); if (f[3] != "" && (f[3] != f[2] || f[4] != f[2])) exit 1 }' || fail "atime and ctime are not mtime"
fields() {
	list "$1" | awk -F '\t' '{ split($2, f, " "); print $1, f[1], f[2], f[5] }'
}
diff <(fields "$src") <(fields "$mnt") || fail "modes, times or sizes differ"
[ "$(find "$mnt" -type f | wc -l)" = "$(find "$src" -type f | wc -l)" ] || fail "numbers of files differ"

while read -r dir; do
	want=$((2 + $(find "$src/$dir" -mindepth 1 -maxdepth 1 -type d | wc -l)))
	[ "$(stat -c %h "$mnt/$dir")" = $want ] || fail "$dir: st_nlink is $(stat -c %h "$mnt/$dir"), wanted $want"
done < <(cd "$src" && find . -type d)
[ "$(stat -c '%u %g' "$mnt/a/x")" = "$(id -u) $(id -g)" ] || fail "files belong to $(stat -c '%u %g' "$mnt/a/x")"
[ "$(stat -c '%o %B %b' "$mnt/zz/ünïcode")" = "1048576 512 1" ] || fail "st_blksize or st_blocks: $(stat -c '%o %B %b' "$mnt/zz/ünïcode")"
[ "$(find "$mnt" -printf '%i\n' | sort -n | uniq -d | wc -l)" = 0 ] || fail "inode numbers are not unique"
[ "$(cd "$mnt/a/deep" && stat -c %i ..)" = "$(stat -c %i "$mnt/a")" ] || fail "a/deep/.. is not a"
ls -la "$mnt" >/dev/null || fail "ls -la"

# Names that are not there are not there twice, and .hycfs is there without being listed.
! ls "$mnt/nothing" "$mnt/nothing" 2>/dev/null || fail "nothing exists"
! ls -a "$mnt" | grep -q -x -F .hycfs || fail ".hycfs is listed"
[ "$(ls "$mnt/.hycfs")" = "log
stats.json" ] || fail ".hycfs holds $(ls "$mnt/.hycfs")"
grep -q -F "mounted on $mnt" "$mnt/.hycfs/log" || fail "the log does not say what is mounted where: $(cat "$mnt/.hycfs/log")"

# A plain check of the JSON's names and of what must be in it after everything was read.
"$PYTHON" - "$mnt/.hycfs/stats.json" <<'PY' || fail "stats.json: $(cat "$mnt/.hycfs/stats.json")"
import json, sys
s = json.load(open(sys.argv[1]))
names = "uptime_s cache_bytes cache_limit hits misses evictions in_flight prefetched prefetch_used prefetch_late prefetch_wasted blocks_decoded decode_gbps reads bytes_served bytes_stored_read errors read_latency_us"
assert list(s) == names.split(), list(s)
assert list(s["read_latency_us"]) == ["p50", "p90", "p99"]
assert 0 < s["read_latency_us"]["p50"] <= s["read_latency_us"]["p90"] <= s["read_latency_us"]["p99"]
assert s["bytes_served"] > 2_500_000 and s["bytes_stored_read"] > 0 and s["errors"] == 0 and s["in_flight"] >= 0
assert s["blocks_decoded"]["float"] and all(n > 0 for by in s["blocks_decoded"].values() for n in by.values())
assert s["decode_gbps"].keys() == s["blocks_decoded"].keys()
PY

# Attributes. XXH3-128 of nothing is a known constant; equal contents have equal hashes.
"$PYTHON" - "$mnt" <<'PY' || fail "extended attributes"
import os, re, sys
os.chdir(sys.argv[1])
def attrs(path):
    return {n: os.getxattr(path, n).decode() for n in os.listxattr(path)}
m = attrs("model.safetensors")
assert set(m) == {"user.hyc." + n for n in ("bpw", "codec", "exact", "ratio", "xxh3")}, m
assert m["user.hyc.codec"] == "float" and m["user.hyc.exact"] == "yes"
assert re.fullmatch(r"\d+\.\d{4}", m["user.hyc.ratio"]) and 0.3 < float(m["user.hyc.ratio"]) < 1, m
assert re.fullmatch(r"\d+\.\d{4}", m["user.hyc.bpw"]) and 4 < float(m["user.hyc.bpw"]) < 16, m
assert re.fullmatch(r"[0-9a-f]{32}", m["user.hyc.xxh3"])
assert attrs("zz/empty") == {"user.hyc.exact": "yes", "user.hyc.xxh3": "99aa06d3014798d86001c324468d497f"}, attrs("zz/empty")
assert "user.hyc.bpw" not in attrs("config.json") and attrs("a") == {} and attrs(".hycfs/log") == {}
assert attrs("a/x")["user.hyc.xxh3"] != attrs("a/y")["user.hyc.xxh3"]
for path, name in (("model.safetensors", "user.hyc.nonsense"), ("a", "user.hyc.codec"), ("config.json", "trusted.hyc.codec")):
    try:
        os.getxattr(path, name)
    except OSError as e:
        assert os.strerror(e.errno) in ("No data available", "Operation not supported"), e
    else:
        raise AssertionError(f"{path} has {name}")
PY

# The size of the archive in blocks, nothing free, one inode for each entry.
want="4096 $((($(stat -c %s "$work/a.hyc") + 4095) / 4096)) 0 $(find "$src" -printf x | wc -c) 0 255"
[ "$(stat -f -c '%S %b %f %c %d %l' "$mnt")" = "$want" ] || fail "statfs: $(stat -f -c '%S %b %f %c %d %l' "$mnt"), wanted $want"
umount_hyc "$mnt"

# uid= and gid= choose the owner.
mount_hyc "$work/a.hyc" "$mnt" -o uid=1234 -o gid=4321
[ "$(stat -c '%u %g' "$mnt/a/y")" = "1234 4321" ] || fail "uid= and gid= have no effect: $(stat -c '%u %g' "$mnt/a/y")"
umount_hyc "$mnt"
