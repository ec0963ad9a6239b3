libcore_la_SOURCES += \
	base/bytes.h base/checked.h base/cleanup.h base/hash.c base/hash.h \
	base/error.c base/error.h base/log.c base/log.h base/ordered.c base/ordered.h \
	base/cgroup.c base/cgroup.h base/mountinfo.c base/mountinfo.h base/read.c base/read.h base/remote.c base/remote.h base/schedule.c base/schedule.h
