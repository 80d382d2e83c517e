/* Jobs with the demo model, from names to pictures on disk. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "generator/generator_internal.h"
#include "generator/generator_library.h"
#include "generator/generator_plan.h"
#include "image/image_format.h"
#include "memory/process_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct settings settings;
static struct library *library;
static char png[] = "png";
static char folder[] = "/tmp/generator_test.XXXXXX";

static bool path_of(void *ctx, char out[GENERATOR_PATH_BYTES], int i, struct error *err)
{
    char name[32];
    snprintf(name, sizeof name, "out.%d.%s", i, (const char *)ctx);
    return fs_join(out, GENERATOR_PATH_BYTES, folder, name, err);
}

static bool exists(int i, const char *type)
{
    char path[GENERATOR_PATH_BYTES];
    struct error err;
    struct stat st;
    return path_of((void *)(uintptr_t)type, path, i, &err) && stat(path, &st) == 0;
}

static void remove_pictures(void)
{
    static const char *const types[] = {"png", "jpg"};
    char path[GENERATOR_PATH_BYTES];
    struct error err;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 2; k++)
            if (path_of((void *)(uintptr_t)types[k], path, i, &err))
                unlink(path);
}

static struct generator *open_generator(void)
{
    const struct generator_options o = {
        .settings = &settings, .version = "test", .library = library};
    struct generator *g = NULL;
    struct error err;
    CHECK(generator_open(&g, &o, &err));
    return g;
}

static struct gen_job small_job(void)
{
    struct gen_job j = gen_job_defaults();
    j.prompt = "a red circle";
    j.width = j.height = 64;
    j.steps = 4;
    j.seed = 7;
    return j;
}

static bool make(struct generator *g, const struct gen_job *j, const char *input,
                 const struct generator_watch *watch, struct generator_result *out,
                 struct error *err)
{
    const struct generator_task task = {
        .job = j,
        .input = input,
        .path = path_of,
        .path_ctx = (void *)(uintptr_t)(j->file_type == GEN_JOB_JPG ? "jpg" : "png")};
    return generator_prepare(g, &task, err) && generator_run(g, watch, out, err);
}

static json_int_t whole(const struct generator_result *r, const char *key)
{
    return json_integer_value(json_object_get(r->json, key));
}

static void writes_pictures_and_their_story(void)
{
    struct generator *g = open_generator();
    struct gen_job j = small_job();
    struct generator_result r = {0};
    struct error err = {0};

    j.batch_size = 2;
    j.n_iter = 2;
    CHECK(make(g, &j, NULL, NULL, &r, &err));
    CHECK(r.n_pictures == 4 && exists(0, "png") && exists(3, "png") && !exists(4, "png"));
    CHECK(whole(&r, "images") == 4 && whole(&r, "width") == 64 && whole(&r, "seed") == 7);
    const json_t *seeds = json_object_get(r.json, "seeds");
    for (size_t i = 0; i < 4; i++)
        CHECK(json_integer_value(json_array_get(seeds, i)) == 7 + (json_int_t)i);
    const json_t *memory = json_object_get(r.json, "memory");
    const json_int_t planned = json_integer_value(json_object_get(memory, "planned_peak_bytes"));
    const json_int_t measured = json_integer_value(json_object_get(memory, "measured_peak_bytes"));
    CHECK(planned > 0 && measured >= 0);
    CHECK(TEST_SANITIZED || measured <= planned);
    CHECK(json_is_null(json_object_get(memory, "size_adjusted_from")));
    CHECK(json_array_size(json_object_get(memory, "log")) > 5);

    char path[GENERATOR_PATH_BYTES];
    struct image_file file;
    CHECK(path_of(png, path, 2, &err) && image_format_load(&file, path, &err));
    const char *text = json_string_value(json_array_get(json_object_get(r.json, "infotexts"), 2));
    CHECK(file.infotext && text && strcmp(file.infotext, text) == 0);
    CHECK(text && strstr(text, "Seed: 9") && strstr(text, "Version: diffusionapi test"));
    image_format_clear(&file);
    generator_result_clear(&r);
    generator_close(g);
    remove_pictures();
}

/* A later batch is what a job of its own with that seed draws, and keeping the model open changes
 * nothing. */
static void draws_the_same_whatever_came_before(void)
{
    struct generator *g = open_generator();
    struct gen_job j = small_job();
    struct generator_result r = {0};
    struct error err = {0};
    char path[GENERATOR_PATH_BYTES], *first = NULL, *again = NULL;
    size_t n_first = 0, n_again = 1;

    j.n_iter = 2;
    CHECK(make(g, &j, NULL, NULL, &r, &err));
    generator_result_clear(&r);
    CHECK(path_of(png, path, 1, &err) && fs_read(&first, &n_first, path, 1 << 20, &err));
    j.n_iter = 1;
    j.seed = 8;
    CHECK(make(g, &j, NULL, NULL, &r, &err));
    generator_result_clear(&r);
    CHECK(path_of(png, path, 0, &err) && fs_read(&again, &n_again, path, 1 << 20, &err));
    CHECK(first && again && n_first == n_again && memcmp(first, again, n_first) == 0);
    free(first);
    free(again);
    generator_close(g);
    remove_pictures();
}

/* A watch that wishes something after so many questions, and checks what it is told. */
struct wisher {
    enum generator_wish wish;
    int after, after_saved, asked, saved, previews;
    double progress;
};

static enum generator_wish wish(void *ctx)
{
    struct wisher *w = ctx;
    if (++w->asked < w->after || w->saved < w->after_saved)
        return GENERATOR_GO_ON;
    const enum generator_wish now = w->wish;
    if (now == GENERATOR_SKIP)
        w->after = 1 << 30; /* once */
    return now;
}

static void report(void *ctx, const struct generator_progress *p)
{
    struct wisher *w = ctx;
    CHECK(p->progress >= w->progress && p->progress <= 1);
    CHECK(p->step >= 0 && p->step <= p->steps && p->batch >= 1 && p->batch <= p->batches);
    w->progress = p->progress;
}

static void count_saved(void *ctx, int i, const char *path, uint64_t seed)
{
    struct wisher *w = ctx;
    (void)i;
    (void)path;
    (void)seed;
    w->saved++;
}

static bool always(void *ctx, double done)
{
    (void)ctx;
    return done < 1;
}

static bool count_preview(void *ctx, const struct image *small, struct error *err)
{
    struct wisher *w = ctx;
    (void)err;
    CHECK(small->width > 0 && small->height > 0);
    w->previews++;
    return true;
}

static struct generator_watch watch_of(struct wisher *w)
{
    return (struct generator_watch){.ctx = w,
                                    .progress = report,
                                    .wish = wish,
                                    .saved = count_saved,
                                    .preview_due = always,
                                    .preview = count_preview};
}

static bool is_file(int i, const char *bytes, size_t len)
{
    char path[GENERATOR_PATH_BYTES], *own = NULL;
    size_t n = 0;
    struct error err = {0};

    const bool same = path_of(png, path, i, &err) && fs_read(&own, &n, path, 1 << 20, &err) &&
                      n == len && memcmp(own, bytes, n) == 0;
    free(own);
    return same;
}

static void does_what_is_wished(void)
{
    static const struct {
        enum generator_wish wish;
        int after, after_saved, pictures; /* below 0: it is cancelled */
    } row[] = {
        {GENERATOR_GO_ON, 1, 0, 3},  {GENERATOR_CANCEL, 1, 0, -1}, {GENERATOR_CANCEL, 1, 1, -1},
        {GENERATOR_FINISH, 1, 0, 1}, {GENERATOR_SKIP, 1, 0, 3},
    };
    struct generator *g = open_generator();
    char path[GENERATOR_PATH_BYTES], *last = NULL;
    size_t n_last = 0;

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct gen_job j = small_job();
        struct wisher w = {
            .wish = row[i].wish, .after = row[i].after, .after_saved = row[i].after_saved};
        const struct generator_watch watch = watch_of(&w);
        struct generator_result r = {0};
        struct error err = {0};

        j.n_iter = 3;
        j.preview = true;
        const bool ok = make(g, &j, NULL, &watch, &r, &err);
        CHECK(ok == (row[i].pictures >= 0));
        CHECK(ok || err.code == ERROR_CANCELLED);
        if (ok) {
            CHECK(r.n_pictures == row[i].pictures && w.saved == row[i].pictures);
            CHECK(r.finished == (row[i].wish != GENERATOR_GO_ON));
            CHECK(w.previews > 0);
            if (row[i].wish == GENERATOR_GO_ON)
                CHECK(path_of(png, path, 2, &err) && fs_read(&last, &n_last, path, 1 << 20, &err));
            /* What was skipped is the first picture alone. */
            if (row[i].wish == GENERATOR_SKIP)
                CHECK(is_file(2, last, n_last));
            CHECK(w.progress > (row[i].wish == GENERATOR_FINISH ? 0.1 : 0.9));
        } else {
            CHECK(!exists(0, "png"));
        }
        generator_result_clear(&r);
        remove_pictures();
    }
    free(last);
    generator_close(g);
}

static void says_what_is_wrong(void)
{
    struct generator *g = open_generator();
    struct generator_result r = {0};
    struct error err = {0};
    char path[GENERATOR_PATH_BYTES];

    struct gen_job j = small_job();
    j.model = "/etc/passwd";
    CHECK(!make(g, &j, NULL, NULL, &r, &err) && err.code == ERROR_NOT_FOUND);
    j = small_job();
    j.vae = "../nothing";
    CHECK(!make(g, &j, NULL, NULL, &r, &err) && strncmp(err.text, "vae: ", 5) == 0);
    j = small_job();
    j.refiner = "nothing";
    CHECK(!make(g, &j, NULL, NULL, &r, &err) && strstr(err.text, "refiner_checkpoint: "));
    j = small_job();
    j.mode = GEN_JOB_IMG2IMG;
    CHECK(!make(g, &j, NULL, NULL, &r, &err) && strstr(err.text, "needs a picture: image"));
    CHECK(fs_join(path, sizeof path, folder, "broken.png", &err) &&
          fs_write(path, "\x89PNG\r\n\x1a\n----", 12, &err));
    CHECK(!make(g, &j, path, NULL, &r, &err) && strncmp(err.text, "image: ", 7) == 0);
    unlink(path);
    j = small_job();
    j.loras[j.n_loras++] = (struct gen_job_lora){"nothing", 1};
    CHECK(make(g, &j, NULL, NULL, &r, &err)); /* a missing LoRA is a warning */
    CHECK(json_array_size(json_object_get(r.json, "warnings")) == 1);
    generator_result_clear(&r);
    generator_close(g);
    remove_pictures();
}

/* The size rule is the plan's; both sizes are told. */
static void tells_of_another_size(void)
{
    struct generator *g = open_generator();
    struct gen_job j = small_job();
    struct generator_result r = {0};
    struct error err = {0};

    settings.max_image_size = (struct settings_size){64, 64};
    j.width = 128;
    j.height = 64;
    CHECK(make(g, &j, NULL, NULL, &r, &err));
    const json_t *from = json_object_get(json_object_get(r.json, "memory"), "size_adjusted_from");
    CHECK(json_integer_value(json_object_get(from, "width")) == 128);
    CHECK(whole(&r, "requested_width") == 128 && whole(&r, "width") < 128);
    const char *text = json_string_value(json_array_get(json_object_get(r.json, "infotexts"), 0));
    CHECK(text && strstr(text, "Requested size: 128x64"));
    generator_result_clear(&r);
    j.size_policy = MEMORY_SIZE_PLANNED;
    CHECK(make(g, &j, NULL, NULL, &r, &err) && whole(&r, "width") == 128);
    generator_result_clear(&r);
    settings.max_image_size = (struct settings_size){0, 0};
    generator_close(g);
    remove_pictures();
}

static void enlarges_pictures(void)
{
    static const struct {
        double factor;
        int w, h;
        bool crop;
        int out_w, out_h;
    } row[] = {{2, 0, 0, true, 128, 128}, {2, 96, 64, true, 96, 64}, {2, 96, 64, false, 96, 96}};
    struct generator *g = open_generator();
    struct gen_job j = small_job();
    struct generator_result r = {0};
    struct error err = {0};
    char input[GENERATOR_PATH_BYTES];

    CHECK(make(g, &j, NULL, NULL, &r, &err));
    generator_result_clear(&r);
    CHECK(path_of(png, input, 0, &err));
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        j = gen_job_defaults();
        j.mode = GEN_JOB_UPSCALE;
        j.file_type = GEN_JOB_JPG;
        j.upscale.upscaler_1 = "Lanczos";
        j.upscale.upscaler_2 = "Nearest";
        j.upscale.upscaler_2_visibility = 0.5;
        j.upscale.resize = row[i].factor;
        j.upscale.resize_w = row[i].w;
        j.upscale.resize_h = row[i].h;
        j.upscale.crop = row[i].crop;
        CHECK(make(g, &j, input, NULL, &r, &err));
        CHECK(whole(&r, "width") == row[i].out_w && whole(&r, "height") == row[i].out_h);
        const char *text =
            json_string_value(json_array_get(json_object_get(r.json, "infotexts"), 0));
        CHECK(text && strstr(text, "a red circle"));
        generator_result_clear(&r);
    }
    j.upscale.upscaler_1 = "nothing";
    CHECK(!make(g, &j, input, NULL, &r, &err) && strncmp(err.text, "upscaler", 8) == 0);
    generator_close(g);
    remove_pictures();
}

/* What one job leaves is gone before the next: the process does not grow. */
static void gives_memory_back(void)
{
    struct generator *g = open_generator();
    struct process_memory first = {0}, last = {0};
    struct generator_result r = {0};
    struct error err = {0};

    for (int i = 0; i < 8; i++) {
        struct gen_job j = small_job();
        j.width = 64 + 64 * (i % 3);
        j.steps = 1;
        CHECK(make(g, &j, NULL, NULL, &r, &err));
        generator_result_clear(&r);
        CHECK(process_memory_read(i == 2 ? &first : &last, &err));
    }
    CHECK(TEST_SANITIZED || last.anonymous_bytes < first.anonymous_bytes + (2 << 20));
    CHECK(generator_view(g).model && generator_view(g).sized);
    generator_forget(g);
    CHECK(generator_view(g).model && !generator_view(g).sized);
    CHECK(!generator_run(g, NULL, &r, &err) && err.code == ERROR_INVALID);
    CHECK(!generator_idle(g)); /* just used */
    generator_unload(g);
    CHECK(!generator_view(g).model && !generator_idle(g));
    generator_close(g);
    remove_pictures();
}

/* A device that counts arenas. */
struct counting {
    struct backend_functions fn; /* first: the two are the same pointer */
    const struct backend_functions *real;
    int alive, made;
};

static struct counting *counting_of(struct backend *b)
{
    union {
        const struct backend_functions *in;
        struct counting *out;
    } edge = {.in = b->fn};
    return edge.out;
}

static bool count_new(struct backend *b, void **arena, size_t bytes, struct error *err)
{
    struct counting *c = counting_of(b);
    const bool ok = c->real->arena_new(b, arena, bytes, err);
    c->alive += ok;
    c->made += ok;
    return ok;
}

static void count_free(struct backend *b, void *arena, size_t bytes)
{
    counting_of(b)->alive--;
    counting_of(b)->real->arena_free(b, arena, bytes);
}

/* Two jobs, the second with another VAE, which is loaded before it. */
static void cleans_up_as_the_settings_say(void)
{
    static const struct {
        const char *why;
        enum tri after, before;
        int alive, alive_prepared,
            made; /* arenas: after the first job, before the second; in all */
    } row[] = {
        {"a CPU's default", TRI_AUTO, TRI_AUTO, 0, 0, 2},
        {"forced", TRI_TRUE, TRI_TRUE, 0, 0, 2},
        {"kept after a generation, but not over loading", TRI_FALSE, TRI_TRUE, 1, 0, 2},
        {"the same by default", TRI_FALSE, TRI_AUTO, 1, 0, 2},
        {"kept", TRI_FALSE, TRI_FALSE, 1, 1, 1},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct generator *g = open_generator();
        struct gen_job j = small_job();
        struct generator_task task = {.job = &j, .path = path_of, .path_ctx = png};
        struct generator_result r = {0};
        struct error err = {0};

        settings.force_cleanup_after_generation = row[i].after;
        settings.cleanup_before_loading = row[i].before;
        CHECK(cpu_backend_open(&g->backend, 2, NULL, &err));
        struct counting c = {.fn = *g->backend->fn, .real = g->backend->fn};
        c.fn.arena_new = count_new;
        c.fn.arena_free = count_free;
        g->backend->fn = &c.fn;
        CHECK(make(g, &j, NULL, NULL, &r, &err) && c.made == 1);
        generator_result_clear(&r);
        j.vae = "taesd-random"; /* needs less than the model's own */
        const int alive = c.alive;
        CHECK(generator_prepare(g, &task, &err));
        const int prepared = c.alive;
        CHECK(generator_run(g, NULL, &r, &err));
        generator_result_clear(&r);
        if (alive != row[i].alive || prepared != row[i].alive_prepared || c.made != row[i].made)
            fprintf(stderr, "row: %s: %d, %d, %d (%s)\n", row[i].why, alive, prepared, c.made,
                    err.text);
        CHECK(alive == row[i].alive && prepared == row[i].alive_prepared && c.made == row[i].made);
        generator_unload(g);
        CHECK(c.alive == 0);
        g->backend->fn = c.real;
        generator_close(g);
    }
    settings.force_cleanup_after_generation = settings.cleanup_before_loading = TRI_AUTO;
    remove_pictures();
}

/* A model that nobody uses leaves, and comes back for the next job. */
static void unloads_what_is_idle(void)
{
    struct generator *g = open_generator();
    struct gen_job j = small_job();
    struct generator_result r = {0};
    struct error err = {0};
    const double deadline = clock_seconds() + 30;

    settings.model_idle_seconds = 1;
    CHECK(make(g, &j, NULL, NULL, &r, &err));
    generator_result_clear(&r);
    while (!generator_idle(g) && clock_seconds() < deadline)
        usleep(20000);
    CHECK(!generator_view(g).model);
    settings.model_idle_seconds = 600;
    CHECK(make(g, &j, NULL, NULL, &r, &err) && generator_view(g).model);
    generator_result_clear(&r);
    generator_close(g);
    remove_pictures();
}

/* The plan of a job for another process counts what that one holds. */
static void plans_for_another_process(void)
{
    struct generator_plan *p = calloc(1, sizeof *p);
    struct gen_job j = small_job();
    struct error err = {0};
    struct generator_plan_ask ask = {
        .settings = &settings, .library = library, .job = &j, .base_bytes = 123 << 20};

    CHECK(p && generator_plan_make(p, &ask, &err));
    CHECK(p->sized.plan.base_bytes == 123 << 20);
    json_t *json = generator_plan_json(p);
    CHECK(json && json_array_size(json_object_get(json, "phases")) >= 3);
    json_decref(json);
    generator_plan_clear(p);
    j.model = "nothing";
    CHECK(!generator_plan_make(p, &ask, &err) && err.code == ERROR_NOT_FOUND);
    free(p);
}

int main(void)
{
    struct settings_origins origins;
    struct error err = {0};

    settings_defaults(&settings, &origins);
    settings.threads = 2;
    snprintf(settings.vae_dir, sizeof settings.vae_dir, "tests/data");
    if (!mkdtemp(folder) || !generator_library_open(&library, &settings, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    writes_pictures_and_their_story();
    draws_the_same_whatever_came_before();
    does_what_is_wished();
    says_what_is_wrong();
    tells_of_another_size();
    enlarges_pictures();
    gives_memory_back();
    cleans_up_as_the_settings_say();
    unloads_what_is_idle();
    plans_for_another_process();
    library_close(library);
    rmdir(folder);
    return TEST_END();
}
