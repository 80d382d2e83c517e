#include "request/gen_warnings.h"

#include <stdarg.h>
#include <stdio.h>

void gen_warnings_add(struct gen_warnings *w, const char *fmt, ...)
{
    va_list args;

    if (w->n == GEN_WARNINGS_MAX) {
        w->left_out++;
        return;
    }
    va_start(args, fmt);
    vsnprintf(w->text[w->n++], GEN_WARNINGS_BYTES, fmt, args);
    va_end(args);
}
