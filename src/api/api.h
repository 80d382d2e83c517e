/* The web API: what handlers use, the table of routes, and how an error looks in each family.
 *
 * A family is a dialect that clients speak: our own, AUTOMATIC1111's /sdapi/v1, OpenAI's /v1.  Each
 * has a table of routes (api_native.c, api_sdapi.c, ...) whose handlers translate its fields into
 * the canonical request (request/gen_job.h) and its answers back.  What they share, such as
 * submitting, waiting and reading results, stands in api_submit.h, api_wait.h, api_late.h,
 * api_result.h and api_input.h. */
#ifndef API_API_H
#define API_API_H

#include "base/log.h"
#include "http/http_reply.h"
#include "http/http_request.h"

#include <jansson.h>
#include <stdatomic.h>

struct settings;
struct job_queue;
struct supervisor;
struct library;
struct api_wait;
struct api_metrics;
struct http_auth;
struct http_sign;
struct sdapi_options;

/* Everything is borrowed and outlives the server.  Thread-safe: handlers run side by side. */
struct api {
    const struct settings *settings;
    struct job_queue *queue;
    struct supervisor *supervisor;
    struct library *library;
    const struct log *log;
    struct api_wait *wait;               /* wakes who waits for a job: api_wait.h */
    struct api_metrics *metrics;         /* counters: api_metrics.h */
    struct sdapi_options *sdapi_options; /* what clients of /sdapi/v1 have set for all */
    const struct http_auth *auth;
    const struct http_sign *sign;
    const char *version;
    const char *data_dir;
    double started;         /* clock_seconds */
    _Atomic bool *stopping; /* the server ends: nobody begins to wait */
};

enum api_family { API_NATIVE, API_SDAPI, API_OPENAI, API_PAGE, API_N_FAMILIES };

enum { API_ARGUMENTS_MAX = 2, API_ARGUMENT_BYTES = 256, API_OWNER_BYTES = 129 };

/* One request on its way. */
struct api_call {
    struct api *api;
    const struct http_request *request;
    struct http_reply *reply;
    const struct api_route *route;
    char argument[API_ARGUMENTS_MAX][API_ARGUMENT_BYTES]; /* what stood at {id} and the like */
    char owner[API_OWNER_BYTES]; /* label of the credential, "" with authentication off */
    const char *error_field;     /* borrowed; the field that an error is about, or NULL */
    int error_status;            /* instead of the one that the error's code has; 0: that one */
    int retry_after_seconds;     /* sent along with 429 and 503; 0: a guess */
};

/* Fills call->reply and returns true; or fills err and returns false, and the reply is made in the
 * family's shape, with the status of call->error_status or of the error's code (api_error.h). */
typedef bool (*api_handler_fn)(struct api_call *call, struct error *err);

enum api_route_flags {
    API_OPEN = 1,   /* answers without credentials */
    API_SIGNED = 2, /* a signature in the query is as good as credentials */
};

struct api_route {
    enum http_method method;
    const char *path; /* "/queue/{id}"; a {name} takes one segment, {name*} the rest of the path */
    api_handler_fn handle;
    unsigned flags;
    const char *summary; /* one sentence, for /docs and /openapi.json */
    const char *body;    /* name of the body's schema in api_schema.c; NULL: takes none */
};

/* A family and its routes, up to the row whose path is NULL. */
struct api_routes {
    enum api_family family;
    const struct api_route *rows;
};

/* All families, up to the row whose rows are NULL: add a family's table in api_routes.c. */
extern const struct api_routes api_routes_all[];

/* The functions of http_server_settings; ctx is the struct api. */
void api_begin(void *ctx, struct http_request *r, struct http_reply *reply);
void api_handle(void *ctx, struct http_request *r, struct http_reply *reply);
void api_refuse(void *ctx, struct http_request *r, struct http_reply *reply, int status,
                const char *text);
struct http_server_sent;
void api_done(void *ctx, const struct http_request *r, const struct http_server_sent *sent);

/* Helpers for handlers. */

/* Sends JSON and lets go of the reference; NULL counts as no memory. */
bool api_reply_json(struct api_call *call, int status, json_t *body, struct error *err);

/* The body as a JSON object (the caller lets go of *out): ERROR_INVALID for what is none, too deep,
 * or not UTF-8.  An empty body is {} where may_be_empty. */
bool api_read_json(struct api_call *call, json_t **out, bool may_be_empty, struct error *err);

/* An error with a status that no error code has, about a field (may be NULL).  Returns false. */
bool api_fail(struct api_call *call, struct error *err, int status, const char *field,
              const char *fmt, ...) PRINTF_LIKE(5, 6);

#endif
