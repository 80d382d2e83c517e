#include "model/lora_names.h"

#include "model/tensor_names.h"

#include <string.h>

struct prefix {
    const char *text;
    const char *put; /* what the module's name begins with instead */
    enum model_part part;
};

/* Of two that fit, the first one counts. */
static const struct prefix prefixes[] = {
    {"lora_unet_", "", MODEL_UNET},
    {"lora_te1_", "", MODEL_TEXT_ENCODER},
    {"lora_te2_", "", MODEL_TEXT_ENCODER_2},
    {"lora_te_", "", MODEL_TEXT_ENCODER},
    {"unet.", "", MODEL_UNET},
    {"text_encoder.", "", MODEL_TEXT_ENCODER},
    {"text_encoder_2.", "", MODEL_TEXT_ENCODER_2},
    {"model.diffusion_model.", "", MODEL_UNET},
    {"diffusion_model.", "", MODEL_UNET},
    /* Files of one part alone need not name it. */
    {"down_blocks.", "down_blocks.", MODEL_UNET},
    {"mid_block.", "mid_block.", MODEL_UNET},
    {"up_blocks.", "up_blocks.", MODEL_UNET},
    {"input_blocks.", "input_blocks.", MODEL_UNET},
    {"middle_block.", "middle_block.", MODEL_UNET},
    {"output_blocks.", "output_blocks.", MODEL_UNET},
    {"text_model.", "text_model.", MODEL_TEXT_ENCODER},
};

struct suffix {
    const char *text;
    enum lora_role role;
};

/* Ends of names, the longer one first where one ends with another. */
static const struct suffix suffixes[] = {
    {".lora_linear_layer.down.weight", LORA_DOWN},
    {".lora_linear_layer.up.weight", LORA_UP},
    {".lora_down.weight", LORA_DOWN},
    {".lora_up.weight", LORA_UP},
    {".lora.down.weight", LORA_DOWN},
    {".lora.up.weight", LORA_UP},
    {"_lora.down.weight", LORA_DOWN},
    {"_lora.up.weight", LORA_UP},
    {".lora_A.weight", LORA_DOWN},
    {".lora_B.weight", LORA_UP},
    {".lora_A.default.weight", LORA_DOWN},
    {".lora_B.default.weight", LORA_UP},
    {".lora_A.default_0.weight", LORA_DOWN},
    {".lora_B.default_0.weight", LORA_UP},
    {".lora.alpha", LORA_ALPHA},
    {"_lora.alpha", LORA_ALPHA},
    {".alpha", LORA_ALPHA},
    {".lora_mid.weight", LORA_MID},
    {".dora_scale", LORA_DORA},
    {".lora_magnitude_vector.weight", LORA_DORA},
    {".lora_magnitude_vector.default.weight", LORA_DORA},
    {".lora_magnitude_vector", LORA_DORA},
    {".hada_w1_a", LORA_LOHA},
    {".hada_w1_b", LORA_LOHA},
    {".hada_w2_a", LORA_LOHA},
    {".hada_w2_b", LORA_LOHA},
    {".hada_t1", LORA_LOHA},
    {".hada_t2", LORA_LOHA},
    {".lokr_w1", LORA_LOKR},
    {".lokr_w1_a", LORA_LOKR},
    {".lokr_w1_b", LORA_LOKR},
    {".lokr_w2", LORA_LOKR},
    {".lokr_w2_a", LORA_LOKR},
    {".lokr_w2_b", LORA_LOKR},
    {".lokr_t2", LORA_LOKR},
    {".diff", LORA_OTHER},
    {".diff_b", LORA_OTHER},
    {".oft_diag", LORA_OTHER},
    {".oft_blocks", LORA_OTHER},
    {".lora_B.bias", LORA_OTHER},
    {".lora_up.bias", LORA_OTHER},
    {".lora_down.bias", LORA_OTHER},
};

/* The rest of text behind start, or NULL. */
static const char *after(const char *text, const char *start)
{
    size_t n = strlen(start);
    return strncmp(text, start, n) == 0 ? text + n : NULL;
}

static const struct suffix *find_suffix(const char *name, size_t *key_bytes)
{
    const size_t len = strlen(name);

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        const size_t n = strlen(suffixes[i].text);
        if (len > n && strcmp(name + len - n, suffixes[i].text) == 0) {
            *key_bytes = len - n;
            return &suffixes[i];
        }
    }
    return NULL;
}

static bool append(char out[LORA_NAMES_BYTES], size_t *len, const char *text, size_t n)
{
    if (n >= LORA_NAMES_BYTES - *len)
        return false;
    for (size_t i = 0; i < n; i++)
        out[*len + i] = text[i] == '.' ? '_' : text[i];
    *len += n;
    out[*len] = 0;
    return true;
}

/* Takes `what` out of the module's name. */
static void take_out(char *module, const char *what)
{
    char *at = strstr(module, what);
    const size_t n = strlen(what);
    if (at)
        memmove(at, at + n, strlen(at + n) + 1);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* What different ages of the libraries call the same module. */
static bool modernize(struct lora_names_name *out)
{
    static const char text_model[] = "text_model_";
    size_t len = strlen(out->module);
    const bool is_text = out->part == MODEL_TEXT_ENCODER || out->part == MODEL_TEXT_ENCODER_2;

    if (is_text && after(out->module, "encoder_layers_")) {
        if (len + sizeof text_model > LORA_NAMES_BYTES)
            return false;
        memmove(out->module + sizeof text_model - 1, out->module, len + 1);
        memcpy(out->module, text_model, sizeof text_model - 1);
    }
    take_out(out->module, "_processor");
    len = strlen(out->module);
    return !ends_with(out->module, "_to_out") || append(out->module, &len, "_0", 2);
}

bool lora_names_parse(const char *tensor, struct lora_names_name *out)
{
    static const char peft[] = "base_model.model.";
    const char *end, *rest = tensor;
    size_t len = 0;

    *out = (struct lora_names_name){0};
    const struct suffix *suffix = find_suffix(tensor, &out->key_bytes);
    if (!suffix)
        return false;
    out->role = suffix->role;
    end = tensor + out->key_bytes;
    if (after(rest, peft))
        rest = after(rest, peft);
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0] && !out->part_known; i++) {
        const char *behind = after(rest, prefixes[i].text);
        if (!behind || behind > end)
            continue;
        out->part_known = true;
        out->part = prefixes[i].part;
        rest = prefixes[i].put[0] ? rest : behind;
    }
    if (after(rest, peft))
        rest = after(rest, peft);
    if (rest > end)
        return false;
    return append(out->module, &len, rest, (size_t)(end - rest)) && modernize(out);
}

int lora_names_spell(const struct model_info *info, enum model_part part, const char *weight,
                     int n_dims, char out[2][LORA_NAMES_BYTES])
{
    static const char end[] = ".weight", unet[] = "model.diffusion_model.";
    char single[TENSOR_NAMES_BYTES];
    size_t len = 0, n = strlen(weight);

    if (n_dims < 2 || !ends_with(weight, end) || strstr(weight, "embeddings.") ||
        after(weight, "text_projection.") || !append(out[0], &len, weight, n - (sizeof end - 1)))
        return 0;
    if (part != MODEL_UNET || !tensor_names_spell(info, part, weight, single))
        return 1;
    const char *rest = after(single, unet);
    len = 0;
    if (!rest || !ends_with(rest, end))
        return 1;
    return append(out[1], &len, rest, strlen(rest) - (sizeof end - 1)) ? 2 : 1;
}
