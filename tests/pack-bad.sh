#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Malicious checkpoints are packed as the bytes they are, with one note, in little time and memory; tests/bad/make_bad_sources.py lists them.
. "${srcdir:-.}/tests/lib.sh"
requires prlimit

"$PYTHON" -B "$srcdir/tests/bad/make_bad_sources.py" write "$work/bad"
"$PYTHON" -B "$srcdir/tests/bad/make_bad_sources.py" check "$HYC" "$work/bad"
