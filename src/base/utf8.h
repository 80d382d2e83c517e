/* Is this text fit to be shown? */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* True for well-formed UTF-8 (no overlong forms, no surrogates) without control characters, so that
 * a name from a file can stand in a message and in JSON. */
bool utf8_is_text(const char *bytes, size_t n);

#endif
