noinst_LTLIBRARIES += libpack.la
libpack_la_SOURCES = \
	pack/pack.h pack/pack.c pack/note.h pack/scan.c pack/scan.h pack/split.c pack/split.h pack/json.c pack/json.h \
	pack/split_safetensors.c pack/weight_map.c pack/weight_map.h pack/coding.c pack/coding.h pack/dedup.c pack/dedup.h \
	pack/pipeline.c pack/pipeline.h pack/assemble.c pack/assemble.h pack/tell.c pack/tell.h \
	pack/lossy.c pack/lossy.h pack/walk.c pack/walk.h pack/tcq_plan.c pack/tcq_plan.h pack/rate.c pack/rate.h \
	pack/lossy_hyper.c pack/plan.c pack/input.c pack/input.h pack/zip.c pack/zip.h pack/pickle.c pack/pickle.h \
	pack/pickle_machine.h pack/pickle_torch.c pack/torch_global.c pack/torch_global.h pack/torch.c pack/torch.h \
	pack/split_torch_zip.c pack/split_torch_legacy.c pack/split_gguf.c pack/split_npz.c
libpack_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
libpack_la_LIBADD = libcore.la $(JANSSON_LIBS)
