/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that would change something. The mount is read-only, so the kernel refuses them before they get here;
 * but root can remount it read-write, and then it is these that answer EROFS. Writing itself needs none: no file
 * opens for it.
 */
#ifndef HYC_FS_REFUSE_H
#define HYC_FS_REFUSE_H

#include <fuse_lowlevel.h>

void hyc_refuse_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi);
void hyc_refuse_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void hyc_refuse_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void hyc_refuse_unlink(fuse_req_t req, fuse_ino_t parent, const char *name); /* rmdir, too */
void hyc_refuse_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void hyc_refuse_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		       const char *new_name, unsigned flags);
void hyc_refuse_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);
void hyc_refuse_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void hyc_refuse_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void hyc_refuse_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

#endif
