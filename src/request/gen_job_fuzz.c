/* What was read and written reads as the same again, and errors say something. */
#include "request/gen_job.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static char *rewrite(const char *text, size_t len, struct error *err)
{
    const struct gen_limits limits = gen_request_default_limits();
    struct gen_job j;
    char *out = NULL;

    if (!gen_job_read_text(&j, text, len, &limits, err))
        return NULL;
    /* Escapes may make a text longer than what was read; that is a limit, not a mistake. */
    if (!gen_job_write_text(&out, &j, err) && err->code != ERROR_LIMIT)
        abort();
    gen_job_clear(&j);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    char *once = rewrite((const char *)data, size, &err);

    if (!once) {
        if (err.code == ERROR_NONE || !err.text[0])
            abort();
        return 0;
    }
    char *twice = rewrite(once, strlen(once), &err);
    if (!twice || strcmp(once, twice) != 0)
        abort();
    free(once);
    free(twice);
    return 0;
}
