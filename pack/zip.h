/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of a zip file, checked as a whole: the central directory, each record's own header and its data
 * descriptor must say the same, and no two records may overlap or share a name, so that all readers see one thing.
 */
#ifndef HYC_PACK_ZIP_H
#define HYC_PACK_ZIP_H

#include "pack/input.h"

#include <stdbool.h>

struct hyc_zip_record {
	const char *name;      /* borrowed from the zip */
	uint64_t head, off;    /* of its header and of its data in the file */
	uint64_t stored, bytes; /* size in the file, and after decompression */
	uint64_t central_crc;  /* where the 4 bytes of its CRC-32 are in the central directory */
	uint64_t tail_crc;     /* and in its data descriptor; 0: it has none, or no bytes */
	uint64_t end;          /* behind data and descriptor */
	uint32_t crc;
	uint16_t method, flags;
};

/* Records in ascending order of name. */
struct hyc_zip {
	struct hyc_zip_record *records;
	size_t n;
	char *names;
};

#define HYC_ZIP_STORED 0

/* Read the directory of a file that is to be one. *out is to be given to hyc_zip_fini, also after a failure. */
int hyc_zip_read(const struct hyc_input *in, struct hyc_zip *out, struct hyc_error *err) HYC_CHECKED;
void hyc_zip_fini(struct hyc_zip *zip);

/* The record of this name, or NULL. */
const struct hyc_zip_record *hyc_zip_find(const struct hyc_zip *zip, const char *name);

#endif
