/* From flags to a job. */
#ifndef APP_CLI_REQUEST_H
#define APP_CLI_REQUEST_H

#include "app/cli_flags.h"
#include "app/cli_lora.h"
#include "request/gen_job.h"

/* A job and the texts it borrows, beside those of the options. */
struct cli_request {
    struct gen_job job;
    struct cli_lora loras[CLI_MAX_LORAS];
};

/* Seeds are picked.  What was not said is left to the model and to the input picture.  *out must
 * not move. */
bool cli_request_make(struct cli_request *out, const struct cli_options *o,
                      struct error *err) MUST_CHECK;

#endif
