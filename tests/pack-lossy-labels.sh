#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A lossy archive says what it is wherever one looks, and is as sound as any other: the mount, unpack and cat show the bytes that
# verify proves.
. "${srcdir:-.}/tests/lib.sh"
requires "$PYTHON"

"$HYC" pack -o "$work/lossless.hyc" "$TINY" >"$work/out"
[ "$(wc -l <"$work/out")" = 1 ] || fail "more than a line about a lossless archive: $(cat "$work/out")"
for codec in tcq hyper; do
	a=$work/$codec.hyc
	"$HYC" pack --codec=$codec -o "$a" "$TINY" >"$work/out"
	grep -q '^LOSSY: [0-9]* tensors of [0-9.]* bits per weight' "$work/out" || fail "pack says nothing: $(cat "$work/out")"
	"$HYC" info "$a" >"$work/info"
	grep -q '^loss  *LOSSY: [0-9]* weights are not those of the source$' "$work/info" || fail "info says nothing: $(cat "$work/info")"
	grep -q "^ *[0-9.]* bits per weight, [0-9.]* dB signal to noise, largest error [0-9.e-]*$" "$work/info" || fail "info has no totals: $(cat "$work/info")"
	grep -q "^$codec  *[0-9.]*  *[0-9.]* dB  *[0-9.e-]*  model\.embed_tokens\.weight$" "$work/info" || fail "info has no table: $(cat "$work/info")"
	if grep -q 'lossless' "$work/info"; then fail "info says lossless: $(cat "$work/info")"; fi
	"$HYC" verify "$a" | grep -q 'ok, .*; lossy: ' || fail "verify says nothing"
	"$HYC" verify --deep "$a" | grep -q 'ok, .*; lossy: decoded bytes are those recorded when packing$' || fail "verify --deep says nothing"
	"$HYC" verify --json "$a" >"$work/json"
	"$HYC" info --json "$a" >"$work/info.json"
	"$HYC" ls --tensors --json "$a" >"$work/ls.json"
	"$PYTHON" - "$work" $codec <<'END'
import json, math, sys
verify, info, ls = (json.load(open(f"{sys.argv[1]}/{f}")) for f in ("json", "info.json", "ls.json"))
def check(ok, *what):
    if not ok:
        sys.exit(f"FAIL: {what}")
check(verify["ok"] and verify["lossy"] and info["lossy"], verify, info["lossy"])
loss = info["loss"]
check(list(loss) == ["weights", "bpw", "sqnr_db", "max_error", "tensors"], list(loss))
check(loss["sqnr_db"] > 15 and 0 < loss["max_error"] < 1 and loss["weights"] > 1000000, loss)
table = {t["name"]: t for t in loss["tensors"]}
for t in ls:
    exact = math.prod(t["shape"]) < 16384
    check(t["exact"] == exact and (t["sqnr_db"] is None) == exact and (t["max_error"] == 0) == exact, t)
    check(exact or (t["codec"] == sys.argv[2] and t["sqnr_db"] > 10), t)
    if not exact:
        check({k: t[k] for k in table[t["name"]]} == table.pop(t["name"]), t)
check(not table, table)
END
	"$HYC" unpack -C "$work/$codec" "$a"
	"$HYC" cat "$a" model.safetensors | cmp - "$work/$codec/model.safetensors" || fail "cat and unpack differ"
	cmp "$TINY/config.json" "$work/$codec/config.json"
	cmp -s "$TINY/model.safetensors" "$work/$codec/model.safetensors" && fail "nothing was lost"
	expect_fail 1 "model.safetensors" "$HYC" verify --source="$TINY" "$a"
	grep -q 'sound, but not the same as .*; lossy' "$work/.stdout" || fail "verify --source says: $(cat "$work/.stdout")"
done
if "$HYC" info "$work/lossless.hyc" | grep -q LOSSY; then fail "a lossless archive is called lossy"; fi
"$HYC" info --json "$work/lossless.hyc" | grep -q '"loss": null' || fail "info --json says that something was lost"

(requires_fuse) >"$work/skip" || { grep -q SKIP "$work/skip" && skip "the mount: $(sed 's/SKIP: //' "$work/skip")"; }
mount_hyc "$work/lossless.hyc" "$work/m0" 2>"$work/err"
[ ! -s "$work/err" ] || fail "mounting a lossless archive said: $(cat "$work/err")"
for codec in tcq hyper; do
	mount_hyc "$work/$codec.hyc" "$work/m" 2>"$work/err"
	grep -q 'hycfs: warning: .*is lossy' "$work/err" || fail "the mount says nothing: $(cat "$work/err")"
	grep -q 'is lossy' "$work/m/.hycfs/log" || fail "the log of the mount says nothing: $(cat "$work/m/.hycfs/log")"
	diff -r "$work/$codec" "$work/m" || fail "mount and unpack differ"
	"$PYTHON" -c '
import os, sys
get = lambda f, name: os.getxattr(f"{sys.argv[1]}/{f}", "user.hyc." + name).decode()
assert get("model.safetensors", "exact") == "no" and get("config.json", "exact") == "yes", "exact"
assert get("model.safetensors", "codec") == sys.argv[2] and 3 < float(get("model.safetensors", "bpw")) < 7, "codec, bpw"' "$work/m" $codec
	umount_hyc "$work/m"
done
