#include "channel/channel.h"

#include "base/clock.h"
#include "channel/channel_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* macOS sets this per socket instead. */
#ifdef MSG_NOSIGNAL
enum { SEND_FLAGS = MSG_NOSIGNAL };
#else
enum { SEND_FLAGS = 0 };
#endif

struct channel {
    int fd;
    struct channel_lines in; /* the reading thread's */
    bool ended;              /* likewise */

    pthread_mutex_t lock; /* held while a line is written, so that lines do not mix */
    /* Guarded by lock. */
    bool broken;
};

bool channel_pair(int fds[2], struct error *err)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return error_set_errno(err, errno, "cannot make a socket pair");
    for (int i = 0; i < 2; i++) {
        if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0) {
            error_set_errno(err, errno, "cannot set up a socket");
            close(fds[0]);
            close(fds[1]);
            return false;
        }
    }
    return true;
}

static bool set_up(int fd, struct error *err)
{
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return error_set_errno(err, errno, "cannot set up the channel");

    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0)
        return error_set_errno(err, errno, "the channel is no socket");
    if (type != SOCK_STREAM)
        return error_set(err, ERROR_INVALID, "the channel is no stream socket");
#ifdef SO_NOSIGPIPE
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) != 0)
        return error_set_errno(err, errno, "cannot set up the channel");
#endif
    return true;
}

bool channel_open(struct channel **out, int fd, struct error *err)
{
    struct channel *c = NULL;

    *out = NULL;
    if (!set_up(fd, err))
        goto failed;
    c = calloc(1, sizeof *c);
    if (!c || pthread_mutex_init(&c->lock, NULL) != 0) {
        error_set(err, ERROR_MEMORY, "no memory for a channel");
        goto failed;
    }
    c->fd = fd;
    channel_lines_init(&c->in, CHANNEL_LINE_MAX_BYTES);
    *out = c;
    return true;

failed:
    free(c);
    close(fd);
    return false;
}

void channel_close(struct channel *c)
{
    if (!c)
        return;
    close(c->fd);
    channel_lines_clear(&c->in);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

int channel_fd(const struct channel *c)
{
    return c->fd;
}

/* Takes in what is there.  *any is false when nothing came, now or ever. */
static bool receive(struct channel *c, bool *any, struct error *err)
{
    char *place;
    size_t room;

    *any = false;
    if (!channel_lines_room(&c->in, &place, &room, err))
        return false;
    ssize_t n;
    do {
        n = recv(c->fd, place, room, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        channel_lines_added(&c->in, (size_t)n);
        *any = true;
    } else if (n == 0 || errno == ECONNRESET) {
        c->ended = true;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
        return error_set_errno(err, errno, "cannot read from the channel");
    }
    return true;
}

bool channel_read(struct channel *c, enum channel_got *got, struct json *out, struct error *err)
{
    const char *line;
    size_t len;

    *out = (struct json){0};
    *got = CHANNEL_NOTHING;
    for (;;) {
        bool any;
        if (!channel_lines_take(&c->in, &line, &len, err))
            return error_prefix(err, "channel");
        if (line) {
            if (!json_read_bytes(out, "channel", line, len, CHANNEL_LINE_MAX_BYTES, err))
                return false;
            *got = CHANNEL_DOCUMENT;
            return true;
        }
        if (c->ended) {
            *got = CHANNEL_END;
            return true;
        }
        if (!receive(c, &any, err))
            return false;
        if (!any && !c->ended)
            return true;
    }
}

/* What is left of timeout_ms for poll(). */
static int ms_left(double deadline)
{
    const double ms = (deadline - clock_seconds()) * 1000;
    return ms <= 0 ? 0 : ms >= INT_MAX ? INT_MAX : (int)ms + 1;
}

static bool wait_for(int fd, short events, int timeout_ms, bool *ready, struct error *err)
{
    const double deadline = clock_seconds() + timeout_ms * 1e-3;
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        const int n = poll(&p, 1, timeout_ms < 0 ? -1 : ms_left(deadline));
        if (n >= 0) {
            *ready = n > 0;
            return true;
        }
        if (errno != EINTR)
            return error_set_errno(err, errno, "cannot wait for the channel");
    }
}

bool channel_wait(struct channel *c, int timeout_ms, bool *readable, struct error *err)
{
    return wait_for(c->fd, POLLIN, timeout_ms, readable, err);
}

/* The deadline is for the whole line: a peer that reads a byte now and then gains nothing. */
static bool send_all(int fd, const char *bytes, size_t len, int timeout_ms, struct error *err)
{
    const double deadline = clock_seconds() + timeout_ms * 1e-3;

    while (len > 0) {
        const ssize_t n = send(fd, bytes, len, SEND_FLAGS);
        if (n >= 0) {
            bytes += n;
            len -= (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return error_set_errno(err, errno, "cannot write to the channel");
        const int left = ms_left(deadline);
        bool ready = false;
        if (left > 0 && !wait_for(fd, POLLOUT, left, &ready, err))
            return false;
        if (!ready)
            return error_set(err, ERROR_BUSY, "the other side of the channel does not read");
    }
    return true;
}

bool channel_write(struct channel *c, const json_t *doc, int timeout_ms, struct error *err)
{
    bool ok = false;
    const size_t flags = JSON_COMPACT; /* control characters come out escaped: no newline inside */
    size_t len = json_is_object(doc) ? json_dumpb(doc, NULL, 0, flags) : 0;

    if (len == 0)
        return error_set(err, ERROR_INVALID, "this is no object that JSON can tell");
    if (len >= CHANNEL_LINE_MAX_BYTES)
        return error_set(err, ERROR_LIMIT, "a line of %zu bytes is longer than the channel's %d",
                         len + 1, CHANNEL_LINE_MAX_BYTES);
    char *line = malloc(len + 1);
    if (!line)
        return error_set(err, ERROR_MEMORY, "no memory for a line of %zu bytes", len + 1);
    json_dumpb(doc, line, len, flags);
    line[len] = '\n';

    pthread_mutex_lock(&c->lock);
    if (c->broken)
        error_set(err, ERROR_IO, "the channel broke off earlier");
    else
        ok = send_all(c->fd, line, len + 1, timeout_ms < 0 ? 0 : timeout_ms, err);
    c->broken = !ok;
    pthread_mutex_unlock(&c->lock);
    free(line);
    return ok;
}
