# The tests. Names say what is tested: test-* units in C, lint-* house rules, archive-* the format and damage,
# pack-* fs-* cli-* behaviours of the programs, consumer-* other people's programs on a mount.
AM_TESTS_ENVIRONMENT = \
	PYTHON='$(PYTHON)'; export PYTHON; \
	MALLOC_PERTURB_=$${MALLOC_PERTURB_:-$$(expr 1 + $$$$ % 255)}; export MALLOC_PERTURB_;
# A test that hangs is a test that fails.
LOG_COMPILER = timeout
AM_LOG_FLAGS = -k 20 900

SAMPLES = tests/samples.c tests/samples.h
check_PROGRAMS += test-damage check-hyper stress-mmap
stress_mmap_SOURCES = tests/stress-mmap.c
check_hyper_SOURCES = tests/check-hyper.c
check_hyper_LDADD = libcore.la
check_PROGRAMS += checkcuda
checkcuda_SOURCES = tests/checkcuda.c $(SAMPLES)
checkcuda_LDADD = libcore.la
check_PROGRAMS += checkload
checkload_SOURCES = tests/checkload.c $(SAMPLES)
checkload_LDADD = libcore.la
# The kernels against plain C. `make checkcodec && ./checkcodec --bench [ARCHIVE]` measures them.
check_PROGRAMS += checkcodec
checkcodec_SOURCES = tests/checkcodec.c tests/checkcodec.h tests/checkcodec-blocks.c tests/checkcodec-bench.c
checkcodec_LDADD = libcore.la
TESTS += checkcodec
test_damage_SOURCES = tests/test-damage.c
test_damage_LDADD = libcore.la

UNIT_TESTS =
if CMOCKA
UNIT_TESTS += test-base test-cache test-cgroup test-float test-format test-hyper test-hyper-search test-split test-tcq
check_PROGRAMS += $(UNIT_TESTS)
endif CMOCKA
test_base_SOURCES = tests/test-base.c
test_base_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
test_base_LDADD = libcore.la $(CMOCKA_LIBS)
test_cache_SOURCES = tests/test-cache.c
test_cache_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
test_cache_LDADD = libcore.la $(CMOCKA_LIBS)
test_cgroup_SOURCES = tests/test-cgroup.c
test_cgroup_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
test_cgroup_LDADD = libcore.la $(CMOCKA_LIBS)
test_float_SOURCES = tests/test-float.c $(SAMPLES)
test_float_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
test_float_LDADD = libcore.la $(CMOCKA_LIBS)
test_format_SOURCES = tests/test-format.c
test_format_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
test_format_LDADD = libcore.la $(CMOCKA_LIBS)
test_hyper_SOURCES = tests/test-hyper.c $(SAMPLES)
test_hyper_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
test_hyper_LDADD = libcore.la $(CMOCKA_LIBS)
test_hyper_search_SOURCES = tests/test-hyper-search.c $(SAMPLES)
test_hyper_search_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
test_hyper_search_LDADD = libcore.la $(CMOCKA_LIBS)
test_tcq_SOURCES = tests/test-tcq.c tests/tcq-model.c tests/tcq-model.h $(SAMPLES)
test_tcq_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
test_tcq_LDADD = libcore.la $(CMOCKA_LIBS)
test_split_SOURCES = tests/test-split.c
test_split_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
test_split_LDADD = libpack.la libcore.la $(JANSSON_LIBS) $(CMOCKA_LIBS)

# Each fuzz target is linked twice: with a plain driver, which replays its corpus in "make check", and with libFuzzer.
check_PROGRAMS += replay-archive replay-float replay-hyper replay-tcq replay-zstd replay-split \
	replay-torchzip replay-pickle replay-gguf
replay_archive_SOURCES = tests/fuzz/fuzz.h tests/fuzz/replay.c tests/fuzz/fuzz_archive.c
replay_archive_LDADD = libcore.la
replay_float_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_decode.h tests/fuzz/replay.c tests/fuzz/fuzz_float.c
replay_float_LDADD = libcore.la
replay_hyper_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_decode.h tests/fuzz/replay.c tests/fuzz/fuzz_hyper.c
replay_hyper_LDADD = libcore.la
replay_tcq_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_decode.h tests/fuzz/replay.c tests/fuzz/fuzz_tcq.c
replay_tcq_LDADD = libcore.la
replay_zstd_SOURCES = tests/fuzz/fuzz.h tests/fuzz/replay.c tests/fuzz/fuzz_zstd.c
replay_zstd_LDADD = libcore.la
replay_split_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_plan.h tests/fuzz/replay.c tests/fuzz/fuzz_split.c
replay_split_LDADD = libpack.la libcore.la $(JANSSON_LIBS)
replay_torchzip_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_plan.h tests/fuzz/replay.c tests/fuzz/fuzz_torchzip.c
replay_torchzip_LDADD = libpack.la libcore.la $(JANSSON_LIBS)
replay_pickle_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_plan.h tests/fuzz/replay.c tests/fuzz/fuzz_pickle.c
replay_pickle_LDADD = libpack.la libcore.la $(JANSSON_LIBS)
replay_gguf_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_plan.h tests/fuzz/replay.c tests/fuzz/fuzz_gguf.c
replay_gguf_LDADD = libpack.la libcore.la $(JANSSON_LIBS)

if FUZZERS
noinst_PROGRAMS += fuzz-archive fuzz-float fuzz-hyper fuzz-tcq fuzz-zstd fuzz-split fuzz-torchzip fuzz-pickle fuzz-gguf
endif FUZZERS
fuzz_archive_SOURCES = tests/fuzz/fuzz_archive.c
fuzz_archive_LDADD = libcore.la
fuzz_archive_LDFLAGS = -fsanitize=fuzzer
fuzz_float_SOURCES = tests/fuzz/fuzz_float.c
fuzz_float_LDADD = libcore.la
fuzz_float_LDFLAGS = -fsanitize=fuzzer
fuzz_hyper_SOURCES = tests/fuzz/fuzz_hyper.c
fuzz_hyper_LDADD = libcore.la
fuzz_hyper_LDFLAGS = -fsanitize=fuzzer
fuzz_tcq_SOURCES = tests/fuzz/fuzz_tcq.c
fuzz_tcq_LDADD = libcore.la
fuzz_tcq_LDFLAGS = -fsanitize=fuzzer
fuzz_zstd_SOURCES = tests/fuzz/fuzz_zstd.c
fuzz_zstd_LDADD = libcore.la
fuzz_zstd_LDFLAGS = -fsanitize=fuzzer
fuzz_split_SOURCES = tests/fuzz/fuzz_split.c
fuzz_split_LDADD = libpack.la libcore.la $(JANSSON_LIBS)
fuzz_split_LDFLAGS = -fsanitize=fuzzer
fuzz_torchzip_SOURCES = tests/fuzz/fuzz_torchzip.c
fuzz_torchzip_LDADD = libpack.la libcore.la $(JANSSON_LIBS)
fuzz_torchzip_LDFLAGS = -fsanitize=fuzzer
fuzz_pickle_SOURCES = tests/fuzz/fuzz_pickle.c
fuzz_pickle_LDADD = libpack.la libcore.la $(JANSSON_LIBS)
fuzz_pickle_LDFLAGS = -fsanitize=fuzzer
fuzz_gguf_SOURCES = tests/fuzz/fuzz_gguf.c
fuzz_gguf_LDADD = libpack.la libcore.la $(JANSSON_LIBS)
fuzz_gguf_LDFLAGS = -fsanitize=fuzzer

dist_check_SCRIPTS += \
	tests/lint-dist.sh tests/lint-includes.sh tests/lint-isa.sh tests/lint-size.sh tests/lint-symbols.sh \
	tests/archive-backends.sh tests/archive-bad.sh tests/archive-damage.sh tests/archive-fuzz.sh tests/archive-golden.sh \
	tests/archive-hycref.sh tests/archive-hyper-oracle.sh \
	tests/pack-atomic.sh tests/pack-changes.sh tests/pack-dedup.sh tests/pack-reproducible.sh \
	tests/pack-lossy-labels.sh tests/pack-lossy-options.sh tests/pack-lossy-policy.sh tests/pack-lossy-rate.sh \
	tests/pack-lossy-reproducible.sh \
	tests/pack-bad.sh tests/pack-gguf.sh tests/pack-torch.sh \
	tests/pack-safetensors.sh tests/pack-sources.sh tests/pack-symlinks.sh \
	tests/cli-cat.sh tests/cli-help-man.sh tests/cli-ls-info-json.sh tests/cli-top.sh tests/cli-unpack.sh \
	tests/cli-unpack-diskfull.sh tests/cli-usage.sh tests/cli-verify.sh \
	tests/fs-archive-truncated-while-mounted.sh tests/fs-cgroup.sh tests/fs-corrupt-eio.sh tests/fs-idle-timeout.sh tests/fs-mount-diff.sh \
	tests/fs-mount-type.sh tests/fs-not-ready.sh tests/fs-notify-fd.sh tests/fs-options.sh tests/fs-parallel.sh tests/fs-prefetch.sh \
	tests/fs-random-reads.sh tests/fs-readonly.sh tests/fs-sigterm-busy.sh tests/fs-stress.sh tests/fs-user.sh \
	tests/view-bin.sh tests/view-limits.sh tests/view-safetensors.sh tests/view-torch.sh \
	tests/consumer-transformers.sh tests/consumer-lm-eval.sh tests/python-evaluate.sh tests/bench-programs.sh \
	tests/python-load.sh tests/cuda-loads.sh tests/cuda-emulate.sh tests/cuda-mount.sh tests/cuda-load-faults.sh

TESTS += $(UNIT_TESTS) $(dist_check_SCRIPTS)

# Where threads meet: what ThreadSanitizer is run on.
THREAD_TESTS = \
	test-base test-cache \
	tests/pack-dedup.sh tests/pack-reproducible.sh tests/pack-safetensors.sh tests/cli-unpack.sh \
	tests/cli-verify.sh tests/fs-corrupt-eio.sh tests/fs-mount-diff.sh tests/fs-parallel.sh tests/fs-prefetch.sh tests/fs-random-reads.sh tests/fs-stress.sh \
	tests/fs-sigterm-busy.sh tests/consumer-transformers.sh

check-threads:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(THREAD_TESTS)'

# What "make dist" packs, for tests/lint-dist.sh.
dist-list:
	@for file in $(DISTFILES); do echo "$${file#$(srcdir)/}"; done

.PHONY: check-threads dist-list

EXTRA_DIST += \
	check.sh demo.sh .ci/run ci/build.sh ci/demo.py ci/fuzz.sh ci/setup.sh .clang-format .editorconfig \
	tests/lib.sh tests/requirements.txt tests/data tests/golden tests/fuzz/corpus tests/fuzz/make_corpus.py \
	tests/bad/builder.py tests/bad/make_bad.py tests/bad/check_bad.py tests/consumer-transformers.py \
	tests/bad/make_bad_sources.py tests/make_safetensors.py tests/make_torch.py tests/pack-torch.py tests/hyper_oracle.py tests/pack_lossy.py tests/python-evaluate.py \
	tests/view_archives.py tests/view_check.py tests/python-load.py tests/emulate.h tests/emulate.c
