/* The text encoder and the UNet with a LoRA, in every spelling the folder has it. */
#include "model/lora_set.h"
#include "plan/network.h"
#include "refcheck.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One model with one LoRA. */
struct scene {
    struct refcheck *r;
    const struct model *model;
    const struct safetensors *file; /* expect/sd15/lora */
    const json_t *settings;         /* its metadata: prompt and scale */
    struct lora_set set;
    const char *label;
};

static void finish(const struct scene *s, struct network *n, bool ok, enum backend_order order,
                   const struct refcheck_tensor *want, const char *what, const struct error *err)
{
    char row[160];
    float *have = calloc(want->count + 1, sizeof *have);

    snprintf(row, sizeof row, "%s, %s", s->label, what);
    if (!have || !ok ||
        (size_t)graph_shape_count(graph_tensor_view(n->graph, n->out)->shape) != want->count) {
        refcheck_fail(s->r, row, ok ? "the network's output has another size" : err->text);
    } else {
        exec_read(n->exec, n->out, have, order);
        refcheck_row(s->r, row, refcheck_error(have, want->x, want->count), REFCHECK_STAGE);
    }
    free(have);
    network_clear(n);
}

/* The vocabulary is the folder's; single files carry none. */
static bool read_ids(const struct scene *s, float ids[TOKENIZER_LENGTH], struct error *err)
{
    char dir[REFCHECK_MAX_PATH];
    int32_t padded[TOKENIZER_LENGTH];
    struct tokenizer *t = NULL;
    const char *prompt = json_string_value(json_object_get(s->settings, "prompt"));

    if (!prompt)
        return error_set(err, ERROR_CORRUPT, "the file names no prompt");
    snprintf(dir, sizeof dir, "%s/tiny-sd15/tokenizer", s->r->dir);
    bool ok = tokenizer_open(&t, dir, err) &&
              tokenizer_encode_padded(t, padded, NULL, prompt, strlen(prompt), err);
    for (int i = 0; ok && i < TOKENIZER_LENGTH; i++)
        ids[i] = (float)padded[i];
    tokenizer_close(t);
    return ok;
}

static void check_context(const struct scene *s)
{
    const struct network_options options = {.loras = &s->set};
    struct refcheck_tensor want = refcheck_tensor_named(s->file, "context");
    struct network n = {0};
    struct error err = {0};
    float ids[TOKENIZER_LENGTH];

    bool ok = read_ids(s, ids, &err) &&
              network_text_encoder(&n, s->model, s->r->backend, 1, 1, &options, &err) &&
              exec_start(n.exec, NULL, &err);
    if (ok) {
        exec_write(n.exec, n.ids, ids, BACKEND_ROWS);
        ok = exec_run(n.exec, NULL, NULL, &err);
    }
    finish(s, &n, ok, BACKEND_ROWS, &want, "context", &err);
    free(want.x);
}

static void check_unet(const struct scene *s)
{
    const struct unet_config *c = &model_view(s->model)->unet;
    const struct network_options options = {.loras = &s->set};
    struct refcheck_tensor sample = refcheck_tensor_named(s->file, "sample");
    struct refcheck_tensor timestep = refcheck_tensor_named(s->file, "timestep");
    struct refcheck_tensor context = refcheck_tensor_named(s->file, "context");
    struct refcheck_tensor want = refcheck_tensor_named(s->file, "out");
    struct network n = {0};
    struct error err = {0};
    float *time = calloc((size_t)c->channels[0], sizeof *time);
    bool ok = time && sample.n_dims == 4 && timestep.count == 1 && context.x;

    if (!ok)
        error_set(&err, ERROR_CORRUPT, "the file does not hold what this UNet takes");
    ok = ok &&
         network_unet(&n, s->model, s->r->backend, (int)sample.dims[0], (int)sample.dims[2],
                      (int)sample.dims[3], &options, &err) &&
         exec_start(n.exec, NULL, &err);
    if (ok) {
        unet_timestep_embedding(time, timestep.x, 1, c->channels[0], c->flip_sin_to_cos,
                                c->freq_shift);
        exec_write(n.exec, n.unet.sample, sample.x, BACKEND_PLANES);
        exec_write(n.exec, n.unet.timestep, time, BACKEND_ROWS);
        exec_write(n.exec, n.unet.context, context.x, BACKEND_ROWS);
        ok = exec_run(n.exec, NULL, NULL, &err);
    }
    finish(s, &n, ok, BACKEND_PLANES, &want, "unet", &err);
    free(time);
    free(sample.x);
    free(timestep.x);
    free(context.x);
    free(want.x);
}

static void check_spelling(struct scene *s, const char *spelling)
{
    char path[REFCHECK_MAX_PATH + 64], label[96];
    const char *text = json_string_value(json_object_get(s->settings, "scale"));
    const double scale = text ? strtod(text, NULL) : 0;
    const struct lora_set_wish wish = {
        .name = path, .is_path = true, .text_scale = scale, .unet_scale = scale};

    snprintf(path, sizeof path, "%s/lora/tiny-sd15-%s.safetensors", s->r->dir, spelling);
    snprintf(label, sizeof label, "%s lora, %s", s->label, spelling);
    lora_set_open(&s->set, &wish, 1, NULL, model_view(s->model));
    const char *before = s->label;
    s->label = label;
    if (s->set.n_warnings) {
        refcheck_fail(s->r, label, s->set.warnings[0]);
    } else {
        check_context(s);
        check_unet(s);
    }
    s->label = before;
    lora_set_clear(&s->set);
}

void refcheck_lora(struct refcheck *r)
{
    struct safetensors *file = refcheck_tensors(r, "sd15/lora.safetensors");
    json_t *settings = file ? refcheck_metadata(file) : NULL;
    struct scene *s = calloc(1, sizeof *s);

    for (int single = 0; file && settings && s && single < 2; single++) {
        struct model *m = refcheck_model(r, "sd15", single);
        *s = (struct scene){.r = r,
                            .model = m,
                            .file = file,
                            .settings = settings,
                            .label = single ? "sd15 single file" : "sd15"};
        if (m) {
            check_spelling(s, "kohya");
            check_spelling(s, "peft");
        }
        model_close(m);
    }
    if (file && !settings)
        refcheck_fail(r, "sd15 lora", "the file names no prompt and scale");
    free(s);
    json_decref(settings);
    safetensors_close(file);
}
