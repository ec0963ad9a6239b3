#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --bpw is met on disk, by the archive's own account and by its size, for real weights and for made ones of every kind of shape.
. "${srcdir:-.}/tests/lib.sh"
# The arithmetic is the same on a larger model; it only takes longer there.
[ -z "${HYC_SANITIZED:-}${HYC_SKIP_SLOW:-}" ] || SHARED=
"$PYTHON" -c 'import numpy' 2>/dev/null || skip "needs a Python with numpy"
export PYTHONPATH="$srcdir/tests"

# meets R SOURCE [ARG...]
meets() {
	local rate=$1 source=$2
	shift 2
	"$HYC" pack --codec=tcq --bpw="$rate" "$@" -o "$work/a.hyc" "$source" >"$work/out" 2>"$work/err"
	[ ! -s "$work/err" ] || fail "$source at $rate: $(cat "$work/err")"
	"$PYTHON" - "$rate" "$work/a.hyc" "$source" "$(cat "$work/out")" <<'END'
import math, os, sys
from pack_lossy import bpw, check, hyc_json, tensors

rate, archive, source, said = float(sys.argv[1]), *sys.argv[2:]
found, info, all_tensors = bpw(archive), hyc_json("info", archive), tensors(archive)
lossy = [t for t in all_tensors.values() if not t["exact"]]
print(f"{os.path.basename(source)} at {rate}: {found:.4f} bits per weight, {info['loss']['sqnr_db']:.2f} dB, {len(lossy)} tensors")
check(abs(found - rate) <= 0.02, source, "asked for", rate, "got", found)
check(abs(found - info["loss"]["bpw"]) < 0.001, "info says", info["loss"]["bpw"])
check(f"{len(lossy)} tensors of {found:.3f} bits per weight" in said, "pack said:", said)
check(info["loss"]["weights"] == sum(math.prod(t["shape"]) for t in lossy), info["loss"])
# Everything of the archive is charged to somebody: files without tensors, and tensors; more than that, since the index is compressed.
files = {t["file"] for t in all_tensors.values()}
rest = sum(f["stored_bytes"] for f in hyc_json("ls", archive) if f["path"] not in files)
total = rest + sum(t["stored_bytes"] for t in all_tensors.values())
check(abs(total - os.path.getsize(archive)) <= 0.01 * os.path.getsize(archive) + 12000, "sum", total, "of", os.path.getsize(archive))
END
}

"$PYTHON" - "$work/made.safetensors" <<'END'
import sys
import numpy as np
from pack_lossy import save

rng = np.random.default_rng(5)
def weights(*shape):
    return 0.02 * rng.standard_t(6, shape) * np.exp(rng.normal(0, 0.5, (shape[0],) + (1,) * (len(shape) - 1)))
save(sys.argv[1], [("wide", "BF16", weights(150, 9000)), ("longer than a block", "F16", weights(3, 400000)),
                   ("narrow", "F32", weights(40000, 5)), ("conv", "F32", weights(64, 32, 3, 3)), ("tall", "BF16", weights(20000, 64)),
                   ("one row", "BF16", weights(1, 70000)), ("one column", "F16", weights(70000, 1)), ("norm", "F32", weights(9000))])
END
for rate in 2 2.5 4 6.15 9; do
	meets $rate "$work/made.safetensors"
done
for rate in 2.5 3 4 5 6.15 8; do
	meets $rate "$TINY"
	[ -z "$SHARED" ] || meets $rate "$SHARED/small"
done
[ -z "$SHARED" ] || meets 4 "$SHARED/small" --keep='*embed*' --keep='lm_head*'

# The default is 4; tensors that lossless coding makes as small are no part of it.
"$PYTHON" - "$work/mask.safetensors" <<'END'
import sys
import numpy as np
from pack_lossy import save
rng = np.random.default_rng(6)
save(sys.argv[1], [("mask", "F32", np.tril(np.ones((1, 1, 1024, 1024)))), ("w", "BF16", rng.normal(0, 1, (512, 512)))])
END
"$HYC" pack --codec=tcq -o "$work/m.hyc" "$work/mask.safetensors" 2>"$work/err"
grep -q 'mask stays lossless: that takes no more bits' "$work/err" || fail "no word of the mask: $(cat "$work/err")"
"$PYTHON" -c '
import sys
from pack_lossy import bpw, check, tensors
check(abs(bpw(sys.argv[1]) - 4) <= 0.02, "the default is", bpw(sys.argv[1]))
check(tensors(sys.argv[1])["mask"]["exact"], "the mask is lossy")' "$work/m.hyc"

# What cannot be met is told.
"$PYTHON" - "$work/small.safetensors" <<'END'
import sys
import numpy as np
from pack_lossy import save
save(sys.argv[1], [("v%d" % i, "F32", np.random.default_rng(i).normal(0, 1, 100)) for i in range(5)])
END
"$HYC" pack --codec=tcq --lossy='*' -o "$work/v.hyc" "$work/small.safetensors" 2>"$work/err"
grep -q 'bits a weight, not the 4 that were asked for' "$work/err" || fail "no word of the rate: $(cat "$work/err")"
