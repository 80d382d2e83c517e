#include "base/log.h"

#include "base/assert.h"
#include "base/clock.h"

#include <stdarg.h>
#include <string.h>

enum { LINE_ROOM = 2002 };

static void write_to_file(void *ctx, const char *line, size_t len)
{
    FILE *out = ctx;
    fwrite(line, 1, len, out); /* one call, so lines of several threads do not mix */
    fflush(out);
}

void log_to_file(struct log *log, FILE *out, enum log_level level, const char *part)
{
    *log = (struct log){.write = write_to_file, .ctx = out, .level = level, .part = part};
}

/* Appends the formatted text behind the used bytes, cut to what fits, and hands the line over. */
static void finish(const struct log *log, char line[LINE_ROOM], size_t used, const char *fmt,
                   va_list args)
{
    int n = vsnprintf(line + used, LINE_ROOM - 1 - used, fmt, args);
    size_t room = LINE_ROOM - 2 - used;
    used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
    for (size_t i = 0; i < used; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    line[used] = '\n';
    log->write(log->ctx, line, used + 1);
}

void log_event(const struct log *log, enum log_level level, const char *event, const char *fmt, ...)
{
    static const char *const name[] = {"error", "warn", "info", "debug"};
    char when[CLOCK_UTC_BYTES], line[LINE_ROOM];
    va_list args;

    if (!log || level > log->level)
        return;
    clock_utc(when, clock_unix_ms());
    int n = snprintf(line, sizeof line / 2, "%s %s %s %s%s", when, name[level],
                     log->part ? log->part : "-", event, fmt[0] ? " " : "");
    size_t used = n < 0 ? 0 : (size_t)n;
    used = used < sizeof line / 2 ? used : sizeof line / 2 - 1;
    va_start(args, fmt);
    finish(log, line, used, fmt, args);
    va_end(args);
}

void log_plain(const struct log *log, const char *fmt, ...)
{
    char line[LINE_ROOM] = "==> ";
    va_list args;

    if (!log)
        return;
    va_start(args, fmt);
    finish(log, line, 4, fmt, args);
    va_end(args);
}

void log_quote(char *out, size_t room, const char *text)
{
    ASSERT(room >= 3);
    size_t n = 0, len = strlen(text);
    if (len > 0 && len < room && strpbrk(text, " =\"\\\t\r\n") == NULL) {
        memcpy(out, text, len + 1);
        return;
    }
    out[n++] = '"';
    for (; *text; text++) {
        bool escaped = *text == '"' || *text == '\\';
        if (n + 1u + escaped + 2 > room) /* the character, the closing quote, the 0 */
            break;
        if (escaped)
            out[n++] = '\\';
        out[n++] = *text;
    }
    out[n++] = '"';
    out[n] = 0;
}
