/* Linux: files are out of reach but for those that the settings name. */
#ifndef APP_WORKER_LANDLOCK_H
#define APP_WORKER_LANDLOCK_H

#include "config/settings.h"

/* Reading: the folders of models and what their links lead to, inputs, /proc, /sys and the system's
 * libraries.  Writing, where may_write: outputs.  Holds for threads that are started later.  False:
 * the system cannot do it. */
bool worker_landlock(const struct settings *s, bool may_write);

#endif
