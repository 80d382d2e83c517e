#include "app/cli_check_memory.h"

#include "app/cli_help.h"
#include "engine/cpu/cpu_backend.h"
#include "generator/generator_memory.h"
#include "generator/generator_tokenizer.h"

#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>

void cli_check_memory_tell(struct cli_check *c, bool ok, const char *report, const char *fmt, ...)
{
    va_list args;

    *(ok ? &c->n_ok : &c->n_failed) += 1;
    fputs(ok ? "ok      " : "FAILED  ", c->to);
    va_start(args, fmt);
    vfprintf(c->to, fmt, args);
    va_end(args);
    fputc('\n', c->to);
    if (!ok)
        fprintf(c->to, "        please report this line, the first two lines and %s\n", report);
    fflush(c->to);
}

struct gen_request cli_check_memory_request(const struct cli_check *c, enum gen_mode mode)
{
    struct gen_request r = gen_request_defaults();
    const int side = generator_model_native_side(model_view(pipeline_model(c->pipeline)));

    r.mode = mode;
    r.prompt = "a red circle on a blue background";
    r.width = side;
    r.height = side;
    r.steps = 2;
    r.cfg_scale = generator_model_cfg_scale(&c->model);
    r.denoising_strength = 1; /* both steps run */
    return r;
}

static bool open_model(struct cli_check *c, struct error *err)
{
    const struct settings *s = &c->options->settings;
    const char *tokenizer = NULL;
    char room[GENERATOR_MODEL_PATH_BYTES];
    const struct generator_find find = {.settings = s};

    return generator_find_model(&c->model, &find, "", err) &&
           generator_tokenizer_find(&tokenizer, room, &c->model, &find, &c->options->origins,
                                    err) &&
           cpu_backend_open(&c->backend, (int)s->threads, s->isa, err) &&
           pipeline_open(&c->pipeline, c->model.path, tokenizer, c->backend, err) &&
           generator_memory_machine(&c->machine, s, true, err);
}

/* What a report needs to know. */
static void tell_head(const struct cli_check *c)
{
    struct utsname u;

    if (uname(&u) != 0)
        memset(&u, 0, sizeof u);
    fprintf(c->to, "diffusionapi %s on %s %s %s, %s, %d threads\n", cli_help_version(), u.sysname,
            u.release, u.machine, cpu_backend_isa(c->backend), cpu_backend_threads(c->backend));
    fprintf(c->to, "model %s, %.1f MB available of %.1f MB\n\n",
            model_view(pipeline_model(c->pipeline))->name, (double)c->machine.available_bytes / 1e6,
            (double)c->machine.total_bytes / 1e6);
}

bool cli_check_memory_run(const struct cli_options *o, FILE *to, struct error *err)
{
    struct cli_check c = {.to = to, .options = o};

    bool ok = open_model(&c, err);
    if (ok)
        tell_head(&c);
    ok = ok && cli_check_memory_machine(&c, err) && cli_check_memory_settings(&c, err) &&
         cli_check_memory_pictures(&c, GEN_TXT2IMG, err) &&
         cli_check_memory_pictures(&c, GEN_IMG2IMG, err) &&
         cli_check_memory_pictures_cleanup(&c, err);
    if (ok) {
        fprintf(to, "\n%d checks: %d ok, %d failed\n", c.n_ok + c.n_failed, c.n_ok, c.n_failed);
        if (c.n_failed)
            ok = error_set(err, ERROR_IO, "%d of %d checks failed: see the lines above", c.n_failed,
                           c.n_ok + c.n_failed);
    }
    pipeline_close(c.pipeline);
    if (c.backend)
        c.backend->fn->close(c.backend);
    return ok;
}
