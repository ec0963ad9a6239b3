# SPDX-License-Identifier: Apache-2.0
# What check.sh and demo.sh need before they can build: Debian packages and the Python environment. Sourced by both, in the top directory.
# shellcheck shell=bash

BUILD_PACKAGES="autoconf automake libtool make gcc libc6-dev pkg-config xz-utils
	libfuse3-dev libzstd-dev libxxhash-dev libjansson-dev zlib1g-dev"
RUN_PACKAGES="fuse3 python3 python3-venv ca-certificates"
CHECK_PACKAGES="libcmocka-dev clang libclang-rt-14-dev llvm attr strace mandoc procps util-linux binutils"
TORCH=torch==2.13.0

say() {
	printf '== %s\n' "$*"
}

# quietly WHAT CMD...: one line when it works, everything it said when it does not.
quietly() {
	local what=$1 log started=$SECONDS
	shift
	log=$(mktemp)
	printf '== %s ... ' "$what"
	if "$@" >"$log" 2>&1 </dev/null; then
		echo "done ($((SECONDS - started)) s)"
		rm -f "$log"
	else
		echo "FAILED"
		cat "$log"
		rm -f "$log"
		return 1
	fi
}

need_packages() {
	local package missing=()
	if ! command -v dpkg-query >/dev/null; then
		say "not a Debian system; taking for granted what these packages hold there:" "$@"
		return 0
	fi
	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		cat >&2 <<-END
		$0: packages are missing, and only root can install them. As root run:
		    apt-get install --no-install-recommends ${missing[*]}
		END
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	quietly "reading the package lists" apt-get -q update || return 1
	quietly "installing ${missing[*]}" apt-get -q -y --no-install-recommends install "${missing[@]}"
}

# have MODULE...: whether the environment can find these modules (without importing them, which takes seconds).
have() {
	"$VENV_PYTHON" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))' "$@" 2>/dev/null
}

# Makes or completes .venv and sets VENV_PYTHON. A torch that python3 can import already is used, of whatever version.
need_python() {
	local site=()
	VENV_PYTHON=$PWD/.venv/bin/python
	if ! have sys; then
		rm -rf .venv
		python3 -c 'import torch' 2>/dev/null && site=(--system-site-packages)
		quietly "making the virtual environment .venv" python3 -m venv "${site[@]}" .venv || return 1
	fi
	if have torch transformers && cmp -s tests/requirements.txt .venv/requirements.txt; then
		return 0
	fi
	if ! have torch; then
		say "there is no torch yet; plain PyPI brings gigabytes of CUDA with it, so to get the small CPU build set" \
			"PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu"
		quietly "installing $TORCH" "$VENV_PYTHON" -m pip install -c tests/requirements.txt "$TORCH" || return 1
	fi
	quietly "installing transformers and what it needs" \
		"$VENV_PYTHON" -m pip install --no-deps -r tests/requirements.txt || return 1
	"$VENV_PYTHON" -c 'import torch, transformers' ||
		{ echo "$0: .venv is broken; remove it and try again" >&2; return 1; }
	cp tests/requirements.txt .venv/requirements.txt
}
