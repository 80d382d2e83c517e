#include "jobs/job.h"

#include "base/assert.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_name[JOB_N_STATES] = {
    [JOB_QUEUED] = "queued", [JOB_LOADING] = "loading", [JOB_PROCESSING] = "processing",
    [JOB_DONE] = "done",     [JOB_ERROR] = "error",     [JOB_CANCELLED] = "cancelled",
};

#define TO(s) (1u << (s))

/* From loading and processing back to queued is the next attempt.  A queued job fails without
 * running when its input is gone, and a done one becomes an error when its result is. */
static const unsigned moves[JOB_N_STATES] = {
    [JOB_QUEUED] = TO(JOB_LOADING) | TO(JOB_CANCELLED) | TO(JOB_ERROR),
    [JOB_LOADING] = TO(JOB_PROCESSING) | TO(JOB_QUEUED) | TO(JOB_ERROR) | TO(JOB_CANCELLED),
    [JOB_PROCESSING] = TO(JOB_DONE) | TO(JOB_QUEUED) | TO(JOB_ERROR) | TO(JOB_CANCELLED),
    [JOB_DONE] = TO(JOB_ERROR),
    [JOB_ERROR] = 0,
    [JOB_CANCELLED] = 0,
};

void job_new_id(char out[JOB_ID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[16];
    char *p = out;

    /* Asks the system anew each time, so processes after a fork do not share a state.  Calling
     * sodium_init again is cheap, and makes the first call safe on any thread. */
    ASSERT(sodium_init() >= 0);
    randombytes_buf(bytes, sizeof bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40); /* version 4, RFC 4122 section 4.4 */
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = digits[bytes[i] >> 4];
        *p++ = digits[bytes[i] & 15];
    }
    *p = 0;
}

bool job_id_is_valid(const char *text)
{
    for (int i = 0; i < JOB_ID_BYTES - 1; i++) {
        const char c = text[i];
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (dash ? c != '-' : !hex)
            return false;
    }
    return text[JOB_ID_BYTES - 1] == 0;
}

const char *job_state_name(enum job_state s)
{
    return (unsigned)s < JOB_N_STATES ? state_name[s] : "unknown";
}

bool job_state_find(enum job_state *out, const char *name)
{
    for (int i = 0; i < JOB_N_STATES; i++) {
        if (strcmp(state_name[i], name) == 0) {
            *out = (enum job_state)i;
            return true;
        }
    }
    return false;
}

bool job_may_move(enum job_state from, enum job_state to)
{
    return (unsigned)from < JOB_N_STATES && (unsigned)to < JOB_N_STATES && (moves[from] & TO(to));
}

bool job_is_final(enum job_state s)
{
    return s == JOB_DONE || s == JOB_ERROR || s == JOB_CANCELLED;
}

void job_set_text(char *out, size_t room, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    if (len >= room) {
        len = room - 1;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--; /* not into the middle of a UTF-8 character */
    }
    if (len > 0)
        memmove(out, text, len);
    out[len] = 0;
}

void job_clear(struct job *j)
{
    free(j->request);
    free(j->wire);
    free(j->result);
    free(j->outputs);
    *j = (struct job){0};
}

void job_list_clear(struct job_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        job_clear(&list->jobs[i]);
    free(list->jobs);
    *list = (struct job_list){0};
}
