#include "channel/channel_lines.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 4096, SHRINK_ABOVE = 64 << 10 };

void channel_lines_init(struct channel_lines *l, size_t max_line)
{
    *l = (struct channel_lines){.max_line = max_line};
}

void channel_lines_clear(struct channel_lines *l)
{
    free(l->bytes);
    channel_lines_init(l, l->max_line);
}

/* Rare lines are long; their memory is not kept. */
static void forget_large(struct channel_lines *l)
{
    if (l->len == 0 && l->cap > SHRINK_ABOVE) {
        free(l->bytes);
        l->bytes = NULL;
        l->cap = 0;
    }
}

bool channel_lines_room(struct channel_lines *l, char **place, size_t *room, struct error *err)
{
    if (l->begin > 0 && l->len > 0)
        memmove(l->bytes, l->bytes + l->begin, l->len);
    l->begin = 0;
    forget_large(l);
    if (l->len >= l->max_line)
        return error_set(err, ERROR_LIMIT, "%zu bytes wait to be read", l->len);
    if (l->len == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : FIRST_ROOM; /* max_line is far from wrapping */
        cap = cap < l->max_line ? cap : l->max_line;
        char *bytes = realloc(l->bytes, cap);
        if (!bytes)
            return error_set(err, ERROR_MEMORY, "no memory for a line of %zu bytes", cap);
        l->bytes = bytes;
        l->cap = cap;
    }
    *place = l->bytes + l->len;
    *room = l->cap - l->len;
    return true;
}

void channel_lines_added(struct channel_lines *l, size_t n)
{
    l->len += n;
}

bool channel_lines_take(struct channel_lines *l, const char **line, size_t *len, struct error *err)
{
    *line = NULL;
    *len = 0;
    if (l->len == l->searched) {
        if (l->len >= l->max_line)
            return error_set(err, ERROR_LIMIT, "a line is longer than %zu bytes", l->max_line);
        return true;
    }
    char *start = l->bytes + l->begin;
    char *newline = memchr(start + l->searched, '\n', l->len - l->searched);
    if (!newline) {
        l->searched = l->len;
        return channel_lines_take(l, line, len, err);
    }
    *line = start;
    *len = (size_t)(newline - start);
    l->begin += *len + 1;
    l->len -= *len + 1;
    l->searched = 0;
    return true;
}
