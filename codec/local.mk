libcore_la_SOURCES += \
	codec/codec.c codec/codec.h codec/cpu.c codec/cpu.h codec/encode.h codec/rans.c codec/rans.h \
	codec/decoders.h codec/float.c codec/float.h codec/float_encode.c codec/zstd.c
libcore_la_SOURCES += \
	codec/half.h codec/hyper.c codec/hyper.h codec/hyper_encode.c codec/hyper_encode.h codec/hyper_plan.c codec/hyper_plan.h \
	codec/hyper_search.c codec/hyper_search.h
libcore_la_SOURCES += \
	codec/rans_encode.c codec/rans_encode.h codec/tcq.c codec/tcq.h codec/tcq_encode.c codec/tcq_encode.h \
	codec/tcq_design.c codec/tcq_search.c codec/tcq_search.h

# Kernels, one library for each instruction set: nothing else is compiled for more than the baseline (tests/lint-isa.sh).
if AVX2
noinst_LTLIBRARIES += libcodec_avx2.la
libcore_la_LIBADD += libcodec_avx2.la
endif AVX2
libcodec_avx2_la_SOURCES = codec/float_avx2.c codec/rans_avx2.h codec/tcq_avx2.c codec/tcq_simd.h codec/hyper_avx2.c codec/hyper_simd.h
libcodec_avx2_la_CFLAGS = $(AM_CFLAGS) $(AVX2_CFLAGS)
if AVX512
noinst_LTLIBRARIES += libcodec_avx512.la
libcore_la_LIBADD += libcodec_avx512.la
endif AVX512
libcodec_avx512_la_SOURCES = codec/float_avx512.c codec/rans_avx512.h codec/rans_rank.h codec/tcq_avx512.c codec/hyper_avx512.c
libcodec_avx512_la_CFLAGS = $(AM_CFLAGS) $(AVX512_CFLAGS)
