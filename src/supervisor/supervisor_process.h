/* One process of the program: started with a channel, watched, ended, and asked what it died of.
 * Used by the supervisor's thread alone. */
#ifndef SUPERVISOR_SUPERVISOR_PROCESS_H
#define SUPERVISOR_SUPERVISOR_PROCESS_H

#include "channel/channel.h"

#include <sys/types.h>

enum { SUPERVISOR_PROCESS_REASON_BYTES = 256 };

/* Zeroes: none runs. */
struct supervisor_process {
    const char *role;
    pid_t pid;               /* 0: none */
    struct channel *channel; /* owned; NULL with pid 0 */
    bool ready;
    double started;     /* clock_seconds */
    double sign;        /* when the work was last seen to move */
    double ticks;       /* as the process last said */
    double cpu_seconds; /* likewise */
    int64_t oom_kills;  /* of the system, when it was started; below 0: unknown */
    char killed_for[SUPERVISOR_PROCESS_REASON_BYTES]; /* our own reason; "": not by us */
};

/* Runs program with arguments (NULL: none) and the role behind them.  program NULL: this program.
 * The process gets no descriptor but the channel (SUPERVISOR_PROTOCOL_FD) and standard error. */
bool supervisor_process_start(struct supervisor_process *p, const char *role, const char *program,
                              const char *const *arguments, struct error *err) MUST_CHECK;

/* Writes a line; a process that does not read is killed. */
bool supervisor_process_tell(struct supervisor_process *p, const json_t *doc);

/* SIGKILL; reason is a sentence for whoever waits for its job. */
void supervisor_process_kill(struct supervisor_process *p, const char *reason);

/* Waits for its end, helping after wait_seconds, and tells what it died of.  *out_of_memory: the
 * system ended it for lack of memory.  Afterwards *p is zeroes. */
void supervisor_process_end(struct supervisor_process *p, double wait_seconds,
                            char reason[SUPERVISOR_PROCESS_REASON_BYTES], bool *out_of_memory);

#endif
