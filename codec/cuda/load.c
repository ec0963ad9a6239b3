/* SPDX-License-Identifier: Apache-2.0 */
/* Find the module and open devices, each once in a process; nothing is closed again. */
#include "config.h"

#include "codec/cuda/cuda.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define MAX_DEVICES 16
#define MODULE_NAME "hyc_cuda.so"

struct open_device {
	struct hyc_cuda_gpu gpu;
	int number;
	atomic_int error;          /* what it died of */
	atomic_bool told_full, told_dead;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct hyc_cuda_module *module; /* guarded by lock, like what follows */
static struct open_device devices[MAX_DEVICES];
static unsigned n_devices;

/* HYC_CUDA_MODULE names the module of a build that is not installed. */
static int open_module(struct hyc_error *err)
{
	const char *path = getenv("HYC_CUDA_MODULE");
	const struct hyc_cuda_module *found;
	void *handle;

	if (module)
		return 0;
	if (!path)
		path = HYC_MODULE_DIR "/" MODULE_NAME;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return hyc_fail(err, -ENODEV, "the CUDA module cannot be opened: %s", dlerror());
	found = dlsym(handle, HYC_CUDA_SYMBOL);
	if (!found || found->abi != HYC_CUDA_ABI) {
		dlclose(handle);
		return hyc_fail(err, -ENODEV, "%s: is the CUDA module of another version", path);
	}
	module = found;
	return 0;
}

int hyc_cuda_gpu(int number, const struct hyc_cuda_gpu **out, struct hyc_error *err)
{
	struct open_device *d;
	char msg[256];

	HYC_LOCK_SCOPE(&lock);
	for (unsigned i = 0; i < n_devices; i++) {
		if (devices[i].number != number)
			continue;
		if (hyc_cuda_dead(&devices[i].gpu))
			return hyc_fail(err, -ENODEV, "the CUDA device failed before: %s", hyc_cuda_cause(&devices[i].gpu));
		*out = &devices[i].gpu;
		return 0;
	}
	if (n_devices == MAX_DEVICES)
		return hyc_fail(err, -ENODEV, "there are too many CUDA devices");
	if (open_module(err))
		return -ENODEV;
	d = &devices[n_devices];
	if (module->open(number, &d->gpu.device, msg, sizeof msg))
		return hyc_fail(err, -ENODEV, "CUDA: %s", msg);
	d->gpu.module = module;
	d->number = number;
	n_devices++;
	*out = &d->gpu;
	return 0;
}

int hyc_cuda_failed(const struct hyc_cuda_gpu *gpu, int error)
{
	int none = 0;

	if (error == HYC_CUDA_NO_MEMORY)
		return -ENOMEM;
	/* What comes after the first error comes of it. */
	atomic_compare_exchange_strong(&((struct open_device *)gpu)->error, &none, error);
	return -EIO;
}

bool hyc_cuda_dead(const struct hyc_cuda_gpu *gpu)
{
	return atomic_load(&((const struct open_device *)gpu)->error) != 0;
}

const char *hyc_cuda_cause(const struct hyc_cuda_gpu *gpu)
{
	return gpu->module->text(atomic_load(&((const struct open_device *)gpu)->error));
}

void hyc_cuda_tell(const struct hyc_cuda_gpu *gpu)
{
	struct open_device *d = (struct open_device *)gpu;

	if (hyc_cuda_dead(gpu)) {
		if (!atomic_exchange(&d->told_dead, true))
			hyc_log(HYC_LOG_ERROR, "CUDA: %s; decoding goes on on the processor", hyc_cuda_cause(gpu));
	} else if (!atomic_exchange(&d->told_full, true)) {
		hyc_log(HYC_LOG_WARNING, "CUDA: no memory of the device is left, or none that can be pinned; "
			"what has no room there is decoded on the processor");
	}
}

int hyc_cuda_upload(const struct hyc_cuda_gpu *gpu, void *dst, const void *src, size_t len, void *stream)
{
	int error = hyc_cuda_dead(gpu) ? 0 : gpu->module->upload(gpu->device, (uint64_t)(uintptr_t)dst, src, len, stream);

	if (error)
		return hyc_cuda_failed(gpu, error);
	return hyc_cuda_dead(gpu) ? -EIO : 0;
}

/* Whether there is a device, and memory for a batch. */
static int try_batch(int number, struct hyc_error *err)
{
	const struct hyc_cuda_gpu *gpu;
	struct hyc_cuda_work *work;
	size_t free_bytes = 0, total_bytes = 0;
	int result = hyc_cuda_gpu(number, &gpu, err);

	if (result)
		return result;
	work = hyc_cuda_work_take(gpu);
	if (!work) {
		if (hyc_cuda_dead(gpu))
			return hyc_fail(err, -ENODEV, "CUDA: the device cannot be used: %s", hyc_cuda_cause(gpu));
		(void)gpu->module->memory(gpu->device, &free_bytes, &total_bytes);
		return hyc_fail(err, -ENODEV, "CUDA: there is no memory for a batch: %zu of %zu MiB of the device are free, "
				"and %zu are needed, and as much that can be pinned", free_bytes >> 20, total_bytes >> 20,
				HYC_CUDA_SLAB_BYTES >> 20);
	}
	hyc_cuda_work_give(work);
	return 0;
}

/* In the child: what is missing goes through the pipe, nothing where the device is there. */
static _Noreturn void probe_child(int number, int fd)
{
	struct hyc_error err = { 0 };
	size_t len = 0;

	if (try_batch(number, &err))
		len = strlen(err.msg);
	_exit(write(fd, err.msg, len) == (ssize_t)len ? 0 : 1);
}

int hyc_cuda_probe(int number, struct hyc_error *err)
{
	char msg[sizeof err->msg];
	size_t len = 0;
	ssize_t got;
	int ends[2], status;
	pid_t pid;

	if (pipe(ends))
		return hyc_fail_errno(err, -errno, "cannot ask for a CUDA device");
	pid = fork();
	if (pid == 0)
		probe_child(number, ends[1]);
	close(ends[1]);
	while (pid > 0 && len < sizeof msg - 1 && (got = read(ends[0], msg + len, sizeof msg - 1 - len)) != 0) {
		if (got < 0 && errno != EINTR)
			break;
		len += got > 0 ? (size_t)got : 0;
	}
	close(ends[0]);
	if (pid < 0)
		return hyc_fail_errno(err, -errno, "cannot ask for a CUDA device");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	msg[len] = '\0';
	if (len)
		return hyc_fail(err, -ENODEV, "%s", msg);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return hyc_fail(err, -ENODEV, "CUDA: the process that asked for a device died");
	return 0;
}
