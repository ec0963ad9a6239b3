/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian fields that cannot be read or written by accident. */
#ifndef HYC_BASE_BYTES_H
#define HYC_BASE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

typedef struct { uint8_t b[4]; } le32;
typedef struct { uint8_t b[8]; } le64;

/* The same for unaligned raw bytes; a memcpy of constant size is one load or store. */
static inline uint16_t hyc_load16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return le16toh(v);
}

static inline uint32_t hyc_load32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static inline uint64_t hyc_load64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

static inline void hyc_store16(void *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof v);
}

static inline void hyc_store32(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

static inline void hyc_store64(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}

static inline uint32_t hyc_get32(le32 v) { return hyc_load32(v.b); }
static inline uint64_t hyc_get64(le64 v) { return hyc_load64(v.b); }

static inline le32 hyc_put32(uint32_t v)
{
	le32 r;
	hyc_store32(r.b, v);
	return r;
}

static inline le64 hyc_put64(uint64_t v)
{
	le64 r;
	hyc_store64(r.b, v);
	return r;
}

static inline double hyc_get_f64(le64 v)
{
	uint64_t u = hyc_get64(v);
	double d;
	memcpy(&d, &u, sizeof d);
	return d;
}

static inline float hyc_get_f32(le32 v)
{
	uint32_t u = hyc_get32(v);
	float f;
	memcpy(&f, &u, sizeof f);
	return f;
}

static inline le32 hyc_put_f32(float f)
{
	uint32_t u;
	memcpy(&u, &f, sizeof u);
	return hyc_put32(u);
}

static inline le64 hyc_put_f64(double d)
{
	uint64_t u;
	memcpy(&u, &d, sizeof u);
	return hyc_put64(u);
}

#endif
