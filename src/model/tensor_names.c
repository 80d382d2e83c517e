#include "model/tensor_names.h"

#include <stdio.h>
#include <string.h>

/* How the numbers of a name become level ('@') and item ('%') of the new one. */
enum numbering { AS_IS, UNET_DOWN, UNET_UP, VAE_UP };

struct tail {
    const char *from, *to; /* beginnings; '?' in `to` stands for q, k and v of a fused tensor */
};

/* '#' is a number; what follows `from` is the rest, which `tails` rewrite when there are any: a
 * rest that none of them knows is no part of the model. */
struct rule {
    const char *from, *to;
    enum numbering numbering;
    const struct tail *tails;
    bool transposed;
};

struct spelling {
    const char *prefix;
    unsigned families; /* 1 << family of those that spell their tensors so; 0: other models */
    enum model_part part;
    const struct rule *rules;
};

static const struct tail unet_resnet[] = {
    {"in_layers.0.", "norm1."},
    {"in_layers.2.", "conv1."},
    {"emb_layers.1.", "time_emb_proj."},
    {"out_layers.0.", "norm2."},
    {"out_layers.3.", "conv2."},
    {"skip_connection.", "conv_shortcut."},
    {NULL, NULL},
};

static const struct tail vae_resnet[] = {
    {"norm1.", "norm1."},
    {"conv1.", "conv1."},
    {"norm2.", "norm2."},
    {"conv2.", "conv2."},
    {"nin_shortcut.", "conv_shortcut."},
    {NULL, NULL},
};

static const struct tail vae_attention[] = {
    {"norm.", "group_norm."},   {"q.", "to_q."}, {"k.", "to_k."}, {"v.", "to_v."},
    {"proj_out.", "to_out.0."}, {NULL, NULL},
};

static const struct tail open_clip_layer[] = {
    {"ln_1.", "layer_norm1."},
    {"ln_2.", "layer_norm2."},
    {"mlp.c_fc.", "mlp.fc1."},
    {"mlp.c_proj.", "mlp.fc2."},
    {"attn.out_proj.", "self_attn.out_proj."},
    {"attn.in_proj_weight", "self_attn.?_proj.weight"},
    {"attn.in_proj_bias", "self_attn.?_proj.bias"},
    {NULL, NULL},
};

/* Of two rules that fit, the first one counts. */
static const struct rule unet_rules[] = {
    {"time_embed.0.", "time_embedding.linear_1.", AS_IS, NULL, false},
    {"time_embed.2.", "time_embedding.linear_2.", AS_IS, NULL, false},
    {"label_emb.0.0.", "add_embedding.linear_1.", AS_IS, NULL, false},
    {"label_emb.0.2.", "add_embedding.linear_2.", AS_IS, NULL, false},
    {"input_blocks.0.0.", "conv_in.", AS_IS, NULL, false},
    {"input_blocks.#.0.op.", "down_blocks.@.downsamplers.0.conv.", UNET_DOWN, NULL, false},
    {"input_blocks.#.0.", "down_blocks.@.resnets.%.", UNET_DOWN, unet_resnet, false},
    {"input_blocks.#.1.", "down_blocks.@.attentions.%.", UNET_DOWN, NULL, false},
    {"middle_block.0.", "mid_block.resnets.0.", AS_IS, unet_resnet, false},
    {"middle_block.1.", "mid_block.attentions.0.", AS_IS, NULL, false},
    {"middle_block.2.", "mid_block.resnets.1.", AS_IS, unet_resnet, false},
    {"output_blocks.#.0.", "up_blocks.@.resnets.%.", UNET_UP, unet_resnet, false},
    {"output_blocks.#.1.conv.", "up_blocks.@.upsamplers.0.conv.", UNET_UP, NULL, false},
    {"output_blocks.#.2.conv.", "up_blocks.@.upsamplers.0.conv.", UNET_UP, NULL, false},
    {"output_blocks.#.1.", "up_blocks.@.attentions.%.", UNET_UP, NULL, false},
    {"out.0.", "conv_norm_out.", AS_IS, NULL, false},
    {"out.2.", "conv_out.", AS_IS, NULL, false},
    {NULL, NULL, AS_IS, NULL, false},
};

static const struct rule vae_rules[] = {
    {"encoder.conv_in.", "encoder.conv_in.", AS_IS, NULL, false},
    {"encoder.conv_out.", "encoder.conv_out.", AS_IS, NULL, false},
    {"encoder.norm_out.", "encoder.conv_norm_out.", AS_IS, NULL, false},
    {"encoder.mid.block_1.", "encoder.mid_block.resnets.0.", AS_IS, vae_resnet, false},
    {"encoder.mid.block_2.", "encoder.mid_block.resnets.1.", AS_IS, vae_resnet, false},
    {"encoder.mid.attn_1.", "encoder.mid_block.attentions.0.", AS_IS, vae_attention, false},
    {"encoder.down.#.block.#.", "encoder.down_blocks.@.resnets.%.", AS_IS, vae_resnet, false},
    {"encoder.down.#.downsample.", "encoder.down_blocks.@.downsamplers.0.", AS_IS, NULL, false},
    {"decoder.conv_in.", "decoder.conv_in.", AS_IS, NULL, false},
    {"decoder.conv_out.", "decoder.conv_out.", AS_IS, NULL, false},
    {"decoder.norm_out.", "decoder.conv_norm_out.", AS_IS, NULL, false},
    {"decoder.mid.block_1.", "decoder.mid_block.resnets.0.", AS_IS, vae_resnet, false},
    {"decoder.mid.block_2.", "decoder.mid_block.resnets.1.", AS_IS, vae_resnet, false},
    {"decoder.mid.attn_1.", "decoder.mid_block.attentions.0.", AS_IS, vae_attention, false},
    {"decoder.up.#.block.#.", "decoder.up_blocks.@.resnets.%.", VAE_UP, vae_resnet, false},
    {"decoder.up.#.upsample.", "decoder.up_blocks.@.upsamplers.0.", VAE_UP, NULL, false},
    {"quant_conv.", "quant_conv.", AS_IS, NULL, false},
    {"post_quant_conv.", "post_quant_conv.", AS_IS, NULL, false},
    {NULL, NULL, AS_IS, NULL, false},
};

static const struct rule clip_rules[] = {
    {"text_model.embeddings.position_ids", NULL, AS_IS, NULL, false}, /* 0, 1, 2, ...: no weight */
    {"embeddings.position_ids", NULL, AS_IS, NULL, false},
    {"text_model.", "text_model.", AS_IS, NULL, false},
    {"embeddings.", "text_model.embeddings.", AS_IS, NULL, false},
    {"encoder.", "text_model.encoder.", AS_IS, NULL, false},
    {"final_layer_norm.", "text_model.final_layer_norm.", AS_IS, NULL, false},
    {NULL, NULL, AS_IS, NULL, false},
};

static const struct rule open_clip_rules[] = {
    {"positional_embedding", "text_model.embeddings.position_embedding.weight", AS_IS, NULL, false},
    {"token_embedding.", "text_model.embeddings.token_embedding.", AS_IS, NULL, false},
    {"transformer.resblocks.#.", "text_model.encoder.layers.@.", AS_IS, open_clip_layer, false},
    {"ln_final.", "text_model.final_layer_norm.", AS_IS, NULL, false},
    {"text_projection", "text_projection.weight", AS_IS, NULL, true},
    {NULL, NULL, AS_IS, NULL, false},
};

enum { SD1 = 1 << MODEL_SD1, SDXL = 1 << MODEL_SDXL, REFINER = 1 << MODEL_SDXL_REFINER };

static const struct spelling spellings[] = {
    {"model.diffusion_model.", SD1 | SDXL | REFINER, MODEL_UNET, unet_rules},
    {"first_stage_model.", SD1 | SDXL | REFINER, MODEL_VAE, vae_rules},
    {"cond_stage_model.transformer.", SD1, MODEL_TEXT_ENCODER, clip_rules},
    {"cond_stage_model.model.", 0, MODEL_TEXT_ENCODER, open_clip_rules}, /* SD 2.x */
    {"conditioner.embedders.0.transformer.", SDXL, MODEL_TEXT_ENCODER, clip_rules},
    {"conditioner.embedders.1.model.", SDXL, MODEL_TEXT_ENCODER_2, open_clip_rules},
    {"conditioner.embedders.0.model.", REFINER, MODEL_TEXT_ENCODER_2, open_clip_rules},
};

/* The rest of text behind start, or NULL. */
static const char *after(const char *text, const char *start)
{
    size_t n = strlen(start);
    return strncmp(text, start, n) == 0 ? text + n : NULL;
}

/* Up to four digits. */
static const char *read_number(const char *text, int *out)
{
    int value = 0, n = 0;
    for (; n < 4 && text[n] >= '0' && text[n] <= '9'; n++)
        value = value * 10 + (text[n] - '0');
    *out = value;
    return n > 0 ? text + n : NULL;
}

/* The rest of name behind pattern, or NULL; numbers gets what the (at most two) '#' stand for. */
static const char *match(const char *name, const char *pattern, int numbers[2])
{
    int n = 0;
    numbers[0] = numbers[1] = 0;
    for (; *pattern; pattern++) {
        if (*pattern == '#') {
            name = read_number(name, &numbers[n++]);
            if (!name)
                return NULL;
        } else if (*name++ != *pattern) {
            return NULL;
        }
    }
    return name;
}

void tensor_names_measure(struct tensor_names_layout *l, const char *name)
{
    int numbers[2];
    const char *rest = after(name, "model.diffusion_model.");

    if (rest && match(rest, "input_blocks.#.", numbers) && numbers[0] >= l->input_blocks)
        l->input_blocks = numbers[0] + 1;
    if (rest && match(rest, "input_blocks.#.0.op.", numbers) && numbers[0] > 0 &&
        (l->first_op == 0 || numbers[0] < l->first_op))
        l->first_op = numbers[0];
    if (match(name, "first_stage_model.decoder.up.#.", numbers) && numbers[0] >= l->vae_levels)
        l->vae_levels = numbers[0] + 1;
}

/* Returns false for numbers that no block can have. */
static bool renumber(const struct tensor_names_layout *l, enum numbering how, int numbers[2])
{
    /* Input blocks: the first convolution, then per level its layers and one that downsamples. */
    int blocks_per_level = l->first_op ? l->first_op : l->input_blocks;
    int n = numbers[0];

    switch (how) {
    case AS_IS:
        return true;
    case UNET_DOWN:
        if (n < 1 || blocks_per_level < 1)
            return false;
        numbers[0] = (n - 1) / blocks_per_level;
        numbers[1] = (n - 1) % blocks_per_level;
        return true;
    case UNET_UP:
        if (blocks_per_level < 1)
            return false;
        numbers[0] = n / blocks_per_level;
        numbers[1] = n % blocks_per_level;
        return true;
    case VAE_UP: /* LDM counts from the picture, diffusers from the latent */
        numbers[0] = l->vae_levels - 1 - n;
        return numbers[0] >= 0;
    }
    return false;
}

struct text {
    char *out;
    size_t len;
    bool full;
};

static void put(struct text *t, const char *what)
{
    size_t n = strlen(what);
    if (t->full || n >= TENSOR_NAMES_BYTES - t->len) {
        t->full = true;
        return;
    }
    memcpy(t->out + t->len, what, n + 1);
    t->len += n;
}

/* Puts the template with its numbers filled in, and q, k or v for '?'. */
static void put_template(struct text *t, const char *from, const int numbers[2], int slice)
{
    for (; *from; from++) {
        char piece[16] = {*from, 0};
        if (*from == '@')
            snprintf(piece, sizeof piece, "%d", numbers[0]);
        else if (*from == '%')
            snprintf(piece, sizeof piece, "%d", numbers[1]);
        else if (*from == '?')
            piece[0] = "qkv"[slice];
        put(t, piece);
    }
}

static int apply(const struct rule *rule, const int numbers[2], const char *rest,
                 enum model_part part, struct tensor_names_target *out)
{
    const struct tail *tail = rule->tails;
    int n = 1;

    if (tail) {
        const char *behind = NULL;
        while (tail->from && !(behind = after(rest, tail->from)))
            tail++;
        if (!behind)
            return 0;
        rest = behind;
        n = strchr(tail->to, '?') ? 3 : 1;
    }
    for (int i = 0; i < n; i++) {
        struct text t = {.out = out[i].name};
        put_template(&t, rule->to, numbers, i);
        if (tail)
            put_template(&t, tail->to, numbers, i);
        put(&t, rest);
        if (t.full)
            return 0;
        out[i].part = part;
        out[i].slice = i;
        out[i].n_slices = n;
        out[i].transposed = rule->transposed;
    }
    return n;
}

int tensor_names_map(const struct tensor_names_layout *l, const char *name,
                     struct tensor_names_target out[TENSOR_NAMES_MAX_TARGETS])
{
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        const char *inner = after(name, spellings[i].prefix);
        for (const struct rule *rule = spellings[i].rules; inner && rule->from; rule++) {
            int numbers[2];
            const char *rest = match(inner, rule->from, numbers);
            if (rest)
                return rule->to && renumber(l, rule->numbering, numbers)
                           ? apply(rule, numbers, rest, spellings[i].part, out)
                           : 0;
        }
    }
    return 0;
}

/* match() for a rule's diffusers side. */
static const char *match_new(const char *name, const char *pattern, int numbers[2])
{
    numbers[0] = numbers[1] = 0;
    for (; *pattern; pattern++) {
        if (*pattern == '@' || *pattern == '%') {
            name = read_number(name, &numbers[*pattern == '%']);
            if (!name)
                return NULL;
        } else if (*name++ != *pattern) {
            return NULL;
        }
    }
    return name;
}

/* The inverse of renumber for the models' own levels. */
static void number_back(const struct model_info *info, const struct rule *rule, int numbers[2])
{
    int blocks_per_level = info->unet.layers_per_block + 1;
    bool resamples = strchr(rule->to, '%') == NULL; /* stands behind the level's layers */
    int item = resamples ? blocks_per_level - 1 : numbers[1];

    if (rule->numbering == UNET_DOWN)
        numbers[0] = 1 + numbers[0] * blocks_per_level + item;
    else if (rule->numbering == UNET_UP)
        numbers[0] = numbers[0] * blocks_per_level + item;
    else if (rule->numbering == VAE_UP)
        numbers[0] = info->vae.n_levels - 1 - numbers[0];
}

/* Upsampling stands behind the transformer, or in its place on levels that have none. */
static bool is_other_upsampler(const struct model_info *info, const char *from, int up_level)
{
    int level = info->unet.n_levels - 1 - up_level;
    bool attention = level >= 0 && level < MODEL_MAX_LEVELS && info->unet.transformer_layers[level];
    return strcmp(from, attention ? "output_blocks.#.1.conv." : "output_blocks.#.2.conv.") == 0;
}

static bool spell(const struct model_info *info, const struct spelling *s, const struct rule *rule,
                  const char *name, char out[TENSOR_NAMES_BYTES])
{
    int numbers[2], next = 0;
    const struct tail *tail = rule->tails;
    struct text t = {.out = out};
    const char *rest = rule->to ? match_new(name, rule->to, numbers) : NULL;

    if (!rest || is_other_upsampler(info, rule->from, numbers[0]))
        return false;
    while (tail && tail->from && !after(rest, tail->to))
        tail++;
    if (tail && !tail->from)
        return false;
    number_back(info, rule, numbers);
    put(&t, s->prefix);
    for (const char *c = rule->from; *c; c++) {
        char piece[16] = {*c, 0};
        if (*c == '#')
            snprintf(piece, sizeof piece, "%d", numbers[next++]);
        put(&t, piece);
    }
    if (tail)
        put(&t, tail->from);
    put(&t, tail ? after(rest, tail->to) : rest);
    return !t.full;
}

bool tensor_names_spell(const struct model_info *info, enum model_part part, const char *name,
                        char out[TENSOR_NAMES_BYTES])
{
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        const struct spelling *s = &spellings[i];
        if (s->part != part || !(s->families & 1u << info->family))
            continue;
        for (const struct rule *rule = s->rules; rule->from; rule++)
            if (spell(info, s, rule, name, out))
                return true;
    }
    return false;
}

bool tensor_names_is_open_clip(const char *name)
{
    return strstr(name, ".model.token_embedding.") != NULL;
}

bool tensor_names_modernize(enum model_part part, const char *name, char out[TENSOR_NAMES_BYTES])
{
    static const struct tail old_attention[] = {
        {"query.", "to_q."}, {"key.", "to_k."}, {"value.", "to_v."}, {"proj_attn.", "to_out.0."}};
    struct text t = {.out = out};
    const char *rest = name;

    static const char *const bare[] = {"embeddings.", "encoder.", "final_layer_norm."};

    out[0] = 0;
    /* transformers 5 writes CLIPTextModel without the name of its only child. */
    for (size_t i = 0; i < 3 && (part == MODEL_TEXT_ENCODER || part == MODEL_TEXT_ENCODER_2); i++)
        if (after(name, bare[i]))
            put(&t, "text_model.");
    const char *place = part == MODEL_VAE ? strstr(name, ".attentions.0.") : NULL;
    for (size_t i = 0; place && i < sizeof old_attention / sizeof old_attention[0]; i++) {
        const char *start = place + strlen(".attentions.0.");
        const char *behind = after(start, old_attention[i].from);
        if (behind && (size_t)(start - name) < TENSOR_NAMES_BYTES) {
            t.len = (size_t)(start - name);
            memcpy(out, name, t.len);
            put(&t, old_attention[i].to);
            rest = behind;
            break;
        }
    }
    put(&t, rest);
    return !t.full;
}
