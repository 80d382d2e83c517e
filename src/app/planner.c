#include "app/planner.h"

#include "generator/generator_find.h"
#include "generator/generator_plan.h"
#include "model/model_inspect.h"
#include "supervisor/supervisor_protocol.h"

#include <stdlib.h>
#include <string.h>

static bool plan(json_t **out, const struct settings *s, struct library *lib, const json_t *ask,
                 struct error *err)
{
    const struct gen_limits limits = generator_request_limits(s);
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
        .settings = s,
        .library = lib,
        .job = &job,
        .input_width = (int)supervisor_protocol_number(input, "width", 0),
        .input_height = (int)supervisor_protocol_number(input, "height", 0),
        .has_mask = json_is_true(json_object_get(request, "mask")),
        .base_bytes = (uint64_t)supervisor_protocol_number(ask, "worker_bytes", 0)};
    bool ok = job.mode != GEN_JOB_UPSCALE ||
              error_set(err, ERROR_INVALID, "a plan is for txt2img and img2img, not for upscale");
    if (ok && generator_plan_make(p, &what, err)) {
        *out = generator_plan_json(p);
        generator_plan_clear(p);
        ok = *out || error_set(err, ERROR_MEMORY, "no memory for a plan");
    } else {
        ok = false;
    }
    gen_job_clear(&job);
    free(p);
    return ok;
}

static json_t *part_json(const struct model *m, enum model_part part)
{
    const struct model_inspect_part n = model_inspect_count(m, part);

    return json_pack("{s:I, s:I, s:I}", "parameters", (json_int_t)n.parameters, "bytes",
                     (json_int_t)n.bytes, "tensors", (json_int_t)n.tensors);
}

static bool inspect(json_t **out, const struct settings *s, struct library *lib, const json_t *ask,
                    struct error *err)
{
    const char *name = supervisor_protocol_text(json_object_get(ask, "request"), "model");
    const struct generator_find f = {.settings = s, .library = lib};
    struct generator_model found;
    struct model *model = NULL;

    if (!generator_find_model(&found, &f, name, err) || !model_open(&model, found.path, err))
        return false;
    const struct model_info *info = model_view(model);
    json_t *parts = json_object();
    for (int i = 0; i < MODEL_PARTS; i++)
        if (info->has_part[i])
            json_object_set_new(parts, model_part_name((enum model_part)i),
                                part_json(model, (enum model_part)i));
    *out = json_pack("{s:s, s:s, s:b, s:i, s:o}", "name", info->name, "family",
                     model_family_name(info->family), "single_file", info->single_file,
                     "native_side", generator_model_native_side(info), "parts", parts);
    model_close(model);
    return *out || error_set(err, ERROR_MEMORY, "no memory for an answer");
}

json_t *planner_answer(const struct settings *s, struct library *lib, const json_t *ask)
{
    static const struct {
        const char *what;
        bool (*answer)(json_t **out, const struct settings *s, struct library *lib,
                       const json_t *ask, struct error *err);
    } row[] = {{"plan", plan}, {"inspect", inspect}};
    const char *what = supervisor_protocol_text(ask, "what");
    const json_int_t n = json_integer_value(json_object_get(ask, "n"));
    struct error err = {0};
    json_t *answer = NULL;

    error_set(&err, ERROR_INVALID, "the planner does not know this question");
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (strcmp(what, row[i].what) == 0 && row[i].answer(&answer, s, lib, ask, &err))
            return json_pack("{s:s, s:I, s:o}", "is", "answer", "n", n, "answer", answer);
    return json_pack("{s:s, s:I, s:o}", "is", "answer", "n", n, "error",
                     supervisor_protocol_error(&err));
}
