#include "app/planner.h"

#include "generator/generator_plan.h"
#include "supervisor/supervisor_protocol.h"

#include <stdlib.h>
#include <string.h>

static bool plan(json_t **out, const struct planner *planner, const json_t *ask, struct error *err)
{
    const struct gen_limits limits = generator_request_limits(planner->settings);
    json_t *request = json_object_get(ask, "request"), *input = json_object_get(request, "input");
    struct generator_plan *p = malloc(sizeof *p);
    struct gen_job job;

    if (!p)
        return error_set(err, ERROR_MEMORY, "no memory for a plan");
    if (!gen_job_read(&job, json_object_get(request, "job"), &limits, err) ||
        !gen_job_pick_seeds(&job, err)) {
        free(p);
        return false;
    }
    const struct generator_plan_ask what = {
        .settings = planner->settings,
        .library = planner->library,
        .job = &job,
        .input_width = (int)supervisor_protocol_number(input, "width", 0),
        .input_height = (int)supervisor_protocol_number(input, "height", 0),
        .has_mask = json_is_true(json_object_get(request, "mask")),
        .base_bytes = (uint64_t)supervisor_protocol_number(ask, "worker_bytes", 0),
        .stop = planner->is_dropped,
        .stop_ctx = planner->ctx};
    bool ok = job.mode != GEN_JOB_UPSCALE ||
              error_set(err, ERROR_INVALID, "a plan is for txt2img and img2img, not for upscale");
    if (ok && generator_plan_make(p, &what, err)) {
        *out = generator_plan_json(p);
        generator_plan_clear(p);
        ok = *out || error_set(err, ERROR_MEMORY, "no memory for a plan");
    } else if (ok && err->code == ERROR_LIMIT) {
        *out = generator_plan_json_refusal(p, err->text);
        ok = *out != NULL;
    } else {
        ok = false;
    }
    gen_job_clear(&job);
    free(p);
    return ok;
}

json_t *planner_answer(const struct planner *p, const json_t *ask)
{
    const char *what = supervisor_protocol_text(ask, "what");
    const json_int_t n = json_integer_value(json_object_get(ask, "n"));
    struct error err = {0};
    json_t *answer = NULL;

    const bool ok = strcmp(what, "plan") == 0
                        ? plan(&answer, p, ask, &err)
                        : error_set(&err, ERROR_INVALID, "the planner does not know this question");
    if (ok)
        return json_pack("{s:s, s:I, s:o}", "is", "answer", "n", n, "answer", answer);
    return json_pack("{s:s, s:I, s:o}", "is", "answer", "n", n, "error",
                     supervisor_protocol_error(&err));
}
