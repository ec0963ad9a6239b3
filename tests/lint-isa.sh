#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Only the kernels, which are called where the processor has what they need, use vectors beyond the baseline.
. "${srcdir:-.}/tests/lib.sh"
requires objdump

# wide FILE...: the objects that use 256- or 512-bit registers.
wide() {
	local object
	for object; do
		objdump -d --no-show-raw-insn "$object" | grep -q -E '%[yz]mm[0-9]' && echo "$object"
	done
	return 0
}

case $(sed -n 's/^C\(FLAGS\|C\) = //p' "$builddir/Makefile") in
*-march=* | *-mavx*) skip "this build is meant for a newer processor" ;;
esac
cd "$builddir"
mapfile -t kernels < <(find codec -name 'libcodec_avx*.o')
[ ${#kernels[@]} != 0 ] || skip "this build has plain C only"
mapfile -t baseline < <(find base format codec cache archive pack cli fs -name '*.o' ! -name 'libcodec_avx*')
[ ${#baseline[@]} -gt 20 ] || fail "there is nothing to look at in $builddir"

# A lint that finds nothing proves nothing: the kernels are what it has to find.
[ "$(wide "${kernels[@]}" | wc -l)" = ${#kernels[@]} ] || fail "the lint itself is broken: $(wide "${kernels[@]}")"
for object in $(find codec -name 'libcodec_avx2*.o'); do
	if objdump -d --no-show-raw-insn "$object" | grep -q -E '%zmm|%[xy]mm(1[6-9]|2[0-9]|3[01])|\{%k'; then
		fail "$object uses AVX-512"
	fi
done
breaches=$(wide "${baseline[@]}")
[ -z "$breaches" ] || fail "vectors beyond the baseline in $breaches"
