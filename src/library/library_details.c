#include "library/library_details.h"

#include "base/utf8.h"
#include "model/lora.h"
#include "model/model_native.h"
#include "model/model_vae.h"
#include "model/text_inversion.h"
#include "model/upscaler_file.h"

#include <stdio.h>
#include <string.h>

/* SD 1.x and SDXL scale latents to unit variance with different factors, which tell them apart. */
#define SCALING_SDXL 0.13025f
#define SCALING_SD1 0.18215f

enum { WIDTH_SD2 = 1024, INPAINTING_CHANNELS = 9 };

static bool read_model(struct library_details *out, const char *path, struct error *err)
{
    static const char *const families[][2] = {
        [MODEL_SD1] = {"sd15", "sd15-inpainting"},
        [MODEL_SDXL] = {"sdxl", "sdxl-inpainting"},
        [MODEL_SDXL_REFINER] = {"sdxl-refiner", "sdxl-refiner"}};
    struct model *m = NULL;

    if (!model_open(&m, path, err))
        return false;
    const struct model_info *info = model_view(m);
    const bool inpainting = info->unet.in_channels == INPAINTING_CHANNELS;
    const bool sd2 = info->family == MODEL_SD1 && info->unet.cross_attention_dim == WIDTH_SD2;
    out->family = sd2 ? "sd2" : families[info->family][inpainting];
    out->model_family = info->family;
    out->v_prediction = info->schedule.prediction == MODEL_V_PREDICTION;
    out->native_side = model_native_side(info);
    model_close(m);
    return true;
}

static bool is_near(float a, float b)
{
    return a > b * 0.999f && a < b * 1.001f;
}

static bool read_vae(struct library_details *out, const char *path, struct error *err)
{
    struct model *m = NULL;

    if (!model_vae_open(&m, path, NULL, err))
        return false;
    const struct model_info *info = model_view(m);
    /* A single file does not tell its scaling, and serves either family. */
    out->family = info->vae.tiny                                    ? "taesd"
                  : info->single_file                               ? ""
                  : is_near(info->vae.scaling_factor, SCALING_SDXL) ? "sdxl"
                  : is_near(info->vae.scaling_factor, SCALING_SD1)  ? "sd15"
                                                                    : "";
    out->model_family = strcmp(out->family, "sdxl") == 0 ? MODEL_SDXL : MODEL_SD1;
    model_close(m);
    return true;
}

static const char *family_of_origin(const char *origin)
{
    static const char *const rows[][2] = {
        {"SD 1.x", "sd15"}, {"SD 2.x", "sd2"}, {"SDXL", "sdxl"}, {"SDXL refiner", "sdxl-refiner"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i][0], origin) == 0)
            return rows[i][1];
    return "";
}

static bool read_lora(struct library_details *out, const char *path, struct error *err)
{
    json_t *metadata = NULL;
    struct lora *l = NULL;

    if (!lora_open(&l, path, err))
        return false;
    const enum lora_kind kind = lora_kind(l);
    out->family = family_of_origin(lora_origin(l));
    lora_close(l);
    if (!library_lora_read(&metadata, path, err))
        return false;
    library_lora_alias(out->alias, metadata);
    library_lora_claimed_hash(out->sshs_hash, metadata);
    json_decref(metadata);
    if (kind == LORA_KIND_OTHER)
        return error_set(err, ERROR_INVALID, "no LoRA: it holds none of the tensors of one");
    return lora_kind_is_applied(kind) ||
           error_set(err, ERROR_INVALID, "of the kind %s, which is not applied",
                     lora_kind_name(kind));
}

static bool read_embedding(struct library_details *out, const char *path, struct error *err)
{
    struct text_inversion_shape shape;

    if (!text_inversion_look(&shape, path, err))
        return false;
    out->n_vectors = shape.n_vectors;
    memcpy(out->vector_widths, shape.width, sizeof shape.width);
    out->family = shape.width[1]           ? "sdxl"
                  : shape.width[0] == 768  ? "sd15"
                  : shape.width[0] == 1024 ? "sd2"
                                           : "";
    return true;
}

static bool read_upscaler(struct library_details *out, const char *path, struct error *err)
{
    struct upscaler_file *f = NULL;

    if (!upscaler_file_open(&f, path, err))
        return false;
    out->scale = upscaler_config_scale(upscaler_file_config(f));
    out->family = "esrgan";
    upscaler_file_close(f);
    return true;
}

/* Takes the folder's own path out of a sentence: clients have no business with it. */
static void write_problem(char out[LIBRARY_DETAILS_PROBLEM_BYTES], const char *text,
                          const char *root)
{
    const size_t cut = strlen(root);
    size_t n = 0;

    while (*text && n + 1 < LIBRARY_DETAILS_PROBLEM_BYTES) {
        if (cut > 1 && strncmp(text, root, cut) == 0 && text[cut] == '/') {
            text += cut + 1;
            continue;
        }
        const unsigned char c = (unsigned char)*text++;
        out[n++] = (char)(c < 0x20 || c == 0x7f ? ' ' : c);
    }
    out[n] = 0;
    for (int i = 0; i < 3 && n > 0 && !utf8_is_text(out, n); i++)
        out[--n] = 0; /* cut within a character */
    for (size_t i = 0; i < n && !utf8_is_text(out, n); i++)
        if ((unsigned char)out[i] >= 0x80)
            out[i] = '?'; /* a name from a file that is not UTF-8 */
}

void library_details_read(struct library_details *out, enum library_kind kind, const char *path,
                          const char *root)
{
    static bool (*const readers[LIBRARY_KINDS])(struct library_details *, const char *,
                                                struct error *) = {
        [LIBRARY_MODEL] = read_model,       [LIBRARY_LORA] = read_lora,
        [LIBRARY_UPSCALER] = read_upscaler, [LIBRARY_EMBEDDING] = read_embedding,
        [LIBRARY_VAE] = read_vae,
    };
    struct error err = {0};

    *out = (struct library_details){.family = ""};
    if (!readers[kind](out, path, &err)) {
        out->passing =
            err.code != ERROR_CORRUPT && err.code != ERROR_INVALID && err.code != ERROR_LIMIT;
        write_problem(out->problem, err.text, root);
    }
}
