#include "api/api_error.h"

#include <stdlib.h>
#include <string.h>

enum api_family api_error_family_of_path(const char *path)
{
    if (strncmp(path, "/sdapi/", 7) == 0)
        return API_SDAPI;
    if (strncmp(path, "/v1/", 4) == 0)
        return API_OPENAI;
    return API_NATIVE;
}

int api_error_status(enum api_family family, enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        return 200;
    case ERROR_INVALID:
        return 400;
    case ERROR_NOT_FOUND:
        return 404;
    case ERROR_CORRUPT: /* OpenAI's clients know no 422 */
        return family == API_OPENAI ? 400 : 422;
    case ERROR_LIMIT:
        return family == API_OPENAI ? 400 : 422;
    case ERROR_FULL:
        return 429;
    case ERROR_BUSY:
    case ERROR_MEMORY:
        return 503;
    case ERROR_CANCELLED: /* OpenAI's clients would send a 409 again */
        return family == API_OPENAI ? 400 : 409;
    case ERROR_IO:
        break;
    }
    return 500;
}

static json_t *native_shape(const struct api_error *e)
{
    json_t *out = json_pack("{s:s, s:s}", "status", "error", "detail", e->text);
    if (e->field)
        json_object_set_new(out, "field", json_string(e->field));
    return out;
}

/* The classes that AUTOMATIC1111's errors name; clients show them. */
static const char *sdapi_class(int status)
{
    return status == 404   ? "NotFound"
           : status == 401 ? "Unauthorized"
           : status < 500  ? "HTTPException"
                           : "RuntimeError";
}

static json_t *sdapi_shape(const struct api_error *e)
{
    if (e->status == 422 && e->field)
        return json_pack("{s:[{s:[ss], s:s, s:s}]}", "detail", "loc", "body", e->field, "msg",
                         e->text, "type", "value_error");
    if (e->code == ERROR_NONE && (e->status == 404 || e->status == 405))
        return json_pack("{s:s}", "detail", e->text);
    return json_pack("{s:s, s:s, s:s, s:s}", "error", sdapi_class(e->status), "detail", e->text,
                     "body", "", "errors", e->text);
}

static json_t *openai_shape(const struct api_error *e)
{
    static const struct {
        int status;
        const char *type, *code;
    } row[] = {
        {401, "invalid_request_error", "invalid_api_key"},
        {403, "permission_error", NULL},
        {429, "rate_limit_error", "rate_limit_exceeded"},
    };
    const char *type = e->status >= 500 ? "server_error" : "invalid_request_error";
    bool is_missing = strncmp(e->text, "Missing required", 16) == 0;
    const char *code = !e->field || e->status != 400 ? NULL
                       : is_missing                  ? "missing_required_parameter"
                                                     : "invalid_value";

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (row[i].status == e->status) {
            type = row[i].type;
            code = row[i].code;
        }
    if (e->field && strcmp(e->field, "model") == 0 && e->status == 404)
        code = "model_not_found";
    return json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", e->text, "type", type,
                     "param", e->field, "code", code);
}

void api_error_reply(struct http_reply *reply, enum api_family family, const struct api_error *e)
{
    json_t *body = family == API_SDAPI    ? sdapi_shape(e)
                   : family == API_OPENAI ? openai_shape(e)
                                          : native_shape(e);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    json_decref(body);
    if (!text) {
        reply->failed = true;
        reply->status = e->status;
        return;
    }
    http_reply_bytes(reply, e->status, "application/json", text, strlen(text));
    free(text);
}
