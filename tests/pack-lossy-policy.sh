#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is coded with loss, what stays lossless, and that nothing bad comes of unusual values: against an unpacked copy, with
# the errors measured here and not by hyc.
. "${srcdir:-.}/tests/lib.sh"
"$PYTHON" -c 'import numpy' 2>/dev/null || skip "needs a Python with numpy"
export PYTHONPATH="$srcdir/tests"

"$PYTHON" - "$work" <<'END'
import sys
import numpy as np
from pack_lossy import save

rng = np.random.default_rng(11)
def normal(*shape, sigma=0.02):
    return rng.normal(0, sigma, shape)
zero_rows = normal(300, 200)
zero_rows[[0, 17, 299]] = 0
nan, inf = normal(200, 200), normal(200, 200)
nan[3, 4], inf[199, 199] = np.nan, -np.inf
outlier = normal(400, 300)
outlier[200, 150] = 1.9
mixed = normal(256, 128, sigma=1) * 10.0 ** rng.integers(-12, 12, (256, 1))
holes = normal(256, 128)
holes[rng.random(holes.shape) < 0.9] = 0
lossy = [
    ("w.bf16", "BF16", normal(256, 256)), ("w.f16", "F16", normal(256, 256)), ("w.f32", "F32", normal(256, 256)),
    ("zero rows", "BF16", zero_rows), ("outlier", "F16", outlier), ("row", "BF16", normal(1, 20001)), ("column", "F32", normal(20001, 1)),
    ("odd", "F16", normal(129, 131)), ("prime", "BF16", normal(1, 16411)), ("conv", "F32", normal(64, 32, 3, 3)), ("tall", "BF16", normal(17000, 2)),
]
# Lossy or not, but in any case sane.
either = [
    ("subnormal.f32", "F32", normal(128, 256, sigma=1e-40)), ("subnormal.bf16", "BF16", normal(128, 256, sigma=1e-39)),
    ("subnormal.f16", "F16", normal(128, 256, sigma=3e-6)), ("tiny", "F32", normal(128, 256, sigma=1e-30)),
    ("huge.f16", "F16", np.clip(normal(128, 256, sigma=30000), -65504, 65504)), ("most.f16", "F16", rng.choice([-65504.0, 65504.0], (128, 256))),
    ("huge.f32", "F32", np.clip(normal(128, 256, sigma=1e38), -3.4e38, 3.4e38)), ("mixed", "F32", mixed), ("holes", "BF16", holes),
    ("zeros", "BF16", np.zeros((300, 300))), ("minus zeros", "F32", -np.zeros((300, 300))), ("ones", "F32", np.ones((300, 300))),
    ("signs", "BF16", rng.choice([-1.0, 1.0], (300, 300))),
]
exact = [
    ("vector", "F32", normal(20000)), ("small", "BF16", normal(127, 129)), ("integers", "I64", rng.integers(-9, 9, (200, 200))),
    ("doubles", "F64", normal(200, 200)), ("nan", "BF16", nan), ("inf", "F32", inf), ("empty", "F32", np.zeros((0, 5))), ("scalar", "F32", np.float64(3)),
]
save(f"{sys.argv[1]}/m.safetensors", lossy + either + exact)
open(f"{sys.argv[1]}/lossy", "w").write("\n".join(t[0] for t in lossy))
open(f"{sys.argv[1]}/exact", "w").write("\n".join(t[0] for t in exact))
END

# sane CODEC WORD...: pack with these options and look at everything that comes back.
sane() {
	rm -rf "$work/out"
	"$HYC" pack --codec="$@" -o "$work/a.hyc" "$work/m.safetensors" >"$work/said" 2>"$work/err"
	"$HYC" verify --deep "$work/a.hyc" >/dev/null
	"$HYC" unpack -C "$work/out" "$work/a.hyc"
	"$PYTHON" - "$work" "$1" <<'END'
import sys
import numpy as np
from pack_lossy import check, hyc_json, load, sqnr_db, tensors

work, codec = sys.argv[1:]
before, after, told = load(f"{work}/m.safetensors"), load(f"{work}/out/m.safetensors"), tensors(f"{work}/a.hyc")
check(list(before) == list(after), "other tensors")
head = open(f"{work}/m.safetensors", "rb").read(8)
check(open(f"{work}/out/m.safetensors", "rb").read(8) == head, "another header")
for name, (dtype, raw, values) in before.items():
    t, got = told[name], after[name]
    check(got[0] == dtype and len(got[1]) == len(raw), name, "has another shape")
    if t["exact"]:
        check(got[1] == raw, name, "is called exact and is not")
        check(t["codec"] not in ("tcq", "hyper") and t["sqnr_db"] is None and t["max_error"] == 0, t)
        continue
    check(t["codec"] == codec, t)
    check(np.all(np.isfinite(got[2])), name, "holds what is not finite")
    error = got[2] - values
    check(np.isclose(t["max_error"], np.abs(error).max(), rtol=1e-6, atol=0), name, "max_error", t["max_error"], np.abs(error).max())
    # The archive has 32 bits for the power.
    if np.any(error) and np.mean(values**2) > 1e-37:
        check(abs(t["sqnr_db"] - sqnr_db(values, error)) < 0.001, name, "sqnr_db", t["sqnr_db"], sqnr_db(values, error))
    print(f"{codec} {name}: {t['bpw']:.3f} bits per weight, {t['sqnr_db']} dB")
info = hyc_json("info", f"{work}/a.hyc")["loss"]
lossy = [n for n in told if not told[n]["exact"]]
check(sorted(t["name"] for t in info["tensors"]) == sorted(lossy), "info lists other tensors")
values, error = (np.concatenate([np.ravel(f(n)) for n in lossy]) for f in (lambda n: before[n][2], lambda n: after[n][2] - before[n][2]))
check(np.isclose(info["max_error"], np.abs(error).max()) and info["weights"] == len(error), info["weights"], info["max_error"])
if np.any(error):
    check(abs(info["sqnr_db"] - sqnr_db(values, error)) < 0.001, "info", info["sqnr_db"], sqnr_db(values, error))
END
}

# expect lossy|exact NAME...
expect() {
	"$PYTHON" -c '
import sys
from pack_lossy import check, tensors
told = tensors(sys.argv[1])
for name in sys.argv[3:]:
    check(told[name]["exact"] == (sys.argv[2] == "exact"), name, "is not", sys.argv[2])' "$work/a.hyc" "$@"
}
mapfile -t lossy <"$work/lossy"
mapfile -t exact <"$work/exact"

for rate in 2 4 9; do
	sane tcq --bpw=$rate
	expect lossy "${lossy[@]}"
	expect exact "${exact[@]}" zeros "minus zeros" ones subnormal.f32
	grep -q '2 tensors stay lossless, the first one is nan: it has NaN or infinite values' "$work/err" || fail "no word of NaN: $(cat "$work/err")"
done
sane hyper
expect lossy w.bf16 w.f16 w.f32 "zero rows" row column odd prime conv tall
expect exact "${exact[@]}" huge.f16 huge.f32
grep -q 'it has NaN or infinite values' "$work/err" || fail "no word of NaN: $(cat "$work/err")"
grep -q 'its mean absolute error would be above the limit' "$work/err" || fail "no word of the limit: $(cat "$work/err")"
sane hyper --hyper-limit=0
expect exact "${lossy[@]}"
grep -q 'there is no tensor to be coded with loss' "$work/err" && fail "zeros are coded without error"
sane hyper --hyper-nodes=225 --hyper-classes=10 --hyper-l=0.05 --hyper-threshold=0 --hyper-limit=1

# Patterns.
for codec in tcq hyper; do
	sane $codec --keep='w.*' --keep='o*d' --lossy=vector --lossy='sm?ll' --lossy='w.f*' --lossy=doubles --lossy=nan --keep='no such*' --lossy=none
	expect exact w.bf16 w.f16 w.f32 odd doubles integers nan inf empty scalar
	expect lossy "zero rows" vector small
	grep -q -e '--keep=no such\*: no tensor has such a name' "$work/err" || fail "no word of the pattern: $(cat "$work/err")"
	grep -q -e '--lossy=none: no tensor has such a name' "$work/err" || fail "no word of the pattern: $(cat "$work/err")"
	[ "$(grep -c 'no tensor has such a name' "$work/err")" = 2 ] || fail "a word too many: $(cat "$work/err")"
	sane $codec --lossy='*'
	expect lossy vector small "${lossy[@]}"
	expect exact nan inf doubles integers empty scalar
	"$HYC" pack --codec=$codec --keep='*' --lossy='*' -o "$work/a.hyc" "$work/m.safetensors" 2>"$work/err"
	grep -q 'no tensor to be coded with loss; the archive is lossless' "$work/err" || fail "$(cat "$work/err")"
	"$HYC" verify --deep --source="$work" "$work/a.hyc" >/dev/null 2>&1 || true
	"$HYC" info "$work/a.hyc" | grep -q 'lossless: every file' || fail "nothing is lossy, and the archive is called so"
done

# One outlier must not spoil the others.
"$PYTHON" - "$work" <<'END'
import subprocess, sys
import numpy as np
from pack_lossy import HYC, bpw, check, load, save

work = sys.argv[1]
rng = np.random.default_rng(12)
plain = rng.normal(0, 0.02, (512, 512))
for dtype in "BF16", "F16", "F32":
    planted = plain.copy()
    planted[100, 200] = 1.9
    noise = []
    for values in plain, planted:
        save(f"{work}/o.safetensors", [("w", dtype, values)])
        subprocess.run([HYC, "pack", "--codec=tcq", "-o", f"{work}/o.hyc", f"{work}/o.safetensors"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([HYC, "unpack", "-C", f"{work}/o", f"{work}/o.hyc"], check=True)
        error = load(f"{work}/o/o.safetensors")["w"][2] - load(f"{work}/o.safetensors")["w"][2]
        check(abs(bpw(f"{work}/o.hyc") - 4) < 0.01, "bits per weight", bpw(f"{work}/o.hyc"))
        check(abs(error[100, 200]) < 0.01, "the outlier has the error", error[100, 200])
        error[100, 200] = 0
        noise.append(np.mean(error**2))
    change = 10 * np.log10(noise[1] / noise[0])
    print(f"{dtype}: an outlier of 1.9 changes the error of the others by {change:.4f} dB")
    check(abs(change) < 0.1, dtype, change)
END

# What is there twice is stored once, and what is kept is another object than what is not.
"$PYTHON" - "$work" <<'END'
import subprocess, sys
import numpy as np
from pack_lossy import HYC, check, hyc_json, load, save, tensors

work = sys.argv[1]
w = np.random.default_rng(13).normal(0, 0.02, (300, 400))
for codec in "tcq", "hyper":
    save(f"{work}/t.safetensors", [("a", "BF16", w)])
    subprocess.run([HYC, "pack", "--codec=" + codec, "-o", f"{work}/1.hyc", f"{work}/t.safetensors"], check=True, stdout=subprocess.DEVNULL)
    save(f"{work}/t.safetensors", [("a", "BF16", w), ("b", "BF16", w), ("c", "BF16", w.reshape(400, 300)), ("d", "BF16", w)])
    subprocess.run([HYC, "pack", "--codec=" + codec, "--keep=d", "-o", f"{work}/t.hyc", f"{work}/t.safetensors"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([HYC, "unpack", "-C", f"{work}/t", f"{work}/t.hyc"], check=True)
    after, told = load(f"{work}/t/t.safetensors"), tensors(f"{work}/t.hyc")
    check(after["a"][1] == after["b"][1] == after["c"][1] != after["d"][1], codec, "copies came back differently")
    check(after["d"][1] == load(f"{work}/t.safetensors")["d"][1] and told["d"]["exact"], codec, "the kept copy was changed")
    one, three = hyc_json("info", f"{work}/1.hyc")["loss"], hyc_json("info", f"{work}/t.hyc")["loss"]
    check(three["weights"] == w.size and len(three["tensors"]) == 3, three)
    check(three["bpw"] - one["bpw"] < 0.02, codec, "copies take room:", one["bpw"], three["bpw"])
END
