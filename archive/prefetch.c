/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads take their work from the streams themselves: the next block of the one whose reader is nearest to it. There is no queue, so
 * nothing stale is ever decoded: when a stream stops, turns elsewhere or is forgotten, so is what it wanted.
 *
 * A stream is believed once a few requests have followed each other, and may then run ahead by a window that grows with it. It
 * stays within the extent (a tensor, mostly) it began in until it has gone on behind it, by more than the kernel's readahead
 * overshoots: who reads tensors in an order of his own gets the one he reads decoded ahead, and not its neighbour in the file. Small
 * requests must follow exactly; large ones are the kernel's own readahead and may come a little out of order. So random reads
 * start nothing.
 *
 * Windows are no larger than they need to be, because what was decoded just now is still in the processor's cache when it is
 * replied. They grow where readers had to wait for blocks that were being decoded, or overtook the threads, and shrink where nobody
 * had to, and where blocks were dropped unread. Of a slow archive they are as large as they may be. While as many readers as there
 * are threads decode for themselves, nothing is decoded ahead: every processor has its work, and handing it over only costs.
 *
 * Where the archive comes from a network, the kernel is asked to read it further ahead than it is decoded. A thread has one read under
 * way, and two of them do not keep busy what takes milliseconds to answer. A disk of the machine's own is left to the kernel.
 */
#include "config.h"

#include "archive/prefetch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/ordered.h"
#include "base/remote.h"
#include "base/schedule.h"

#define N_STREAMS 64
#define MAX_THREADS 256u
#define NOMINAL_BLOCK (UINT64_C(512) << 10)
#define LARGE_REQUEST (UINT64_C(64) << 10)
#define DISORDER (UINT64_C(256) << 10)  /* by which large requests may overtake each other */
#define OVERSHOOT (UINT64_C(512) << 10)
#define WINDOW_MIN (2 * NOMINAL_BLOCK)
#define EXPECTED (UINT64_C(16) << 20)   /* by which the storage is ahead of the threads */
#define REVIEW_EVERY 64                 /* blocks decoded ahead */

struct stream {
	uint32_t file;
	uint32_t follows;   /* requests that continued it */
	uint64_t used_at;   /* 0: never */
	uint64_t start, pos; /* read, from where to where */
	uint64_t border;    /* end of the extent its first request ended in, as pages begin before an extent does */
	uint64_t ahead;     /* what is before it is read, or was taken by a thread */
	uint64_t target;    /* up to where it shall be */
	uint64_t expected;  /* up to where the storage was told of it */
	bool again;         /* it reads what was served before, so it is not kept any more */
};

struct hyc_prefetch {
	struct hyc *archive;
	unsigned n_wanted;
	bool remote;            /* the archive lies on another machine */
	uint64_t window_start, window_max; /* for the threads and the cache there are */

	atomic_bool held_back;  /* until readers decode less */

	pthread_mutex_t lock;   /* of what follows */
	pthread_cond_t work;
	struct stream stream[N_STREAMS];
	uint64_t clock;
	uint64_t window;        /* WINDOW_MIN to window_max */
	uint64_t overtaken;     /* blocks that readers wanted before a thread took them */
	uint64_t reviewed_ahead, reviewed_late, reviewed_wasted;
	bool all, all_stalled;  /* decode all files; the cache was full */
	uint32_t all_file;
	uint64_t all_pos;
	bool stop;
	unsigned idle, n_threads;
	pthread_t *threads;
};

int hyc_prefetch_new(struct hyc *a, const struct hyc_options *given, struct hyc_prefetch **out)
{
	struct hyc_options defaults = { .prefetch = HYC_PREFETCH_AUTO };
	const struct hyc_options *options = given ? given : &defaults;
	struct hyc_prefetch *p;
	struct hyc_cache_stats stats;

	*out = NULL;
	if (options->prefetch == HYC_PREFETCH_OFF)
		return 0;
	p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;
	p->n_wanted = options->threads ? options->threads : hyc_cpu_count();
	if (p->n_wanted > MAX_THREADS)
		p->n_wanted = MAX_THREADS;
	p->threads = calloc(p->n_wanted, sizeof *p->threads);
	if (!p->threads) {
		free(p);
		return -ENOMEM;
	}
	hyc_cache_get_stats(a->cache, &stats);
	p->archive = a;
	p->remote = hyc_is_remote(a->index.fd);
	p->window_max = 4 * (p->n_wanted + 2) * NOMINAL_BLOCK;
	if (p->window_max > stats.limit / 4)
		p->window_max = stats.limit / 4;
	p->window_start = 2 * p->n_wanted * NOMINAL_BLOCK;
	if (p->window_start > p->window_max)
		p->window_start = p->window_max;
	p->window = p->window_start;
	p->all = options->prefetch == HYC_PREFETCH_ALL;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	*out = p;
	return 0;
}

/* ---- what to do next; with the lock ---- */

static uint64_t size_of(const struct hyc_prefetch *p, uint32_t file)
{
	const struct hyc_disk_file *f = &p->archive->index.files[file];

	return (hyc_get32(f->mode) & HYC_MODE_TYPE) == HYC_MODE_DIR ? 0 : hyc_get64(f->size);
}

/* A run of blocks of one object, and who wants it. */
struct job {
	struct stream *stream; /* NULL: nobody yet, it is one of all files' */
	uint64_t start;        /* of the stream, to know whether it is another one by now */
	uint32_t file, object, block;
	uint64_t off;          /* of the first byte wanted */
	unsigned n;
	bool again;            /* also what was served before */
	uint64_t expect, expect_end; /* bytes of the file that the storage is to be told of before */
};

/* How far a stream is ahead of its reader, who may have overtaken it. */
static int64_t lead(const struct stream *s)
{
	return (int64_t)(s->ahead - s->pos);
}

/* The stream whose reader will next have to wait. */
static struct stream *most_urgent(struct hyc_prefetch *p)
{
	struct stream *best = NULL;

	for (unsigned i = 0; i < N_STREAMS; i++) {
		struct stream *s = &p->stream[i];

		if (s->ahead < s->target && (!best || lead(s) < lead(best)))
			best = s;
	}
	return best;
}

static bool block_was_served(const struct hyc_prefetch *p, uint32_t object, uint32_t block)
{
	return atomic_load_explicit(&p->archive->served[hyc_block_number(p->archive, object, block)], memory_order_relaxed);
}

static bool was_served(const struct hyc_prefetch *p, const struct hyc_piece *piece)
{
	return hyc_piece_has_block(piece) && block_was_served(p, piece->object, piece->block);
}

/*
 * Fill job with blocks from *off on, as far as end, and move *off behind them; unless they are read again, not with such as
 * were served before: other readers were here, and the kernel has those. False where nothing is left.
 */
static bool cut_job(struct hyc_prefetch *p, uint32_t file, uint64_t *off, uint64_t end, bool again, struct job *job)
{
	unsigned most = hyc_source_run_most(p->archive);
	struct hyc_piece piece;

	*job = (struct job){ .file = file, .again = again };
	while (*off < end && job->n < most) {
		hyc_piece_at(p->archive, file, *off, &piece);
		if (!hyc_piece_has_block(&piece) || (!again && was_served(p, &piece))) {
			if (job->n)
				break;
			*off += piece.len;
			continue;
		}
		if (job->n && (piece.object != job->object || piece.block != job->block + job->n))
			break;
		if (!job->n) {
			job->object = piece.object;
			job->block = piece.block;
			job->off = *off;
		}
		job->n++;
		*off += piece.len;
	}
	return job->n;
}

/* Where the stream is to end as far as anybody can know. */
static uint64_t end_of(const struct hyc_prefetch *p, const struct stream *s)
{
	return s->pos < s->border + OVERSHOOT ? s->border : size_of(p, s->file);
}

/* Where the archive is slow to answer, more of it is asked for than is decoded. */
static void expect_more(const struct hyc_prefetch *p, struct stream *s, struct job *job)
{
	uint64_t end = end_of(p, s);

	if (!p->remote || !hyc_source_is_slow(p->archive))
		return;
	if (s->expected < s->ahead)
		s->expected = s->ahead;
	if (s->expected >= end || s->expected - s->ahead > EXPECTED / 2)
		return;
	job->expect = s->expected;
	s->expected = end - s->ahead < EXPECTED ? end : s->ahead + EXPECTED;
	job->expect_end = s->expected;
}

/* Whether readers keep all processors busy. Those that wait for a disk do not. */
static bool is_saturated(const struct hyc_prefetch *p)
{
	return atomic_load(&p->archive->filling) >= p->n_wanted && !hyc_source_is_slow(p->archive);
}

static bool next_job(struct hyc_prefetch *p, struct job *job)
{
	struct stream *s;

	if (is_saturated(p)) {
		atomic_store(&p->held_back, true);
		/* Who ended just now may not have seen it. */
		if (is_saturated(p))
			return false;
	}
	while ((s = most_urgent(p))) {
		if (cut_job(p, s->file, &s->ahead, s->target, s->again, job)) {
			job->stream = s;
			job->start = s->start;
			expect_more(p, s, job);
			return true;
		}
	}
	while (p->all && !p->all_stalled) {
		uint64_t size = size_of(p, p->all_file);

		if (p->all_pos < size) {
			if (cut_job(p, p->all_file, &p->all_pos, size, false, job))
				return true;
		} else if (++p->all_file == p->archive->index.n_files) {
			p->all = false;
		} else {
			p->all_pos = 0;
		}
	}
	return false;
}

/* There was no memory for the job. Its stream tries again when it is read on. */
static void put_off(struct hyc_prefetch *p, const struct job *job)
{
	struct stream *s = job->stream;

	HYC_LOCK_SCOPE(&p->lock);
	if (!s) {
		p->all_stalled = true;
		if (job->file < p->all_file || job->off < p->all_pos) {
			p->all_file = job->file;
			p->all_pos = job->off;
		}
	} else if (s->file == job->file && s->start == job->start && job->off < s->ahead) {
		s->ahead = s->target = job->off;
	}
}

/* ---- the threads ---- */

static void tell_storage(const struct hyc_prefetch *p, const struct job *job)
{
	struct hyc_piece piece;

	for (uint64_t off = job->expect; off < job->expect_end; off += piece.len) {
		hyc_piece_at(p->archive, job->file, off, &piece);
		if (hyc_piece_has_block(&piece) && !was_served(p, &piece))
			hyc_source_expect(p->archive, piece.object, piece.block);
	}
}

static void run_job(struct hyc_prefetch *p, const struct job *job)
{
	struct hyc *a = p->archive;
	const struct hyc_disk_object *o = &a->index.objects[job->object];
	struct hyc_cache_slot slot[HYC_SOURCE_RUN];
	struct hyc_source_dst dst[HYC_SOURCE_RUN];
	unsigned first = 0, n = 0;
	int r = 0;

	tell_storage(p, job);
	/* The first blocks that are not there, without a gap. */
	for (unsigned i = 0; i < job->n && r != -EAGAIN; i++) {
		/* This thread may have waited for a processor while readers came by and went on. */
		if (!job->again && block_was_served(p, job->object, job->block + i)) {
			if (n)
				break;
			continue;
		}
		r = hyc_cache_ahead(a->cache, (struct hyc_cache_key){ job->object, job->block + i },
				    hyc_object_block_bytes(o, job->block + i),
				    hyc_source_staging(a, job->object, job->block + i), &slot[n]);
		if (!r) {
			if (!n)
				first = i;
			dst[n] = (struct hyc_source_dst){ .data = slot[n].dst, .staging = slot[n].staging };
			n++;
		} else if (n) {
			break;
		}
	}
	if (n)
		hyc_source_run(a, job->object, job->block + first, n, dst);
	for (unsigned i = 0; i < n; i++)
		hyc_cache_ahead_done(a->cache, &slot[i], dst[i].result);
	if (r == -EAGAIN || r == -ENOMEM)
		put_off(p, job);
}

static uint64_t doubled(uint64_t window, uint64_t most)
{
	return window * 2 < most ? window * 2 : most;
}

static uint64_t halved(uint64_t window, uint64_t least)
{
	return window / 2 > least ? window / 2 : least;
}

/* Once in a while set the windows by what became of the blocks since; with the lock. */
static void review(struct hyc_prefetch *p)
{
	struct hyc_cache_stats stats;
	uint64_t ahead, late, wasted;

	hyc_cache_get_stats(p->archive->cache, &stats);
	ahead = stats.ahead - p->reviewed_ahead;
	late = stats.ahead_late + p->overtaken - p->reviewed_late;
	wasted = stats.ahead_wasted - p->reviewed_wasted;
	if (ahead < REVIEW_EVERY)
		return;
	if (wasted * 4 > ahead)
		p->window = halved(p->window, WINDOW_MIN);
	else if (late * 8 > ahead)
		p->window = doubled(p->window, p->window_max);
	else if (p->window > p->window_start)
		p->window = halved(p->window, p->window_start);
	else
		p->window = doubled(p->window, p->window_start);
	p->reviewed_ahead = stats.ahead;
	p->reviewed_late = stats.ahead_late + p->overtaken;
	p->reviewed_wasted = stats.ahead_wasted;
}

static void *work(void *arg)
{
	struct hyc_prefetch *p = arg;
	struct job job;

	hyc_schedule_ahead();
	pthread_mutex_lock(&p->lock);
	for (unsigned done = 0; !p->stop;) {
		if (!next_job(p, &job)) {
			p->idle++;
			pthread_cond_wait(&p->work, &p->lock);
			p->idle--;
			continue;
		}
		/* One wakes the next, so that a burst of work wakes all and a single block one. */
		if (p->idle && most_urgent(p))
			pthread_cond_signal(&p->work);
		if (++done % REVIEW_EVERY == 0)
			review(p);
		pthread_mutex_unlock(&p->lock);
		run_job(p, &job);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Without threads nothing is decoded ahead, and all goes on; with the lock. */
static void start_threads(struct hyc_prefetch *p)
{
	while (p->n_threads < p->n_wanted && !pthread_create(&p->threads[p->n_threads], NULL, work, p))
		p->n_threads++;
	if (!p->n_threads)
		p->n_wanted = 0;
}

void hyc_prefetch_start(struct hyc *a)
{
	struct hyc_prefetch *p = a->prefetch;

	if (!p)
		return;
	HYC_LOCK_SCOPE(&p->lock);
	if (!p->n_threads)
		start_threads(p);
}

void hyc_prefetch_relieved(struct hyc_prefetch *p)
{
	if (!p || !atomic_exchange(&p->held_back, false))
		return;
	HYC_LOCK_SCOPE(&p->lock);
	if (p->idle)
		pthread_cond_signal(&p->work);
}

void hyc_prefetch_free(struct hyc_prefetch *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->work);
	free(p->threads);
	free(p);
}

/* ---- requests; with the lock ---- */

/* The stream that the request continues, NULL if there is none. */
static struct stream *find_stream(struct hyc_prefetch *p, uint32_t file, uint64_t off, uint64_t len)
{
	uint64_t slack = len >= LARGE_REQUEST ? DISORDER : 0;
	struct stream *best = NULL;

	for (unsigned i = 0; i < N_STREAMS; i++) {
		struct stream *s = &p->stream[i];

		if (!s->used_at || s->file != file || off > s->pos + slack || off + slack < s->pos)
			continue;
		if (!best || s->used_at > best->used_at)
			best = s;
	}
	return best;
}

static struct stream *new_stream(struct hyc_prefetch *p, uint32_t file, uint64_t off, uint64_t border)
{
	struct stream *s = &p->stream[0];

	for (unsigned i = 1; i < N_STREAMS; i++)
		if (p->stream[i].used_at < s->used_at)
			s = &p->stream[i];
	*s = (struct stream){ .file = file, .start = off, .pos = off, .border = border, .ahead = off, .target = off };
	return s;
}

/* How far a stream may be ahead. */
static uint64_t target_of(const struct hyc_prefetch *p, const struct stream *s)
{
	uint64_t window = 2 * (s->pos - s->start), end = end_of(p, s);
	uint64_t most = hyc_source_is_slow(p->archive) ? p->window_max : p->window;

	if (window < WINDOW_MIN)
		window = WINDOW_MIN;
	if (window > most)
		window = most;
	if (end <= s->pos)
		return s->pos;
	return end - s->pos < window ? end : s->pos + window;
}

void hyc_prefetch_note(struct hyc_prefetch *p, uint32_t file, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;
	struct hyc_piece piece;
	struct stream *s;

	if (!p)
		return;
	HYC_LOCK_SCOPE(&p->lock);
	s = find_stream(p, file, off, len);
	if (s) {
		s->follows += end > s->pos;
	} else {
		hyc_piece_at(p->archive, file, end - 1, &piece);
		s = new_stream(p, file, off, piece.extent_end);
	}
	s->used_at = ++p->clock;
	if (end > s->pos)
		s->pos = end;
	/* The first block is the reader's own; if it wants more than a bit of the next, help. */
	hyc_piece_at(p->archive, file, off, &piece);
	if (s->ahead < off + piece.len) {
		p->overtaken += s->ahead < s->target;
		s->ahead = off + piece.len;
	}
	s->again = was_served(p, &piece);
	if (s->target < end && len >= LARGE_REQUEST)
		s->target = end;
	if (s->follows >= 2 || (s->follows && len >= LARGE_REQUEST)) {
		uint64_t target = target_of(p, s);

		if (target > s->target)
			s->target = target;
	}
	if (p->all && p->all_file == file && p->all_pos >= off && p->all_pos < end)
		p->all_pos = end;
	p->all_stalled = false;
	if (s->ahead >= s->target && !p->all)
		return;
	if (!p->n_threads && p->n_wanted)
		start_threads(p);
	if (p->idle)
		pthread_cond_signal(&p->work);
}
