/* A job: its states, which of them may follow which, its name, and the record of one.
 *
 * Knows neither what a job does nor where it is kept.  The texts are JSON or plain UTF-8 made by
 * others; here they are only stored, each with a bound. */
#ifndef JOBS_JOB_H
#define JOBS_JOB_H

#include "base/error.h"

#include <stdint.h>

/* The numbers are stored in databases and never change their meaning. */
enum job_state {
    JOB_QUEUED = 0,     /* accepted and on disk, waits for its turn */
    JOB_LOADING = 1,    /* handed to the worker: an attempt has begun */
    JOB_PROCESSING = 2, /* the worker is at it */
    JOB_DONE = 3,       /* has result files */
    JOB_ERROR = 4,      /* has error_code and error_text */
    JOB_CANCELLED = 5,
};

enum {
    JOB_N_STATES = 6,
    JOB_ID_BYTES = 37, /* a UUID and its final 0 */
    JOB_FAMILY_BYTES = 16,
    JOB_OWNER_BYTES = 129,
    JOB_PHASE_BYTES = 64,
    JOB_ERROR_CODE_BYTES = 32,
    JOB_ERROR_TEXT_BYTES = 1200,
    JOB_TEXT_MAX_BYTES = 256 << 10,   /* request, wire and result, each */
    JOB_OUTPUTS_MAX_BYTES = 16 << 10, /* all names of result files together */
    JOB_FILE_NAME_BYTES = 96,
};

/* Zeroes are an empty job; job_clear frees the owned texts.  Times are seconds since 1970 UTC, 0
 * while the moment has not come. */
struct job {
    char id[JOB_ID_BYTES];
    int64_t seq; /* place in line, given by the store: a smaller number came earlier */
    enum job_state state;
    int attempts; /* begun so far */
    bool cancel_asked;
    bool has_image, has_mask; /* input files, see job_files.h */
    double created, started, finished;
    char family[JOB_FAMILY_BYTES]; /* "native", "sdapi", "openai", "cli" */
    char owner[JOB_OWNER_BYTES];   /* label of the credential, "" for nobody */
    char *request;                 /* owned: canonical JSON; NULL in listings */
    char *wire;    /* owned: as the client sent it; NULL in listings or if unknown */
    char *result;  /* owned: JSON, NULL unless done */
    char *outputs; /* owned: names of result files, a newline behind each, or NULL */
    int64_t bytes; /* of its input and result files */
    char error_code[JOB_ERROR_CODE_BYTES]; /* "memory", "worker_died", ...: for programs */
    char error_text[JOB_ERROR_TEXT_BYTES]; /* one sentence for people; on a queued job, why the
                                              attempt before ended */

    /* Live, never stored; filled in by job_queue. */
    double progress;     /* 0..1, never backwards within an attempt */
    double seconds_left; /* below 0: unknown */
    char phase[JOB_PHASE_BYTES];
    char preview[JOB_FILE_NAME_BYTES]; /* name of a file in outputs/, "" while there is none */
};

/* A new UUID (version 4, lower case) from the system's random numbers: nobody can guess it. */
void job_new_id(char out[JOB_ID_BYTES]);

/* Is text exactly such a name?  Whoever makes a path of a name from outside asks first. */
bool job_id_is_valid(const char *text);

/* "queued", "loading", "processing", "done", "error", "cancelled". */
const char *job_state_name(enum job_state s);
bool job_state_find(enum job_state *out, const char *name);

/* The table of moves in ARCHITECTURE.md. */
bool job_may_move(enum job_state from, enum job_state to);

/* done, error or cancelled. */
bool job_is_final(enum job_state s);

/* Copies text into a field of room bytes, cut at a character's begin where it is too long. */
void job_set_text(char *out, size_t room, const char *text);

/* Frees the texts and zeroes the rest; accepts a zeroed job. */
void job_clear(struct job *j);

struct job_list {
    struct job *jobs; /* owned */
    size_t n;
};

/* Accepts a zeroed list. */
void job_list_clear(struct job_list *list);

#endif
