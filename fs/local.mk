bin_PROGRAMS += hycfs
hycfs_SOURCES = \
	fs/hycfs.c fs/hycfs.h fs/options.c fs/options.h fs/mount.c fs/mount.h fs/session.c fs/session.h \
	fs/ready.c fs/ready.h fs/ops.c fs/ops.h fs/refuse.c fs/refuse.h fs/tree.c fs/tree.h \
	fs/bdi.c fs/bdi.h fs/xattr.c fs/xattr.h fs/control.c fs/control.h fs/messages.c fs/messages.h fs/latency.c fs/latency.h
hycfs_CPPFLAGS = $(AM_CPPFLAGS) $(FUSE_CFLAGS) -DFUSE_USE_VERSION=314
hycfs_LDADD = libcore.la $(FUSE_LIBS)
