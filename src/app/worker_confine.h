/* The worker and the planner lock themselves in: they read models of foreign origin, so a mistake
 * in a reader must not be worth much.  What the system cannot do is left out, and the caller is
 * told. */
#ifndef APP_WORKER_CONFINE_H
#define APP_WORKER_CONFINE_H

#include "config/settings.h"

enum { WORKER_CONFINE_TEXT_BYTES = 200 };

/* Before anything else: the process ends with its parent, ignores the terminal's signals, holds no
 * descriptor but the first three and keep_fd, and is the first that the system ends for lack of
 * memory. */
void worker_confine_early(int keep_fd);

/* Once the settings are known: files may be read in the folders of models and inputs only, and
 * written in outputs (where may_write) only; no sockets, no programs, no core files.  Writes what
 * was got into out: "landlock, seccomp, rlimits". */
void worker_confine(const struct settings *s, bool may_write, char out[WORKER_CONFINE_TEXT_BYTES]);

#endif
