/* What the server and its processes say to each other: JSON objects, one a line, over a channel.
 *
 * The server to a process ("op"):
 *   settings   role ("worker", "planner"), values {key: text}; the first line
 *   run        id, job (canonical), outputs (folder), input and mask (files; absent: none)
 *   cancel, interrupt, skip    id: of the job that runs; of another one it is ignored
 *   ask        n, what ("plan", "memory", "unload"), request
 *   drop       n: the planner's question is not wanted any more; of another one it is ignored
 *   stop       end now; nothing runs, or what runs is not wanted any more
 *
 * A process to the server ("is"):
 *   ready      confinement: what it has locked itself into, in words
 *   alive      the worker, once a second and on a change: ticks (rises between operations),
 *              cpu_seconds (whole; rises within one too), resident_bytes, model ("": none)
 *   started    id, reserved_bytes, model: the model is open, the plan stands, drawing begins
 *   progress   id, phase, progress, seconds_left, step, steps, batch, batches; preview (file's
 *              name, absent: none yet)
 *   done       id, result (object), outputs (names)
 *   failed     id, error {code, text}
 *   answer     n, and answer or error; to a dropped question too.  The planner gets one question at
 *              a time
 *
 * A process that sees the channel end ends itself at once. */
#ifndef SUPERVISOR_SUPERVISOR_PROTOCOL_H
#define SUPERVISOR_SUPERVISOR_PROTOCOL_H

#include "base/json.h"
#include "config/settings.h"

/* The descriptor that a process finds its end of the channel at. */
enum { SUPERVISOR_PROTOCOL_FD = 3 };

/* {"code", "text"}; NULL: no memory. */
json_t *supervisor_protocol_error(const struct error *err);

/* The same back.  What is no such object becomes ERROR_IO.  Returns false. */
bool supervisor_protocol_read_error(struct error *err, const json_t *from);

/* {"op": "settings", ...}.  The caller owns *out. */
bool supervisor_protocol_settings(json_t **out, const char *role, const struct settings *s,
                                  struct error *err) MUST_CHECK;

/* Starts from the defaults, whatever the environment says. */
bool supervisor_protocol_read_settings(struct settings *s, const json_t *from,
                                       struct error *err) MUST_CHECK;

/* Members with a value where they are missing or of another type. */
const char *supervisor_protocol_text(const json_t *from, const char *key); /* "" */
double supervisor_protocol_number(const json_t *from, const char *key, double otherwise);

#endif
