/* The worker's engine: one thread that owns the generator and makes one job after the other.
 *
 * The caller reads the channel and passes on what is wanted; what there is to tell, the engine
 * writes to the channel itself.  The lines are in supervisor/supervisor_protocol.h. */
#ifndef APP_WORKER_ENGINE_H
#define APP_WORKER_ENGINE_H

#include "base/log.h"
#include "channel/channel.h"
#include "config/settings.h"
#include "generator/generator.h"

struct worker_engine; /* one owner; ends with the process */

/* Everything is borrowed for ever.  reserve may be NULL. */
bool worker_engine_open(struct worker_engine **out, const struct settings *s,
                        struct library *library, struct memory_reserve *reserve, struct channel *c,
                        const struct log *log, const char *version, struct error *err) MUST_CHECK;

/* Takes a "run" line.  ERROR_BUSY while another one is under way. */
bool worker_engine_run(struct worker_engine *e, const json_t *run, struct error *err) MUST_CHECK;

/* Of the job that runs, if that is its id. */
void worker_engine_wish(struct worker_engine *e, const char *id, enum generator_wish wish);

/* Models leave memory, after the job that runs; then question n is answered. */
void worker_engine_unload(struct worker_engine *e, json_int_t n);

enum { WORKER_ENGINE_NAME_BYTES = 256 };

struct worker_engine_state {
    bool busy;
    uint64_t ticks; /* rises while the work moves */
    uint64_t reserved_bytes;
    char model[WORKER_ENGINE_NAME_BYTES]; /* open now; "": none */
};
struct worker_engine_state worker_engine_state(struct worker_engine *e);

/* What the process holds, as the answer to "memory". */
json_t *worker_engine_memory(struct worker_engine *e);

#endif
