libcore_la_SOURCES += \
	codec/codec.c codec/codec.h codec/encode.h codec/rans.c codec/rans.h \
	codec/decoders.h codec/float.c codec/float.h codec/float_encode.c codec/zstd.c
libcore_la_SOURCES += \
	codec/half.h codec/hyper.c codec/hyper.h codec/hyper_encode.c codec/hyper_encode.h codec/hyper_plan.c codec/hyper_plan.h \
	codec/hyper_search.c codec/hyper_search.h
libcore_la_SOURCES += \
	codec/rans_encode.c codec/rans_encode.h codec/tcq.c codec/tcq.h codec/tcq_encode.c codec/tcq_encode.h \
	codec/tcq_design.c codec/tcq_search.c codec/tcq_search.h
