/* SPDX-License-Identifier: Apache-2.0 */
/* Owned things that clean up after themselves when they go out of scope. */
#ifndef HYC_BASE_CLEANUP_H
#define HYC_BASE_CLEANUP_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void hyc_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void hyc_cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void hyc_cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void hyc_cleanup_unlock(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}

#define cleanup_free __attribute__((cleanup(hyc_cleanup_free)))
#define cleanup_fd __attribute__((cleanup(hyc_cleanup_fd)))
#define cleanup_file __attribute__((cleanup(hyc_cleanup_file)))

/* Hold mutex m until the end of the scope. */
#define HYC_LOCK_SCOPE(m) HYC_LOCK_SCOPE_(m, __LINE__)
#define HYC_LOCK_SCOPE_(m, line) HYC_LOCK_SCOPE__(m, line)
#define HYC_LOCK_SCOPE__(m, line) \
	__attribute__((cleanup(hyc_cleanup_unlock), unused)) pthread_mutex_t *hyc_lock_##line = (m); \
	pthread_mutex_lock(hyc_lock_##line)

/* Hand over ownership: returns *p and leaves NULL (or -1) behind. */
#define hyc_steal(p) ({ __typeof__(*(p)) stolen_ = *(p); *(p) = NULL; stolen_; })
static inline int hyc_steal_fd(int *fd)
{
	int stolen = *fd;
	*fd = -1;
	return stolen;
}

#endif
