/* Errors that travel up to the person who asked.
 *
 * A function that can fail returns bool and fills a struct error given by the caller.  The code
 * decides the HTTP status and the exit status; the text says what to do about it. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))

enum error_code {
    ERROR_NONE,
    ERROR_INVALID,   /* the request is wrong; the same request will fail again */
    ERROR_NOT_FOUND, /* no such job, model or file */
    ERROR_CORRUPT,   /* a file does not hold what its format promises */
    ERROR_LIMIT,     /* allowed in principle, too big for this server */
    ERROR_BUSY,      /* try again later */
    ERROR_MEMORY,    /* the allocator or the device said no */
    ERROR_IO,        /* the operating system said no */
    ERROR_FULL,      /* the queue is full; try again later */
    ERROR_CANCELLED, /* somebody asked us to stop */
};

struct error {
    enum error_code code;
    char text[2000]; /* room for a list of everything that is allowed */
};

/* Fills err and returns false, so that a failing function ends in one line. */
bool error_set(struct error *err, enum error_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts context in front of the text already there: "sdxl.safetensors: tensor 'x' ...". */
bool error_prefix(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same with the system's words for errno behind the text; ENOENT becomes ERROR_NOT_FOUND. */
bool error_set_errno(struct error *err, int saved_errno, const char *what);

int error_http_status(enum error_code code);

/* "invalid", "not_found", "memory", ...: for programs; "none" for ERROR_NONE. */
const char *error_code_name(enum error_code code);

/* ERROR_IO for a name that is none of them. */
enum error_code error_code_find(const char *name);

#endif
