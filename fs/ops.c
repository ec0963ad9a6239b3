/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mounted archive answers to the kernel.
 *
 * The content can never change, so the kernel may keep all it is told for ever: names (those that do not exist,
 * too), attributes, directories and pages. Permissions are left to the kernel (default_permissions),
 * so there is no access operation.
 *
 * A read is answered from the cache of decoded blocks without a copy, from as many pins as it takes. Only where there
 * are too many, or memory is too short to pin all of them at once, the pieces are gathered in a buffer. A reply is
 * never shorter than asked for, but at the end of the file: to the kernel a short read IS the end of the file,
 * and it would show zeros behind it. So damage anywhere in a request fails all of it; the kernel then asks again
 * page by page, and only the damaged ones stay unreadable.
 */
#include "config.h"

#include "fs/ops.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "fs/bdi.h"
#include "fs/control.h"
#include "fs/refuse.h"

#define FOREVER 4e9       /* seconds; the kernel clips it to its own "never" */
#define MAX_BACKGROUND 64 /* readahead requests under way; the kernel's default of 12 would leave decoders idle */
#define BLOCK 4096        /* of statfs */

static struct hycfs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* Requests other than reads put off the idle timeout; while reads come, a file is open. */
static struct hycfs *touch(fuse_req_t req)
{
	struct hycfs *fs = fs_of(req);

	atomic_store_explicit(&fs->last_request_ns, hyc_now_ns(), memory_order_relaxed);
	/* Not before: what the kernel is told in init replaces it. And no file is read before one of these. */
	if (fs->readahead_file && !atomic_flag_test_and_set(&fs->readahead_set))
		hyc_bdi_set_readahead(fs->readahead_file, fs->readahead_kb);
	return fs;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct hycfs *fs = userdata;

	conn->max_read = HYC_MAX_READ;
	conn->max_write = HYC_MAX_READ; /* from which libfuse derives the pages of a request */
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
	/* Replies are not spliced: that takes three calls and is slower than the one copy it saves. */
	conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	hyc_ready_tell(&fs->ready);
}

/* ---- inodes ---- */

static bool is_control(const struct hycfs *fs, fuse_ino_t ino)
{
	return ino > fs->tree.n_nodes;
}

static fuse_ino_t control_ino(const struct hycfs *fs, enum hyc_control control)
{
	return (fuse_ino_t)fs->tree.n_nodes + 1 + control;
}

static enum hyc_control control_of(const struct hycfs *fs, fuse_ino_t ino)
{
	return (enum hyc_control)(ino - fs->tree.n_nodes - 1);
}

static void control_attr(const struct hycfs *fs, enum hyc_control control, struct stat *st)
{
	st->st_mode = control == HYC_CONTROL_DIR ? S_IFDIR | 0555 : S_IFREG | 0444;
	st->st_nlink = control == HYC_CONTROL_DIR ? 2 : 1;
	st->st_mtim = fs->mounted;
}

static void node_attr(const struct hyc_node *node, struct stat *st)
{
	st->st_mode = node->mode;
	st->st_nlink = S_ISDIR(node->mode) ? 2 + (nlink_t)node->n_subdirs : 1;
	st->st_size = (off_t)node->size;
	st->st_blocks = (blkcnt_t)hyc_div_up(node->size, 512);
	st->st_mtim = (struct timespec){ .tv_sec = node->mtime_sec, .tv_nsec = node->mtime_nsec };
}

static void get_attr(const struct hycfs *fs, fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){ .st_ino = ino, .st_uid = fs->uid, .st_gid = fs->gid, .st_blksize = HYC_MAX_READ };
	if (is_control(fs, ino))
		control_attr(fs, control_of(fs, ino), st);
	else
		node_attr(&fs->tree.node[ino - 1], st);
	st->st_atim = st->st_mtim;
	st->st_ctim = st->st_mtim;
}

static struct fuse_entry_param entry_of(const struct hycfs *fs, fuse_ino_t ino)
{
	struct fuse_entry_param entry = { .ino = ino, .attr_timeout = FOREVER, .entry_timeout = FOREVER };

	if (ino)
		get_attr(fs, ino, &entry.attr);
	return entry;
}

/* The inode of a name in a directory, 0 if there is none. */
static fuse_ino_t find_name(const struct hycfs *fs, fuse_ino_t dir, const char *name)
{
	int64_t index;

	if (is_control(fs, dir)) {
		for (enum hyc_control c = HYC_CONTROL_DIR + 1; c < HYC_N_CONTROLS; c++)
			if (!strcmp(name, hyc_control_name[c]))
				return control_ino(fs, c);
		return 0;
	}
	if (dir == FUSE_ROOT_ID && !strcmp(name, hyc_control_name[HYC_CONTROL_DIR]))
		return control_ino(fs, HYC_CONTROL_DIR);
	index = hyc_tree_lookup(&fs->tree, (uint32_t)(dir - 1), name);
	return index < 0 ? 0 : (fuse_ino_t)index + 1;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct hycfs *fs = touch(req);
	struct fuse_entry_param entry = entry_of(fs, find_name(fs, parent, name));

	fuse_reply_entry(req, &entry);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	(void)ino, (void)nlookup;
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	get_attr(touch(req), ino, &st);
	fuse_reply_attr(req, &st, FOREVER);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct hycfs *fs = touch(req);
	struct statvfs st = { .f_bsize = BLOCK, .f_frsize = BLOCK, .f_namemax = 255 };
	struct hyc_info info;

	(void)ino;
	hyc_info(fs->archive, &info);
	st.f_blocks = hyc_div_up(info.archive_bytes, BLOCK);
	st.f_files = fs->tree.n_nodes;
	fuse_reply_statfs(req, &st);
}

/* ---- extended attributes ---- */

static void reply_xattr(fuse_req_t req, const char *data, ssize_t len, size_t size)
{
	if (len < 0)
		fuse_reply_err(req, len == -ENODATA ? ENODATA : EIO);
	else if (!size)
		fuse_reply_xattr(req, (size_t)len);
	else if ((size_t)len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, data, (size_t)len);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct hycfs *fs = touch(req);
	char value[HYC_XATTR_VALUE_MAX];
	ssize_t len = -ENODATA;

	if (!is_control(fs, ino))
		len = hyc_xattr_get(&fs->xattr, (uint32_t)(ino - 1), name, value);
	reply_xattr(req, value, len, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct hycfs *fs = touch(req);
	char names[HYC_XATTR_NAMES_MAX];
	ssize_t len = 0;

	if (!is_control(fs, ino))
		len = hyc_xattr_list(&fs->xattr, (uint32_t)(ino - 1), names);
	reply_xattr(req, names, len, size);
}

/* ---- open files and directories ---- */

/* An open that the caller no longer waits for is not followed by a release. */
static bool reply_open(struct hycfs *fs, fuse_req_t req, const struct fuse_file_info *fi)
{
	atomic_fetch_add(&fs->n_open, 1);
	if (!fuse_reply_open(req, fi))
		return true;
	atomic_fetch_sub(&fs->n_open, 1);
	return false;
}

static void open_control(struct hycfs *fs, fuse_req_t req, enum hyc_control control, struct fuse_file_info *fi)
{
	struct hyc_snapshot *snapshot = hyc_control_snapshot(fs, control);

	if (!snapshot) {
		fuse_reply_err(req, EIO);
		return;
	}
	fi->fh = (uintptr_t)snapshot;
	fi->direct_io = 1; /* its size is not known to the kernel */
	if (!reply_open(fs, req, fi))
		hyc_snapshot_put(snapshot);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct hycfs *fs = touch(req);

	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	fi->noflush = 1;
	if (is_control(fs, ino)) {
		open_control(fs, req, control_of(fs, ino), fi);
		return;
	}
	fi->keep_cache = 1;
	reply_open(fs, req, fi);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct hycfs *fs = touch(req);

	if (is_control(fs, ino))
		hyc_snapshot_put((struct hyc_snapshot *)(uintptr_t)fi->fh);
	atomic_fetch_sub(&fs->n_open, 1);
	fuse_reply_err(req, 0);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct hycfs *fs = touch(req);

	(void)ino;
	fi->keep_cache = 1;
	fi->cache_readdir = 1;
	reply_open(fs, req, fi);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct hycfs *fs = touch(req);

	(void)ino, (void)fi;
	atomic_fetch_sub(&fs->n_open, 1);
	fuse_reply_err(req, 0);
}

/* Entry number pos of a directory, "." and ".." first. False behind the last one. */
static bool list_entry(const struct hycfs *fs, fuse_ino_t dir, uint64_t pos, const char **name, fuse_ino_t *ino)
{
	const struct hyc_tree *tree = &fs->tree;
	uint32_t index = (uint32_t)(dir - 1);

	*name = pos ? ".." : ".";
	*ino = pos ? FUSE_ROOT_ID : dir;
	if (is_control(fs, dir)) {
		if (pos < 2)
			return true;
		if (pos - 1 >= HYC_N_CONTROLS)
			return false;
		*name = hyc_control_name[pos - 1];
		*ino = control_ino(fs, (enum hyc_control)(pos - 1));
		return true;
	}
	if (pos == 1)
		*ino = (fuse_ino_t)tree->node[index].parent + 1;
	if (pos < 2)
		return true;
	if (pos - 2 >= tree->first[index + 1] - tree->first[index])
		return false;
	index = tree->child[tree->first[index] + pos - 2];
	*name = tree->node[index].name;
	*ino = (fuse_ino_t)index + 1;
	return true;
}

static void list_dir(fuse_req_t req, fuse_ino_t dir, size_t size, off_t off, bool plus)
{
	struct hycfs *fs = touch(req);
	cleanup_free char *buf = malloc(size);
	uint64_t pos = (uint64_t)off;
	size_t used = 0, len;
	const char *name;
	fuse_ino_t ino;

	if (!buf) {
		fuse_reply_err(req, EIO);
		return;
	}
	for (; list_entry(fs, dir, pos, &name, &ino); pos++) {
		if (plus) {
			struct fuse_entry_param entry = entry_of(fs, ino);

			len = fuse_add_direntry_plus(req, buf + used, size - used, name, &entry, (off_t)pos + 1);
		} else {
			struct stat st;

			get_attr(fs, ino, &st);
			len = fuse_add_direntry(req, buf + used, size - used, name, &st, (off_t)pos + 1);
		}
		if (len > size - used)
			break;
		used += len;
	}
	fuse_reply_buf(req, buf, used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list_dir(req, ino, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list_dir(req, ino, size, off, true);
}

/* ---- read ---- */

#define MAX_PINS 32 /* of one reply; a request of 1 MiB spans three blocks, or many small tensors */

struct pins {
	struct hyc_pin pin[MAX_PINS];
	unsigned n;
	size_t len;    /* all bytes */
	bool kept;     /* the kernel keeps what it gets */
};

static int pin_some(struct hycfs *fs, uint32_t file, size_t len, uint64_t off, struct pins *pins)
{
	int r = hyc_pin_run(fs->archive, file, off, len, pins->pin, MAX_PINS, &pins->n);

	pins->len = 0;
	for (unsigned i = 0; i < pins->n; i++)
		pins->len += pins->pin[i].len;
	return r;
}

static void unpin_all(struct hycfs *fs, struct pins *pins)
{
	for (unsigned i = 0; i < pins->n; i++) {
		if (pins->kept)
			hyc_unpin_served(fs->archive, &pins->pin[i]);
		else
			hyc_unpin(fs->archive, &pins->pin[i]);
	}
	pins->n = 0;
}

/* Answer len bytes, of which pins has the first. */
static void reply_gathered(struct hycfs *fs, fuse_req_t req, uint32_t file, size_t len, uint64_t off, struct pins *pins)
{
	cleanup_free char *buf = malloc(len);
	size_t have = 0;
	int r = buf ? 0 : -ENOMEM;

	while (!r) {
		for (unsigned i = 0; i < pins->n; i++) {
			memcpy(buf + have, pins->pin[i].data, pins->pin[i].len);
			have += pins->pin[i].len;
		}
		unpin_all(fs, pins);
		if (have == len)
			break;
		r = pin_some(fs, file, len - have, off + have, pins);
	}
	if (r)
		fuse_reply_err(req, EIO);
	else
		fuse_reply_buf(req, buf, len);
}

static void read_file(struct hycfs *fs, fuse_req_t req, uint32_t index, size_t size, uint64_t off, bool kept)
{
	uint64_t file_size = fs->tree.node[index].size;
	struct pins pins = { .kept = kept };
	struct iovec iov[MAX_PINS];

	if (off >= file_size) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (size > file_size - off)
		size = (size_t)(file_size - off);
	if (pin_some(fs, index, size, off, &pins)) {
		fuse_reply_err(req, EIO);
		return;
	}
	if (pins.len < size) {
		reply_gathered(fs, req, index, size, off, &pins);
	} else {
		for (unsigned i = 0; i < pins.n; i++)
			iov[i] = (struct iovec){ (void *)(uintptr_t)pins.pin[i].data, pins.pin[i].len };
		fuse_reply_iov(req, iov, (int)pins.n);
	}
	unpin_all(fs, &pins);
}

/* The reader may have its bytes, and close the file, before the call that wrote them has returned. */
static void read_snapshot(fuse_req_t req, struct hyc_snapshot *snapshot, size_t size, uint64_t off)
{
	atomic_fetch_add(&snapshot->refs, 1);
	if (off > snapshot->len)
		off = snapshot->len;
	if (size > snapshot->len - off)
		size = snapshot->len - off;
	fuse_reply_buf(req, snapshot->text + off, size);
	hyc_snapshot_put(snapshot);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct hycfs *fs = fs_of(req);
	int64_t start = hyc_now_ns();

	if (is_control(fs, ino)) {
		read_snapshot(req, (struct hyc_snapshot *)(uintptr_t)fi->fh, size, (uint64_t)off);
		return;
	}
	atomic_fetch_add_explicit(&fs->reads_running, 1, memory_order_relaxed);
	read_file(fs, req, (uint32_t)(ino - 1), size, (uint64_t)off, !(fi->flags & O_DIRECT));
	hyc_latency_add(&fs->read_latency, (uint64_t)(hyc_now_ns() - start));
	atomic_fetch_add_explicit(&fs->reads_done, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&fs->reads_running, 1, memory_order_relaxed);
}

const struct fuse_lowlevel_ops hyc_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.getattr = op_getattr,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.open = op_open,
	.release = op_release,
	.opendir = op_opendir,
	.releasedir = op_releasedir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.read = op_read,
	.setattr = hyc_refuse_setattr,
	.mknod = hyc_refuse_mknod,
	.mkdir = hyc_refuse_mkdir,
	.unlink = hyc_refuse_unlink,
	.rmdir = hyc_refuse_unlink,
	.symlink = hyc_refuse_symlink,
	.rename = hyc_refuse_rename,
	.link = hyc_refuse_link,
	.create = hyc_refuse_create,
	.setxattr = hyc_refuse_setxattr,
	.removexattr = hyc_refuse_removexattr,
};
