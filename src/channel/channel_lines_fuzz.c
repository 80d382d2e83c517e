#include "channel/channel_lines.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 64 };

/* However the stream is cut into pieces, the lines are those that stand between its newlines, up to
 * the first that is too long.  The first byte seeds the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channel_lines l;
    struct error err = {0};
    unsigned pieces = size ? data[0] : 0;
    size_t at = 0, line_at = 0;
    bool ok = true;

    channel_lines_init(&l, MAX_LINE);
    while (ok && at < size) {
        char *place;
        size_t room, n;
        if (!channel_lines_room(&l, &place, &room, &err) || room == 0 || room > MAX_LINE)
            abort();
        pieces = pieces * 1103515245u + 12345u;
        n = 1 + (pieces >> 16) % 40;
        n = n < room ? n : room;
        n = n < size - at ? n : size - at;
        memcpy(place, data + at, n);
        channel_lines_added(&l, n);
        at += n;
        for (;;) {
            const char *line;
            size_t len;
            ok = channel_lines_take(&l, &line, &len, &err);
            if (!ok || !line)
                break;
            const uint8_t *newline = memchr(data + line_at, '\n', size - line_at);
            if (!newline || (size_t)(newline - (data + line_at)) != len || len >= MAX_LINE ||
                memcmp(line, data + line_at, len) != 0)
                abort();
            line_at += len + 1;
        }
    }
    /* Only a line that is too long ends it early. */
    const uint8_t *newline = memchr(data + line_at, '\n', size - line_at);
    const size_t rest = newline ? (size_t)(newline - (data + line_at)) : size - line_at;
    if (ok ? newline || rest >= MAX_LINE : err.code != ERROR_LIMIT || rest < MAX_LINE)
        abort();
    channel_lines_clear(&l);
    return 0;
}
