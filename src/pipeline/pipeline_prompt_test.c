/* Prompt syntax in whole runs, with the demo model that lies in the repository. */
#include "pipeline/pipeline_testing.h"
#include "pipeline/stages.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

static struct gen_request request(const char *prompt)
{
    struct gen_request r = pipeline_testing_request();
    r.prompt = prompt;
    r.steps = 3;
    return r;
}

struct fixture {
    struct backend *backend;
    struct pipeline *pipeline;
    struct tokenizer *tokenizer;
};

/* What the UNet would be told; the caller clears it. */
static struct text_cond encode(const struct fixture *f, const struct gen_request *asked)
{
    struct gen_request r = *asked;
    struct gen_plan plan = {0};
    struct gen_result result = {0};
    struct text_cond cond = {0};
    struct error err = {0};
    struct tokenizer *const tokenizer[2] = {f->tokenizer, NULL};
    struct stage s = {.backend = f->backend, .request = &r, .plan = &plan, .result = &result};

    bool ok = pipeline_plan(&plan, f->pipeline, &r, NULL, &err) &&
              f->backend->fn->arena_new(f->backend, &s.arena, plan.arena_bytes, &err);
    s.base = stages_base(pipeline_model(f->pipeline), tokenizer, &r, &plan);
    ok = ok && text_encode(&cond, &s, &s.base, &err);
    if (!ok)
        fprintf(stderr, "%s: %s\n", r.prompt, err.text);
    CHECK(ok);
    if (s.arena)
        f->backend->fn->arena_free(f->backend, s.arena, plan.arena_bytes);
    gen_plan_clear(&plan);
    return cond;
}

/* The caller clears it. */
static struct gen_result draw(const struct fixture *f, const struct gen_request *r)
{
    struct gen_result out = pipeline_testing_draw(f->pipeline, r, NULL);

    CHECK(TEST_SANITIZED || out.measured_peak_bytes <= out.planned_peak_bytes);
    return out;
}

static bool same(const struct gen_result *a, int i, const struct gen_result *b, int k)
{
    return a->images && b->images && pipeline_testing_same(&a->images[i], &b->images[k]);
}

static bool same_pictures(const struct fixture *f, const struct gen_request *x,
                          const struct gen_request *y)
{
    struct gen_result a = draw(f, x), b = draw(f, y);
    const bool equal = same(&a, 0, &b, 0);
    pipeline_result_clear(&a);
    pipeline_result_clear(&b);
    return equal;
}

static void leaves_plain_prompts_alone(const struct fixture *f)
{
    struct gen_request r = request("a red circle, on a blue background");
    struct text_cond a = encode(f, &r);
    r.prompt_syntax = GEN_SYNTAX_OFF;
    struct text_cond b = encode(f, &r);
    CHECK(a.set.n_texts == 2 && a.set.n_chunks == 1 && a.set.n_parts == 2 && !a.call);
    CHECK(a.each == b.each && memcmp(a.rows, b.rows, 2 * a.each * sizeof *a.rows) == 0);
    text_encode_clear(&a);
    text_encode_clear(&b);

    /* Off: brackets are text. */
    r.prompt = "(red:1.5) circle";
    struct gen_request plain = request("red circle");
    CHECK(!same_pictures(f, &r, &plain));
    plain.prompt = "\\(red:1.5\\) circle";
    CHECK(same_pictures(f, &r, &plain));
}

/* A long prompt's chunks are encoded each by itself; the other prompt gets empty ones. */
static void puts_chunks_side_by_side(const struct fixture *f)
{
    struct gen_request both = request("a red circle BREAK on blue"), one = request("a red circle");
    struct gen_request two = request("on blue");
    both.negative_prompt = one.negative_prompt = "star";
    struct text_cond a = encode(f, &both), b = encode(f, &one), c = encode(f, &two);
    const size_t n = b.each;
    CHECK(a.set.n_chunks == 2 && a.each == 2 * n && a.set.n_texts == 2);
    CHECK(a.set.n_different == 4);
    CHECK(memcmp(a.rows, b.rows, n * sizeof *a.rows) == 0);     /* star */
    CHECK(memcmp(a.rows + n, c.rows, n * sizeof *a.rows) == 0); /* nothing, as two's negative */
    CHECK(memcmp(a.rows + 2 * n, b.rows + n, n * sizeof *a.rows) == 0);
    CHECK(memcmp(a.rows + 3 * n, c.rows + n, n * sizeof *a.rows) == 0);
    text_encode_clear(&a);
    text_encode_clear(&b);
    text_encode_clear(&c);

    /* Equal chunks are encoded once. */
    both.prompt = "star BREAK [a red circle:x:3] BREAK a red circle";
    a = encode(f, &both), b = encode(f, &one);
    CHECK(a.set.n_chunks == 3 && a.set.n_different == 3); /* star, a red circle, nothing */
    CHECK(memcmp(a.rows + 3 * n, b.rows, n * sizeof *a.rows) == 0);
    CHECK(memcmp(a.rows + 4 * n, b.rows + n, n * sizeof *a.rows) == 0);
    CHECK(memcmp(a.rows + 5 * n, b.rows + n, n * sizeof *a.rows) == 0);
    text_encode_clear(&a);
    text_encode_clear(&b);
    both.prompt = "a red circle BREAK on blue";
    struct gen_request cut = both;
    cut.prompt = one.prompt;
    CHECK(!same_pictures(f, &both, &cut));
}

/* Rows times weights, scaled to the mean they had. */
static void weighs_words(const struct fixture *f)
{
    struct gen_request loud = request("a (red:1.5) circle"), plain = request("a red circle");
    struct text_cond a = encode(f, &loud), b = encode(f, &plain);
    const size_t width = a.each / TOKENIZER_LENGTH;
    double before = 0, after = 0, worst = 0;
    for (size_t i = 0; i < a.each; i++) {
        before += (double)b.rows[b.each + i];
        after += (double)b.rows[b.each + i] * (i / width == 2 ? 1.5 : 1); /* bos, a, red */
    }
    for (size_t i = 0; i < a.each; i++) {
        const double want =
            (double)b.rows[b.each + i] * (i / width == 2 ? 1.5 : 1) * (before / after);
        worst = fmax(worst, fabs((double)a.rows[a.each + i] - want));
    }
    CHECK(worst < 1e-5);
    CHECK(memcmp(a.rows, b.rows, a.each * sizeof *a.rows) == 0); /* the negative prompt's */
    text_encode_clear(&a);
    text_encode_clear(&b);
    CHECK(!same_pictures(f, &loud, &plain));
}

static void changes_texts_from_step_to_step(const struct fixture *f)
{
    struct gen_request r = request("[red:blue:1] circle");
    struct gen_request red = request("red circle"), blue = request("blue circle");
    struct text_cond c = encode(f, &r);
    static const int want[] = {0, 1, 0, 2, 0, 2};
    CHECK(c.set.n_texts == 3 && c.set.changes && c.call);
    CHECK(c.set.n_steps == 3 && memcmp(c.set.texts, want, sizeof want) == 0);
    text_encode_clear(&c);

    CHECK(!same_pictures(f, &r, &red) && !same_pictures(f, &r, &blue));
    r.prompt = "[red:blue:0] circle";
    CHECK(same_pictures(f, &r, &blue));
    r.prompt = "[red:blue:1.0] circle";
    CHECK(same_pictures(f, &r, &red));
    /* Three steps of Heun ask five times; the first text is that of two. */
    r.sampler = red.sampler = sampler_find("Heun", NULL);
    r.prompt = "[red:red:2] circle";
    CHECK(same_pictures(f, &r, &red));

    /* Each picture of a batch is the one its seed gives alone. */
    r = request("[red|blue] circle");
    struct gen_request second = r;
    r.batch_size = 2;
    second.seed++;
    struct gen_result pair = draw(f, &r), alone = draw(f, &second);
    CHECK(same(&pair, 1, &alone, 0));
    pipeline_result_clear(&pair);
    pipeline_result_clear(&alone);
    r.prompt = second.prompt = "red circle"; /* copied for two, not for one */
    pair = draw(f, &r), alone = draw(f, &second);
    CHECK(same(&pair, 1, &alone, 0));
    pipeline_result_clear(&pair);
    pipeline_result_clear(&alone);
    r = request("circle");
    r.negative_prompt = "[red:blue:2]";
    struct gen_request fixed = r;
    fixed.negative_prompt = "red";
    CHECK(!same_pictures(f, &r, &fixed));
}

static void adds_up_composed_prompts(const struct fixture *f)
{
    struct gen_request r = request("red circle AND blue star :0"), alone = request("red circle");
    CHECK(same_pictures(f, &r, &alone));
    r.prompt = "red circle AND blue star";
    CHECK(!same_pictures(f, &r, &alone));
    r.prompt = "red circle :2 AND blue star :0";
    alone.cfg_scale *= 2;
    CHECK(same_pictures(f, &r, &alone));
    r.batch_size = 2;
    struct gen_result pair = draw(f, &r);
    struct gen_result one = draw(f, &alone);
    CHECK(same(&pair, 0, &one, 0));
    pipeline_result_clear(&pair);
    pipeline_result_clear(&one);
}

static void takes_textual_inversions(const struct fixture *f)
{
    const struct model *m = pipeline_model(f->pipeline);
    const int width = model_view(m)->clip[0].width;
    char dir[] = "/tmp/prompt-words-test-XXXXXX", good[64], bad[64];
    struct gen_request word = request("A (zq_red:1.2) circle"), red = request("a (red:1.2) circle");
    struct gen_request wrong = request("a wq circle");
    struct error err = {0};
    int32_t id;
    size_t n;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(good, sizeof good, "%s/zq_red.safetensors", dir);
    snprintf(bad, sizeof bad, "%s/wq.safetensors", dir);
    CHECK(tokenizer_encode(f->tokenizer, &id, 1, &n, "red", 3, &err) && n == 1);
    CHECK(pipeline_testing_write_word(good, m, id, width) &&
          pipeline_testing_write_word(bad, m, 0, width - 1));
    CHECK(!same_pictures(f, &word, &red));
    struct gen_result before = draw(f, &wrong);
    CHECK(before.warnings.n == 0);
    CHECK(pipeline_set_embeddings(f->pipeline, dir, &err));
    CHECK(same_pictures(f, &word, &red));

    /* What does not fit is told once and is a word like others. */
    struct gen_result after = draw(f, &wrong);
    CHECK(same(&before, 0, &after, 0) && after.warnings.n == 1);
    CHECK(strstr(after.warnings.text[0], "'wq' stays an ordinary word: wq.safetensors: ") &&
          strstr(after.warnings.text[0], "have 63 numbers, the model's text encoder takes 64"));
    pipeline_result_clear(&before);
    pipeline_result_clear(&after);
    CHECK(pipeline_set_embeddings(f->pipeline, NULL, &err));
    unlink(good);
    unlink(bad);
    rmdir(dir);
}

static void takes_textual_inversions_from_folders_within(const struct fixture *f)
{
    const struct model *m = pipeline_model(f->pipeline);
    const int width = model_view(m)->clip[0].width;
    char dir[] = "/tmp/prompt-words-test-XXXXXX", inner[64], good[96], out[96], linked[96];
    struct gen_request word = request("a zq_red circle"), red = request("a red circle");
    struct gen_request outside = request("a zq_out circle");
    struct error err = {0};
    int32_t id;
    size_t n;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(inner, sizeof inner, "%s/words", dir);
    snprintf(good, sizeof good, "%s/words/zq_red.safetensors", dir);
    snprintf(out, sizeof out, "%s/zq_out.safetensors", dir);
    snprintf(linked, sizeof linked, "%s/words/zq_out.safetensors", dir);
    CHECK(mkdir(inner, 0700) == 0 && symlink(out, linked) == 0);
    CHECK(tokenizer_encode(f->tokenizer, &id, 1, &n, "red", 3, &err) && n == 1);
    CHECK(pipeline_testing_write_word(good, m, id, width) &&
          pipeline_testing_write_word(out, m, id, width));
    struct gen_result before = draw(f, &outside);

    CHECK(pipeline_set_embeddings(f->pipeline, dir, &err));
    CHECK(same_pictures(f, &word, &red));
    /* A link out of the folder is followed nowhere. */
    CHECK(pipeline_set_embeddings(f->pipeline, inner, &err));
    CHECK(same_pictures(f, &word, &red));
    struct gen_result after = draw(f, &outside);
    CHECK(same(&before, 0, &after, 0) && after.warnings.n == 0);
    pipeline_result_clear(&before);
    pipeline_result_clear(&after);
    CHECK(pipeline_set_embeddings(f->pipeline, NULL, &err));
    unlink(good);
    unlink(linked);
    unlink(out);
    rmdir(inner);
    rmdir(dir);
}

static void takes_tags_out_and_tells(const struct fixture *f)
{
    struct gen_request r = request("red <hypernet:h:1>circle"), plain = request("red circle");
    struct gen_result a = draw(f, &r), b = draw(f, &plain);
    CHECK(same(&a, 0, &b, 0));
    CHECK(a.warnings.n == 1 && strstr(a.warnings.text[0], "<hypernet:h:1>"));
    pipeline_result_clear(&a);
    pipeline_result_clear(&b);
}

/* 60 chunks of two texts take megabytes, which are gone before the picture is decoded; draw holds
 * the measured peak against the plan. */
static void plans_for_what_long_prompts_take(const struct fixture *f)
{
    enum { CHUNKS = 60 };
    static const char chunk[] = "red circle BREAK ";
    char prompt[CHUNKS * (sizeof chunk - 1) + 16];
    struct gen_request r = request(prompt);
    for (size_t i = 0; i < CHUNKS; i++)
        memcpy(prompt + i * (sizeof chunk - 1), chunk, sizeof chunk);
    memcpy(prompt + CHUNKS * (sizeof chunk - 1), "[red:blue:1]", sizeof "[red:blue:1]");
    r.width = r.height = 512; /* the decoder needs the most */
    r.steps = 2;
    struct gen_result out = draw(f, &r);
    pipeline_result_clear(&out);
}

static void refuses_what_was_not_planned(const struct fixture *f)
{
    struct gen_request r = request("red"), other = request("red BREAK blue");
    struct gen_plan plan = {0};
    struct gen_result out = {0};
    struct error err = {0};
    CHECK(pipeline_plan(&plan, f->pipeline, &r, NULL, &err));
    CHECK(!pipeline_run(&out, f->pipeline, &other, &plan, NULL, NULL, &err));
    CHECK(err.code == ERROR_INVALID && strstr(err.text, "other prompts"));
    gen_plan_clear(&plan);
    other.prompt = "(red:5000)";
    CHECK(!pipeline_plan(&plan, f->pipeline, &other, NULL, &err));
    CHECK(err.code == ERROR_INVALID && strstr(err.text, "prompt: ") == err.text);
}

int main(void)
{
    struct fixture f = {NULL, NULL, NULL};
    struct error err = {0};
    const bool ok = cpu_backend_open(&f.backend, 2, "auto", &err) &&
                    pipeline_open(&f.pipeline, pipeline_testing_model, NULL, f.backend, &err) &&
                    tokenizer_open(&f.tokenizer, "assets/demo-model/tokenizer", &err);
    CHECK(ok);
    if (ok) {
        leaves_plain_prompts_alone(&f);
        puts_chunks_side_by_side(&f);
        weighs_words(&f);
        changes_texts_from_step_to_step(&f);
        adds_up_composed_prompts(&f);
        takes_textual_inversions(&f);
        takes_textual_inversions_from_folders_within(&f);
        takes_tags_out_and_tells(&f);
        plans_for_what_long_prompts_take(&f);
        refuses_what_was_not_planned(&f);
    }
    tokenizer_close(f.tokenizer);
    pipeline_close(f.pipeline);
    if (f.backend)
        f.backend->fn->close(f.backend);
    return TEST_END();
}
