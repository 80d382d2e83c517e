#include "api/sdapi_system.h"

#include "config/settings.h"
#include "http/http_auth.h"
#include "memory/machine.h"
#include "plan/plan_policy.h"
#include "supervisor/supervisor.h"

enum { UNLOAD_TIMEOUT_MS = 10000 };

bool sdapi_system_memory(struct api_call *call, struct error *err)
{
    struct machine_source source = machine_this_system();
    struct supervisor_status status;
    struct machine m;

    if (!plan_policy_machine(&m, call->api->settings, &source, err))
        return false;
    supervisor_status(call->api->supervisor, &status);
    json_t *body = json_pack(
        "{s:{s:I, s:I, s:I}, s:{s:s}, s:{s:I, s:I}}", "ram", "free", (json_int_t)m.available_bytes,
        "used", (json_int_t)(m.total_bytes - m.available_bytes), "total", (json_int_t)m.total_bytes,
        "cuda", "error", "this server computes on the CPU", "worker", "resident",
        (json_int_t)status.resident_bytes, "reserved", (json_int_t)status.reserved_bytes);
    return api_reply_json(call, 200, body, err);
}

/* Nothing of it is a secret or a path. */
bool sdapi_system_flags(struct api_call *call, struct error *err)
{
    const struct settings *s = call->api->settings;
    json_t *body =
        json_pack("{s:b, s:b, s:i, s:b, s:b, s:s, s:n}", "api", 1, "nowebui", 0, "port",
                  (int)s->port, "listen", !!s->listen[0], "api_auth",
                  http_auth_is_on(call->api->auth), "device_id", "cpu", "cors_allow_origins");
    return api_reply_json(call, 200, body, err);
}

bool sdapi_system_unload(struct api_call *call, struct error *err)
{
    json_t *answer = NULL;

    /* Where a job runs, the worker has been told and does it at the job's end. */
    if (!supervisor_ask(call->api->supervisor, "unload", NULL, &answer,
                        &(struct supervisor_patience){.timeout_ms = UNLOAD_TIMEOUT_MS}, err) &&
        err->code != ERROR_BUSY)
        return false;
    json_decref(answer);
    return api_reply_json(call, 200, json_object(), err);
}

bool sdapi_system_reload(struct api_call *call, struct error *err)
{
    return api_reply_json(call, 200, json_object(), err);
}
