#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each malformed archive is refused with one sentence, when it should be, quickly and in little memory. tests/bad/make_bad.py lists them.
. "${srcdir:-.}/tests/lib.sh"

"$PYTHON" -B "$srcdir/tests/bad/make_bad.py" "$work/bad"
"$PYTHON" -B "$srcdir/tests/bad/check_bad.py" "$HYC" "$HYCFS" "$work/bad"
