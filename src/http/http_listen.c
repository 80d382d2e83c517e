#include "http/http_listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 512 }; /* a burst of clients waits instead of being refused */

static const char *as_number(const char *address)
{
    return strcasecmp(address, "localhost") == 0 ? "127.0.0.1" : address;
}

static int port_of(int fd, int fallback)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        return fallback;
    if (name.ss_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, &name, sizeof four);
        return ntohs(four.sin_port);
    }
    struct sockaddr_in6 six;
    memcpy(&six, &name, sizeof six);
    return ntohs(six.sin6_port);
}

bool http_listen_open(int *out_fd, int *out_port, const char *address, int port, struct error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    char service[16];
    int on = 1;

    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(as_number(address), service, &hints, &found) != 0 || !found)
        return error_set(err, ERROR_INVALID,
                         "'%.100s' is no address to listen on: it is written as numbers, such as "
                         "127.0.0.1, 0.0.0.0 or ::1",
                         address);

    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd >= 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        /* A server that starts again gets its port although old connections still fade out. */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    bool ok =
        fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    int why = errno;
    freeaddrinfo(found);
    if (!ok) {
        char what[200];
        snprintf(what, sizeof what, "cannot listen on %.100s port %d", address, port);
        if (fd >= 0)
            close(fd);
        error_set_errno(err, why, what);
        err->code = ERROR_IO;
        return false;
    }
    *out_port = port_of(fd, port);
    *out_fd = fd;
    return true;
}

bool http_listen_is_loopback(const char *address)
{
    const char *number = as_number(address);
    return strncmp(number, "127.", 4) == 0 || strcmp(number, "::1") == 0;
}
