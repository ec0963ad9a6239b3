/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the index of a view. Files whose names belong together (the shards of a model, its files in either container) are a
 * set. A set that has tensors in one container only is shown in the other one too, or instead; it is all of it or nothing:
 * a file that cannot be converted keeps its set as it is.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/view.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "format/dtype.h"

#define MAX_HEADS ((size_t)1 << 28) /* of all files of a view */

/* A file of the archive whose name may be that of weights. */
struct weights {
	struct hyc_weights_name name;
	uint32_t file;
	bool readable; /* its tensors are known */
};

/* A file of the view. */
struct shown {
	struct hyc_disk_file record;
	const char *path;    /* for a file that is made: owned */
	uint32_t file;       /* the file of the archive that it is, or is made from */
	bool made, tensors;  /* it has the tensors of that file */
};

struct make {
	struct hyc_index *x;        /* the archive's */
	enum hyc_view_kind kind;
	const char *path;           /* of the archive, for messages */
	struct hyc_error *err;
	struct hyc_layout layout;
	uint32_t *first_tensor;     /* of each file; of file n_files, their number */
	bool *hidden;               /* of each file */
	struct weights *weights;
	uint32_t n_weights;
	struct shown *shown;        /* first what is made, then what is kept */
	uint32_t n_shown, n_made;
};

static const char *const kind_names[] = {
	[HYC_VIEW_ORIGINAL] = "original", [HYC_VIEW_SAFETENSORS] = "safetensors", [HYC_VIEW_BIN] = "bin",
	[HYC_VIEW_BOTH] = "both",
};

const char *hyc_view_name(unsigned view)
{
	return view < sizeof kind_names / sizeof kind_names[0] ? kind_names[view] : NULL;
}

static const char *file_path(const struct make *m, uint32_t file)
{
	return m->x->names + hyc_get32(m->x->files[file].path_off);
}

static int no_memory(struct make *m)
{
	return hyc_fail(m->err, -ENOMEM, "%s: no memory for view=%s", m->path, kind_names[m->kind]);
}

uint64_t hyc_view_tensor_bytes(const struct hyc_index *x, uint32_t tensor)
{
	const struct hyc_disk_tensor *t = &x->tensors[tensor];
	const le64 *dims = x->dims + hyc_get32(t->first_dim);
	uint64_t bits = hyc_dtype_bits(hyc_get32(t->dtype));

	if (hyc_get32(t->object) == HYC_NO_OBJECT)
		return 0;
	for (uint32_t d = 0; d < hyc_get32(t->ndim); d++)
		bits *= hyc_get64(dims[d]);
	return bits / 8;
}

bool hyc_view_tensor_plain(const struct hyc_index *x, uint32_t tensor, const char **why)
{
	const struct hyc_disk_tensor *t = &x->tensors[tensor];
	const le64 *dims = x->dims + hyc_get32(t->first_dim);
	uint64_t elements = 1;

	if (hyc_get32(t->flags) & HYC_TENSOR_STRIDED) {
		*why = "a tensor of it is not contiguous";
		return false;
	}
	if (!hyc_text_is_utf8(x->names + hyc_get32(t->name_off), hyc_get32(t->name_len))) {
		*why = "the name of a tensor is no UTF-8";
		return false;
	}
	for (uint32_t d = 0; d < hyc_get32(t->ndim); d++) {
		uint64_t dim = hyc_get64(dims[d]);

		/* Also of an empty tensor, whose strides count an extent of 0 as 1. */
		if (hyc_mul_overflows(elements, dim ? dim : 1, &elements) || elements > INT64_MAX) {
			*why = "the shape of a tensor is too large";
			return false;
		}
	}
	return true;
}

/* ---- sets ---- */

static bool is_torch(uint32_t kind)
{
	return kind == HYC_KIND_TORCH_ZIP || kind == HYC_KIND_TORCH_LEGACY;
}

static int compare_weights(const void *a, const void *b)
{
	const struct weights *s = a, *t = b;
	int order = hyc_weights_name_compare(&s->name, &t->name);

	return order ? order : (s->file > t->file) - (s->file < t->file);
}

/* Everything whose tensors are known, and shards whose tensors are not: without them their set is not whole. */
static int find_weights(struct make *m)
{
	const struct hyc_index *x = m->x;

	m->weights = malloc(((size_t)x->n_files + 1) * sizeof *m->weights);
	if (!m->weights)
		return no_memory(m);
	for (uint32_t i = 0; i < x->n_files; i++) {
		uint32_t kind = hyc_get32(x->files[i].kind);
		struct weights w = { .file = i };

		if ((hyc_get32(x->files[i].mode) & HYC_MODE_TYPE) == HYC_MODE_DIR)
			continue;
		hyc_weights_name_cut(file_path(m, i), &w.name);
		w.readable = (kind == HYC_KIND_SAFETENSORS || is_torch(kind)) && m->first_tensor[i] < m->first_tensor[i + 1];
		if (w.readable)
			w.name.torch = is_torch(kind);
		if (w.readable || (w.name.shard_len && w.name.end_len))
			m->weights[m->n_weights++] = w;
	}
	qsort(m->weights, m->n_weights, sizeof *m->weights, compare_weights);
	return 0;
}

/* Whether the container is one the view wants to have. */
static bool wanted(const struct make *m, bool torch)
{
	return m->kind == HYC_VIEW_BOTH || (m->kind == HYC_VIEW_BIN) == torch;
}

/* Add a file to those that are made; layout has its contents. -EEXIST: there is another one of that name. */
static int add_made(struct make *m, const char *path, uint32_t like, uint32_t kind, bool tensors)
{
	const struct hyc_disk_file *f = &m->x->files[like];
	struct shown *s = &m->shown[m->n_made];
	int result = hyc_layout_result(&m->layout);

	if (result)
		return result;
	*s = (struct shown){ .record = *f, .path = strdup(path), .file = like, .made = true, .tensors = tensors };
	if (!s->path)
		return -ENOMEM;
	s->record.kind = hyc_put32(kind);
	s->record.size = hyc_put64(m->layout.size);
	s->record.first_extent = hyc_put32(m->layout.first);
	s->record.n_extents = hyc_put32(m->layout.n_extents - m->layout.first);
	memset(s->record.hash, 0, sizeof s->record.hash);
	m->n_made++;
	return 0;
}

/* The folder in a torch zip is the name of the file without its end. */
static void zip_folder(const struct hyc_weights_name *n, const char *path, char out[HYC_MAX_COMPONENT + 1])
{
	size_t len = strlen(path) - n->dir_len - strlen(".bin");

	if (!hyc_text_is_utf8(path + n->dir_len, len) || !len)
		snprintf(out, HYC_MAX_COMPONENT + 1, "archive");
	else
		snprintf(out, HYC_MAX_COMPONENT + 1, "%.*s", (int)len, path + n->dir_len);
}

static int convert_file(struct make *m, const struct weights *w, const char **why)
{
	uint32_t first = m->first_tensor[w->file], n = m->first_tensor[w->file + 1] - first;
	char path[HYC_MAX_NAME + 1], folder[HYC_MAX_COMPONENT + 1];
	bool torch = !w->name.torch;
	int result;

	if (!hyc_weights_path(&w->name, torch, path)) {
		*why = "its name would be too long";
		return -EINVAL;
	}
	if (torch) {
		zip_folder(&w->name, path, folder);
		result = hyc_view_torch(m->x, first, n, folder, &m->layout, why);
	} else {
		result = hyc_view_safetensors(m->x, first, n, &m->layout, why);
	}
	return result ? result : add_made(m, path, w->file, torch ? HYC_KIND_TORCH_ZIP : HYC_KIND_SAFETENSORS, true);
}

/* ---- index.json ---- */

struct entry {
	const char *tensor, *file;
};

static int compare_entries(const void *a, const void *b)
{
	const struct entry *s = a, *t = b;
	int order = strcmp(s->tensor, t->tensor);

	return order ? order : strcmp(s->file, t->file);
}

/* As transformers writes it: members in order of their names, two spaces a level. */
static void put_weight_map(const struct entry *entries, size_t n, uint64_t total, struct hyc_text *json)
{
	hyc_text_puts(json, "{\n  \"metadata\": {\n    \"total_size\": ");
	hyc_text_number(json, total);
	hyc_text_puts(json, "\n  },\n  \"weight_map\": {");
	for (size_t i = 0; i < n; i++) {
		if (i && !strcmp(entries[i].tensor, entries[i - 1].tensor))
			continue;
		hyc_text_puts(json, i ? ",\n    " : "\n    ");
		hyc_text_json(json, entries[i].tensor, true);
		hyc_text_puts(json, ": ");
		hyc_text_json(json, entries[i].file, true);
	}
	hyc_text_puts(json, "\n  }\n}\n");
}

/* The index of the shards that were made from on on, whose names in the archive are like name's. */
static int make_weight_map(struct make *m, const struct hyc_weights_name *name, uint32_t from, const char **why)
{
	struct hyc_text json = { .limit = MAX_HEADS };
	char path[HYC_MAX_NAME + 1], old[HYC_MAX_NAME + 1];
	cleanup_free struct entry *entries = NULL;
	uint32_t like = m->shown[from].file;
	uint64_t total = 0;
	size_t n = 0;
	int64_t found;
	int result;

	for (uint32_t i = from; i < m->n_made; i++)
		n += m->first_tensor[m->shown[i].file + 1] - m->first_tensor[m->shown[i].file];
	entries = malloc((n + 1) * sizeof *entries);
	if (!entries)
		return -ENOMEM;
	n = 0;
	for (uint32_t i = from; i < m->n_made; i++) {
		for (uint32_t t = m->first_tensor[m->shown[i].file]; t < m->first_tensor[m->shown[i].file + 1]; t++) {
			entries[n++] = (struct entry){ m->x->names + hyc_get32(m->x->tensors[t].name_off),
						       m->shown[i].path + name->dir_len };
			total += hyc_view_tensor_bytes(m->x, t);
		}
	}
	qsort(entries, n, sizeof *entries, compare_entries);
	if (!hyc_weights_index_path(name, !name->torch, path) || !hyc_text_is_utf8(path, strlen(path))) {
		*why = "its name is too long or no UTF-8";
		return -EINVAL;
	}
	/* As downloads of one container leave it, with all JSON files. It names other shards than those that would be made. */
	if (hyc_index_find(m->x, path) >= 0) {
		*why = "its shards would need an index.json of a name that another file has; pack the model without that";
		return -EINVAL;
	}
	if (hyc_weights_index_path(name, name->torch, old) && (found = hyc_index_find(m->x, old)) > 0)
		like = (uint32_t)found;
	put_weight_map(entries, n, total, &json);
	hyc_layout_begin(&m->layout);
	hyc_layout_bytes(&m->layout, json.data, json.len);
	result = json.failed ? json.failed : add_made(m, path, like, HYC_KIND_PLAIN, false);
	hyc_text_fini(&json);
	return result;
}

/* ---- what is made and what is hidden ---- */

static int compare_shown(const void *a, const void *b)
{
	const struct shown *s = a, *t = b;

	return strcmp(s->path, t->path);
}

/* Make the counterparts of the files of a set, n of them. -EINVAL: they cannot be made, and *why says why. */
static int convert_set(struct make *m, const struct weights *set, uint32_t n, const char **why)
{
	uint32_t from = m->n_made;
	const struct hyc_weights_name *sharded = NULL;
	int result = 0;

	/* Shards first, so that what the index is of is together. */
	for (uint32_t i = 0; i < n && !result; i++) {
		if (!set[i].name.shard_len)
			continue;
		sharded = &set[i].name;
		result = convert_file(m, &set[i], why);
	}
	if (sharded && !result)
		result = make_weight_map(m, sharded, from, why);
	for (uint32_t i = 0; i < n && !result; i++)
		if (!set[i].name.shard_len)
			result = convert_file(m, &set[i], why);
	if (result == -EFBIG) {
		*why = "it is too large";
		result = -EINVAL;
	}
	if (result)
		return result;
	qsort(m->shown + from, m->n_made - from, sizeof *m->shown, compare_shown);
	for (uint32_t i = from + 1; i < m->n_made; i++) {
		if (!strcmp(m->shown[i].path, m->shown[i - 1].path)) {
			*why = "several of its files would have the same name";
			return -EINVAL;
		}
	}
	return 0;
}

/* Hide the files of a set, and the index of its shards. */
static void hide_set(struct make *m, const struct weights *set, uint32_t n)
{
	char path[HYC_MAX_NAME + 1];
	int64_t found;

	for (uint32_t i = 0; i < n; i++) {
		m->hidden[set[i].file] = true;
		if (set[i].name.shard_len && hyc_weights_index_path(&set[i].name, set[i].name.torch, path) &&
		    (found = hyc_index_find(m->x, path)) > 0 &&
		    (hyc_get32(m->x->files[found].mode) & HYC_MODE_TYPE) == HYC_MODE_REG)
			m->hidden[found] = true;
	}
}

/* The files of one container: convert them if the other has none. */
static int show_part(struct make *m, const struct weights *part, uint32_t n, bool other_is_there)
{
	struct hyc_layout_mark mark = hyc_layout_mark(&m->layout);
	uint32_t from = m->n_made, n_readable = 0;
	bool torch = part[0].name.torch;
	const char *why = "";
	int result = 0;

	for (uint32_t i = 0; i < n; i++)
		n_readable += part[i].readable;
	if (!n_readable || !wanted(m, !torch))
		return 0;
	if (!other_is_there) {
		if (n_readable != n)
			why = "the tensors of a shard are not known";
		result = n_readable != n ? -EINVAL : convert_set(m, part, n, &why);
	}
	if (result) {
		while (m->n_made > from)
			free((char *)m->shown[--m->n_made].path);
		hyc_layout_rewind(&m->layout, mark);
	}
	if (result == -EINVAL) {
		hyc_log(HYC_LOG_WARNING, "%s: %s stays as it is with view=%s: %s", m->path, file_path(m, part[0].file),
			kind_names[m->kind], why);
		return 0;
	}
	if (!result && !wanted(m, torch))
		hide_set(m, part, n);
	return result ? no_memory(m) : 0;
}

/* set: n files with names of one model, in both containers. */
static int show_set(struct make *m, struct weights *set, uint32_t n)
{
	cleanup_free struct weights *part = malloc(n * sizeof *part);
	bool there[2] = { false, false };
	int result = 0;

	if (!part)
		return no_memory(m);
	for (uint32_t i = 0; i < n; i++)
		there[set[i].name.torch] |= set[i].readable;
	for (int torch = 0; torch < 2 && !result; torch++) {
		uint32_t k = 0;

		for (uint32_t i = 0; i < n; i++)
			if (set[i].name.torch == torch)
				part[k++] = set[i];
		if (k)
			result = show_part(m, part, k, there[!torch]);
	}
	return result;
}

static int show_weights(struct make *m)
{
	uint32_t end;
	int result = find_weights(m);

	/* For each file at most its counterpart and an index. */
	m->shown = calloc(2 * (size_t)m->n_weights + m->x->n_files + 1, sizeof *m->shown);
	m->hidden = calloc((size_t)m->x->n_files + 1, sizeof *m->hidden);
	if (!result && (!m->shown || !m->hidden))
		result = no_memory(m);
	for (uint32_t i = 0; i < m->n_weights && !result; i = end) {
		for (end = i + 1; end < m->n_weights; end++)
			if (hyc_weights_name_compare(&m->weights[i].name, &m->weights[end].name))
				break;
		result = show_set(m, m->weights + i, end - i);
	}
	return result;
}

/* ---- the index of the view ---- */

/* What is kept joins what was made, in order of paths. */
static int list_shown(struct make *m)
{
	m->n_shown = m->n_made;
	for (uint32_t i = 0; i < m->x->n_files; i++)
		if (!m->hidden[i])
			m->shown[m->n_shown++] = (struct shown){ .record = m->x->files[i], .path = file_path(m, i), .file = i,
								 .tensors = true };
	qsort(m->shown, m->n_shown, sizeof *m->shown, compare_shown);
	for (uint32_t i = 1; i < m->n_shown; i++)
		if (!strcmp(m->shown[i].path, m->shown[i - 1].path))
			return hyc_fail(m->err, -EEXIST, "%s: view=%s would show a file %.300s, and there is another one of that name; "
					"pack the model without it, or use view=original", m->path, kind_names[m->kind],
					m->shown[i].path);
	return 0;
}

static int fill_names(struct make *m, struct hyc_view *v)
{
	uint64_t len = m->x->names_bytes, at = len;

	for (uint32_t i = 0; i < m->n_shown; i++)
		if (m->shown[i].made)
			len += strlen(m->shown[i].path) + 1;
	if (len > UINT32_MAX)
		return hyc_fail(m->err, -EFBIG, "%s: has too many names for view=%s", m->path, kind_names[m->kind]);
	v->names = malloc(len + 1);
	if (!v->names)
		return no_memory(m);
	memcpy(v->names, m->x->names, m->x->names_bytes);
	for (uint32_t i = 0; i < m->n_shown; i++) {
		struct shown *s = &m->shown[i];
		size_t bytes = strlen(s->path) + 1;

		if (!s->made)
			continue;
		memcpy(v->names + at, s->path, bytes);
		s->record.path_off = hyc_put32((uint32_t)at);
		s->record.path_len = hyc_put32((uint32_t)bytes - 1);
		at += bytes;
	}
	return 0;
}

/* The files, and of each the tensors. */
static void fill_records(struct make *m, struct hyc_view *v, const uint32_t *new_of_old)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n_shown; i++) {
		const struct shown *s = &m->shown[i];

		v->files[i] = s->record;
		v->made[i] = s->made;
		v->parents[i] = new_of_old[m->x->parents[s->file]];
		for (uint32_t t = m->first_tensor[s->file]; s->tensors && t < m->first_tensor[s->file + 1]; t++) {
			v->tensors[n] = m->x->tensors[t];
			v->tensors[n++].file = hyc_put32(i);
		}
	}
}

static int fill_view(struct make *m, struct hyc_view *v)
{
	cleanup_free uint32_t *new_of_old = calloc((size_t)m->x->n_files + 1, sizeof *new_of_old);
	uint64_t n_tensors = 0;

	for (uint32_t i = 0; i < m->n_shown; i++) {
		const struct shown *s = &m->shown[i];

		if (s->tensors)
			n_tensors += m->first_tensor[s->file + 1] - m->first_tensor[s->file];
	}
	v->files = malloc(((size_t)m->n_shown + 1) * sizeof *v->files);
	v->parents = malloc(((size_t)m->n_shown + 1) * sizeof *v->parents);
	v->made = malloc((size_t)m->n_shown + 1);
	v->tensors = malloc((n_tensors + 1) * sizeof *v->tensors);
	if (!new_of_old || !v->files || !v->parents || !v->made || !v->tensors || n_tensors > UINT32_MAX)
		return no_memory(m);
	for (uint32_t i = 0; i < m->n_shown; i++)
		if (!m->shown[i].made)
			new_of_old[m->shown[i].file] = i;
	fill_records(m, v, new_of_old);

	v->stored = *m->x;
	v->layout = m->layout;
	m->layout = (struct hyc_layout){ .first = 0 };
	m->x->files = v->files;
	m->x->n_files = m->n_shown;
	m->x->extents = v->layout.extents;
	m->x->n_extents = v->layout.n_extents;
	m->x->tensors = v->tensors;
	m->x->n_tensors = (uint32_t)n_tensors;
	m->x->names = v->names;
	m->x->parents = v->parents;
	return 0;
}

/* Where the tensors of each file start, which are in order of files. */
static int find_tensors(struct make *m)
{
	uint32_t next = 0;

	m->first_tensor = malloc(((size_t)m->x->n_files + 1) * sizeof *m->first_tensor);
	if (!m->first_tensor)
		return no_memory(m);
	for (uint32_t i = 0; i <= m->x->n_files; i++) {
		while (next < m->x->n_tensors && hyc_get32(m->x->tensors[next].file) < i)
			next++;
		m->first_tensor[i] = next;
	}
	return 0;
}

/* The extents of the archive come first, so that files that are kept keep theirs. */
static int start_layout(struct make *m)
{
	m->layout.heads.limit = MAX_HEADS;
	m->layout.room = m->x->n_extents + 64;
	m->layout.extents = malloc(m->layout.room * sizeof *m->layout.extents);
	if (!m->layout.extents)
		return no_memory(m);
	memcpy(m->layout.extents, m->x->extents, m->x->n_extents * sizeof *m->layout.extents);
	m->layout.n_extents = m->x->n_extents;
	return 0;
}

int hyc_view_make(struct hyc_index *index, enum hyc_view_kind kind, const char *path, struct hyc_view **out,
		  struct hyc_error *err)
{
	struct make m = { .x = index, .kind = kind, .path = path, .err = err };
	struct hyc_view *v = calloc(1, sizeof *v);
	int result = v ? find_tensors(&m) : no_memory(&m);

	if (!result)
		result = start_layout(&m);
	if (!result)
		result = show_weights(&m);
	if (!result)
		result = list_shown(&m);
	if (!result)
		result = fill_names(&m, v);
	if (!result)
		result = fill_view(&m, v);
	for (uint32_t i = 0; m.shown && i < (m.n_shown ? m.n_shown : m.n_made); i++)
		if (m.shown[i].made)
			free((char *)m.shown[i].path);
	free(m.shown);
	free(m.hidden);
	free(m.weights);
	free(m.first_tensor);
	hyc_layout_fini(&m.layout);
	if (result) {
		if (v)
			v->stored.fd = -1;
		hyc_view_free(v);
		return result;
	}
	*out = v;
	return 0;
}

void hyc_view_free(struct hyc_view *v)
{
	if (!v)
		return;
	hyc_index_fini(&v->stored);
	hyc_layout_fini(&v->layout);
	free(v->files);
	free(v->tensors);
	free(v->parents);
	free(v->made);
	free(v->names);
	free(v);
}
