libcore_la_SOURCES += cache/cache.c cache/cache.h
