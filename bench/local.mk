EXTRA_DIST += \
	bench/quality bench/peers.py bench/report.py bench/train_gpt2.py bench/requirements.txt \
	bench/mount bench/decode bench/slowdisk bench/common.py bench/weights.py bench/load.py \
	bench/lm_eval/README.md bench/lm_eval/hyc_choice.yaml bench/lm_eval/hyc_text.yaml bench/lm_eval/local_text.py bench/lm_eval/run.py
dist_doc_DATA += doc/quality.md doc/benchmarks.md

# What the benchmarks run beside hyc and hycfs. Built by "make bench-programs", and by "make check" so that they cannot rot.
BENCH_TOOLS = bench/reader bench/bare-fuse bench/decode-peers
check_PROGRAMS += $(BENCH_TOOLS)
bench_reader_SOURCES = bench/reader.c
bench_reader_LDADD = $(XXHASH_LIBS)
bench_bare_fuse_SOURCES = bench/bare-fuse.c
bench_bare_fuse_CPPFLAGS = $(AM_CPPFLAGS) $(FUSE_CFLAGS)
bench_bare_fuse_LDADD = $(FUSE_LIBS)
bench_decode_peers_SOURCES = bench/decode-peers.c
bench_decode_peers_LDADD = $(ZSTD_LIBS)

bench-programs: hyc$(EXEEXT) hycfs$(EXEEXT) checkcodec$(EXEEXT) $(BENCH_TOOLS)
.PHONY: bench-programs

EXTRA_PROGRAMS += bench-gpu-kernels
bench_gpu_kernels_SOURCES = bench/gpu/kernels.c
bench_gpu_kernels_LDADD = libcore.la
EXTRA_DIST += bench/gpu/load.py bench/gpu/run.sh bench/gpu/plot.py
dist_doc_DATA += doc/benchmarks-gpu.md doc/benchmarks-gpu.png
