/* Log lines: one event a line, key=value, UTC, each line handed over whole.
 *
 * Does not know where lines go: app/ makes the struct log and passes it down.  A NULL log is
 * silence. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"

#include <stddef.h>
#include <stdio.h>

enum log_level {
    LOG_ERROR, /* somebody must act */
    LOG_WARN,  /* it went on, but differently */
    LOG_INFO,  /* what an operator wants to count */
    LOG_DEBUG, /* what a developer wants to see */
};

/* Gets one line, its newline included.  Called from any thread. */
typedef void (*log_write_fn)(void *ctx, const char *line, size_t len);

struct log {
    log_write_fn write;
    void *ctx;
    enum log_level level; /* lines above it are dropped */
    const char *part;     /* borrowed; "server", "worker", "cli" */
};

/* Lines to a stdio stream, flushed one by one. */
void log_to_file(struct log *log, FILE *out, enum log_level level, const char *part);

/* "2026-01-31T10:04:05.123Z info worker job_done job=8f3a steps=30": fmt makes the pairs and may be
 * "". Control characters become spaces and a line ends at 2000 bytes, so nothing can forge a line.
 */
void log_event(const struct log *log, enum log_level level, const char *event, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* "==> " and the text: lines for people, written at every level. */
void log_plain(const struct log *log, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Writes text as a pair's value: bare where it can be, otherwise in double quotes with \" and \\.
 * What does not fit into room bytes is cut; the quotes are closed even then. */
void log_quote(char *out, size_t room, const char *text);

#endif
