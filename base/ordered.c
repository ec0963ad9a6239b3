/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of slots. The caller's thread fills slots at the head and consumes them at the
 * tail; workers take them in between, in order. One mutex guards the three counters
 *   tail <= taken <= head <= tail + n_slots
 * and the per-slot "done" marks; it is never held while a callback runs.
 */
#include "config.h"

#include "base/ordered.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct ring {
	pthread_mutex_t lock;
	pthread_cond_t work_there;  /* head moved, or stop */
	pthread_cond_t result_there; /* a slot is done */
	const struct hyc_ordered_ops *ops;
	void *arg;
	unsigned n_slots;
	size_t slot_bytes;
	char *slots;
	int *results;
	bool *done;
	unsigned long head, taken, tail;
	bool stop;
};

static void *slot_of(struct ring *r, unsigned long i)
{
	return r->slots + (i % r->n_slots) * r->slot_bytes;
}

static void *worker(void *p)
{
	struct ring *r = p;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		unsigned long i;
		int result;

		while (r->taken == r->head && !r->stop)
			pthread_cond_wait(&r->work_there, &r->lock);
		if (r->stop)
			break;
		i = r->taken++;
		pthread_mutex_unlock(&r->lock);
		result = r->ops->work(r->arg, slot_of(r, i));
		pthread_mutex_lock(&r->lock);
		r->results[i % r->n_slots] = result;
		r->done[i % r->n_slots] = true;
		pthread_cond_signal(&r->result_there);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* Wait for the oldest slot and hand it to the consumer. */
static int consume_oldest(struct ring *r)
{
	unsigned k = (unsigned)(r->tail % r->n_slots);
	int result;

	pthread_mutex_lock(&r->lock);
	while (!r->done[k])
		pthread_cond_wait(&r->result_there, &r->lock);
	result = r->results[k];
	r->done[k] = false;
	pthread_mutex_unlock(&r->lock);
	if (!result)
		result = r->ops->consume(r->arg, slot_of(r, r->tail));
	r->tail++;
	return result;
}

static int drive(struct ring *r)
{
	bool more = true;

	for (;;) {
		if (more && r->head - r->tail < r->n_slots) {
			int got = r->ops->produce(r->arg, slot_of(r, r->head));

			if (got < 0)
				return got;
			if (got == 0) {
				more = false;
				continue;
			}
			pthread_mutex_lock(&r->lock);
			r->head++;
			pthread_cond_signal(&r->work_there);
			pthread_mutex_unlock(&r->lock);
			continue;
		}
		if (r->tail == r->head)
			return 0;
		int result = consume_oldest(r);
		if (result)
			return result;
	}
}

int hyc_ordered_run(unsigned threads, size_t slot_bytes, const struct hyc_ordered_ops *ops, void *arg)
{
	struct ring r = {
		.ops = ops, .arg = arg, .slot_bytes = slot_bytes, .n_slots = 2 * threads + 1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.work_there = PTHREAD_COND_INITIALIZER,
		.result_there = PTHREAD_COND_INITIALIZER,
	};
	pthread_t *ids = calloc(threads, sizeof *ids);
	unsigned started = 0;
	int result = -ENOMEM;

	r.slots = calloc(r.n_slots, slot_bytes);
	r.results = calloc(r.n_slots, sizeof *r.results);
	r.done = calloc(r.n_slots, sizeof *r.done);
	if (ids && r.slots && r.results && r.done) {
		result = 0;
		while (started < threads) {
			result = -pthread_create(&ids[started], NULL, worker, &r);
			if (result)
				break;
			started++;
		}
		/* Fewer threads than asked for still do the work. */
		if (started)
			result = drive(&r);
	}
	pthread_mutex_lock(&r.lock);
	r.stop = true;
	pthread_cond_broadcast(&r.work_there);
	pthread_mutex_unlock(&r.lock);
	for (unsigned i = 0; i < started; i++)
		pthread_join(ids[i], NULL);
	for (unsigned i = 0; r.slots && ops->fini && i < r.n_slots; i++)
		ops->fini(r.slots + i * slot_bytes);
	free(ids);
	free(r.slots);
	free(r.results);
	free(r.done);
	return result;
}

unsigned hyc_cpu_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set))
		return 1;
	return CPU_COUNT(&set) > 0 ? (unsigned)CPU_COUNT(&set) : 1;
}
