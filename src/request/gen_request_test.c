#include "base/test.h"
#include "request/gen_request.h"

#include <math.h>
#include <string.h>

static void sizes_the_second_pass(void)
{
    static const struct {
        const char *why;
        double scale;
        int w, h, hires_w, hires_h;
        int cover_w, cover_h, target_w, target_h;
    } row[] = {
        {"twice", 2, 512, 512, 0, 0, 1024, 1024, 1024, 1024},
        {"to the nearest multiple of 8, 4 upwards", 1.3, 512, 520, 0, 0, 664, 680, 664, 680},
        {"the width alone keeps the shape", 2, 512, 768, 1024, 0, 1024, 1536, 1024, 1536},
        {"so does the height", 2, 512, 768, 0, 1536, 1024, 1536, 1024, 1536},
        {"both: cover, then cut the height", 2, 512, 768, 1024, 1024, 1024, 1536, 1024, 1024},
        {"both: cover, then cut the width", 2, 768, 512, 1024, 1024, 1536, 1024, 1024, 1024},
        {"a shape of its own is not stretched", 2, 512, 512, 1032, 1024, 1032, 1032, 1032, 1024},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct gen_request r = gen_request_defaults();
        int w, h, cw, ch;
        r.width = row[i].w;
        r.height = row[i].h;
        r.hires.enabled = true;
        r.hires.scale = row[i].scale;
        r.hires.width = row[i].hires_w;
        r.hires.height = row[i].hires_h;
        gen_request_hires_cover(&r, &cw, &ch);
        gen_request_hires_size(&r, &w, &h);
        const bool right = w == row[i].target_w && h == row[i].target_h && cw == row[i].cover_w &&
                           ch == row[i].cover_h;
        if (!right)
            fprintf(stderr, "%s: %dx%d of %dx%d\n", row[i].why, w, h, cw, ch);
        CHECK(right && gen_request_has_hires(&r));
    }
}

static void has_no_second_pass_that_would_do_nothing(void)
{
    struct gen_request r = gen_request_defaults();
    int w, h;

    CHECK(!gen_request_has_hires(&r));
    r.hires.enabled = true;
    CHECK(gen_request_has_hires(&r));
    r.hires.scale = 1;
    CHECK(!gen_request_has_hires(&r));
    gen_request_hires_size(&r, &w, &h);
    CHECK(w == 512 && h == 512);
    r.hires.scale = 2;
    r.input.has_mask = true;
    CHECK(!gen_request_has_hires(&r));
}

/* A1111's setup_img2img_steps, and diffusers' rule. */
static void counts_steps_by_each_rule(void)
{
    static const struct {
        enum gen_img2img_rule rule;
        int steps;
        double strength;
        int all, skipped;
    } row[] = {
        {GEN_IMG2IMG_DIFFUSERS, 10, 0.6, 10, 4},
        {GEN_IMG2IMG_DIFFUSERS, 8, 0.25, 8, 6},
        {GEN_IMG2IMG_DIFFUSERS, 10, 0, 10, 10},
        {GEN_IMG2IMG_WEBUI, 10, 0.6, 10, 3},
        {GEN_IMG2IMG_WEBUI, 20, 1, 20, 0},
        {GEN_IMG2IMG_WEBUI, 20, 0, 20, 19},
        {GEN_IMG2IMG_WEBUI_ALL, 20, 0.4, 50, 30},
        {GEN_IMG2IMG_WEBUI_ALL, 20, 1, 20, 0},
        {GEN_IMG2IMG_WEBUI_ALL, 20, 0, 20, 20},
        {GEN_IMG2IMG_WEBUI_ALL, 150, 0.01, 1000, 990},
        {GEN_IMG2IMG_WEBUI_ALL, 150, 1e-9, 1000, 999},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct gen_request r = gen_request_defaults();
        r.mode = GEN_IMG2IMG;
        r.img2img_rule = row[i].rule;
        r.steps = row[i].steps;
        r.denoising_strength = row[i].strength;
        const struct gen_steps s = gen_request_steps(&r);
        if (s.all != row[i].all || s.skipped != row[i].skipped)
            fprintf(stderr, "row %zu: %d of %d skipped\n", i, s.skipped, s.all);
        CHECK(s.all == row[i].all && s.skipped == row[i].skipped);
    }
    struct gen_request r = gen_request_defaults();
    CHECK(gen_request_steps(&r).all == 20 && gen_request_steps(&r).skipped == 0);
}

static void makes_a_request_of_the_second_pass(void)
{
    struct gen_request r = gen_request_defaults();

    r.prompt = "a";
    r.negative_prompt = "b";
    r.hires = (struct gen_hires){.enabled = true,
                                 .scale = 1.5,
                                 .upscaler = "Latent",
                                 .denoising_strength = 0.5,
                                 .prompt = "",
                                 .negative_prompt = NULL};
    struct gen_request s = gen_request_second_pass(&r);
    CHECK(s.width == 768 && s.height == 768 && s.steps == 20 && s.first_steps == 20);
    CHECK(strcmp(s.prompt, "a") == 0 && strcmp(s.negative_prompt, "b") == 0);
    CHECK(s.sampler == r.sampler && s.schedule == r.schedule && !gen_request_has_hires(&s));
    CHECK(gen_request_steps(&s).all - gen_request_steps(&s).skipped == 20);
    CHECK(!gen_request_hires_has_prompts(&r));

    r.hires.prompt = "c";
    r.hires.steps = 7;
    r.hires.sampler = sampler_find("Heun", NULL);
    s = gen_request_second_pass(&r);
    CHECK(strcmp(s.prompt, "c") == 0 && strcmp(s.negative_prompt, "b") == 0 && s.steps == 7);
    CHECK(s.sampler == r.hires.sampler && gen_request_hires_has_prompts(&r));
}

static void lets_seeds_rise_over_rounds(void)
{
    struct gen_request r = gen_request_defaults();

    r.seed = 10;
    r.subseed = 100;
    r.batch_size = 2;
    CHECK(gen_request_seed(&r, 1) == 11 && gen_request_round(&r, 2).seed == 14);
    r.subseed_strength = 0.3; /* then the variation's seeds rise */
    CHECK(gen_request_seed(&r, 1) == 10 && gen_request_subseed(&r, 1) == 101);
    CHECK(gen_request_round(&r, 2).seed == 10 && gen_request_round(&r, 2).subseed == 104);
}

static void knows_the_size_of_what_comes_out(void)
{
    struct gen_request r = gen_request_defaults();
    int w, h;

    r.mode = GEN_IMG2IMG;
    r.input = (struct gen_input){.width = 700, .height = 300};
    gen_request_result_size(&r, &w, &h);
    CHECK(w == 512 && h == 512 && gen_request_prepares(&r));
    r.input.has_mask = r.inpaint.full_res = true;
    gen_request_result_size(&r, &w, &h);
    CHECK(w == 700 && h == 300 && gen_request_is_full_res(&r));
    r.input = (struct gen_input){.width = 512, .height = 512};
    CHECK(!gen_request_prepares(&r));

    r.resize_mode = RESIZE_MODE_LATENT;
    r.input = (struct gen_input){.width = 250, .height = 300};
    gen_request_encode_size(&r, &w, &h);
    CHECK(w == 248 && h == 304);
    r.input.width = 2000;
    gen_request_encode_size(&r, &w, &h);
    CHECK(w == 512 && h == 512);
}

/* One field out of range each, and a word of what is said. */
static void refuses_what_is_out_of_range(void)
{
    const struct gen_limits limits = gen_request_default_limits();
    const struct gen_request good = gen_request_defaults();
    struct error err = {0};

    CHECK(gen_request_check(&good, &limits, &err));
#define REFUSES(field, value, word)                                                                \
    do {                                                                                           \
        struct gen_request r = good;                                                               \
        r.hires.enabled = true;                                                                    \
        CHECK(gen_request_check(&r, &limits, &err));                                               \
        r.field = value;                                                                           \
        err = (struct error){0};                                                                   \
        CHECK(!gen_request_check(&r, &limits, &err) && err.code == ERROR_INVALID);                 \
        CHECK(strstr(err.text, word));                                                             \
    } while (0)
    REFUSES(n_iter, 0, "n_iter");
    REFUSES(n_iter, 17, "n_iter");
    REFUSES(sampling.eta, 1.5, "eta");
    REFUSES(sampling.s_churn, -1, "s_churn");
    REFUSES(sampling.s_tmax, (double)NAN, "s_tmax");
    REFUSES(sampling.s_noise, 11, "s_noise");
    REFUSES(subseed, (uint64_t)1 << 32, "subseed");
    REFUSES(subseed_strength, 1.1, "subseed_strength");
    REFUSES(seed_resize_width, -8, "seed_resize_from_w");
    REFUSES(inpaint.blur_x, 257, "mask_blur_x");
    REFUSES(inpaint.padding, -1, "padding");
    REFUSES(hires.scale, 9, "hires scale");
    REFUSES(hires.scale, 8.0 * 512 / 511, "hires scale");
    REFUSES(hires.steps, 151, "hires steps");
    REFUSES(hires.denoising_strength, -0.1, "hires denoising_strength");
    REFUSES(hires.width, 20, "hires width");
    REFUSES(hires.height, 4104, "hires height");
    REFUSES(hires.upscaler, "nothing", "Latent (nearest-exact)");
#undef REFUSES
    struct gen_request many = good;
    many.batch_size = many.n_iter = 5;
    CHECK(!gen_request_check(&many, &limits, &err) && strstr(err.text, "batch_size times n_iter"));
    struct gen_request file = good;
    file.hires.enabled = true;
    file.hires.upscaler = "nothing";
    file.hires.upscaler_path = "/a/file";
    CHECK(gen_request_check(&file, &limits, &err));
}

int main(void)
{
    sizes_the_second_pass();
    has_no_second_pass_that_would_do_nothing();
    counts_steps_by_each_rule();
    makes_a_request_of_the_second_pass();
    lets_seeds_rise_over_rounds();
    knows_the_size_of_what_comes_out();
    refuses_what_is_out_of_range();
    return TEST_END();
}
