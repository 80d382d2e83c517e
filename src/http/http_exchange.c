#include "http/http_exchange.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/size.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    STREAM_BLOCK_BYTES = 32 << 10,
    STREAM_PIECE_BYTES = 64 << 20, /* a result as base64 is one piece */
    BODY_FIRST_BYTES = 16 << 10,
    /* A refusal waits for the rest of a body of at most so many bytes, because a client that is
     * still sending when the connection goes sees a broken pipe instead of the reason. */
    DRAIN_MAX_BYTES = 256 << 20,
};

struct http_exchange *http_exchange_new(struct http_exchange_shared *shared, const char *uri)
{
    struct http_exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->shared = shared;
    x->started = clock_seconds();
    x->request.fd = -1;
    x->uri = strdup(uri);
    if (!x->uri) {
        free(x);
        return NULL;
    }
    atomic_fetch_add(&shared->n_exchanges, 1);
    return x;
}

static void drop_body(struct http_exchange *x)
{
    atomic_fetch_sub(&x->shared->bodies_bytes, x->body_cap);
    free(x->body);
    x->body = NULL;
    x->body_len = x->body_cap = 0;
    x->request.body = NULL;
    x->request.body_bytes = 0;
}

void http_exchange_free(struct http_exchange *x, bool complete)
{
    const struct http_server_settings *s = &x->shared->settings;

    x->sent.complete = complete && x->sent_status;
    x->sent.seconds = clock_seconds() - x->started;
    if (s->done && x->begun)
        s->done(s->ctx, &x->request, &x->sent);
    http_reply_clear(&x->reply);
    drop_body(x);
    atomic_fetch_sub(&x->shared->n_exchanges, 1);
    free(x->uri);
    free(x);
}

/* "GET http://host/path" is as good as "GET /path". */
static char *without_authority(char *uri)
{
    size_t scheme = strncasecmp(uri, "http://", 7) == 0    ? 7
                    : strncasecmp(uri, "https://", 8) == 0 ? 8
                                                           : 0;
    return scheme ? uri + scheme + strcspn(uri + scheme, "/?") : uri;
}

static bool read_uri(struct http_exchange *x)
{
    char *path = without_authority(x->uri);
    char *question = strchr(path, '?');

    x->request.path = path;
    x->request.query = "";
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            return false;
    if (question) {
        *question = 0;
        x->request.query = question + 1;
    }
    return path[0] == '/';
}

static void read_method(struct http_request *r, const char *method)
{
    static const struct {
        const char *name;
        enum http_method method;
    } row[] = {
        {"GET", HTTP_GET},         {"HEAD", HTTP_GET},    {"POST", HTTP_POST},
        {"PUT", HTTP_PUT},         {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE},
        {"OPTIONS", HTTP_OPTIONS},
    };
    r->method = HTTP_OTHER;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (strcmp(row[i].name, method) == 0)
            r->method = row[i].method;
    r->is_head = strcmp(method, "HEAD") == 0;
}

static enum MHD_Result keep_header(void *ctx, enum MHD_ValueKind kind, const char *key,
                                   const char *value)
{
    struct http_exchange *x = ctx;
    (void)kind;
    if (x->request.n_headers == HTTP_REQUEST_PAIRS_MAX)
        return MHD_NO;
    x->pairs[x->request.n_headers++] = (struct http_pair){key, value ? value : ""};
    return MHD_YES;
}

static void read_connection(struct http_exchange *x, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    x->request.fd = info ? info->connect_fd : -1;
    x->request.is_tls = x->shared->is_tls;
    x->request.peer = x->peer;

    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr)
        return;
    socklen_t len = info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                             : sizeof(struct sockaddr_in);
    if (getnameinfo(info->client_addr, len, x->peer, sizeof x->peer, NULL, 0, NI_NUMERICHOST) != 0)
        x->peer[0] = 0;
}

/* Bytes of the body as the headers announce them: 0 none, -1 chunked, -2 nonsense.  Two lengths,
 * or a length beside chunks, are how requests are smuggled past a proxy. */
static int64_t announced_bytes(const struct http_exchange *x)
{
    int lengths = 0, encodings = 0;
    int64_t bytes = 0;
    struct error ignored;

    for (size_t i = 0; i < x->request.n_headers; i++) {
        const struct http_pair *p = &x->pairs[i];
        if (strcasecmp(p->name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
            lengths++;
            if (p->value[0] == '+' || !parse_int64(&bytes, p->value, 0, INT64_MAX, &ignored))
                return -2;
        } else if (strcasecmp(p->name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
            encodings++;
            if (strcasecmp(p->value, "chunked") != 0)
                return -2;
        }
    }
    if (lengths + encodings > 1)
        return -2;
    return encodings ? -1 : bytes;
}

static void refuse(struct http_exchange *x, int status, const char *text)
{
    const struct http_server_settings *s = &x->shared->settings;
    http_reply_clear(&x->reply);
    s->refuse(s->ctx, &x->request, &x->reply, status, text);
    if (status == 400 || status == 413)
        x->reply.close = true; /* where the next request begins is not sure */
}

struct stream {
    struct http_reply reply; /* next, free_ctx and ctx of it */
    struct http_exchange *exchange;
    struct buf piece;
    size_t at; /* bytes of piece that are sent */
    bool ended;
};

static ssize_t read_stream(void *ctx, uint64_t pos, char *out, size_t room)
{
    struct stream *s = ctx;
    (void)pos;

    while (s->at == s->piece.len && !s->ended) {
        buf_clear(&s->piece);
        s->at = 0;
        s->ended = !s->reply.next(s->reply.ctx, &s->exchange->request, &s->piece);
        if (s->piece.failed)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (s->piece.len == 0 && !s->ended && http_request_client_is_gone(&s->exchange->request))
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = s->piece.len - s->at;
    if (n == 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n > room)
        n = room;
    memcpy(out, s->piece.bytes + s->at, n);
    s->at += n;
    s->exchange->sent.bytes += n;
    return (ssize_t)n;
}

static void free_stream(void *ctx)
{
    struct stream *s = ctx;
    http_reply_clear(&s->reply);
    buf_clear(&s->piece);
    free(s);
}

static struct MHD_Response *stream_response(struct http_exchange *x, struct http_reply *reply)
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->exchange = x;
    buf_init(&s->piece, STREAM_PIECE_BYTES);
    s->reply = (struct http_reply){.kind = HTTP_REPLY_STREAM,
                                   .next = reply->next,
                                   .free_ctx = reply->free_ctx,
                                   .ctx = reply->ctx};
    reply->kind = HTTP_REPLY_EMPTY; /* handed over */
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_stream, s, free_stream);
    if (!response)
        free_stream(s);
    return response;
}

static struct MHD_Response *make_response(struct http_exchange *x, struct http_reply *reply)
{
    struct MHD_Response *response = NULL;

    switch (reply->kind) {
    case HTTP_REPLY_EMPTY:
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    case HTTP_REPLY_BYTES:
        x->sent.bytes = reply->n_bytes;
        response =
            MHD_create_response_from_buffer(reply->n_bytes, reply->bytes, MHD_RESPMEM_MUST_FREE);
        if (response)
            reply->bytes = NULL; /* handed over */
        return response;
    case HTTP_REPLY_FILE:
        x->sent.bytes = reply->file_bytes;
        response = MHD_create_response_from_fd64(reply->file_bytes, reply->fd);
        if (response)
            reply->fd = -1; /* handed over */
        return response;
    case HTTP_REPLY_STREAM:
        return stream_response(x, reply);
    }
    return NULL;
}

/* The answer when there is no memory for the real one. */
static enum MHD_Result send_failure(struct http_exchange *x, struct MHD_Connection *connection)
{
    static char text[] = "{\"status\":\"error\",\"detail\":\"no memory for the reply\"}";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    x->sent.status = 500;
    x->sent.bytes = sizeof text - 1;
    enum MHD_Result result = MHD_queue_response(connection, 500, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_reply(struct http_exchange *x, struct MHD_Connection *connection,
                                  struct http_reply *reply)
{
    x->sent_status = true;
    x->sent.status = reply->status;
    struct MHD_Response *response = reply->failed ? NULL : make_response(x, reply);
    if (!response)
        return send_failure(x, connection);

    bool ok = true;
    if (reply->content_type)
        ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type) ==
             MHD_YES;
    for (int i = 0; i < reply->n_headers && ok; i++)
        ok = MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value) ==
             MHD_YES;
    if (ok && reply->close)
        ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    enum MHD_Result result =
        ok ? MHD_queue_response(connection, (unsigned)reply->status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static bool expects_continue(const struct http_exchange *x)
{
    const char *expect = http_request_header(&x->request, MHD_HTTP_HEADER_EXPECT);
    return expect && strcasecmp(expect, "100-continue") == 0;
}

enum MHD_Result http_exchange_begin(struct http_exchange *x, struct MHD_Connection *connection,
                                    const char *method, struct http_deadline_place *place)
{
    const struct http_server_settings *s = &x->shared->settings;

    x->begun = true;
    x->request.headers = x->pairs;
    read_method(&x->request, method);
    read_connection(x, connection);
    bool uri_is_sound = read_uri(x);
    int n = MHD_get_connection_values(connection, MHD_HEADER_KIND, keep_header, x);
    int64_t bytes = announced_bytes(x);
    http_deadline_set(x->shared->deadline, place, s->request_seconds);

    if (!uri_is_sound)
        refuse(x, 400, "the address is no path");
    else if (n > HTTP_REQUEST_PAIRS_MAX || (size_t)n > x->request.n_headers)
        refuse(x, 400, "the request has more than 128 headers");
    else if (bytes == -2)
        refuse(x, 400, "the request does not tell how long its body is");
    else if (bytes > 0 && (uint64_t)bytes > s->max_body_bytes)
        refuse(x, 413, "the request's body is too large");
    else
        s->begin(s->ctx, &x->request, &x->reply);

    bool at_once = bytes == -2 || bytes > DRAIN_MAX_BYTES || (bytes != 0 && expects_continue(x));
    if (x->reply.status && at_once) {
        x->reply.close = true;
        return send_reply(x, connection, &x->reply);
    }
    return MHD_YES;
}

/* Room for n more bytes, within the limit of this request and of all. */
static bool make_room(struct http_exchange *x, size_t n)
{
    const struct http_server_settings *s = &x->shared->settings;
    size_t need, cap = x->body_cap ? x->body_cap : BODY_FIRST_BYTES;

    if (!size_add(&need, x->body_len, n) || need > s->max_body_bytes) {
        refuse(x, 413, "the request's body is too large");
        return false;
    }
    if (need <= x->body_cap)
        return true;
    while (cap < need)
        cap = cap > s->max_body_bytes / 2 ? s->max_body_bytes : cap * 2;

    size_t more = cap - x->body_cap;
    if (atomic_fetch_add(&x->shared->bodies_bytes, more) + more > s->max_bodies_bytes) {
        atomic_fetch_sub(&x->shared->bodies_bytes, more);
        refuse(x, 503, "the server reads too many large requests at once; try again soon");
        return false;
    }
    char *body = realloc(x->body, cap + 1); /* a 0 goes behind it */
    if (!body) {
        atomic_fetch_sub(&x->shared->bodies_bytes, more);
        refuse(x, 503, "the server has no memory for the request; try again soon");
        return false;
    }
    x->body = body;
    x->body_cap = cap;
    return true;
}

enum MHD_Result http_exchange_body(struct http_exchange *x, const char *bytes, size_t n)
{
    if (x->reply.status || !make_room(x, n)) {
        drop_body(x);
        x->drained += n;
        return x->drained > DRAIN_MAX_BYTES ? MHD_NO : MHD_YES;
    }
    memcpy(x->body + x->body_len, bytes, n);
    x->body_len += n;
    return MHD_YES;
}

enum MHD_Result http_exchange_answer(struct http_exchange *x, struct MHD_Connection *connection,
                                     struct http_deadline_place *place)
{
    const struct http_server_settings *s = &x->shared->settings;

    /* Waiting for a job is not the client's slowness. */
    http_deadline_set(x->shared->deadline, place, 0);
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    if (!x->reply.status) {
        if (x->body) {
            x->body[x->body_len] = 0;
            x->request.body = x->body;
            x->request.body_bytes = x->body_len;
        }
        s->handle(s->ctx, &x->request, &x->reply);
        if (!x->reply.status)
            refuse(x, 500, "nobody answered this request");
    }
    drop_body(x); /* a stream may go on for long, and other requests need the room */
    /* Streams end by themselves, and notice a client that does not read by the connection's own
     * limit. */
    if (x->reply.kind != HTTP_REPLY_STREAM)
        http_deadline_set(x->shared->deadline, place, s->request_seconds);
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              (unsigned)s->idle_seconds + 1);
    return send_reply(x, connection, &x->reply);
}
