/* Cuts a stream of bytes into lines, within a bound.  Knows neither sockets nor JSON. */
#ifndef CHANNEL_CHANNEL_LINES_H
#define CHANNEL_CHANNEL_LINES_H

#include "base/error.h"

#include <stddef.h>

struct channel_lines {
    char *bytes; /* owned */
    size_t begin, len, cap;
    size_t searched; /* bytes behind begin that are known to hold no newline */
    size_t max_line; /* bytes of a line with its newline */
};

void channel_lines_init(struct channel_lines *l, size_t max_line);
void channel_lines_clear(struct channel_lines *l);

/* A place for bytes from the stream, at most *room of them; then channel_lines_added says how many
 * came.  Never more than max_line bytes wait, so take the lines that are there first. */
bool channel_lines_room(struct channel_lines *l, char **place, size_t *room,
                        struct error *err) MUST_CHECK;
void channel_lines_added(struct channel_lines *l, size_t n);

/* The next whole line without its newline, borrowed until the next call; NULL while there is none.
 * ERROR_LIMIT when max_line bytes came without a newline. */
bool channel_lines_take(struct channel_lines *l, const char **line, size_t *len,
                        struct error *err) MUST_CHECK;

#endif
