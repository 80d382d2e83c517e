#include "api/api_submit.h"
#include "api/sdapi_options.h"
#include "api/sdapi_request.h"
#include "config/settings.h"
#include "library/library.h"

#include <stdint.h>
#include <stdlib.h>

static struct settings settings;
static struct api api = {.settings = &settings};

static void open_api(void)
{
    const struct library_settings nothing = {0};
    struct settings_origins origins;
    struct error err;

    settings_defaults(&settings, &origins);
    if (!library_open(&api.library, &nothing, &err) ||
        !sdapi_options_open(&api.sdapi_options, &err))
        abort();
}

static void must_say_why(const struct error *err)
{
    if (err->code == ERROR_NONE || !err->text[0])
        abort();
}

/* A body either becomes a request that the canonical reader takes or refuses with a reason, or is
 * refused here with one.  The first byte chooses the endpoint. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request r = {.fd = -1, .query = "", .path = "/"};
    struct api_call call = {.api = &api, .request = &r};
    struct sdapi_request request = {0};
    struct error err = {0};
    struct gen_job job;
    json_t *body = NULL;

    if (size == 0)
        return 0;
    if (!api.library)
        open_api();
    r.body = data + 1;
    r.body_bytes = size - 1;
    if (!api_read_json(&call, &body, true, &err)) {
        must_say_why(&err);
        return 0;
    }
    enum sdapi_endpoint endpoint = (enum sdapi_endpoint)(data[0] & 3);
    if (sdapi_request_read(&request, &call, body, endpoint, &err)) {
        struct gen_limits limits = api_submit_limits(&api);
        if (gen_job_read(&job, request.canonical, &limits, &err)) {
            gen_job_clear(&job);
        } else {
            (void)sdapi_fields_rename(&err, endpoint);
            must_say_why(&err);
        }
    } else {
        must_say_why(&err);
    }
    sdapi_request_clear(&request);
    json_decref(body);
    return 0;
}
