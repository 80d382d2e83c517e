#include "api/api_error.h"
#include "base/test.h"

#include <string.h>

static char body[2000];

static const char *shape(enum api_family family, int status, enum error_code code,
                         const char *field)
{
    struct http_reply reply = {0};
    const struct api_error e = {.status = status, .code = code, .text = "why", .field = field};

    api_error_reply(&reply, family, &e);
    CHECK(reply.status == status && !reply.failed &&
          strcmp(reply.content_type, "application/json") == 0);
    snprintf(body, sizeof body, "%.*s", (int)reply.n_bytes, reply.bytes);
    http_reply_clear(&reply);
    return body;
}

static void has_a_shape_per_family(void)
{
    CHECK(strcmp(shape(API_NATIVE, 400, ERROR_INVALID, NULL),
                 "{\"status\":\"error\",\"detail\":\"why\"}") == 0);
    CHECK(strcmp(shape(API_NATIVE, 400, ERROR_INVALID, "steps"),
                 "{\"status\":\"error\",\"detail\":\"why\",\"field\":\"steps\"}") == 0);
    CHECK(strcmp(shape(API_SDAPI, 404, ERROR_NONE, NULL), "{\"detail\":\"why\"}") == 0);
    CHECK(strcmp(shape(API_SDAPI, 422, ERROR_INVALID, "steps"),
                 "{\"detail\":[{\"loc\":[\"body\",\"steps\"],\"msg\":\"why\",\"type\":"
                 "\"value_error\"}]}") == 0);
    CHECK(strcmp(shape(API_SDAPI, 400, ERROR_INVALID, NULL),
                 "{\"error\":\"HTTPException\",\"detail\":\"why\",\"body\":\"\",\"errors\":"
                 "\"why\"}") == 0);
    CHECK(strcmp(shape(API_OPENAI, 400, ERROR_INVALID, "size"),
                 "{\"error\":{\"message\":\"why\",\"type\":\"invalid_request_error\",\"param\":"
                 "\"size\",\"code\":\"invalid_value\"}}") == 0);
    CHECK(
        strcmp(shape(API_OPENAI, 401, ERROR_NONE, NULL),
               "{\"error\":{\"message\":\"why\",\"type\":\"invalid_request_error\",\"param\":null,"
               "\"code\":\"invalid_api_key\"}}") == 0);
    CHECK(strstr(shape(API_OPENAI, 404, ERROR_NOT_FOUND, "model"), "model_not_found"));
    CHECK(strstr(shape(API_OPENAI, 503, ERROR_BUSY, NULL), "server_error"));
}

static void knows_families_by_paths(void)
{
    CHECK(api_error_family_of_path("/sdapi/v1/x") == API_SDAPI);
    CHECK(api_error_family_of_path("/v1/models") == API_OPENAI);
    CHECK(api_error_family_of_path("/v1") == API_NATIVE);
    CHECK(api_error_family_of_path("/") == API_NATIVE);
}

static void has_a_status_for_every_code(void)
{
    for (int code = ERROR_NONE; code <= ERROR_CANCELLED; code++)
        for (int f = 0; f < API_N_FAMILIES; f++) {
            int status = api_error_status((enum api_family)f, (enum error_code)code);
            CHECK(http_reply_reason(status)[0] && (code == ERROR_NONE) == (status == 200));
        }
    CHECK(api_error_status(API_NATIVE, ERROR_FULL) == 429);
    CHECK(api_error_status(API_NATIVE, ERROR_LIMIT) == 422);
    CHECK(api_error_status(API_OPENAI, ERROR_LIMIT) == 400);
}

int main(void)
{
    has_a_shape_per_family();
    knows_families_by_paths();
    has_a_status_for_every_code();
    return TEST_END();
}
