#include "app/cli_inspect.h"

#include "generator/generator_tokenizer.h"
#include "model/model_inspect.h"

bool cli_inspect_run(const struct cli_options *o, FILE *to, struct error *err)
{
    const struct generator_find find = {.settings = &o->settings};
    struct generator_model found;
    struct model *model = NULL;

    if (!generator_find_model(&found, &find, o->argument[0] ? o->argument : "demo", err) ||
        !model_open(&model, found.path, err))
        return false;
    bool ok = model_inspect_write(model, to) ||
              error_set(err, ERROR_IO, "cannot write to standard output");
    if (ok && !model_view(model)->tokenizer_dir[0] && model_view(model)->has_part[0]) {
        const char *dir = NULL;
        char room[GENERATOR_MODEL_PATH_BYTES];
        ok = generator_tokenizer_find(&dir, room, &found, &find, &o->origins, err);
        if (ok && dir)
            fprintf(to, "%-15s %s would be used\n", "", dir);
    }
    model_close(model);
    return ok;
}
