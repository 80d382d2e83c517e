/* What went otherwise than asked in a request that was served all the same. */
#ifndef REQUEST_GEN_WARNINGS_H
#define REQUEST_GEN_WARNINGS_H

#include "base/error.h"

enum { GEN_WARNINGS_MAX = 16, GEN_WARNINGS_BYTES = 512 };

/* Starts as zeroes; owns nothing. */
struct gen_warnings {
    int n;
    int left_out; /* of those that came after the last one kept */
    char text[GEN_WARNINGS_MAX][GEN_WARNINGS_BYTES];
};

/* Adds a sentence, cut off where it is too long. */
void gen_warnings_add(struct gen_warnings *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
