#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ls and info, as JSON and as text: the members that are promised, of the right type, and sums that agree with the size
# of the archive and with its source.
. "${srcdir:-.}/tests/lib.sh"
requires "$PYTHON"

cp -r "$TINY" "$work/src"
mkdir -p "$work/src/sub/empty"
cp "$TINY/model.safetensors" "$work/src/sub/copy.safetensors"
: >"$work/src/sub/nothing"
chmod 0750 "$work/src/sub"
chmod 0604 "$work/src/config.json"
touch -d '2001-02-03 04:05:06.789012345 UTC' "$work/src/config.json"
printf x >"$work/src/$(printf 'not\377utf8')"
"$HYC" pack "$work/src" -o "$work/a.hyc" >/dev/null
"$HYC" pack --codec=stored "$work/src" -o "$work/stored.hyc" >/dev/null
mkdir "$work/none"
"$HYC" pack "$work/none" -o "$work/none.hyc" >/dev/null
for a in a stored none; do
	"$HYC" ls --json "$work/$a.hyc" >"$work/$a.ls"
	"$HYC" ls --tensors --json "$work/$a.hyc" >"$work/$a.tensors"
	"$HYC" info --json "$work/$a.hyc" >"$work/$a.info"
	TZ=UTC "$HYC" ls "$work/$a.hyc" >"$work/$a.ls.txt"
	"$HYC" ls --tensors "$work/$a.hyc" >"$work/$a.tensors.txt"
	"$HYC" info "$work/$a.hyc" >"$work/$a.info.txt"
done

"$PYTHON" - "$work" <<'END'
import datetime, json, os, stat, struct, sys

work = sys.argv[1]

def load(name):
    with open(f"{work}/{name}") as f:
        return json.load(f)

def check(ok, *what):
    if not ok:
        sys.exit("FAIL: " + " ".join(map(str, what)))

FILE = dict(path=str, type=str, mode=str, size=int, stored_bytes=int, mtime=str, xxh3=(str, type(None)), codec=str,
            exact=bool)
TENSOR = dict(name=str, file=str, dtype=str, shape=list, codec=str, bytes=int, stored_bytes=int, bpw=float,
              sqnr_db=(float, type(None)), max_error=float, exact=bool)
INFO = dict(bytes=int, stored_bytes=int, ratio=(float, type(None)), bpw=float, lossy=bool, codecs=dict, tensors=int, files=int,
            directories=int, objects=int, blocks=int, loss=type(None))

def typed(thing, members):
    check(list(thing) == list(members), "members are", list(thing), "in place of", list(members))
    for name, kind in members.items():
        check(isinstance(thing[name], kind), name, "is", repr(thing[name]))

def source_tensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    return {k: v for k, v in header.items() if k != "__metadata__"}

for archive in "a", "stored", "none":
    root = f"{work}/none" if archive == "none" else f"{work}/src"
    size = os.path.getsize(f"{work}/{archive}.hyc")
    files, tensors, info = load(archive + ".ls"), load(archive + ".tensors"), load(archive + ".info")
    typed(info, INFO)
    for f in files:
        typed(f, FILE)
    for t in tensors:
        typed(t, TENSOR)

    # The files are those of the source, with their attributes.
    found = {}
    for base, dirs, names in os.walk(root):
        for name in dirs + names:
            full = os.path.join(base, name)
            # What is no UTF-8 is shown with U+FFFD.
            found[os.fsencode(os.path.relpath(full, root)).decode("utf-8", "replace")] = os.stat(full)
    check({f["path"] for f in files} == set(found), "paths", [f["path"] for f in files], "in place of", sorted(found))
    for f in files:
        st = found[f["path"]]
        check(f["type"] == ("directory" if stat.S_ISDIR(st.st_mode) else "file"), f)
        check(f["mode"] == "%04o" % stat.S_IMODE(st.st_mode), f)
        check(f["size"] == (0 if stat.S_ISDIR(st.st_mode) else st.st_size), f)
        when = datetime.datetime.fromtimestamp(st.st_mtime_ns // 10**9, datetime.timezone.utc)
        check(f["mtime"] == when.strftime("%Y-%m-%dT%H:%M:%S.") + "%09dZ" % (st.st_mtime_ns % 10**9), f)
        check(f["exact"], f)
        check((f["xxh3"] is None) == stat.S_ISDIR(st.st_mode) and (f["xxh3"] is None or len(f["xxh3"]) == 32), f)

    # The tensors are those of the safetensors headers.
    for path in {t["file"] for t in tensors} | {f["path"] for f in files if f["path"].endswith(".safetensors")}:
        want = source_tensors(f"{root}/{path}")
        have = {t["name"]: t for t in tensors if t["file"] == path}
        check(set(want) == set(have), path, "tensors differ")
        for name, t in have.items():
            w = want[name]
            check((t["dtype"], t["shape"]) == (w["dtype"], w["shape"]), t)
            check(t["bytes"] == w["data_offsets"][1] - w["data_offsets"][0], t)
            check(t["exact"] and t["sqnr_db"] is None and t["max_error"] == 0, t)
            elements = 1
            for d in t["shape"]:
                elements *= d
            check(abs(t["bpw"] * elements / 8 - t["stored_bytes"]) <= 1, t)

    # Sums: every byte of the archive is charged to somebody, and only once.
    room = 2048 if archive == "none" else 0.01 * size
    total = sum(f["stored_bytes"] for f in files)
    print(f"{archive}: archive {size}, sum over files {total}, over tensors {sum(t['stored_bytes'] for t in tensors)}")
    check(abs(total - size) <= room, archive, "sum over files", total, "of", size)
    others = sum(f["stored_bytes"] for f in files if f["path"] not in {t["file"] for t in tensors})
    total = sum(t["stored_bytes"] for t in tensors) + others
    check(abs(total - size) <= room, archive, "sum over tensors and other files", total, "of", size)
    check(info["stored_bytes"] == size and info["bytes"] == sum(f["size"] for f in files), info)
    check(info["bytes"] == 0 or abs(info["ratio"] - size / info["bytes"]) < 1e-6, info)
    check(info["files"] == sum(f["type"] == "file" for f in files), info)
    check(info["directories"] == sum(f["type"] == "directory" for f in files), info)
    check(info["tensors"] == len(tensors) and not info["lossy"], info)
    check(sum(c["objects"] for c in info["codecs"].values()) == info["objects"], info)
    check(sum(c["stored_bytes"] for c in info["codecs"].values()) <= 1.01 * size, info)
    check({"a": {"float", "zstd"}, "stored": {"stored"}, "none": set()}[archive] <= set(info["codecs"]), info)

# A tensor that is there twice is stored once.
tensors = load("a.tensors")
half = {t["file"]: 0 for t in tensors}
for t in tensors:
    half[t["file"]] += t["stored_bytes"]
check(abs(half["model.safetensors"] - half["sub/copy.safetensors"]) <= len(tensors), "shares of copies differ", half)
END

# The text form says the same.
[ "$(wc -l <"$work/a.ls.txt")" = "$(find "$work/src" -mindepth 1 | wc -l)" ] || fail "ls lists other files: $(cat "$work/a.ls.txt")"
grep -q '^-rw----r-- .* 2001-02-03 04:05  config.json$' "$work/a.ls.txt" || fail "ls: $(cat "$work/a.ls.txt")"
grep -q '^drwxr-x--- .* sub/$' "$work/a.ls.txt" || fail "ls: $(cat "$work/a.ls.txt")"
grep -q '^sub/copy.safetensors:$' "$work/a.tensors.txt" || fail "ls --tensors has no heading for the second file"
grep -q 'lossless: every file is bit-identical to its source' "$work/a.info.txt" || fail "info: $(cat "$work/a.info.txt")"
[ ! -s "$work/none.ls.txt" ] || fail "ls of an empty archive: $(cat "$work/none.ls.txt")"
