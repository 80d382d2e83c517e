#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool parse_int64(int64_t *out, const char *text, int64_t min, int64_t max, struct error *err)
{
    const char *digits = text + (*text == '+' || *text == '-');
    char *end = NULL;

    errno = 0;
    long long v = is_digit(*digits) ? strtoll(text, &end, 10) : 0;
    if (!end || *end)
        return error_set(err, ERROR_INVALID, "'%.60s' is not a whole number", text);
    if (errno == ERANGE || v < min || v > max)
        return error_set(err, ERROR_INVALID, "%.60s is not from %" PRId64 " to %" PRId64, text, min,
                         max);
    *out = v;
    return true;
}

bool parse_double(double *out, const char *text, double min, double max, struct error *err)
{
    char *end = NULL;

    /* strtod also takes blanks, "inf", "nan" and hexadecimal; none of them has only these
     * characters. */
    bool plain = *text && text[strspn(text, "0123456789+-.eE")] == 0;
    double v = plain ? strtod(text, &end) : 0;
    if (!plain || end == text || *end)
        return error_set(err, ERROR_INVALID, "'%.60s' is not a number", text);
    if (!isfinite(v) || v < min || v > max)
        return error_set(err, ERROR_INVALID, "%.60s is not from %g to %g", text, min, max);
    *out = v;
    return true;
}

/* The unit as a number of bits to shift by, or -1. */
static int unit_shift(const char *unit)
{
    static const char letters[] = "kmgt";
    if (*unit == 0 || strcasecmp(unit, "b") == 0)
        return 0;
    for (int i = 0; i < 4; i++) {
        if (strncasecmp(unit, &letters[i], 1) != 0)
            continue;
        const char *rest = unit + 1;
        bool known = *rest == 0 || strcasecmp(rest, "b") == 0 || strcasecmp(rest, "ib") == 0;
        return known ? 10 * (i + 1) : -1;
    }
    return -1;
}

bool parse_bytes(uint64_t *out, const char *text, uint64_t min, uint64_t max, struct error *err)
{
    uint64_t whole = 0, v = 0;
    double part = 0, weight = 1;
    const char *p = text;
    bool fits = true;

    for (; is_digit(*p); p++)
        fits = fits && !__builtin_mul_overflow(whole, 10u, &whole) &&
               !__builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole);
    bool good = p > text;
    if (good && *p == '.') {
        good = is_digit(*++p);
        for (; is_digit(*p); p++)
            part += (*p - '0') * (weight /= 10);
    }
    int shift = unit_shift(p);
    if (!good || shift < 0 || (part > 0 && shift == 0))
        return error_set(err, ERROR_INVALID,
                         "'%.60s' is not a size such as 8.5G, 6GiB, 512M or 1048576", text);
    fits = fits && !__builtin_mul_overflow(whole, (uint64_t)1 << shift, &v) &&
           !__builtin_add_overflow(v, (uint64_t)(part * (double)((uint64_t)1 << shift)), &v);
    if (!fits || v < min || v > max)
        return error_set(err, ERROR_INVALID, "%.60s is not from %" PRIu64 " to %" PRIu64 " bytes",
                         text, min, max);
    *out = v;
    return true;
}

bool parse_bool(bool *out, const char *text, struct error *err)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        for (int v = 0; v < 2; v++)
            if (strcasecmp(text, words[i][v]) == 0) {
                *out = v == 1;
                return true;
            }
    return error_set(err, ERROR_INVALID, "'%.60s' is neither true nor false", text);
}
