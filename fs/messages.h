/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the messages of a mount go: to stderr or syslog, and the last ones into a ring
 * that .hycfs/log shows. Thread-safe; a message takes no memory, so it works when there is none.
 */
#ifndef HYC_FS_MESSAGES_H
#define HYC_FS_MESSAGES_H

#include <stdio.h>

#include "base/error.h"

#define HYC_MESSAGES_KEPT 200

struct hyc_messages;

/* NULL: no memory. Messages go to stderr. */
struct hyc_messages *hyc_messages_new(void);
void hyc_messages_free(struct hyc_messages *messages);

/* For hyc_set_log; arg is the struct hyc_messages. */
void hyc_messages_add(void *arg, enum hyc_log_level level, const char *msg);

/* From now on to syslog (facility daemon, ident hycfs). */
void hyc_messages_to_syslog(struct hyc_messages *messages);

/* Prints what the ring holds, oldest first, one line each. */
void hyc_messages_print(struct hyc_messages *messages, FILE *out);

#endif
