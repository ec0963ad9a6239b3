/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a weights file is called in another container. transformers knows model.safetensors and pytorch_model.bin, both with
 * a variant (".fp16") and a shard ("-00001-of-00002"); any other name keeps its stem.
 */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "archive/view.h"

#define SAFETENSORS_END ".safetensors"
#define TORCH_END ".bin"
#define SAFETENSORS_STEM "model"
#define TORCH_STEM "pytorch_model"

static const char *const torch_ends[] = { TORCH_END, ".pt", ".pth", ".ckpt" };

static bool ends_with(const char *name, size_t len, const char *end)
{
	return len >= strlen(end) && !strncasecmp(name + len - strlen(end), end, strlen(end));
}

static size_t end_len(const char *name, size_t len, bool *torch)
{
	*torch = false;
	if (ends_with(name, len, SAFETENSORS_END))
		return strlen(SAFETENSORS_END);
	*torch = true;
	for (size_t i = 0; i < sizeof torch_ends / sizeof torch_ends[0]; i++)
		if (ends_with(name, len, torch_ends[i]))
			return strlen(torch_ends[i]);
	return 0;
}

/* Digits at the end of the first len bytes of s. */
static size_t digits_before(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && isdigit((unsigned char)s[len - 1 - n]))
		n++;
	return n;
}

/* The length of "-00001-of-00002" at the end, or 0. */
static size_t shard_len(const char *s, size_t len)
{
	size_t total = digits_before(s, len), number, rest = len - total;

	if (total < 5 || rest < 4 || memcmp(s + rest - 4, "-of-", 4))
		return 0;
	rest -= 4;
	number = digits_before(s, rest);
	rest -= number;
	return number < 5 || !rest || s[rest - 1] != '-' ? 0 : len - rest + 1;
}

void hyc_weights_name_cut(const char *path, struct hyc_weights_name *n)
{
	const char *slash = strrchr(path, '/');
	size_t len;

	*n = (struct hyc_weights_name){ .dir = path, .stem = slash ? slash + 1 : path };
	n->dir_len = (size_t)(n->stem - path);
	len = strlen(n->stem);
	n->end_len = end_len(n->stem, len, &n->torch);
	len -= n->end_len;
	n->end = n->stem + len;
	n->shard_len = shard_len(n->stem, len);
	len -= n->shard_len;
	n->shard = n->stem + len;
	n->stem_len = strcspn(n->stem, ".");
	if (n->stem_len > len)
		n->stem_len = len;
	n->variant = n->stem + n->stem_len;
	n->variant_len = len - n->stem_len;
}

/* The stem in the other container, or in its own. */
static void stem_in(const struct hyc_weights_name *n, bool torch, const char **stem, size_t *len)
{
	const char *own = n->torch ? TORCH_STEM : SAFETENSORS_STEM, *other = torch ? TORCH_STEM : SAFETENSORS_STEM;

	*stem = n->stem;
	*len = n->stem_len;
	if (torch == n->torch || n->stem_len != strlen(own) || memcmp(n->stem, own, n->stem_len))
		return;
	*stem = other;
	*len = strlen(other);
}

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return order ? order : (a_len > b_len) - (a_len < b_len);
}

int hyc_weights_name_compare(const struct hyc_weights_name *a, const struct hyc_weights_name *b)
{
	const char *a_stem, *b_stem;
	size_t a_len, b_len;
	int order = compare_bytes(a->dir, a->dir_len, b->dir, b->dir_len);

	if (order)
		return order;
	stem_in(a, false, &a_stem, &a_len);
	stem_in(b, false, &b_stem, &b_len);
	order = compare_bytes(a_stem, a_len, b_stem, b_len);
	return order ? order : compare_bytes(a->variant, a->variant_len, b->variant, b->variant_len);
}

/* A path is possible if its last component is; the rest is that of a file that is there. */
static bool print(char out[HYC_MAX_NAME + 1], const struct hyc_weights_name *n, int len)
{
	return len > 0 && len <= (int)HYC_MAX_NAME && (size_t)len - n->dir_len <= HYC_MAX_COMPONENT && out[n->dir_len];
}

bool hyc_weights_path(const struct hyc_weights_name *n, bool torch, char out[HYC_MAX_NAME + 1])
{
	const char *stem;
	size_t stem_len;

	stem_in(n, torch, &stem, &stem_len);
	return print(out, n, snprintf(out, HYC_MAX_NAME + 1, "%.*s%.*s%.*s%.*s%s", (int)n->dir_len, n->dir, (int)stem_len, stem,
				      (int)n->variant_len, n->variant, (int)n->shard_len, n->shard,
				      torch ? TORCH_END : SAFETENSORS_END));
}

bool hyc_weights_index_path(const struct hyc_weights_name *n, bool torch, char out[HYC_MAX_NAME + 1])
{
	const char *stem, *end = torch ? TORCH_END : SAFETENSORS_END;
	int stem_len, end_bytes = (int)strlen(end);
	size_t len;

	if (torch == n->torch) {
		end = n->end;
		end_bytes = (int)n->end_len;
	}
	stem_in(n, torch, &stem, &len);
	stem_len = (int)len;
	return print(out, n, snprintf(out, HYC_MAX_NAME + 1, "%.*s%.*s%.*s.index%.*s.json", (int)n->dir_len, n->dir, stem_len, stem,
				      end_bytes, end, (int)n->variant_len, n->variant));
}
