/* Percent-encoding, in paths, queries and forms. */
#ifndef HTTP_HTTP_QUERY_H
#define HTTP_HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>

/* Decodes len characters into out (room bytes with the final 0).  False when a %XX is broken, when
 * it does not fit, or when the result is no UTF-8 text (control characters included). */
bool http_query_decode(char *out, size_t room, const char *text, size_t len, bool plus_is_blank);

/* The first member of a query called name, decoded; false when there is none or it is refused by
 * http_query_decode. */
bool http_query_find(char *out, size_t room, const char *query, const char *name);

/* Writes text so that it may stand as a segment of a path or a value of a query; cut where it does
 * not fit, never in the middle of a %XX. */
void http_query_encode(char *out, size_t room, const char *text);

#endif
