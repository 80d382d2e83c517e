/* Memory on the command line: the machine, the plan within it, and the lines that tell of both. */
#ifndef APP_CLI_MEMORY_H
#define APP_CLI_MEMORY_H

#include "app/cli_flags.h"
#include "plan/plan_size.h"

/* The machine that settings describe, or this one.  For runs the device must be the one this build
 * computes on. */
bool cli_memory_machine(struct machine *out, const struct settings *s, bool for_run,
                        struct error *err) MUST_CHECK;

/* Plans with the process as it is now; ask's base_bytes are filled in.  On true the caller owns
 * *out. */
bool cli_memory_plan(struct plan_size *out, struct plan_size_ask *ask,
                     struct error *err) MUST_CHECK;

/* The fixed lines, then the plan's. */
void cli_memory_tell(const struct plan_size *p, const struct log *log);

enum { CLI_MEMORY_LEVERS_BYTES = 400 };

/* "UNet weights streamed, VAE in exact bands of 32 rows"; "none". */
void cli_memory_write_levers(char out[CLI_MEMORY_LEVERS_BYTES], const struct gen_plan *plan);

/* A watch's `pressed`: the system says that memory is critically short now. */
bool cli_memory_is_pressed(void *ctx);

#endif
