/* LoRA files and what fits a model, from files made here. */
#include "base/test.h"
#include "model/lora_set.h"
#include "model/lora_testing.h"
#include "model/model_names.h"
#include "model/model_presets.h"

static void reads_every_spelling(void)
{
    static const char q[] = "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
    static const char out[] = "mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0";
    static const char clip[] = "text_model_encoder_layers_3_self_attn_q_proj";
    static const struct {
        const char *tensor;
        enum lora_role role;
        int part; /* -1: unknown */
        const char *module;
    } row[] = {
        {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight",
         LORA_DOWN, MODEL_UNET, q},
        {"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0.alpha", LORA_ALPHA,
         MODEL_UNET, out},
        {"lora_te_text_model_encoder_layers_3_self_attn_q_proj.lora_up.weight", LORA_UP,
         MODEL_TEXT_ENCODER, clip},
        {"lora_te1_text_model_encoder_layers_3_self_attn_q_proj.lora_up.weight", LORA_UP,
         MODEL_TEXT_ENCODER, clip},
        {"lora_te2_text_model_encoder_layers_3_self_attn_q_proj.lora_up.weight", LORA_UP,
         MODEL_TEXT_ENCODER_2, clip},
        {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight", LORA_DOWN,
         MODEL_UNET, q},
        {"base_model.model.unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_B."
         "weight",
         LORA_UP, MODEL_UNET, q},
        {"base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_B."
         "default.weight",
         LORA_UP, MODEL_UNET, q},
        {"unet.base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_B."
         "weight",
         LORA_UP, MODEL_UNET, q},
        {"down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight",
         LORA_DOWN, MODEL_UNET, q},
        {"unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora.up.weight",
         LORA_UP, MODEL_UNET, out},
        {"unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0.lora.up.weight", LORA_UP,
         MODEL_UNET, out},
        {"text_encoder.text_model.encoder.layers.3.self_attn.q_proj.lora_linear_layer.down.weight",
         LORA_DOWN, MODEL_TEXT_ENCODER, clip},
        {"text_encoder_2.encoder.layers.3.self_attn.q_proj.lora_A.weight", LORA_DOWN,
         MODEL_TEXT_ENCODER_2, clip},
        {"lora_unet_input_blocks_4_1_proj_in.lora_mid.weight", LORA_MID, MODEL_UNET,
         "input_blocks_4_1_proj_in"},
        {"lora_unet_x.dora_scale", LORA_DORA, MODEL_UNET, "x"},
        {"lora_unet_x.hada_w1_a", LORA_LOHA, MODEL_UNET, "x"},
        {"lora_unet_x.lokr_w2_b", LORA_LOKR, MODEL_UNET, "x"},
        {"transformer.x.lora_A.weight", LORA_DOWN, -1, "transformer_x"},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct lora_names_name n;
        const bool ok = lora_names_parse(row[i].tensor, &n) && n.role == row[i].role &&
                        n.part_known == (row[i].part >= 0) &&
                        (row[i].part < 0 || (int)n.part == row[i].part) &&
                        strcmp(n.module, row[i].module) == 0;
        if (!ok)
            fprintf(stderr, "%s\n", row[i].tensor);
        CHECK(ok);
    }
    struct lora_names_name n;
    CHECK(!lora_names_parse("conv_in.weight", &n) && !lora_names_parse(".alpha", &n) &&
          !lora_names_parse("", &n));
}

struct walk {
    const struct model_info *info;
    enum model_part part;
    struct lora_testing *file;
    int spelling; /* of lora_names_spell */
    const char *prefix;
    int n;
};

/* A LoRA of rank 1 for every weight that has this spelling; some of them, to keep files small. */
static bool add_module(void *ctx, const char *name, const int64_t *dims, int n_dims)
{
    struct walk *w = ctx;
    char spelled[2][LORA_NAMES_BYTES], tensor[2 * LORA_NAMES_BYTES];
    const int n = lora_names_spell(w->info, w->part, name, n_dims, spelled);

    if (n <= w->spelling || !strstr(name, ".attentions.0.") || w->n >= 60)
        return true;
    const int64_t kernel = n_dims == 4 ? dims[2] : 0;
    snprintf(tensor, sizeof tensor, "%s%s.lora_down.weight", w->prefix, spelled[w->spelling]);
    lora_testing_add(w->file, tensor, 1, dims[1], kernel, kernel);
    snprintf(tensor, sizeof tensor, "%s%s.lora_up.weight", w->prefix, spelled[w->spelling]);
    lora_testing_add(w->file, tensor, dims[0], 1, 0, 0);
    w->n++;
    return true;
}

static struct lora *open_made(struct lora_testing *f, unsigned char **bytes)
{
    struct lora *l = NULL;
    struct error err = {0};
    size_t n = 0;

    *bytes = lora_testing_finish(f, &n);
    if (!lora_from_bytes(&l, "folder/made.safetensors", *bytes, n, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(l);
    return l;
}

/* For the UNet of a preset model; LDM names where ldm. */
static struct lora *open_unet_lora(const char *preset, bool ldm, unsigned char **bytes)
{
    struct model_info info;
    struct lora_testing *f = calloc(1, sizeof *f);
    CHECK(f && model_presets_find(&info, preset));
    struct walk w = {
        .info = &info, .part = MODEL_UNET, .file = f, .spelling = ldm, .prefix = "lora_unet_"};

    CHECK(f && model_names_part(&info, MODEL_UNET, add_module, &w) && w.n > 10);
    struct lora *l = f ? open_made(f, bytes) : NULL;
    free(f);
    return l;
}

static void fits_the_model_it_is_for_and_no_other(void)
{
    static const struct {
        const char *why, *lora, *model;
        bool ldm, fits;
        const char *says;
    } row[] = {
        {"SD 1.x", "sd15", "sd15", false, true, NULL},
        {"SD 1.x with LDM names", "sd15", "sd15", true, true, NULL},
        {"SDXL", "sdxl", "sdxl", false, true, NULL},
        {"SDXL with LDM names", "sdxl", "sdxl", true, true, NULL},
        {"SDXL on SD 1.x", "sdxl", "sd15", false, false, "the model's weight needs 1x768"},
        {"SDXL with LDM names on SD 1.x", "sdxl", "sd15", true, false, "lora_unet_"},
        {"SD 1.x on SDXL", "sd15", "sdxl", false, false, "the model's weight needs"},
        {"SDXL on its refiner", "sdxl", "refiner", false, false, "lora_unet_"},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct model_info info;
        struct lora_match m = {0};
        struct error err = {0};
        unsigned char *bytes = NULL;
        struct lora *l = open_unet_lora(row[i].lora, row[i].ldm, &bytes);
        const bool ok =
            l && model_presets_find(&info, row[i].model) && lora_match_make(&m, l, &info, &err) &&
            m.compatible == row[i].fits &&
            (row[i].fits ? m.n == lora_count(l) && !m.why[0] : strstr(m.why, row[i].says) != NULL);
        if (!ok)
            fprintf(stderr, "%s: %zu of %zu, '%s'\n", row[i].why, m.n, m.n_modules, m.why);
        CHECK(ok);
        if (l && row[i].fits)
            CHECK(strcmp(lora_origin(l), strcmp(row[i].lora, "sdxl") == 0 ? "SDXL" : "SD 1.x") ==
                  0);
        lora_match_clear(&m);
        lora_close(l);
        free(bytes);
    }
}

static void finds_the_delta_of_a_weight(void)
{
    struct model_info info;
    struct lora_match m = {0};
    struct error err = {0};
    unsigned char *bytes = NULL;
    struct lora *l = open_unet_lora("sd15", true, &bytes);
    CHECK(model_presets_find(&info, "sd15") && lora_match_make(&m, l, &info, &err));
    const struct lora_target *t = lora_match_find(
        &m, MODEL_UNET, "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj.weight");

    CHECK(t && t->shape.rank == 1 && t->shape.rows == 2560 && t->shape.columns == 320 &&
          t->shape.kernel == 1 && t->shape.factor == 1.0f);
    CHECK(!lora_match_find(&m, MODEL_UNET, "conv_in.weight"));
    CHECK(!lora_match_find(&m, MODEL_TEXT_ENCODER, "conv_in.weight"));
    lora_match_clear(&m);
    lora_close(l);
    free(bytes);
}

/* A single module of the middle block's attn1.to_q, whose weight is 1280 x 1280. */
static void says_what_is_wrong_with_a_module(void)
{
    static const struct {
        const char *why;
        int64_t down[4], up[4];
        const char *third; /* another tensor, of three numbers */
        bool fits;
        const char *says;
    } row[] = {
        {"fits", {4, 1280}, {1280, 4}, NULL, true, NULL},
        {"1x1 convolutions", {4, 1280, 1, 1}, {1280, 4, 1, 1}, NULL, true, NULL},
        {"too narrow",
         {4, 640},
         {1280, 4},
         NULL,
         false,
         "down is 4x640, the model's weight needs "
         "4x1280"},
        {"too few rows", {4, 1280}, {640, 4}, NULL, false, "up is 640x4"},
        {"two ranks", {4, 1280}, {1280, 5}, NULL, false, "down has rank 4, up has rank 5"},
        {"a 3x3 kernel", {4, 1280, 3, 3}, {1280, 4}, NULL, false, "4x1280x3x3"},
        {"a 5x5 kernel", {4, 1280, 5, 5}, {1280, 4}, NULL, false, "no matrices"},
        {"up has a kernel", {4, 1280}, {1280, 4, 3, 3}, NULL, false, "no matrices"},
        {"no up", {4, 1280}, {0}, NULL, false, "no adapter"},
        {"an alpha of three numbers", {4, 1280}, {1280, 4}, ".alpha", false, "alpha"},
        {"a rank beyond the most", {2049, 8}, {8, 2049}, NULL, false, "2049"},
        {"DoRA", {4, 1280}, {1280, 4}, ".dora_scale", false, "DoRA"},
        {"Tucker", {4, 1280}, {1280, 4}, ".lora_mid.weight", false, "Tucker"},
        {"LoHa", {4, 1280}, {1280, 4}, ".hada_w1_a", false, "LoHa"},
    };
    static const char key[] = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
    struct model_info info;
    CHECK(model_presets_find(&info, "sd15"));

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct lora_testing *f = calloc(1, sizeof *f);
        struct lora_match m = {0};
        struct error err = {0};
        unsigned char *bytes = NULL;
        char name[160];

        snprintf(name, sizeof name, "%s.lora_down.weight", key);
        lora_testing_add(f, name, row[i].down[0], row[i].down[1], row[i].down[2], row[i].down[3]);
        snprintf(name, sizeof name, "%s.lora_up.weight", key);
        if (row[i].up[0])
            lora_testing_add(f, name, row[i].up[0], row[i].up[1], row[i].up[2], row[i].up[3]);
        snprintf(name, sizeof name, "%s%s", key, row[i].third ? row[i].third : "");
        if (row[i].third)
            lora_testing_add(f, name, 3, 0, 0, 0);
        struct lora *l = open_made(f, &bytes);
        const bool ok = l && lora_match_make(&m, l, &info, &err) && m.compatible == row[i].fits &&
                        (row[i].fits || strstr(m.why, row[i].says));
        if (!ok)
            fprintf(stderr, "%s: '%s'\n", row[i].why, m.why);
        CHECK(ok);
        lora_match_clear(&m);
        lora_close(l);
        free(bytes);
        free(f);
    }
}

static void refuses_a_factor_that_stands_twice(void)
{
    struct lora_testing *f = calloc(1, sizeof *f);
    struct lora *l = NULL;
    struct error err = {0};
    size_t n = 0;

    lora_testing_add(f, "unet.conv_in.lora_A.weight", 1, 4, 3, 3);
    lora_testing_add(f, "lora_unet_conv_in.lora_down.weight", 1, 4, 3, 3);
    unsigned char *bytes = lora_testing_finish(f, &n);
    CHECK(!lora_from_bytes(&l, "x", bytes, n, &err) && !l && strstr(err.text, "twice"));
    free(bytes);
    free(f);
}

static void names_never_leave_their_folder(void)
{
    static const char *const bad[] = {"",     ".",    "..",    "../x", "a/b",
                                      "/etc", "a\\b", ".hide", "a\nb", "x/../../y"};
    char path[LORA_SET_PATH_BYTES];
    struct error err;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!lora_set_path(path, "loras", bad[i], &err));
    CHECK(lora_set_path(path, "loras", "a b.c", &err) &&
          strcmp(path, "loras/a b.c.safetensors") == 0);
    CHECK(lora_set_path(path, "loras", "x.safetensors", &err) &&
          strcmp(path, "loras/x.safetensors") == 0);
}

static void leaves_out_what_is_missing_or_broken_with_a_warning(void)
{
    const struct lora_set_wish wishes[] = {{.name = "is_not_there"},
                                           {.name = "../up"},
                                           {.name = "no/such/file.safetensors", .is_path = true},
                                           {.name = "README.md", .is_path = true}};
    struct lora_set *s = calloc(1, sizeof *s);
    struct model_info info;

    CHECK(s && model_presets_find(&info, "sd15"));
    lora_set_open(s, wishes, 4, &(struct lora_set_place){.dir = "no_such_folder"}, &info);
    CHECK(s->n == 0 && s->n_warnings == 4);
    CHECK(strcmp(s->warnings[0], "LoRA not found: is_not_there") == 0);
    CHECK(strstr(s->warnings[1], "no LoRA's name"));
    CHECK(strcmp(s->warnings[2], "LoRA not found: no/such/file.safetensors") == 0);
    CHECK(strstr(s->warnings[3], "is left out"));
    lora_set_clear(s);
    free(s);
}

int main(void)
{
    reads_every_spelling();
    fits_the_model_it_is_for_and_no_other();
    finds_the_delta_of_a_weight();
    says_what_is_wrong_with_a_module();
    refuses_a_factor_that_stands_twice();
    names_never_leave_their_folder();
    leaves_out_what_is_missing_or_broken_with_a_warning();
    return TEST_END();
}
