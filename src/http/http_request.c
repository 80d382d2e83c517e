#include "http/http_request.h"

#include "http/http_query.h"

#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

const char *http_request_header(const struct http_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (strcasecmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}

bool http_request_query(const struct http_request *r, const char *name, char *out, size_t room)
{
    return http_query_find(out, room, r->query, name);
}

bool http_request_client_is_gone(const struct http_request *r)
{
    if (r->fd < 0)
        return false;
#ifdef POLLRDHUP
    struct pollfd one = {.fd = r->fd, .events = POLLRDHUP};
    return poll(&one, 1, 0) > 0 && (one.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
#else
    /* Without POLLRDHUP the end of the stream shows in a look at the next byte. */
    char byte;
    struct pollfd one = {.fd = r->fd, .events = POLLIN};
    if (poll(&one, 1, 0) <= 0)
        return false;
    if (one.revents & (POLLHUP | POLLERR | POLLNVAL))
        return true;
    return recv(r->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
#endif
}

const char *http_request_method_name(const struct http_request *r)
{
    if (r->is_head)
        return "HEAD";
    switch (r->method) {
    case HTTP_GET:
        return "GET";
    case HTTP_POST:
        return "POST";
    case HTTP_PUT:
        return "PUT";
    case HTTP_PATCH:
        return "PATCH";
    case HTTP_DELETE:
        return "DELETE";
    case HTTP_OPTIONS:
        return "OPTIONS";
    case HTTP_OTHER:
        break;
    }
    return "OTHER";
}
