/* Time: seconds to measure with, and UTC for people. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* "2026-01-31T10:04:05.123Z" and its final 0, with room for the years a clock can tell. */
enum { CLOCK_UTC_BYTES = 40 };

/* Seconds since some moment; never runs backwards, whatever happens to the wall clock. */
double clock_seconds(void);

/* Milliseconds since 1970-01-01 UTC. */
int64_t clock_unix_ms(void);

void clock_utc(char out[CLOCK_UTC_BYTES], int64_t unix_ms);

#endif
