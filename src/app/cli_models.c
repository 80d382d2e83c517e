#include "app/cli_models.h"

#include "app/cli_interrupt.h"
#include "generator/generator_library.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* How the command calls the kinds. */
static const char *const plurals[LIBRARY_KINDS] = {"models", "loras", "upscalers", "embeddings",
                                                   "vaes"};

static const char *folder_of(const struct settings *s, enum library_kind kind)
{
    const char *const folders[LIBRARY_KINDS] = {s->models_dir, s->loras_dir, s->upscalers_dir,
                                                s->embeddings_dir, s->vae_dir};
    return folders[kind];
}

/* What a kind has beside a family; "" for those without. */
static void write_detail(char out[80], const struct library_entry *e)
{
    if (e->kind == LIBRARY_UPSCALER && e->scale)
        snprintf(out, 80, "%s x%d", e->family, e->scale);
    else if (e->kind == LIBRARY_EMBEDDING && e->n_vectors)
        snprintf(out, 80, "%s%s%d %s", e->family, *e->family ? ", " : "", e->n_vectors,
                 e->n_vectors == 1 ? "vector" : "vectors");
    else
        snprintf(out, 80, "%s%s", e->family, e->v_prediction ? ", v-prediction" : "");
}

static void print_entry(FILE *to, const struct library_entry *e)
{
    char detail[80];

    write_detail(detail, e);
    fprintf(to, "  %-32s %-22s %9.1f MB  %-12s", e->name, detail, (double)e->bytes / 1e6,
            e->short_hash);
    if (strcmp(e->label, e->name) != 0)
        fprintf(to, "  \"%s\"", e->label);
    if (e->alias)
        fprintf(to, "  alias %s", e->alias);
    fprintf(to, "\n");
    if (e->problem)
        fprintf(to, "    %s\n", e->problem);
}

static json_t *entry_json(const struct library_entry *e)
{
    json_t *j = json_pack(
        "{ss ss ss ss ss ss sI sI ss? ss? ss? ss? ss?}", "name", e->name, "label", e->label,
        "title", e->title, "file_name", e->file_name, "path", e->path, "family", e->family, "bytes",
        (json_int_t)e->bytes, "modified_ms", (json_int_t)e->modified_unix_ms, "hash",
        e->short_hash[0] ? e->short_hash : NULL, "sha256", e->sha256[0] ? e->sha256 : NULL,
        "repository", e->repository, "alias", e->alias, "problem", e->problem);
    bool ok = j != NULL;

    if (ok && e->scale)
        ok = json_object_set_new(j, "scale", json_integer(e->scale)) == 0;
    if (ok && e->n_vectors)
        ok = json_object_set_new(j, "vectors", json_integer(e->n_vectors)) == 0;
    if (ok && e->kind == LIBRARY_MODEL)
        ok = json_object_set_new(j, "v_prediction", json_boolean(e->v_prediction)) == 0;
    if (!ok) {
        json_decref(j);
        return NULL;
    }
    return j;
}

struct run {
    const struct cli_options *o;
    struct library *lib; /* owned */
    json_t *all;         /* owned; NULL: lines of text */
    FILE *to;
};

/* *e becomes the entry with its hash; one that is broken stays as it is. */
static bool hash_entry(struct run *r, const struct library_entry **e, struct error *err)
{
    const struct library_entry *hashed = NULL;

    if (!r->o->hash || (*e)->problem || (*e)->sha256[0])
        return true;
    if (!library_hash(r->lib, *e, cli_interrupt_asked, NULL, &hashed, err))
        return false;
    library_entry_free(*e);
    *e = hashed;
    return true;
}

static bool tell_entry(struct run *r, json_t *rows, const struct library_entry *listed,
                       struct error *err)
{
    const struct library_entry *e = library_entry_keep(listed);
    bool ok = hash_entry(r, &e, err);

    if (ok && r->all)
        ok = json_array_append_new(rows, entry_json(e)) == 0 ||
             error_set(err, ERROR_MEMORY, "no memory for a list of models");
    else if (ok)
        print_entry(r->to, e);
    library_entry_free(e);
    return ok;
}

static bool tell_kind(struct run *r, enum library_kind kind, struct error *err)
{
    struct library_list list = {0};
    json_t *rows = r->all ? json_array() : NULL;

    if (!library_list(r->lib, kind, &list, err)) {
        json_decref(rows);
        return false;
    }
    if (!r->all)
        fprintf(r->to, "%s (%s): %s\n", plurals[kind], folder_of(&r->o->settings, kind),
                list.n ? "" : "none");
    bool ok = true;
    for (size_t i = 0; ok && i < list.n; i++)
        ok = tell_entry(r, rows, list.entries[i], err);
    if (ok && list.cut && !r->all)
        fprintf(r->to,
                "  and more: of a folder, %d entries and %d folders inside each other are "
                "listed\n",
                LIBRARY_MAX_ENTRIES, LIBRARY_MAX_DEPTH);
    library_list_clear(&list);
    if (ok && r->all)
        return json_object_set_new(r->all, plurals[kind], rows) == 0 ||
               error_set(err, ERROR_MEMORY, "no memory for a list of models");
    json_decref(rows);
    return ok;
}

static bool tell(struct run *r, struct error *err)
{
    const char *wanted = r->o->argument;
    bool known = !wanted, ok = true;

    for (int i = 0; ok && i < LIBRARY_KINDS; i++) {
        if (wanted && strcmp(wanted, plurals[i]) != 0)
            continue;
        known = true;
        ok = tell_kind(r, (enum library_kind)i, err);
    }
    return !ok ? false
               : known || error_set(err, ERROR_INVALID,
                                    "there is no kind '%.60s'; there are models, loras, upscalers, "
                                    "embeddings, vaes",
                                    wanted);
}

bool cli_models_run(const struct cli_options *o, FILE *to, struct error *err)
{
    struct run r = {.o = o, .to = to, .all = o->json ? json_object() : NULL};
    bool ok = (!o->json || r.all || error_set(err, ERROR_MEMORY, "no memory for a list")) &&
              generator_library_open(&r.lib, &o->settings, err) && tell(&r, err);

    if (ok && r.all)
        ok = (json_dumpf(r.all, to, JSON_INDENT(2)) == 0 && fputc('\n', to) != EOF) ||
             error_set(err, ERROR_IO, "cannot write to standard output");
    json_decref(r.all);
    library_close(r.lib);
    return ok;
}
