#include "api/api.h"

#include "api/api_error.h"
#include "api/api_metrics.h"
#include "api/api_routes.h"
#include "base/clock.h"
#include "config/settings.h"
#include "http/http_auth.h"
#include "http/http_listen.h"
#include "http/http_origin.h"
#include "http/http_server.h"
#include "http/http_sign.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NESTING_MAX = 32, RETRY_AFTER_SECONDS = 5, PREFLIGHT_SECONDS = 600 };

/* What a request needs from `begin` on; kept in r->state. */
struct state {
    struct api_call call;
    enum api_family family;
    bool counted; /* it has a route, so that its family's numbers mean something */
};

bool api_fail(struct api_call *call, struct error *err, int status, const char *field,
              const char *fmt, ...)
{
    va_list args;

    call->error_status = status;
    call->error_field = field;
    err->code = ERROR_INVALID;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    return false;
}

bool api_reply_json(struct api_call *call, int status, json_t *body, struct error *err)
{
    char *text =
        body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;

    json_decref(body);
    if (!text)
        return error_set(err, ERROR_MEMORY, "no memory for the answer");
    http_reply_bytes(call->reply, status, "application/json", text, strlen(text));
    free(text);
    return true;
}

/* jansson's own limit is 2048 levels of recursion: too deep for a connection's stack. */
static bool is_too_deep(const char *text, size_t n)
{
    int depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > NESTING_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

bool api_read_json(struct api_call *call, json_t **out, bool may_be_empty, struct error *err)
{
    const struct http_request *r = call->request;
    json_error_t problem;

    *out = NULL;
    if (r->body_bytes == 0) {
        if (!may_be_empty)
            return error_set(err, ERROR_INVALID, "the body is empty; it has to be a JSON object");
        *out = json_object();
        return *out || error_set(err, ERROR_MEMORY, "no memory for the request");
    }
    if (is_too_deep(r->body, r->body_bytes))
        return error_set(err, ERROR_INVALID, "the body is nested deeper than %d levels",
                         NESTING_MAX);
    /* The last of two equal keys counts, as in Python's json, which clients were written for. */
    json_t *root = json_loadb(r->body, r->body_bytes, 0, &problem);
    if (!root && json_error_code(&problem) == json_error_out_of_memory)
        return error_set(err, ERROR_MEMORY, "no memory for the request");
    if (!root)
        return error_set(err, ERROR_INVALID, "the body is no JSON: line %d, column %d: %s",
                         problem.line, problem.column, problem.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, ERROR_INVALID, "the body is JSON, but no object");
    }
    *out = root;
    return true;
}

static void add_cors(const struct api *api, const struct http_request *r, struct http_reply *reply)
{
    const char *origin = http_request_header(r, "Origin");

    if (!origin)
        return;
    http_reply_header(reply, "Vary", "Origin");
    if (strlen(origin) > 256 || !http_origin_is_allowed(origin, api->settings->cors_origins,
                                                        http_request_header(r, "Host")))
        return;
    http_reply_header(reply, "Access-Control-Allow-Origin", "%s", origin);
    http_reply_header(reply, "Access-Control-Expose-Headers",
                      "Retry-After, X-Request-Id, X-Size-Adjusted-From");
}

/* Letters of header names, commas and blanks: what may be sent back. */
static bool is_header_list(const char *text)
{
    return strlen(text) < 1500 &&
           text[strspn(text,
                       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_, ")] == 0;
}

static void reply_to_options(const struct api *api, const struct http_request *r, unsigned methods,
                             struct http_reply *reply)
{
    const char *headers = http_request_header(r, "Access-Control-Request-Headers");
    char allow[80];

    api_routes_allow(allow, sizeof allow, methods);
    http_reply_empty(reply, 204);
    http_reply_header(reply, "Allow", "%s", allow);
    add_cors(api, r, reply);
    if (!http_request_header(r, "Access-Control-Request-Method"))
        return;
    http_reply_header(reply, "Access-Control-Allow-Methods", "%s", allow);
    http_reply_header(reply, "Access-Control-Allow-Headers", "%s",
                      headers && is_header_list(headers) ? headers : "*");
    http_reply_header(reply, "Access-Control-Max-Age", "%d", PREFLIGHT_SECONDS);
    /* Browsers ask before a page from outside may talk to this machine's network. */
    if (http_request_header(r, "Access-Control-Request-Private-Network"))
        http_reply_header(reply, "Access-Control-Allow-Private-Network", "true");
}

static void finish_error(struct api_call *call, enum api_family family, const struct error *err)
{
    struct api_error e = {
        .status = call->error_status ? call->error_status : api_error_status(family, err->code),
        .code = err->code,
        .text = err->text,
        .field = call->error_field,
    };
    int after = call->retry_after_seconds ? call->retry_after_seconds : RETRY_AFTER_SECONDS;

    api_error_reply(call->reply, family, &e);
    if (e.status == 429 || e.status == 503)
        http_reply_header(call->reply, "Retry-After", "%d", after);
    if (e.status >= 500)
        log_event(call->api->log, LOG_WARN, "request_failed", "path=%s status=%d",
                  call->route->path, e.status);
}

static void reply_status(struct api *api, const struct http_request *r, struct http_reply *reply,
                         enum api_family family, int status, const char *text)
{
    struct api_error e = {.status = status, .text = text};
    api_error_reply(reply, family, &e);
    add_cors(api, r, reply);
    if (status == 401)
        http_reply_header(reply, "WWW-Authenticate", "Basic realm=\"DiffusionAPI\"");
    if (status == 503)
        http_reply_header(reply, "Retry-After", "%d", RETRY_AFTER_SECONDS);
}

/* A page of another site may not make a browser change anything here: browsers send such requests
 * without asking first where they look like a form's. */
static bool origin_is_refused(const struct api *api, const struct http_request *r)
{
    const char *origin = http_request_header(r, "Origin");
    return origin && r->method != HTTP_GET &&
           (strlen(origin) > 256 || !http_origin_is_allowed(origin, api->settings->cors_origins,
                                                            http_request_header(r, "Host")));
}

static bool host_is_refused(const struct api *api, const struct http_request *r)
{
    const char *host = http_request_header(r, "Host");
    return host && http_listen_is_loopback(api->settings->listen) &&
           !http_origin_host_is_local(host, api->settings->allowed_hosts);
}

static bool has_credentials(struct api *api, const struct http_request *r, struct api_call *call)
{
    if (!http_auth_is_on(api->auth))
        return true;
    if (http_auth_check(api->auth, r, call->owner))
        return true;
    return (call->route->flags & API_SIGNED) &&
           http_sign_check(api->sign, r, clock_unix_ms() / 1000);
}

void api_begin(void *ctx, struct http_request *r, struct http_reply *reply)
{
    struct api *api = ctx;
    struct api_routes_match m;
    struct state *s = calloc(1, sizeof *s);
    char allow[80];

    api_routes_find(&m, api_routes_all, r->method, r->path);
    enum api_family family =
        m.family == API_N_FAMILIES ? api_error_family_of_path(r->path) : m.family;
    if (!s) {
        reply_status(api, r, reply, family, 503, "no memory for the request");
        return;
    }
    s->family = family;
    s->counted = m.methods != 0;
    s->call = (struct api_call){.api = api, .request = r, .reply = reply, .route = m.route};
    memcpy(s->call.argument, m.argument, sizeof m.argument);
    r->state = s;

    if (host_is_refused(api, r)) {
        reply_status(api, r, reply, family, 421,
                     "this server answers to localhost and to the names in allowed_hosts");
    } else if (!m.methods) {
        reply_status(api, r, reply, family, 404, "Not Found");
    } else if (r->method == HTTP_OPTIONS) {
        reply_to_options(api, r, m.methods, reply);
    } else if (!m.route) {
        reply_status(api, r, reply, family, 405, "Method Not Allowed");
        api_routes_allow(allow, sizeof allow, m.methods);
        http_reply_header(reply, "Allow", "%s", allow);
    } else if (origin_is_refused(api, r)) {
        reply_status(api, r, reply, family, 403,
                     "pages of this origin may not use the server; see the setting cors_origins");
    } else if (!(m.route->flags & API_OPEN) && !has_credentials(api, r, &s->call)) {
        reply_status(api, r, reply, family, 401,
                     family == API_SDAPI ? "Incorrect username or password"
                                         : "this server needs a key or a user's password");
    }
}

void api_handle(void *ctx, struct http_request *r, struct http_reply *reply)
{
    struct api *api = ctx;
    struct state *s = r->state;
    struct error err = {0};
    char id[17];

    s->call.reply = reply;
    if (!s->call.route->handle(&s->call, &err))
        finish_error(&s->call, s->family, &err);
    add_cors(api, r, reply);
    snprintf(id, sizeof id, "%08" PRIx32 "%08" PRIx32, randombytes_random(), randombytes_random());
    http_reply_header(reply, "X-Request-Id", "%s", id);
}

void api_refuse(void *ctx, struct http_request *r, struct http_reply *reply, int status,
                const char *text)
{
    reply_status(ctx, r, reply, api_error_family_of_path(r->path), status, text);
}

void api_done(void *ctx, const struct http_request *r, const struct http_server_sent *sent)
{
    struct api *api = ctx;
    struct state *s = r->state;
    char path[512], owner[200];

    api_metrics_count(api->metrics, s && s->counted ? s->family : API_N_FAMILIES, sent->status,
                      sent->seconds, sent->bytes);
    log_quote(path, sizeof path, r->path);
    log_quote(owner, sizeof owner, s && s->call.owner[0] ? s->call.owner : "-");
    log_event(api->log, LOG_INFO, "request",
              "method=%s path=%s status=%d ms=%.1f bytes=%" PRIu64 " peer=%s owner=%s%s",
              http_request_method_name(r), path, sent->status, sent->seconds * 1e3, sent->bytes,
              r->peer && r->peer[0] ? r->peer : "-", owner, sent->complete ? "" : " cut=true");
    free(s);
}
