EXTRA_DIST += \
	bench/quality bench/peers.py bench/report.py bench/train_gpt2.py bench/requirements.txt \
	bench/lm_eval/README.md bench/lm_eval/hyc_choice.yaml bench/lm_eval/hyc_text.yaml bench/lm_eval/local_text.py bench/lm_eval/run.py
dist_doc_DATA += doc/quality.md

EXTRA_PROGRAMS += bench-gpu-kernels
bench_gpu_kernels_SOURCES = bench/gpu/kernels.c
bench_gpu_kernels_LDADD = libcore.la
EXTRA_DIST += bench/gpu/load.py bench/gpu/run.sh bench/gpu/plot.py
dist_doc_DATA += doc/benchmarks-gpu.md doc/benchmarks-gpu.png
