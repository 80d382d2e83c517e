#include "http/http_server.h"

#include "base/fs.h"
#include "http/http_exchange.h"
#include "http/http_listen.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PEM_MAX_BYTES = 1 << 20,
    /* Of a connection: request line and headers have to fit, or the client gets 414 or 431. */
    HEADERS_MAX_BYTES = 32 << 10,
    STACK_BYTES = 512 << 10,
    CLOSE_PATIENCE_MS = 3000, /* for answers that are on their way */
};

struct http_server {
    struct http_exchange_shared shared;
    struct MHD_Daemon *daemon;
    int listen_fd; /* owned until the daemon has it; below 0 then */
    int port;
    char *certificate, *key;
    char problem[300]; /* what the library said last while it started */
};

static void *on_uri(void *ctx, const char *uri, struct MHD_Connection *connection)
{
    struct http_server *s = ctx;
    (void)connection;
    return http_exchange_new(&s->shared, uri);
}

static struct http_deadline_place *place_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = ctx;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        http_deadline_give(s->shared.deadline, *socket_context);
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *socket_context = info ? http_deadline_take(s->shared.deadline, info->connect_fd) : NULL;
    http_deadline_set(s->shared.deadline, *socket_context, s->shared.settings.idle_seconds);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **exchange,
                         enum MHD_RequestTerminationCode why)
{
    struct http_server *s = ctx;

    if (*exchange)
        http_exchange_free(*exchange, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    *exchange = NULL;
    /* The next request's headers: as long as a connection may idle, and as long again to arrive. */
    http_deadline_set(s->shared.deadline, place_of(connection),
                      2 * s->shared.settings.idle_seconds);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *n_bytes, void **exchange)
{
    struct http_exchange *x = *exchange;
    (void)ctx;
    (void)url;
    (void)version;

    if (!x)
        return MHD_NO;
    if (!x->begun)
        return http_exchange_begin(x, connection, method, place_of(connection));
    if (*n_bytes > 0) {
        size_t n = *n_bytes;
        *n_bytes = 0;
        return http_exchange_body(x, bytes, n);
    }
    return http_exchange_answer(x, connection, place_of(connection));
}

/* Paths and queries stay as they were sent. */
static size_t keep_escapes(void *ctx, struct MHD_Connection *connection, char *text)
{
    (void)ctx;
    (void)connection;
    return strlen(text);
}

static void on_library_log(void *ctx, const char *fmt, va_list args)
{
    struct http_server *s = ctx;
    char text[sizeof s->problem];

    vsnprintf(text, sizeof text, fmt, args);
    text[strcspn(text, "\n")] = 0;
    if (!s->daemon)
        memcpy(s->problem, text, sizeof text);
    log_event(s->shared.settings.log, LOG_DEBUG, "http_library", "text=\"%s\"", text);
}

static bool read_tls(struct http_server *s, struct error *err)
{
    const struct http_server_settings *o = &s->shared.settings;
    bool has_certificate = o->tls_certificate && o->tls_certificate[0];
    bool has_key = o->tls_key && o->tls_key[0];
    size_t n;

    if (!has_certificate && !has_key)
        return true;
    if (has_certificate != has_key)
        return error_set(err, ERROR_INVALID, "TLS needs both a certificate and its key");
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return error_set(err, ERROR_INVALID, "libmicrohttpd was built without TLS");
    if (!fs_read(&s->certificate, &n, o->tls_certificate, PEM_MAX_BYTES, err) ||
        !fs_read(&s->key, &n, o->tls_key, PEM_MAX_BYTES, err))
        return false;
    s->shared.is_tls = true;
    return true;
}

static bool start(struct http_server *s, struct error *err)
{
    const struct http_server_settings *o = &s->shared.settings;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, s->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, s->key},
        {MHD_OPTION_END, 0, NULL},
    };

    if (s->shared.is_tls)
        flags |= MHD_USE_TLS;
    else
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, s,
        MHD_OPTION_LISTEN_SOCKET, s->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)o->max_connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)o->idle_seconds + 1,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_URI_LOG_CALLBACK, on_uri, s,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, s, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (!s->daemon)
        return error_set(err, s->shared.is_tls ? ERROR_INVALID : ERROR_IO,
                         "the HTTP server does not start: %s",
                         s->problem[0] ? s->problem : "no reason was given");
    s->listen_fd = -1;
    return true;
}

bool http_server_open(struct http_server **out, const struct http_server_settings *settings,
                      struct error *err)
{
    struct http_server *s = calloc(1, sizeof *s);

    *out = NULL;
    if (!s)
        return error_set(err, ERROR_MEMORY, "no memory for the HTTP server");
    s->shared.settings = *settings;
    s->listen_fd = -1;
    if (settings->max_bodies_bytes == 0)
        s->shared.settings.max_bodies_bytes =
            settings->max_body_bytes > SIZE_MAX / 4 ? SIZE_MAX : settings->max_body_bytes * 4;
    /* One more place than connections: a closed one gives its place back a little late. */
    bool ok = read_tls(s, err) &&
              http_deadline_open(&s->shared.deadline, settings->max_connections + 16, err) &&
              http_listen_open(&s->listen_fd, &s->port, settings->listen, settings->port, err) &&
              start(s, err);
    if (!ok) {
        http_server_close(s);
        return false;
    }
    *out = s;
    return true;
}

int http_server_port(const struct http_server *s)
{
    return s->port;
}

void http_server_quiesce(struct http_server *s)
{
    MHD_socket fd = MHD_quiesce_daemon(s->daemon);
    if (fd >= 0)
        close(fd);
}

int http_server_connections(const struct http_server *s)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info ? (int)info->num_connections : 0;
}

void http_server_close(struct http_server *s)
{
    if (!s)
        return;
    if (s->daemon) {
        /* The daemon would cut what is still being sent. */
        for (int i = 0; i < CLOSE_PATIENCE_MS && atomic_load(&s->shared.n_exchanges) > 0; i += 5)
            poll(NULL, 0, 5);
        MHD_stop_daemon(s->daemon);
    }
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    http_deadline_close(s->shared.deadline);
    free(s->certificate);
    free(s->key);
    free(s);
}
