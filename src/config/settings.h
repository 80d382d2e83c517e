/* Every setting of the program, once: key, variable, flag, range, default and help are one row.
 *
 * A value comes from the default, then the environment, then a flag; the last one wins, and where
 * it came from is remembered.  docs/settings.md is printed from the table. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "base/error.h"

#include <stdint.h>
#include <stdio.h>

enum { SETTINGS_TEXT_BYTES = 1024 };

struct settings {
    char model[SETTINGS_TEXT_BYTES];
    char models_dir[SETTINGS_TEXT_BYTES];
    char tokenizer_dir[SETTINGS_TEXT_BYTES];
    char isa[32];
    int64_t threads;
    int64_t max_side;
    int64_t max_pixels;
    int64_t max_steps;
    int64_t max_batch;
    int64_t jpeg_quality;
};

enum settings_kind { SETTINGS_TEXT, SETTINGS_INT };

struct settings_row {
    const char *key; /* threads: flag --threads, variable DIFFUSIONAPI_THREADS */
    size_t offset, size;
    enum settings_kind kind;
    int64_t min, max;     /* SETTINGS_INT */
    const char *fallback; /* the default, as one would write it */
    const char *variable; /* a second variable that is honoured; NULL: none */
    const char *choices;  /* SETTINGS_TEXT: what is allowed, separated by blanks; NULL: anything */
    const char *help;
};

enum settings_origin { SETTINGS_DEFAULT, SETTINGS_VARIABLE, SETTINGS_FLAG };

extern const struct settings_row settings_rows[];
extern const size_t settings_row_count;

/* Where each value came from; by row. */
struct settings_origins {
    unsigned char from[64];
};

void settings_defaults(struct settings *s, struct settings_origins *origins);

/* Reads the rows' variables with get (getenv, or a test's own).  ERROR_INVALID names the variable,
 * its value and what is allowed. */
bool settings_from_environment(struct settings *s, struct settings_origins *origins,
                               const char *(*get)(const char *name), struct error *err) MUST_CHECK;

/* Sets one value by key ('-' is as good as '_'). */
bool settings_set(struct settings *s, struct settings_origins *origins, const char *key,
                  const char *value, struct error *err) MUST_CHECK;

/* NULL when there is no such setting. */
const struct settings_row *settings_find(const char *key);

/* The value as text; out has room bytes. */
void settings_write(char *out, size_t room, const struct settings *s,
                    const struct settings_row *row);

const char *settings_origin_name(enum settings_origin origin);

/* docs/settings.md. */
void settings_print_manual(FILE *to);

#endif
