/* The processes behind the server: `diffusionapi worker` and `diffusionapi planner`, started by it
 * and by nobody else.  They find their end of a channel at a descriptor that is agreed upon. */
#ifndef APP_WORKER_H
#define APP_WORKER_H

/* Whether these are the arguments of such a process. */
#include <stdbool.h>
bool worker_is_asked_for(int argc, char *const *argv);

/* Returns the exit status.  argv is main's. */
int worker_main(char *const *argv);

#endif
