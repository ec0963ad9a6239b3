/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libhyc: read archives of model weights (doc/format.md).
 *
 * A struct hyc is an open, wholly validated archive. All calls on one handle may be
 * made from several threads at once, except hyc_close. Functions that take a struct
 * hyc_error return 0 or a negative errno value and fill the error on failure; it is
 * untouched on success and may be NULL. -EBADMSG means damaged or malformed data,
 * -EOPNOTSUPP a feature this version does not know. Sizes and offsets are in bytes.
 * Pointers returned by getters are borrowed and live as long as the handle.
 */
#ifndef HYC_H
#define HYC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HYC_API __attribute__((visibility("default")))

struct hyc;

struct hyc_error {
	int code;       /* negative errno */
	char msg[768];  /* one sentence without a newline */
};

HYC_API const char *hyc_version(void);

/* ---- messages ---- */

enum hyc_log_level { HYC_LOG_ERROR, HYC_LOG_WARNING, HYC_LOG_INFO, HYC_LOG_DEBUG };

/* Send messages up to max_level to fn (NULL: to stderr, which is the default with HYC_LOG_WARNING). Call before other threads run. */
HYC_API void hyc_set_log(void (*fn)(void *arg, enum hyc_log_level level, const char *msg), void *arg,
			 enum hyc_log_level max_level);

/* ---- open ---- */

/*
 * What an open archive shows: its files as they were packed, or the tensors of its checkpoints as another container's
 * files instead (or, with HYC_VIEW_BOTH, too). A view knows all sizes from the index; nothing is decoded for it.
 */
enum hyc_view_kind { HYC_VIEW_ORIGINAL, HYC_VIEW_SAFETENSORS, HYC_VIEW_BIN, HYC_VIEW_BOTH };

/* "original", "safetensors", "bin", "both"; NULL past the last. */
HYC_API const char *hyc_view_name(unsigned view);

/* What hyc_read and hyc_pin decode beyond what was asked for. */
enum hyc_prefetch_mode {
	HYC_PREFETCH_AUTO, /* what a file's readers, as they go on in order, will want next */
	HYC_PREFETCH_OFF,
	HYC_PREFETCH_ALL,  /* besides, all files in order, as far as the cache has room */
};

/*
 * Where blocks that are read ahead are decoded: on a CUDA device only where the processor's cores are few and slow (auto), never, or wherever
 * it takes them. Single blocks, which somebody waits for, are always the processor's. Nothing is opened before something is read ahead.
 */
enum hyc_device { HYC_DEVICE_AUTO, HYC_DEVICE_CPU, HYC_DEVICE_CUDA };

struct hyc_options {
	uint64_t cache_bytes; /* decoded and in-flight bytes held at once, at least HYC_CACHE_MIN; 0: hyc_cache_default() */
	unsigned threads;     /* that decode ahead of readers; 0: one for each processor. None runs before something is read */
	enum hyc_prefetch_mode prefetch;
	enum hyc_view_kind view;
	enum hyc_device device; /* HYC_DEVICE_CUDA: hyc_open is -ENODEV where there is none that works */
};

#define HYC_CACHE_MIN (UINT64_C(64) << 20)

/* min(RAM / 8, 512 MiB), no more than a quarter of the cgroup's memory limit, no less than HYC_CACHE_MIN. */
HYC_API uint64_t hyc_cache_default(void);

/*
 * Open and validate an archive; two reads, whatever its size. *out is owned by the caller.
 * Honours HYC_BACKEND from the environment: an unknown or unavailable backend is -EINVAL.
 */
HYC_API int hyc_open(const char *path, const struct hyc_options *options, struct hyc **out, struct hyc_error *err);
HYC_API void hyc_close(struct hyc *archive); /* NULL is fine */

/* Start the threads that decode ahead now, rather than when they are first of use: in a process that has forked for the last time. */
HYC_API void hyc_prefetch_start(struct hyc *archive);

/*
 * Backends: the same decoders for different processors, with the same results. The first hyc_open chooses the fastest one, or the
 * one HYC_BACKEND names.
 */
HYC_API const char *hyc_backend_name(void);             /* the one in use: "scalar", "avx2", ... */
HYC_API const char *hyc_backend_available(unsigned n);  /* the n-th that works here, the slowest first; NULL past the last */
HYC_API int hyc_backend_choose(const char *name, struct hyc_error *err); /* use it from now on; not while others decode */
HYC_API const char *hyc_codec_backend(unsigned codec);  /* which one decodes a codec: "scalar" where the one in use has no kernel for it */

/* ---- what is inside ---- */

struct hyc_info {
	uint64_t archive_bytes; /* size of the archive */
	uint64_t bytes;         /* sum of the sizes of all files */
	uint64_t tensor_bytes;  /* decoded bytes of all distinct tensor data */
	uint64_t tensor_stored; /* what they take in the archive */
	uint32_t n_files;       /* regular files */
	uint32_t n_dirs;        /* directories, the root included */
	uint32_t n_tensors;
	uint32_t n_objects;
	uint32_t n_blocks;
	int lossy;              /* some object is not exact */
	/* Of the objects that are not exact; what is shared counts once. */
	uint64_t lossy_weights;
	double lossy_bpw;       /* stored bits for each of them, all records included; 0 where there are none */
	double lossy_sqnr_db;   /* signal to quantisation noise over all of them, HUGE_VAL where nothing is lost */
	double lossy_max_error; /* the largest one */
};
HYC_API void hyc_info(const struct hyc *archive, struct hyc_info *info);

/* Files and directories: index 0 is the root directory, and each directory comes before what it holds. */
struct hyc_file {
	const char *path;      /* relative to the root, "" for the root itself */
	size_t path_len;
	uint32_t mode;         /* as st_mode: type and permissions */
	uint64_t size;
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	uint32_t parent;       /* index of its directory; 0 for the root */
	uint8_t hash[16];      /* XXH3-128 of the contents, canonical byte order */
	const char *codec;     /* codec of most of its bytes, "" where it is empty */
	double stored_bytes;   /* its share of the archive (shared data in proportion) */
	int exact;             /* contents are bit-identical to what was packed */
	int made;              /* it is no file of the archive but made for the view: hash is not known */
};
HYC_API uint32_t hyc_file_count(const struct hyc *archive);
HYC_API void hyc_file_get(const struct hyc *archive, uint32_t file, struct hyc_file *out);

/* Index of the entry with this path, or -ENOENT. */
HYC_API int64_t hyc_file_find(const struct hyc *archive, const char *path);

struct hyc_tensor {
	const char *name;
	uint32_t file;
	const char *dtype;      /* safetensors name: "BF16" */
	uint32_t ndim;
	uint64_t shape[64];
	uint64_t bytes;         /* decoded size */
	const char *codec;      /* "" for an empty tensor */
	double stored_bytes;    /* its share of the archive */
	double bpw;             /* stored bits per element; 0 for an empty tensor */
	double sqnr_db;         /* signal to quantisation noise, HUGE_VAL if exact */
	double max_error;
	int exact;
};
HYC_API uint32_t hyc_tensor_count(const struct hyc *archive);
HYC_API void hyc_tensor_get(const struct hyc *archive, uint32_t tensor, struct hyc_tensor *out);

/* Number of objects stored with a codec, by codec id; names by hyc_codec_name (NULL past the last). */
HYC_API const char *hyc_codec_name(unsigned codec);
HYC_API void hyc_codec_usage(const struct hyc *archive, unsigned codec, uint64_t *n_objects, uint64_t *bytes,
			     uint64_t *stored);

/* ---- read ---- */

/*
 * Copy up to len bytes of a file from off on. Returns the number of bytes (short only at the end of the file), or
 * -EBADMSG damaged, -EIO the archive could not be read, -ENOMEM, -EISDIR. Never returns a wrong byte.
 */
HYC_API ssize_t hyc_read(struct hyc *archive, uint32_t file, void *buf, size_t len, uint64_t off);

/* A pinned, immutable run of a file's bytes in the cache. */
struct hyc_pin {
	const void *data;
	size_t len;
	void *handle; /* private */
};

/*
 * Pin the bytes from off on: pin->len is at least 1 and at most len, as far as one block or extent goes; 0 at or past the end of the file.
 * Returns 0 or the errors of hyc_read. A thread holds no pin when it asks for one: ask, use, unpin.
 */
HYC_API int hyc_pin(struct hyc *archive, uint32_t file, uint64_t off, size_t len, struct hyc_pin *pin);
HYC_API void hyc_unpin(struct hyc *archive, struct hyc_pin *pin);

/*
 * Pin up to max successive pieces, together at most len bytes: *n gets their number, 0 only at or past the end of the file. Where memory is
 * short, or something further on is damaged, they are fewer than there could be, but one at least. Called with no pin in hand.
 */
HYC_API int hyc_pin_run(struct hyc *archive, uint32_t file, uint64_t off, size_t len, struct hyc_pin *pins, unsigned max,
			unsigned *n);

/* hyc_unpin, where the bytes went to somebody who keeps them (a page cache): once all of a block did, it is the first to be dropped. */
HYC_API void hyc_unpin_served(struct hyc *archive, struct hyc_pin *pin);

/*
 * Hand the bytes [off, off + len) of a file (clipped to its size) to sink in order, decoded ahead by threads. Bypasses the cache.
 * A sink that returns non-zero ends the call with that value (it should fill err itself). err names file, tensor and block of damage.
 */
typedef int (*hyc_sink)(void *arg, const void *data, size_t len, struct hyc_error *err);
HYC_API int hyc_stream(struct hyc *archive, uint32_t file, uint64_t off, uint64_t len, unsigned threads, hyc_sink sink,
		       void *arg, struct hyc_error *err);

/* ---- load ---- */

/* The bytes [off, off + len) of a tensor, in C order, to dst: a pointer to memory of the host, or of a CUDA device. */
struct hyc_load_request {
	uint32_t tensor;
	uint64_t off, len;
	void *dst;
};

struct hyc_load_options {
	int device;          /* number of the CUDA device all dst are on, or HYC_LOAD_HOST */
	void *stream;        /* a cudaStream_t of it: memory of dst is not touched before what this has been given is done; NULL: the default one */
	unsigned threads;    /* that read and check, and decode for the host; 0: one for each processor, up to 16 */
	void (*progress)(void *arg, uint64_t done, uint64_t total); /* in bytes, from several threads, one at a time; may be NULL */
	void *arg;
};

#define HYC_LOAD_HOST (-1)

struct hyc_load;

/*
 * Start loading: returns at once, and the requests may go. hyc_load_wait ends it and releases *load: what came to its end without
 * an error is in place then, for all streams. -ENODEV: there is no such device, or no CUDA module. -EINVAL: a request beyond its
 * tensor. -EIO: the archive cannot be read, or the device failed. What the device has no memory for beside its dst is decoded by the
 * processor and copied; one line is logged. The archive must stay open until then.
 */
HYC_API int hyc_load_start(struct hyc *archive, const struct hyc_load_request *requests, size_t n,
			   const struct hyc_load_options *options, struct hyc_load **load, struct hyc_error *err);
HYC_API int hyc_load_wait(struct hyc_load *load, struct hyc_error *err);

/* Both. */
HYC_API int hyc_load(struct hyc *archive, const struct hyc_load_request *requests, size_t n,
		     const struct hyc_load_options *options, struct hyc_error *err);

/* ---- verify ---- */

struct hyc_verify_options {
	int deep;         /* also decode everything and check the digests of objects and files */
	unsigned threads; /* 0: all processors */
	void (*damage)(void *arg, const char *sentence);               /* one call for each thing found; may be NULL */
	void (*progress)(void *arg, uint64_t done, uint64_t total);    /* in bytes; may be NULL */
	void *arg;
};

/* *n_damaged gets the number of damaged blocks, objects and files. Returns 0 where the check itself ran to its end. */
HYC_API int hyc_verify(struct hyc *archive, const struct hyc_verify_options *options, uint64_t *n_damaged,
		       struct hyc_error *err);

/* ---- statistics ---- */

struct hyc_stats {
	uint64_t cache_limit, cache_bytes, hits, misses, evictions, in_flight;
	/* Blocks decoded ahead: all, those read then, those of them whose reader had to wait for the rest of it, those dropped before. */
	uint64_t prefetched, prefetch_used, prefetch_late, prefetch_wasted;
	uint64_t bytes_served, bytes_stored_read, errors;
	struct {
		const char *codec; /* NULL: unused slot */
		const char *backend;
		uint64_t blocks, decoded_bytes, nanoseconds;
	} decode[16];
};
HYC_API void hyc_stats(const struct hyc *archive, struct hyc_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
