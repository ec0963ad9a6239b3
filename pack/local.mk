noinst_LTLIBRARIES += libpack.la
libpack_la_SOURCES = \
	pack/pack.h pack/pack.c pack/note.h pack/scan.c pack/scan.h pack/split.c pack/split.h pack/json.c pack/json.h \
	pack/split_safetensors.c pack/weight_map.c pack/weight_map.h pack/coding.c pack/coding.h pack/dedup.c pack/dedup.h \
	pack/pipeline.c pack/pipeline.h pack/assemble.c pack/assemble.h pack/tell.c pack/tell.h \
	pack/lossy.c pack/lossy.h pack/walk.c pack/walk.h pack/tcq_plan.c pack/tcq_plan.h pack/rate.c pack/rate.h \
	pack/lossy_hyper.c
libpack_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
libpack_la_LIBADD = libcore.la $(JANSSON_LIBS)
