/* Linux: system calls that the worker never needs are refused from now on. */
#ifndef APP_WORKER_SECCOMP_H
#define APP_WORKER_SECCOMP_H

#include <stdbool.h>

/* No new sockets and connections, no other programs, no looking into other processes: those calls
 * fail with EPERM in all threads that are started later.  False: the system cannot do it. */
bool worker_seccomp(void);

#endif
