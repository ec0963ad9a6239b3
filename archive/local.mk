libcore_la_SOURCES += \
	archive/archive.h archive/archive.c archive/account.c archive/source.c archive/vfile.c archive/stream.c \
	archive/verify.c archive/load.c archive/load_cuda.c archive/load.h
