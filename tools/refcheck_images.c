/* Whole pictures: every row of expect/images/index.json through the program's own pipeline. */
#include "image/image_format.h"
#include "pipeline/pipeline.h"
#include "refcheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bounds of a match, of 255. */
static const double MEAN_LIMIT = 0.5, PIXEL_LIMIT = 4;

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text ? text : "";
}

/* Fills what the row asks for.  Returns false with a reason. */
static bool read_request(struct gen_request *out, const json_t *row, struct error *err)
{
    struct gen_limits limits = gen_request_default_limits();
    const char *sampler = text_of(row, "sampler"), *schedule = text_of(row, "scheduler");

    *out = gen_request_defaults();
    out->mode = strcmp(text_of(row, "mode"), "img2img") == 0 ? GEN_IMG2IMG : GEN_TXT2IMG;
    out->prompt = text_of(row, "prompt");
    out->negative_prompt = text_of(row, "negative_prompt");
    out->width = (int)json_integer_value(json_object_get(row, "width"));
    out->height = (int)json_integer_value(json_object_get(row, "height"));
    out->steps = (int)json_integer_value(json_object_get(row, "steps"));
    out->cfg_scale = json_number_value(json_object_get(row, "cfg_scale"));
    out->seed = (uint64_t)json_integer_value(json_object_get(row, "seed"));
    if (out->mode == GEN_IMG2IMG)
        out->denoising_strength = json_number_value(json_object_get(row, "denoising_strength"));
    if (json_object_get(row, "clip_skip"))
        out->clip_skip = (int)json_integer_value(json_object_get(row, "clip_skip"));
    out->sampler = sampler_find(sampler, NULL);
    out->schedule = schedule_find(schedule);
    if (!out->sampler)
        return sampler_unknown(err, sampler);
    if (!out->schedule)
        return schedule_unknown(err, schedule);
    if (!rng_kind_find(&out->rng, text_of(row, "rng")))
        return error_set(err, ERROR_INVALID, "no random numbers '%s'", text_of(row, "rng"));
    return gen_request_check(out, &limits, err);
}

static bool load(struct image_file *out, const struct refcheck *r, const char *name,
                 struct error *err)
{
    char path[REFCHECK_MAX_PATH + 300];

    snprintf(path, sizeof path, "%s/expect/images/%.255s", r->dir, name);
    return image_format_load(out, path, err);
}

static void compare(struct refcheck *r, const char *name, const struct image *have,
                    const struct image *want)
{
    char row[160];
    double sum = 0, worst = 0;

    if (have->width != want->width || have->height != want->height) {
        refcheck_fail(r, name, "another size than the reference's");
        return;
    }
    for (size_t i = 0; i < image_bytes(want); i++) {
        const double d = abs(have->px[i] - want->px[i]);
        sum += d;
        worst = d > worst ? d : worst;
    }
    snprintf(row, sizeof row, "%s, mean of 255", name);
    refcheck_row(r, row, sum / (double)image_bytes(want), MEAN_LIMIT);
    snprintf(row, sizeof row, "%s, worst of 255", name);
    refcheck_row(r, row, worst, PIXEL_LIMIT);
}

static bool make(struct gen_result *out, struct pipeline *p, const struct refcheck *r,
                 const json_t *row, const struct gen_request *request, struct error *err)
{
    struct gen_plan plan = {0};
    struct image_file input = {0};
    const bool wants_input = request->mode == GEN_IMG2IMG;

    bool ok = (!wants_input || load(&input, r, text_of(row, "image"), err)) &&
              pipeline_plan(&plan, p, request, NULL, err) &&
              pipeline_run(out, p, request, &plan,
                           &(struct pipeline_input){.image = wants_input ? &input.image : NULL},
                           NULL, err);
    gen_plan_clear(&plan);
    image_format_clear(&input);
    return ok;
}

static void check_picture(struct refcheck *r, struct pipeline *p, const json_t *row,
                          const char *name)
{
    struct gen_request request;
    struct gen_result result = {0};
    struct image_file want = {0};
    struct error err = {0};

    if (!read_request(&request, row, &err))
        refcheck_skip(r, name, err.text);
    else if (!load(&want, r, text_of(row, "file"), &err) ||
             !make(&result, p, r, row, &request, &err))
        refcheck_fail(r, name, err.text);
    else
        compare(r, name, &result.images[0], &want.image);
    pipeline_result_clear(&result);
    image_format_clear(&want);
}

/* From the model's folder, or from its single file with the folder's vocabulary. */
static bool open_model(struct pipeline **out, const struct refcheck *r, const char *model,
                       bool single_file, struct error *err)
{
    char path[2 * REFCHECK_MAX_PATH], tokenizer[2 * REFCHECK_MAX_PATH];

    snprintf(path, sizeof path, "%s/%s%s", r->dir, model, single_file ? ".safetensors" : "");
    snprintf(tokenizer, sizeof tokenizer, "%s/%s/tokenizer", r->dir, model);
    return pipeline_open(out, path, single_file ? tokenizer : NULL, r->backend, err);
}

static void check_rows(struct refcheck *r, const json_t *root, bool single_file)
{
    char name[128];
    const char *model = "";
    struct pipeline *p = NULL;
    size_t i;
    json_t *row;

    json_array_foreach(root, i, row)
    {
        struct error err = {0};
        snprintf(name, sizeof name, "picture %s%.60s", single_file ? "by single file " : "",
                 text_of(row, "file"));
        if (strcmp(text_of(row, "model"), model) != 0) {
            pipeline_close(p);
            p = NULL;
            model = text_of(row, "model");
        }
        if (!p && !open_model(&p, r, model, single_file, &err))
            refcheck_fail(r, name, err.text);
        else
            check_picture(r, p, row, name);
    }
    pipeline_close(p);
}

void refcheck_images(struct refcheck *r)
{
    char path[REFCHECK_MAX_PATH];

    refcheck_expect_path(r, path, "images/index.json");
    json_t *root = refcheck_json(r, path, "images/index.json");
    check_rows(r, root, false);
    check_rows(r, root, true);
    json_decref(root);
}
