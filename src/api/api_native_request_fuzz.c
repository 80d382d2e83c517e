#include "api/api_native_request.h"
#include "api/api_submit.h"
#include "config/settings.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A body either becomes a request that the canonical reader takes or refuses with a reason, or is
 * refused here with one.  The first byte chooses the endpoint. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings;
    struct settings_origins origins;
    struct api api = {.settings = &settings};
    struct http_request r = {.fd = -1, .query = "", .path = "/"};
    struct api_call call = {.api = &api, .request = &r};
    struct api_native_request request = {0};
    struct error err = {0};
    struct gen_job job;
    json_t *body = NULL;

    if (size == 0)
        return 0;
    settings_defaults(&settings, &origins);
    r.body = data + 1;
    r.body_bytes = size - 1;
    if (!api_read_json(&call, &body, true, &err)) {
        if (err.code == ERROR_NONE || !err.text[0])
            abort();
        return 0;
    }
    bool ok = (data[0] & 2) ? api_native_request_plan(&request, &call, body, data[0] & 1, &err)
                            : api_native_request_read(&request, &call, body, data[0] & 1, &err);
    if (ok) {
        struct gen_limits limits = api_submit_limits(&api);
        if (gen_job_read(&job, request.canonical, &limits, &err))
            gen_job_clear(&job);
        else if (err.code == ERROR_NONE || !err.text[0])
            abort();
    } else if (err.code == ERROR_NONE || !err.text[0] || request.canonical) {
        abort();
    }
    api_native_request_clear(&request);
    json_decref(body);
    return 0;
}
