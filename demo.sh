#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pack a small real language model, mount the archive, and let transformers write from it: ./demo.sh (on Debian 12, as root)
set -eu
cd "$(dirname "$0")"
. ci/setup.sh
model=tests/data/tiny

stop() {
	echo "demo.sh: $*" >&2
	exit 1
}

# shellcheck disable=SC2086
need_packages $BUILD_PACKAGES $RUN_PACKAGES
[ -c /dev/fuse ] || stop "there is no /dev/fuse on this machine, and without it nothing can be mounted (in a container: --device /dev/fuse --cap-add SYS_ADMIN)"
(exec 3<>/dev/fuse) 2>/dev/null || stop "this user may not open /dev/fuse; run the demo as root, or let root do: chmod 0666 /dev/fuse"
need_python

quietly "building hyc and hycfs in build/" bash -e -c '
	[ -x configure ] || autoreconf -fi
	mkdir -p build
	cd build
	[ -e Makefile ] || ../configure -q PYTHON="$1"
	make -j"$(nproc)"' build "$VENV_PYTHON"

work=$(mktemp -d)
mnt=$work/mnt
cleanup() {
	trap - EXIT
	trap '' INT
	if mountpoint -q "$mnt"; then
		fusermount3 -u "$mnt" 2>/dev/null || fusermount3 -uz "$mnt"
	fi
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$mnt"

say "build/hyc pack $model"
build/hyc pack -o "$work/tiny.hyc" "$model"
say "build/hyc info tiny.hyc"
build/hyc info "$work/tiny.hyc"
say "build/hycfs tiny.hyc mnt"
build/hycfs "$work/tiny.hyc" "$mnt"
ls -l "$mnt"
diff -r "$model" "$mnt"
say "every file in the mount is bit-identical to its source"

say "transformers loads the model twice, from the mount and from the plain files"
HF_HUB_OFFLINE=1 "$VENV_PYTHON" ci/demo.py "$mnt" "$model"

fusermount3 -u "$mnt"
say "unmounted"

weights=$(stat -c %s "$model"/*.safetensors | awk '{ n += $1 } END { print n }')
all=$(cat "$model"/* | wc -c)
archive=$(stat -c %s "$work/tiny.hyc")
awk -v a="$all" -v w="$weights" -v h="$archive" 'BEGIN {
	printf "\n  model directory  %9d bytes, %d of them weights\n", a, w
	printf "  archive          %9d bytes, %.3f of the directory\n\n", h, h / a }'
echo "The model that was read out of the archive is the model that went in."
