bin_PROGRAMS += hyc
hyc_SOURCES = \
	cli/hyc.c cli/cmd.c cli/cmd.h cli/output.c cli/cmd_pack.c cli/cmd_ls.c cli/cmd_info.c cli/cmd_cat.c \
	cli/cmd_unpack.c cli/dirs.c cli/dirs.h cli/cmd_verify.c cli/compare.c cli/compare.h cli/cmd_bench.c cli/cmd_top.c cli/progress.c cli/progress.h
hyc_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
hyc_LDADD = libpack.la libcore.la $(JANSSON_LIBS)
