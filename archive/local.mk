libcore_la_SOURCES += \
	archive/archive.h archive/archive.c archive/account.c archive/source.c archive/vfile.c archive/stream.c \
	archive/verify.c
