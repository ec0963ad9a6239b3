/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine. Every opcode makes at most one value and takes what it needs from the stack, so work and memory are
 * linear in the length of the pickle. Values never change but for lists and dicts, which grow, and only values that
 * are there already can be put in others.
 */
#include "config.h"

#include "pack/pickle_machine.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

/* On the stack, the place of a MARK. */
#define MARK UINT32_MAX
#define MAX_PROTOCOL 5

struct machine {
	struct hyc_pickle *p;
	const uint8_t *bytes;
	size_t len, at;
	uint32_t *stack, depth, room;
	uint32_t *memo, n_memo, room_memo; /* value + 1; 0: nothing */
	uint32_t none, no, yes, empty;     /* values of which there is one each; 0: not yet */
	bool stopped;
	struct hyc_error *err;
};

#define BAD(m, ...) hyc_foreign((m)->err, __VA_ARGS__)

void *hyc_pickle_grow(void *table, uint32_t *n, uint32_t *room, size_t element, struct hyc_error *err)
{
	void **t = table;
	uint8_t *added;

	if (*n == *room) {
		uint32_t wanted = *room ? 2 * *room : 256;
		void *grown;

		if (*n >= HYC_PICKLE_MAX_VALUES) {
			(void)hyc_foreign(err, "its pickle has too many values");
			return NULL;
		}
		grown = reallocarray(*t, wanted, element);
		if (!grown) {
			hyc_fail(err, -ENOMEM, "not enough memory for its pickle");
			return NULL;
		}
		*t = grown;
		*room = wanted;
	}
	added = (uint8_t *)*t + (size_t)*n * element;
	memset(added, 0, element);
	(*n)++;
	return added;
}

uint32_t hyc_pickle_new(struct hyc_pickle *p, uint32_t kind, int64_t number, struct hyc_error *err)
{
	struct hyc_pickle_value *v = HYC_PICKLE_ADD(p->values, p->n_values, p->room_values, err);

	if (!v)
		return 0;
	v->kind = kind;
	v->number = number;
	return p->n_values - 1;
}

/* ---- bytes and stack ---- */

static int take(struct machine *m, size_t len, const uint8_t **out)
{
	if (len > m->len - m->at)
		return BAD(m, "its pickle ends too early");
	*out = m->bytes + m->at;
	m->at += len;
	return 0;
}

/* A little-endian number of 1, 4 or 8 bytes. */
static int take_number(struct machine *m, size_t width, uint64_t *out)
{
	const uint8_t *b;
	int failed = take(m, width, &b);

	if (!failed)
		*out = width == 1 ? *b : width == 2 ? hyc_load16(b) : width == 4 ? hyc_load32(b) : hyc_load64(b);
	return failed;
}

static int take_line(struct machine *m, const char **line, size_t *len)
{
	const uint8_t *start = m->bytes + m->at, *end = memchr(start, '\n', m->len - m->at);

	if (!end)
		return BAD(m, "its pickle ends too early");
	*line = (const char *)start;
	*len = (size_t)(end - start);
	m->at += *len + 1;
	return 0;
}

static int push(struct machine *m, uint32_t value)
{
	uint32_t *top;

	if (m->depth >= HYC_PICKLE_MAX_STACK)
		return BAD(m, "its pickle is nested too deeply");
	top = HYC_PICKLE_ADD(m->stack, m->depth, m->room, m->err);
	if (!top)
		return -EINVAL;
	*top = value;
	return 0;
}

static int pop(struct machine *m, uint32_t *value)
{
	if (!m->depth || m->stack[m->depth - 1] == MARK)
		return BAD(m, "its pickle takes a value where there is none");
	*value = m->stack[--m->depth];
	return 0;
}

/* The stack from *from on is what lies above the last mark, which is taken away when the stack is cut to *from - 1. */
static int find_mark(struct machine *m, uint32_t *from)
{
	for (uint32_t i = m->depth; i; i--)
		if (m->stack[i - 1] == MARK) {
			*from = i;
			return 0;
		}
	return BAD(m, "its pickle goes back to a mark where there is none");
}

static int push_new(struct machine *m, uint32_t kind, int64_t number)
{
	uint32_t value = hyc_pickle_new(m->p, kind, number, m->err);

	return value ? push(m, value) : -EINVAL;
}

static int push_one_of(struct machine *m, uint32_t *once, uint32_t kind, int64_t number)
{
	if (!*once)
		*once = hyc_pickle_new(m->p, kind, number, m->err);
	return *once ? push(m, *once) : -EINVAL;
}

/* ---- numbers and strings ---- */

static int push_string(struct machine *m, size_t width, bool is_text)
{
	const uint8_t *b;
	uint64_t len;
	int failed = take_number(m, width, &len);

	if (!failed && len > m->len - m->at)
		return BAD(m, "its pickle ends too early");
	if (!failed)
		failed = take(m, (size_t)len, &b);
	if (!failed)
		failed = is_text ? push_new(m, HYC_PICKLE_STR, b - m->p->bytes) : push(m, 0);
	if (!failed && is_text)
		m->p->values[m->stack[m->depth - 1]].n = (uint32_t)len;
	return failed;
}

/* Two's complement, little-endian; what does not fit in 64 bits is a value nobody looks into. */
static int push_long(struct machine *m, size_t width)
{
	const uint8_t *b;
	uint64_t len, value;
	int failed = take_number(m, width, &len);

	if (!failed && len > m->len - m->at)
		return BAD(m, "its pickle ends too early");
	if (!failed)
		failed = take(m, (size_t)len, &b);
	if (failed || len > 8)
		return failed ? failed : push(m, 0);
	value = len && b[len - 1] & 0x80 ? UINT64_MAX : 0;
	for (size_t i = (size_t)len; i; i--)
		value = value << 8 | b[i - 1];
	return push_new(m, HYC_PICKLE_INT, (int64_t)value);
}

/* "I01" and "I00" are the truth values of protocol 1. */
static int push_decimal(struct machine *m, bool may_be_bool)
{
	const char *line;
	char text[24], *end;
	size_t len;
	long long value;
	int failed = take_line(m, &line, &len);

	if (failed)
		return failed;
	if (may_be_bool && len == 2 && line[0] == '0' && (line[1] == '0' || line[1] == '1'))
		return line[1] == '1' ? push_one_of(m, &m->yes, HYC_PICKLE_BOOL, 1) :
					push_one_of(m, &m->no, HYC_PICKLE_BOOL, 0);
	if (len && line[len - 1] == 'L')
		len--;
	if (!len || len > 20)
		return push(m, 0);
	memcpy(text, line, len);
	text[len] = 0;
	errno = 0;
	value = strtoll(text, &end, 10);
	return errno || *end ? push(m, 0) : push_new(m, HYC_PICKLE_INT, value);
}

static int push_int(struct machine *m, size_t width)
{
	uint64_t value;
	int failed = take_number(m, width, &value);

	if (!failed && width == 4)
		value = (uint64_t)(int64_t)(int32_t)(uint32_t)value;
	return failed ? failed : push_new(m, HYC_PICKLE_INT, (int64_t)value);
}

static int push_ignored_line(struct machine *m)
{
	const char *line;
	size_t len;
	int failed = take_line(m, &line, &len);

	return failed ? failed : push(m, 0);
}

/* 1: not one of these opcodes. */
static int op_scalar(struct machine *m, uint8_t op)
{
	const uint8_t *ignored;
	int failed;

	switch (op) {
	case 'N': return push_one_of(m, &m->none, HYC_PICKLE_NONE, 0);
	case 0x88: return push_one_of(m, &m->yes, HYC_PICKLE_BOOL, 1);
	case 0x89: return push_one_of(m, &m->no, HYC_PICKLE_BOOL, 0);
	case 'K': return push_int(m, 1);
	case 'M': return push_int(m, 2);
	case 'J': return push_int(m, 4);
	case 'I': return push_decimal(m, true);
	case 'L': return push_decimal(m, false);
	case 0x8a: return push_long(m, 1);
	case 0x8b: return push_long(m, 4);
	case 'G':
		failed = take(m, 8, &ignored);
		return failed ? failed : push(m, 0);
	case 'F': case 'S': case 'V': return push_ignored_line(m);
	case 'X': return push_string(m, 4, true);
	case 0x8c: return push_string(m, 1, true);
	case 0x8d: return push_string(m, 8, true);
	case 'T': return push_string(m, 4, true); /* strings of Python 2 */
	case 'U': return push_string(m, 1, true);
	case 'B': return push_string(m, 4, false);
	case 'C': return push_string(m, 1, false);
	case 0x8e: case 0x96: return push_string(m, 8, false);
	default: return 1;
	}
}

/* ---- the memo ---- */

static int memo_index(struct machine *m, uint8_t op, uint64_t *index)
{
	const char *line;
	char text[12], *end;
	size_t len;
	int failed;

	if (op == 'h' || op == 'q')
		return take_number(m, 1, index);
	if (op == 'j' || op == 'r')
		return take_number(m, 4, index);
	failed = take_line(m, &line, &len);
	if (failed)
		return failed;
	if (!len || len >= sizeof text || *line < '0' || *line > '9')
		return BAD(m, "its pickle has a memo without a number");
	memcpy(text, line, len);
	text[len] = 0;
	*index = strtoull(text, &end, 10);
	return *end ? BAD(m, "its pickle has a memo without a number") : 0;
}

/* A pickle of n bytes cannot have filled more than n memos, and picklers number them from 0 on. */
static int memo_put(struct machine *m, uint64_t index)
{
	if (!m->depth || m->stack[m->depth - 1] == MARK)
		return BAD(m, "its pickle remembers a value where there is none");
	if (index > m->len)
		return BAD(m, "its pickle has memo %llu, more than it has bytes", (unsigned long long)index);
	while (m->n_memo <= index)
		if (!HYC_PICKLE_ADD(m->memo, m->n_memo, m->room_memo, m->err))
			return -EINVAL;
	m->memo[index] = m->stack[m->depth - 1] + 1;
	return 0;
}

static int op_memo(struct machine *m, uint8_t op)
{
	uint64_t index;
	int failed;

	switch (op) {
	case 'g': case 'h': case 'j':
		failed = memo_index(m, op, &index);
		if (failed)
			return failed;
		if (index >= m->n_memo || !m->memo[index])
			return BAD(m, "its pickle takes a memo that was never filled");
		return push(m, m->memo[index] - 1);
	case 'p': case 'q': case 'r':
		failed = memo_index(m, op, &index);
		return failed ? failed : memo_put(m, index);
	case 0x94:
		return memo_put(m, m->n_memo);
	default:
		return 1;
	}
}

/* ---- containers ---- */

/* A tuple of what lies on the stack from from on; the stack is cut to left. */
static int push_tuple(struct machine *m, uint32_t from, uint32_t left)
{
	uint32_t n = m->depth - from, first = m->p->n_items;

	if (!n) {
		m->depth = left;
		return push_one_of(m, &m->empty, HYC_PICKLE_TUPLE, 0);
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t *item;

		if (m->stack[from + i] == MARK)
			return BAD(m, "its pickle makes a tuple of a mark");
		item = HYC_PICKLE_ADD(m->p->items, m->p->n_items, m->p->room_items, m->err);
		if (!item)
			return -EINVAL;
		*item = m->stack[from + i];
	}
	m->depth = left;
	if (push_new(m, HYC_PICKLE_TUPLE, first))
		return -EINVAL;
	m->p->values[m->stack[m->depth - 1]].n = n;
	return 0;
}

static int add_link(struct machine *m, uint32_t container, uint32_t kind, uint32_t key, uint32_t value)
{
	struct hyc_pickle_value *v = &m->p->values[container];
	struct hyc_pickle_link *link;

	/* Into objects nobody looks into anything may go. */
	if (v->kind != kind)
		return 0;
	link = HYC_PICKLE_ADD(m->p->links, m->p->n_links, m->p->room_links, m->err);
	if (!link)
		return -EINVAL;
	*link = (struct hyc_pickle_link) { .key = key, .value = value };
	/* Links begin with 1: 0 ends a list. */
	if (v->links.last)
		m->p->links[v->links.last - 1].next = m->p->n_links;
	else
		v->links.first = m->p->n_links;
	v->links.last = m->p->n_links;
	v->n++;
	return 0;
}

/* Put what lies on the stack from from on into the container below it, or below the mark, at left; keep that. */
static int fill(struct machine *m, uint32_t from, uint32_t left, uint32_t kind)
{
	bool pairs = kind == HYC_PICKLE_DICT;

	if (!left || m->stack[left - 1] == MARK)
		return BAD(m, "its pickle fills something that is not there");
	if (pairs && (m->depth - from) % 2)
		return BAD(m, "its pickle fills a dictionary with half a pair");
	for (uint32_t i = from; i < m->depth; i += pairs ? 2 : 1) {
		uint32_t key = pairs ? m->stack[i] : 0;
		int failed = add_link(m, m->stack[left - 1], kind, key, m->stack[i + pairs]);

		if (failed)
			return failed;
	}
	m->depth = left;
	return 0;
}

static int need(struct machine *m, uint32_t n)
{
	if (m->depth < n)
		return BAD(m, "its pickle takes a value where there is none");
	for (uint32_t i = m->depth - n; i < m->depth; i++)
		if (m->stack[i] == MARK)
			return BAD(m, "its pickle takes a value where there is none");
	return 0;
}

/* What lies above the mark becomes a new value; a list or dict is filled with it. */
static int push_marked(struct machine *m, uint8_t op)
{
	uint32_t from, kind = op == 'd' ? HYC_PICKLE_DICT : HYC_PICKLE_LIST, made;
	int failed = find_mark(m, &from);

	if (failed)
		return failed;
	if (op == 't')
		return push_tuple(m, from, from - 1);
	/* The container takes the place of the mark. */
	made = op == 0x91 ? 0 : hyc_pickle_new(m->p, kind, 0, m->err);
	if (op != 0x91 && !made)
		return -EINVAL;
	m->stack[from - 1] = made;
	return fill(m, from, from, kind);
}

static int fill_marked(struct machine *m, uint32_t kind)
{
	uint32_t from;
	int failed = find_mark(m, &from);

	return failed ? failed : fill(m, from, from - 1, kind);
}

static int fill_one(struct machine *m, uint32_t n, uint32_t kind)
{
	int failed = need(m, n + 1);

	return failed ? failed : fill(m, m->depth - n, m->depth - n, kind);
}

static int op_container(struct machine *m, uint8_t op)
{
	int failed;

	switch (op) {
	case '(': return push(m, MARK);
	case ')': return push_one_of(m, &m->empty, HYC_PICKLE_TUPLE, 0);
	case ']': return push_new(m, HYC_PICKLE_LIST, 0);
	case '}': return push_new(m, HYC_PICKLE_DICT, 0);
	case 0x8f: return push(m, 0);
	case 't': case 'l': case 'd': case 0x91: return push_marked(m, op);
	case 0x85: case 0x86: case 0x87:
		failed = need(m, op - 0x84u);
		return failed ? failed : push_tuple(m, m->depth - (op - 0x84u), m->depth - (op - 0x84u));
	case 'a': return fill_one(m, 1, HYC_PICKLE_LIST);
	case 's': return fill_one(m, 2, HYC_PICKLE_DICT);
	case 'e': case 0x90: return fill_marked(m, HYC_PICKLE_LIST);
	case 'u': return fill_marked(m, HYC_PICKLE_DICT);
	default: return 1;
	}
}

/* ---- globals, calls, the rest ---- */

static int op_global(struct machine *m)
{
	const char *module, *name;
	size_t module_len, name_len;
	uint32_t value = 0;
	int failed = take_line(m, &module, &module_len);

	if (!failed)
		failed = take_line(m, &name, &name_len);
	if (!failed)
		failed = hyc_pickle_global(m->p, module, module_len, name, name_len, &value, m->err);
	return failed ? failed : push(m, value);
}

static int op_stack_global(struct machine *m)
{
	const struct hyc_pickle_value *module, *name;
	uint32_t a, b, value = 0;
	int failed = pop(m, &b);

	if (!failed)
		failed = pop(m, &a);
	if (failed)
		return failed;
	module = hyc_pickle_get(m->p, a);
	name = hyc_pickle_get(m->p, b);
	if (module->kind != HYC_PICKLE_STR || name->kind != HYC_PICKLE_STR)
		return BAD(m, "its pickle names something by no string");
	failed = hyc_pickle_global(m->p, (const char *)m->p->bytes + module->at, module->n,
				   (const char *)m->p->bytes + name->at, name->n, &value, m->err);
	return failed ? failed : push(m, value);
}

/* Takes the arguments, keyword arguments where there are some, and the callee. */
static int op_reduce(struct machine *m, bool keywords)
{
	uint32_t callee, args, ignored, value = 0;
	int failed = keywords ? pop(m, &ignored) : 0;

	if (!failed)
		failed = pop(m, &args);
	if (!failed)
		failed = pop(m, &callee);
	if (!failed)
		failed = hyc_pickle_call(m->p, callee, args, &value, m->err);
	return failed ? failed : push(m, value);
}

/* Objects of old style: the callee lies under its arguments, or is named in two lines. */
static int op_instance(struct machine *m, uint8_t op)
{
	uint32_t from;
	int failed = op == 'i' ? op_global(m) : 0;

	if (!failed && op == 'i')
		m->depth--;
	if (!failed)
		failed = find_mark(m, &from);
	if (failed)
		return failed;
	m->depth = from - 1;
	return push(m, 0);
}

static int op_persistent(struct machine *m)
{
	uint32_t id, value = 0;
	int failed = pop(m, &id);

	if (!failed)
		failed = hyc_pickle_persistent(m->p, id, &value, m->err);
	return failed ? failed : push(m, value);
}

static int op_pop(struct machine *m)
{
	if (!m->depth)
		return BAD(m, "its pickle takes a value where there is none");
	m->depth--;
	return 0;
}

static int op_object(struct machine *m, uint8_t op)
{
	uint32_t value;
	uint64_t number;
	int failed;

	switch (op) {
	case 'c': return op_global(m);
	case 0x93: return op_stack_global(m);
	case 'R': case 0x81: return op_reduce(m, false);
	case 0x92: return op_reduce(m, true);
	case 'o': case 'i': return op_instance(m, op);
	case 'Q': return op_persistent(m);
	case 'b':
		failed = need(m, 2);
		return failed ? failed : op_pop(m);
	case '0': return op_pop(m);
	case '1':
		failed = find_mark(m, &value);
		m->depth = failed ? m->depth : value - 1;
		return failed;
	case '2':
		failed = need(m, 1);
		return failed ? failed : push(m, m->stack[m->depth - 1]);
	case 0x80:
		failed = take_number(m, 1, &number);
		return failed || number <= MAX_PROTOCOL ? failed : BAD(m, "its pickle has protocol %d", (int)number);
	case 0x95: return take_number(m, 8, &number);
	case '.':
		m->stopped = true;
		return pop(m, &m->p->root);
	default: return 1;
	}
}

static int step(struct machine *m)
{
	static int (*const groups[])(struct machine *, uint8_t) = { op_scalar, op_memo, op_container, op_object };
	const uint8_t *op;
	int result = take(m, 1, &op);

	if (result)
		return result;
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		result = groups[i](m, *op);
		if (result <= 0)
			return result;
	}
	return BAD(m, "its pickle has opcode %#x, which torch does not write", *op);
}

int hyc_pickle_read(struct hyc_pickle *p, const uint8_t *bytes, size_t len, size_t *used, struct hyc_error *err)
{
	struct machine m = { .p = p, .bytes = bytes, .len = len, .err = err };
	int failed = 0;

	if (!p->bytes)
		p->bytes = bytes;
	/* The opaque value, at 0. */
	if (!p->n_values && !HYC_PICKLE_ADD(p->values, p->n_values, p->room_values, err))
		return -EINVAL;
	while (!failed && !m.stopped)
		failed = step(&m);
	*used = m.at;
	free(m.stack);
	free(m.memo);
	/* Whoever asked for memory and got none says only that it failed. */
	return failed ? err->code : 0;
}

void hyc_pickle_fini(struct hyc_pickle *p)
{
	free(p->values);
	free(p->items);
	free(p->links);
	free(p->storages);
	free(p->tensors);
	free(p->slots);
	*p = (struct hyc_pickle) { 0 };
}
