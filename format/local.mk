libcore_la_SOURCES += \
	format/ondisk.h format/dtype.c format/dtype.h format/reader.c format/reader.h format/writer.c format/writer.h
