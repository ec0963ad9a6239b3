libcore_la_SOURCES += \
	archive/archive.h archive/archive.c archive/account.c archive/source.c archive/vfile.c archive/stream.c \
	archive/prefetch.c archive/prefetch.h archive/verify.c archive/layout.c archive/layout.h archive/view.c archive/view.h archive/view_names.c \
	archive/view_safetensors.c archive/view_torch.c archive/view_pickle.c archive/load.c archive/load_cuda.c archive/load.h
