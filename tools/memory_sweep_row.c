#include "base/parse.h"
#include "memory_sweep.h"

#include <limits.h>
#include <string.h>

static void add(char *out, size_t room, const char *what)
{
    size_t have = strlen(out);
    snprintf(out + have, room - have, "%s%s", have ? " " : "", what);
}

void memory_sweep_row_write(char out[MEMORY_SWEEP_ROW_BYTES], const struct sweep_row *row)
{
    char word[MEMORY_SWEEP_PATH_BYTES + 40];

    snprintf(out, MEMORY_SWEEP_ROW_BYTES, "%s %dx%d steps=%d limit=%zu",
             gen_request_mode_name(row->mode), row->width, row->height, row->steps,
             row->limit_bytes);
    for (int i = 0; i < MEMORY_OPTIMIZATIONS; i++) {
        if (row->optimization[i] == TRI_AUTO)
            continue;
        snprintf(word, sizeof word, "%s=%s",
                 memory_policy_optimization_name((enum memory_optimization)i),
                 tri_name(row->optimization[i]));
        add(out, MEMORY_SWEEP_ROW_BYTES, word);
    }
    for (int i = 0; i < row->n_loras; i++) {
        snprintf(word, sizeof word, "lora=%s:%.9g", row->loras[i].path, row->loras[i].scale);
        add(out, MEMORY_SWEEP_ROW_BYTES, word);
    }
}

static bool read_int(int *out, const char *text, int min, int max, struct error *err)
{
    int64_t value = 0;
    if (!parse_int64(&value, text, min, max, err))
        return false;
    *out = (int)value;
    return true;
}

static bool read_size(struct sweep_row *row, char *word, struct error *err)
{
    char *x = strchr(word, 'x');
    if (!x)
        return error_set(err, ERROR_INVALID, "'%s' is neither a size nor a setting", word);
    *x = 0;
    return read_int(&row->width, word, 64, 8192, err) &&
           read_int(&row->height, x + 1, 64, 8192, err);
}

bool memory_sweep_row_add_lora(struct sweep_row *row, const char *value, struct error *err)
{
    const char *colon = strrchr(value, ':');
    const size_t len = colon ? (size_t)(colon - value) : strlen(value);
    struct sweep_lora *l = &row->loras[row->n_loras];

    if (row->n_loras == MEMORY_SWEEP_LORAS)
        return error_set(err, ERROR_INVALID, "a row has at most %d LoRAs", MEMORY_SWEEP_LORAS);
    if (!len || len >= sizeof l->path)
        return error_set(err, ERROR_INVALID, "a LoRA's path has 1 to %zu bytes",
                         sizeof l->path - 1);
    l->scale = 1;
    if (colon && !parse_double(&l->scale, colon + 1, -GEN_MAX_LORA_SCALE, GEN_MAX_LORA_SCALE, err))
        return false;
    memcpy(l->path, value, len);
    l->path[len] = 0;
    row->n_loras++;
    return true;
}

static bool read_setting(struct sweep_row *row, const char *key, const char *value,
                         struct error *err)
{
    uint64_t bytes = 0;

    if (strcmp(key, "steps") == 0)
        return read_int(&row->steps, value, 1, 1000, err);
    if (strcmp(key, "lora") == 0)
        return memory_sweep_row_add_lora(row, value, err);
    if (strcmp(key, "limit") == 0) {
        if (!parse_bytes(&bytes, value, 0, SIZE_MAX, err))
            return false;
        row->limit_bytes = (size_t)bytes;
        return true;
    }
    for (int i = 0; i < MEMORY_OPTIMIZATIONS; i++)
        if (strcmp(key, memory_policy_optimization_name((enum memory_optimization)i)) == 0)
            return tri_parse(&row->optimization[i], value, err);
    return error_set(err, ERROR_INVALID, "there is no setting '%s' of a row", key);
}

static bool read_word(struct sweep_row *row, char *word, struct error *err)
{
    char *equals = strchr(word, '=');

    if (strcmp(word, "txt2img") == 0 || strcmp(word, "img2img") == 0) {
        row->mode = word[0] == 't' ? GEN_TXT2IMG : GEN_IMG2IMG;
        return true;
    }
    if (!equals)
        return read_size(row, word, err);
    *equals = 0;
    return read_setting(row, word, equals + 1, err) || error_prefix(err, "%s", word);
}

bool memory_sweep_row_read(struct sweep_row *out, const char *text, struct error *err)
{
    struct sweep_row row = {.width = 512, .height = 512, .steps = 1};

    while (*text) {
        char word[MEMORY_SWEEP_PATH_BYTES + 40];
        size_t len = strcspn(text, " ,");
        if (len >= sizeof word)
            return error_set(err, ERROR_INVALID, "a row has no word as long as '%.100s'", text);
        memcpy(word, text, len);
        word[len] = 0;
        text += len;
        text += strspn(text, " ,");
        if (len && !read_word(&row, word, err))
            return false;
    }
    *out = row;
    return true;
}

void memory_sweep_row_levers(char out[MEMORY_SWEEP_LEVERS_BYTES], const struct plan_levers *l)
{
    char word[80];

    out[0] = 0;
    add(out, MEMORY_SWEEP_LEVERS_BYTES, l->offload ? "offload" : "hold-all");
    if (l->stream_text)
        add(out, MEMORY_SWEEP_LEVERS_BYTES, "stream-text");
    if (l->stream)
        add(out, MEMORY_SWEEP_LEVERS_BYTES, "stream-unet");
    if (l->stream_vae)
        add(out, MEMORY_SWEEP_LEVERS_BYTES, "stream-vae");
    if (l->attention != GRAPH_ATTENTION_STREAMING)
        add(out, MEMORY_SWEEP_LEVERS_BYTES,
            l->attention == GRAPH_ATTENTION_SLICED ? "attention-sliced" : "attention-plain");
    if (l->guidance_in_turn)
        add(out, MEMORY_SWEEP_LEVERS_BYTES, "in-turn");
    if (l->vae != PLAN_VAE_WHOLE) {
        snprintf(word, sizeof word, "%s-%d", l->vae == PLAN_VAE_EXACT ? "exact" : "blended",
                 l->vae == PLAN_VAE_EXACT ? l->band_rows
                                          : (l->tile_w > l->tile_h ? l->tile_w : l->tile_h));
        add(out, MEMORY_SWEEP_LEVERS_BYTES, word);
        snprintf(word, sizeof word, "again-%d", l->vae_again);
        if (l->vae_again)
            add(out, MEMORY_SWEEP_LEVERS_BYTES, word);
    }
}

struct gen_request memory_sweep_row_request(const struct sweep_row *row)
{
    struct gen_request r = gen_request_defaults();

    r.mode = row->mode;
    r.prompt = "a red circle on a blue background";
    r.width = row->width;
    r.height = row->height;
    r.steps = row->steps;
    r.denoising_strength = 1; /* every step runs */
    for (int i = 0; i < row->n_loras; i++)
        r.loras[r.n_loras++] = (struct gen_lora){
            .name = row->loras[i].path, .is_path = true, .scale = row->loras[i].scale};
    return r;
}
