/* Memory on the command line: the machine, the plan within it, and the lines that tell of both. */
#ifndef GENERATOR_GENERATOR_MEMORY_H
#define GENERATOR_GENERATOR_MEMORY_H

#include "base/json.h"
#include "config/settings.h"
#include "plan/plan_size.h"

/* The machine that settings describe, or this one.  For runs the device must be the one this build
 * computes on. */
bool generator_memory_machine(struct machine *out, const struct settings *s, bool for_run,
                              struct error *err) MUST_CHECK;

/* Plans with the process as it is now; ask's base_bytes are filled in.  On true the caller owns
 * *out. */
bool generator_memory_plan(struct plan_size *out, struct plan_size_ask *ask,
                           struct error *err) MUST_CHECK;

/* The fixed lines, then the plan's. */
void generator_memory_tell(const struct plan_size *p, const struct log *log);

enum { GENERATOR_MEMORY_LEVERS_BYTES = 480 };

/* The lines of generator_memory_tell as a JSON array, and the levers as one of their words.  NULL:
 * no memory. */
json_t *generator_memory_log_json(const struct plan_size *p);
json_t *generator_memory_levers_json(const struct gen_plan *plan);

/* "UNet weights streamed, VAE in exact bands of 32 rows"; "none". */
void generator_memory_write_levers(char out[GENERATOR_MEMORY_LEVERS_BYTES],
                                   const struct gen_plan *plan);

/* A watch's `pressed`: the system says that memory is critically short now. */
bool generator_memory_is_pressed(void *ctx);

#endif
