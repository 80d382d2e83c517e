/* Names put together from a few words and numbers: vsnprintf in a fraction of its time for formats
 * of %s and %d alone, which networks' thousands of weights are named with. */
#ifndef BASE_NAMES_H
#define BASE_NAMES_H

#include <stdarg.h>
#include <stddef.h>

/* As vsnprintf: the length that there is room for or not, negative where fmt is wrong. */
int names_format(char *to, size_t room, const char *fmt, va_list args);

#endif
