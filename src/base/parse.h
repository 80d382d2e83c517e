/* Numbers written by people: the whole text or nothing, and a range.
 *
 * For the command line, settings and variables alike.  Errors say what was written and what is
 * allowed; the caller puts the name of the option in front. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include "base/error.h"

#include <stdint.h>

/* Decimal digits with an optional sign, from min to max. */
bool parse_int64(int64_t *out, const char *text, int64_t min, int64_t max,
                 struct error *err) MUST_CHECK;

/* A decimal number such as 7, -0.5 or 1e-3, from min to max.  No infinity, NaN or hexadecimal. */
bool parse_double(double *out, const char *text, double min, double max,
                  struct error *err) MUST_CHECK;

/* Bytes: digits, perhaps a fraction, perhaps a unit: 1073741824, 8.5G, 6GiB, 512M, 64kb.  Units are
 * powers of 1024 however they are spelled, as everywhere in this program. */
bool parse_bytes(uint64_t *out, const char *text, uint64_t min, uint64_t max,
                 struct error *err) MUST_CHECK;

/* true, yes, on, 1 and their opposites, in any case. */
bool parse_bool(bool *out, const char *text, struct error *err) MUST_CHECK;

#endif
