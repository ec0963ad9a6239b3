/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fs/refuse.h"

#include <errno.h>

#define UNUSED __attribute__((unused))

void hyc_refuse_setattr(fuse_req_t req, fuse_ino_t ino UNUSED, struct stat *attr UNUSED, int to_set UNUSED,
			struct fuse_file_info *fi UNUSED)
{
	fuse_reply_err(req, EROFS);
}

void hyc_refuse_mknod(fuse_req_t req, fuse_ino_t parent UNUSED, const char *name UNUSED, mode_t mode UNUSED,
		      dev_t rdev UNUSED)
{
	fuse_reply_err(req, EROFS);
}

void hyc_refuse_mkdir(fuse_req_t req, fuse_ino_t parent UNUSED, const char *name UNUSED, mode_t mode UNUSED)
{
	fuse_reply_err(req, EROFS);
}

void hyc_refuse_unlink(fuse_req_t req, fuse_ino_t parent UNUSED, const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

void hyc_refuse_symlink(fuse_req_t req, const char *target UNUSED, fuse_ino_t parent UNUSED, const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

void hyc_refuse_rename(fuse_req_t req, fuse_ino_t parent UNUSED, const char *name UNUSED, fuse_ino_t new_parent UNUSED,
		       const char *new_name UNUSED, unsigned flags UNUSED)
{
	fuse_reply_err(req, EROFS);
}

void hyc_refuse_link(fuse_req_t req, fuse_ino_t ino UNUSED, fuse_ino_t new_parent UNUSED, const char *new_name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

void hyc_refuse_create(fuse_req_t req, fuse_ino_t parent UNUSED, const char *name UNUSED, mode_t mode UNUSED,
		       struct fuse_file_info *fi UNUSED)
{
	fuse_reply_err(req, EROFS);
}

void hyc_refuse_setxattr(fuse_req_t req, fuse_ino_t ino UNUSED, const char *name UNUSED, const char *value UNUSED,
			 size_t size UNUSED, int flags UNUSED)
{
	fuse_reply_err(req, EROFS);
}

void hyc_refuse_removexattr(fuse_req_t req, fuse_ino_t ino UNUSED, const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}
