libcore_la_SOURCES += \
	archive/archive.h archive/archive.c archive/account.c archive/source.c archive/vfile.c archive/stream.c \
	archive/prefetch.c archive/prefetch.h archive/verify.c archive/load.c archive/load_cuda.c archive/load.h
