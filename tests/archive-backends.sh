#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each backend that works here decodes the golden archives to the same digests, is the one that is reported, and no other name is taken.
. "${srcdir:-.}/tests/lib.sh"

cd "$work"
golden=$srcdir/tests/golden
HYC_BACKEND=none expect_fail 1 "HYC_BACKEND=none: no such backend" "$HYC" verify "$golden/tcq.hyc"
[ ! -s .stdout ] || fail "something was verified with a backend that is not there"
mapfile -t backends < <(sed -n 's/.*; available: //p' .stderr | tr -d ' ' | tr , '\n')
[ "${backends[0]:-}" = scalar ] || fail "the error does not list the backends: $(cat .stderr)"
HYC_BACKEND='' expect_fail 1 "HYC_BACKEND=: no such backend" "$HYC" verify "$golden/tcq.hyc"

for backend in "${backends[@]}"; do
	for archive in "$golden"/*.hyc; do
		HYC_BACKEND=$backend "$HYC" verify --deep "$archive" >/dev/null || fail "$backend: damage in $archive"
	done
	HYC_BACKEND=$backend "$HYC" unpack -C "$backend" "$golden/lossless.hyc"
	diff -r scalar "$backend" || fail "$backend unpacks other bytes than scalar"
	# An environment that names another one does not count against the option.
	HYC_BACKEND=scalar "$HYC" bench --json --backend="$backend" "$golden/lossless.hyc" >"$backend.json"
done
"$HYC" bench --json --backend=all "$golden/lossless.hyc" >all.json
expect_fail 1 "none: no such backend" "$HYC" bench --backend=none "$golden/lossless.hyc"

"$PYTHON" - "${backends[@]}" <<'PY' || fail "hyc bench names other backends"
import json, sys
backends = sys.argv[1:]
floats = []
for name in backends:
    figures = json.load(open(name + ".json"))
    used = {d["codec"]: d["backend"] for d in figures["decode"]}
    assert figures["backend"] == name, (name, figures)
    assert used["float"] == name and used["zstd"] == "scalar", (name, used)
    assert all(d["one_thread_gbps"] > 0 and d["all_threads_gbps"] > 0 for d in figures["decode"])
pairs = [(d["codec"], d["backend"]) for d in json.load(open("all.json"))["decode"]]
assert len(set(pairs)) == len(pairs), pairs
assert [b for c, b in pairs if c == "float"] == backends, pairs
assert [b for c, b in pairs if c == "zstd"] == ["scalar"], pairs
PY
echo "backends: ${backends[*]}"
