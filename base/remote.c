/* SPDX-License-Identifier: Apache-2.0 */
/* By the type that statfs(2) gives. Those that linux/magic.h does not have are as their file systems define them. */
#include "config.h"

#include "base/remote.h"

#include <linux/magic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>

#define LUSTRE_MAGIC 0x0bd00bd0
#define GPFS_MAGIC 0x47504653

bool hyc_is_remote(int fd)
{
	static const uint32_t types[] = {
		NFS_SUPER_MAGIC, FUSE_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC, SMB_SUPER_MAGIC, CEPH_SUPER_MAGIC, V9FS_MAGIC,
		AFS_FS_MAGIC, AFS_SUPER_MAGIC, CODA_SUPER_MAGIC, OCFS2_SUPER_MAGIC, LUSTRE_MAGIC, GPFS_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return false;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if ((uint32_t)fs.f_type == types[i])
			return true;
	return false;
}
