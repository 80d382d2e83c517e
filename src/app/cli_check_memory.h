/* The command check-memory: the user's own test suite, on the user's machine and model.
 *
 * One line a check, with the figures it was judged by; a failure says what to report. */
#ifndef APP_CLI_CHECK_MEMORY_H
#define APP_CLI_CHECK_MEMORY_H

#include "app/cli_flags.h"
#include "generator/generator_model.h"
#include "memory/machine.h"
#include "pipeline/pipeline.h"

/* What the checks share and what they counted. */
struct cli_check {
    FILE *to;                          /* borrowed */
    const struct cli_options *options; /* borrowed */
    struct generator_model model;
    struct backend *backend;
    struct pipeline *pipeline;
    struct machine machine;
    int n_ok, n_failed;
};

/* ERROR_IO where a check failed: the lines have told which. */
bool cli_check_memory_run(const struct cli_options *o, FILE *to, struct error *err) MUST_CHECK;

/* Prints "ok      what: figures"; where it failed also what to report, a part of a sentence. */
void cli_check_memory_tell(struct cli_check *c, bool ok, const char *report, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Groups of checks.  False only for what keeps the checks from going on. */
bool cli_check_memory_machine(struct cli_check *c, struct error *err) MUST_CHECK;
bool cli_check_memory_settings(struct cli_check *c, struct error *err) MUST_CHECK;
bool cli_check_memory_pictures(struct cli_check *c, enum gen_mode mode,
                               struct error *err) MUST_CHECK;
bool cli_check_memory_pictures_cleanup(struct cli_check *c, struct error *err) MUST_CHECK;

/* The request that the checks draw: the model's own size, two steps. */
struct gen_request cli_check_memory_request(const struct cli_check *c, enum gen_mode mode);

#endif
