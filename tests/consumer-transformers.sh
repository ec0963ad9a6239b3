#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# transformers and safetensors load from the mount what they load from the plain files; then 16 processes read the mount at once.
. "${srcdir:-.}/tests/lib.sh"
[ -z "${HYC_SKIP_SLOW:-}" ] || skip "slow, and done by make check"
requires_fuse
"$PYTHON" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "transformers"))))' 2>/dev/null ||
	skip "needs torch and transformers for $PYTHON"
export HF_HUB_OFFLINE=1

for model in "$TINY" ${SHARED:+"$SHARED/small"}; do
	name=$(basename "$model")
	"$HYC" pack -o "$work/$name.hyc" "$model"
	mount_hyc "$work/$name.hyc" "$work/$name"
	timeout 300 "$PYTHON" "$srcdir/tests/consumer-transformers.py" "$work/$name" "$model" || fail "$name: see above"

	# A fresh mount, so that nothing is in the page cache and all sixteen want the same blocks at the same time.
	umount_hyc "$work/$name"
	mount_hyc "$work/$name.hyc" "$work/$name"
	readers=()
	for _ in $(seq 16); do
		timeout 120 diff -r "$model" "$work/$name" &
		readers+=($!)
	done
	for reader in "${readers[@]}"; do
		wait "$reader" || fail "$name: one of 16 readers ended with status $?"
	done
	echo "  16 processes read the mount at once"
	umount_hyc "$work/$name"
done
