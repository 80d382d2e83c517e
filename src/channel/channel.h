/* JSON documents between server and worker, one a line, over a socket pair.
 *
 * Both sides are bounded: a line has at most CHANNEL_LINE_MAX_BYTES with its newline, and each
 * document is one object.  Reading never waits; writing waits at most as long as it is told.  A
 * peer that is gone is an end, never a signal.  One thread reads; any may write. */
#ifndef CHANNEL_CHANNEL_H
#define CHANNEL_CHANNEL_H

#include "base/error.h"
#include "base/json.h"

struct channel; /* one owner */

enum { CHANNEL_LINE_MAX_BYTES = 1 << 20 };

/* Two connected sockets, closed on exec; the caller owns both. */
bool channel_pair(int fds[2], struct error *err) MUST_CHECK;

/* Takes fd, which must be a stream socket, even when it fails. */
bool channel_open(struct channel **out, int fd, struct error *err) MUST_CHECK;

/* Accepts NULL. */
void channel_close(struct channel *c);

/* For poll(): readable when channel_read may have something.  Read until CHANNEL_NOTHING before
 * waiting again, because lines may stand in the buffer. */
int channel_fd(const struct channel *c);

enum channel_got {
    CHANNEL_DOCUMENT, /* *out holds it; the caller clears it with json_clear */
    CHANNEL_NOTHING,  /* nothing whole is there yet */
    CHANNEL_END,      /* the other side is gone; a line it had begun is dropped */
};

/* False: the line was too long or no JSON object, or the socket failed.  The other side cannot be
 * trusted after that: close the channel. */
bool channel_read(struct channel *c, enum channel_got *got, struct json *out,
                  struct error *err) MUST_CHECK;

/* Waits until there may be something to read, or timeout_ms have passed (below 0: no limit). */
bool channel_wait(struct channel *c, int timeout_ms, bool *readable, struct error *err) MUST_CHECK;

/* Writes the whole document, or fails: ERROR_BUSY when the other side did not read for timeout_ms,
 * ERROR_IO when it is gone, ERROR_LIMIT when the line is too long (then nothing was written).
 * After ERROR_BUSY and ERROR_IO a line may be cut, so every later write fails too. */
bool channel_write(struct channel *c, const json_t *doc, int timeout_ms,
                   struct error *err) MUST_CHECK;

#endif
