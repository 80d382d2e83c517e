#include "library/library.h"
#include "library/library_entry.h"
#include "library/library_folder.h"
#include "library/library_internal.h"
#include "library/library_look.h"
#include "library/library_sha256.h"
#include "model/model_inspect.h"
#include "model/model_vae.h"

#include <string.h>

enum { MAX_SHARDS = 1024 };

/* What is hashed, held open where its paths are borrowed. */
struct source {
    struct model *model; /* owned; NULL for a single file */
    const char *files[MAX_SHARDS];
    size_t n;
};

static bool open_source(struct source *s, const struct library_entry *e, struct error *err)
{
    const bool vae = e->kind == LIBRARY_VAE;

    if (!e->is_folder) {
        s->files[s->n++] = e->path;
        return true;
    }
    if (!(vae ? model_vae_open(&s->model, e->path, NULL, err)
              : model_open(&s->model, e->path, err)))
        return false;
    s->n = model_inspect_files(s->model, vae ? MODEL_VAE : MODEL_UNET, s->files, MAX_SHARDS);
    return true;
}

/* The files are still those of the list. */
static bool is_current(const struct library_entry *e)
{
    /* What the list has let pass is inside; only sizes and times are looked at. */
    static const struct library_folder_fence anywhere = {.root = "/"};
    struct library_folder_size size = {0};
    struct stat st;

    if (e->is_folder)
        library_folder_measure(&size, e->kind, e->path, &anywhere);
    else if (stat(e->path, &st) == 0)
        library_folder_count(&size, "", &st);
    return size.bytes == e->bytes && size.modified_ns == library_entry_extra_view(e)->modified_ns;
}

static bool compute(struct library_hashes_row *row, const struct library_entry *e,
                    bool (*cancelled)(void *ctx), void *ctx, struct error *err)
{
    struct library_sha256 sum;
    struct source s = {.n = 0};
    const bool tensors = e->kind == LIBRARY_LORA;

    bool ok = open_source(&s, e, err) &&
              library_sha256_files(&sum, s.files, s.n, tensors, cancelled, ctx, err);
    model_close(s.model);
    if (ok) {
        memcpy(row->sha256, sum.all, sizeof row->sha256);
        memcpy(row->tensors, sum.tensors, sizeof row->tensors);
    }
    return ok;
}

bool library_hash(struct library *lib, const struct library_entry *e, bool (*cancelled)(void *ctx),
                  void *ctx, const struct library_entry **out, struct error *err)
{
    const int64_t modified_ns = library_entry_extra_view(e)->modified_ns;
    struct library_hashes_row row = {.bytes = e->bytes, .modified_ns = modified_ns};
    struct error ignored;

    if (e->problem)
        return error_set(err, ERROR_CORRUPT, "%.200s cannot be used: %.400s", e->name, e->problem);
    if (!is_current(e))
        return error_set(err, ERROR_BUSY, "%.200s has changed; list it again", e->name);
    library_hashes_reload(lib->hashes);
    if (!library_hashes_find(lib->hashes, e->path, e->bytes, modified_ns, &row)) {
        if (!compute(&row, e, cancelled, ctx, err))
            return false;
        if (!is_current(e))
            return error_set(err, ERROR_BUSY, "%.200s changes while it is read; try again",
                             e->name);
        /* Where the file of hashes cannot be written, they are good for this process. */
        const bool kept = library_hashes_add(lib->hashes, e->path, &row, &ignored);
        (void)kept;
    }
    pthread_mutex_lock(&lib->lock);
    lib->looked_at[e->kind] = -1e9; /* so that the next list has it */
    pthread_mutex_unlock(&lib->lock);
    *out = library_look_hashed(e, &row);
    return *out || error_set(err, ERROR_MEMORY, "no memory for a file's hash");
}
