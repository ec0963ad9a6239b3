libcore_la_SOURCES += cache/cache.c cache/cache.h cache/memory.c cache/memory.h
