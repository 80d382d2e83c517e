/* Judges what the demo model draws: the colours and places that the prompt asks for. */
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "pipeline/pipeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 128, SEEDS = 4, PATCH = 4, NEAR_CORNER = 8 };

/* The colours of tools/demo-model/train.py. */
static const struct {
    const char *name;
    int rgb[3];
} colors[] = {
    {"red", {214, 48, 49}},     {"green", {46, 160, 67}},   {"blue", {36, 94, 200}},
    {"yellow", {245, 205, 47}}, {"orange", {240, 132, 32}}, {"purple", {126, 64, 178}},
    {"black", {28, 28, 32}},    {"white", {244, 244, 240}}, {"pink", {243, 140, 178}},
    {"cyan", {62, 196, 204}},
};

enum { N_COLORS = sizeof colors / sizeof colors[0] };

/* Places as parts of the side, as in train.py. */
struct place {
    double x, y;
};
static const struct place middle = {.5, .5}, left = {.27, .5}, right = {.73, .5}, top = {.5, .27},
                          bottom = {.5, .73};

/* What each prompt must show at every seed: the colour at a place, and the one of all corners and
 * of the place across. */
static const struct {
    const char *prompt;
    const struct place *place;
    const char *color, *background;
} rows[] = {
    {"a red circle on a blue background", &middle, "red", "blue"},
    {"a yellow square on a purple background", &middle, "yellow", "purple"},
    {"a green circle on a white background", &middle, "green", "white"},
    {"a white square on a black background", &middle, "white", "black"},
    {"a blue diamond on a yellow background", &middle, "blue", "yellow"},
    {"a large pink heart on a green background", &middle, "pink", "green"},
    {"a large yellow star on a black background", &middle, "yellow", "black"},
    {"a purple circle on the left on a white background", &left, "purple", "white"},
    {"a black circle on the right on a cyan background", &right, "black", "cyan"},
    {"a red square at the top on a white background", &top, "red", "white"},
    {"a blue circle at the bottom on a orange background", &bottom, "blue", "orange"},
    {"a small green square on the left on a white background", &left, "green", "white"},
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

struct bench {
    struct backend *backend;
    struct pipeline *pipeline;
};

static void mean_color(double out[3], const struct image *image, int cx, int cy)
{
    out[0] = out[1] = out[2] = 0;
    for (int y = cy - PATCH; y <= cy + PATCH; y++)
        for (int x = cx - PATCH; x <= cx + PATCH; x++)
            for (int c = 0; c < 3; c++)
                out[c] += image->px[(y * image->width + x) * 3 + c];
    for (int c = 0; c < 3; c++)
        out[c] /= (2 * PATCH + 1) * (2 * PATCH + 1);
}

/* The colour of the table that comes nearest. */
static const char *color_at(const struct image *image, int x, int y)
{
    double mean[3], best = INFINITY;
    const char *name = "";

    mean_color(mean, image, x, y);
    for (int i = 0; i < N_COLORS; i++) {
        double d = 0;
        for (int c = 0; c < 3; c++)
            d += (mean[c] - colors[i].rgb[c]) * (mean[c] - colors[i].rgb[c]);
        if (d < best) {
            best = d;
            name = colors[i].name;
        }
    }
    return name;
}

static int px(double part)
{
    return (int)(part * SIDE);
}

/* A check that says more than what was not true. */
static void check_color(const struct image *image, double x, double y, const char *color,
                        const char *prompt, int seed)
{
    const char *is = color_at(image, px(x), px(y));
    if (strcmp(is, color) == 0)
        return;
    fprintf(stderr, "'%s', seed %d: at %.2f,%.2f it is %s, not %s\n", prompt, seed, x, y, is,
            color);
    test_failures++;
}

static bool draw(struct gen_result *out, struct bench *b, const struct gen_request *r,
                 const struct image *input)
{
    struct gen_plan plan = {0};
    struct error err = {0};

    bool ok = pipeline_plan(&plan, b->pipeline, r, NULL, &err) &&
              pipeline_run(out, b->pipeline, r, &plan, &(struct pipeline_input){.image = input},
                           NULL, &err);
    if (!ok)
        fprintf(stderr, "'%s': %s\n", r->prompt, err.text);
    gen_plan_clear(&plan);
    return ok;
}

static struct gen_request request_of(const char *prompt)
{
    struct gen_request r = gen_request_defaults();
    r.prompt = prompt;
    r.width = r.height = SIDE;
    r.cfg_scale = 5;
    return r;
}

static void draws_the_colours_at_the_places_of_the_prompt(struct bench *b, int row)
{
    const double corner = (double)NEAR_CORNER / SIDE;
    const struct place *at = rows[row].place;
    struct gen_request r = request_of(rows[row].prompt);
    struct gen_result result = {0};

    r.batch_size = SEEDS;
    bool drawn = draw(&result, b, &r, NULL);
    CHECK(drawn);
    for (int i = 0; drawn && i < SEEDS; i++) {
        const struct image *image = &result.images[i];
        const char *prompt = rows[row].prompt, *background = rows[row].background;
        int seed = (int)r.seed + i;
        check_color(image, at->x, at->y, rows[row].color, prompt, seed);
        check_color(image, corner, corner, background, prompt, seed);
        check_color(image, 1 - corner, corner, background, prompt, seed);
        check_color(image, corner, 1 - corner, background, prompt, seed);
        check_color(image, 1 - corner, 1 - corner, background, prompt, seed);
        if (at != &middle)
            check_color(image, 1 - at->x, 1 - at->y, background, prompt, seed);
    }
    pipeline_result_clear(&result);
}

/* A yellow disc on the left on black, drawn here. */
static void draw_disc(struct image *image)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            double dx = (x + .5) / SIDE - left.x, dy = (y + .5) / SIDE - left.y;
            const int *rgb = colors[sqrt(dx * dx + dy * dy) < .24 ? 3 : 6].rgb;
            for (int c = 0; c < 3; c++)
                image->px[(y * SIDE + x) * 3 + c] = (uint8_t)rgb[c];
        }
}

static double mean_difference(const struct image *a, const struct image *b)
{
    double sum = 0;
    for (size_t i = 0; i < image_bytes(a); i++)
        sum += abs(a->px[i] - b->px[i]);
    return sum / (double)image_bytes(a);
}

static void img2img_at_low_strength_keeps_the_layout(struct bench *b)
{
    struct gen_request r = request_of("a yellow circle on the left on a black background");
    struct gen_result result = {0};
    struct image input = {0};
    struct error err = {0};

    CHECK(image_init(&input, SIDE, SIDE, &err));
    draw_disc(&input);
    r.mode = GEN_IMG2IMG;
    r.denoising_strength = 0.3;
    r.batch_size = SEEDS;
    bool drawn = draw(&result, b, &r, &input);
    CHECK(drawn);
    for (int i = 0; drawn && i < SEEDS; i++) {
        const struct image *image = &result.images[i];
        int seed = (int)r.seed + i;
        double away = mean_difference(image, &input);
        check_color(image, left.x, left.y, "yellow", "img2img", seed);
        check_color(image, right.x, right.y, "black", "img2img", seed);
        if (away >= 20)
            fprintf(stderr, "img2img, seed %d: %.1f away from the input\n", seed, away);
        CHECK(away < 20); /* of 255; another scene is 60 and more away */
    }
    pipeline_result_clear(&result);
    image_clear(&input);
}

int main(void)
{
    struct bench b = {0};
    struct error err = {0};

    bool opened = cpu_backend_open(&b.backend, 0, NULL, &err) &&
                  pipeline_open(&b.pipeline, "assets/demo-model", NULL, b.backend, &err);
    if (!opened)
        fprintf(stderr, "%s\n", err.text);
    CHECK(opened);
    for (int i = 0; opened && i < N_ROWS; i++)
        draws_the_colours_at_the_places_of_the_prompt(&b, i);
    if (opened)
        img2img_at_low_strength_keeps_the_layout(&b);
    pipeline_close(b.pipeline);
    if (b.backend)
        b.backend->fn->close(b.backend);
    return TEST_END();
}
