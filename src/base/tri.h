/* A switch of three positions: true forces, false forbids, auto leaves it to the program. */
#ifndef BASE_TRI_H
#define BASE_TRI_H

#include "base/error.h"

enum tri { TRI_AUTO, TRI_FALSE, TRI_TRUE };

/* "auto", in any case, or what parse_bool takes.  ERROR_INVALID says what is allowed. */
bool tri_parse(enum tri *out, const char *text, struct error *err) MUST_CHECK;

const char *tri_name(enum tri t); /* "auto", "false", "true" */

#endif
