#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

double clock_seconds(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t clock_unix_ms(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void clock_utc(char out[CLOCK_UTC_BYTES], int64_t unix_ms)
{
    int64_t ms = unix_ms % 1000;
    int64_t s = unix_ms / 1000;
    if (ms < 0) { /* before 1970, % rounds the wrong way */
        ms += 1000;
        s--;
    }
    time_t t = (time_t)s;
    struct tm tm;
    char when[24];
    if (!gmtime_r(&t, &tm) || strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        memcpy(when, "?", 2);
    snprintf(out, CLOCK_UTC_BYTES, "%s.%03dZ", when, (int)ms);
}
