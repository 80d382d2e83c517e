#include "app/cli_lora_check.h"

#include "app/cli_lora.h"
#include "base/fs.h"
#include "generator/generator_find.h"
#include "generator/generator_library.h"
#include "model/lora_set.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_FILES = 4096 };

struct check {
    const struct model_info *info;
    FILE *to;
    int n, n_fit;
};

static void print_head(const struct check *c)
{
    fprintf(c->to, "model: %s (%s), %s\n\n", c->info->name, model_family_name(c->info->family),
            c->info->path);
    fprintf(c->to, "%-28s %-7s %-9s %-14s %-22s %s\n", "LoRA", "kind", "rank", "modules that fit",
            "made for", "verdict");
}

static void print_lora(const struct check *c, const struct lora *l, const struct lora_match *m)
{
    char rank[24], fit[40], kind[8];
    int least, most;

    lora_ranks(l, &least, &most);
    snprintf(rank, sizeof rank, least == most ? "%d" : "%d to %d", least, most);
    snprintf(fit, sizeof fit, "%zu of %zu", m->n, m->n_modules);
    snprintf(kind, sizeof kind, "%s",
             lora_kind(l) <= LORA_KIND_LOKR     ? lora_kind_name(lora_kind(l))
             : lora_kind(l) == LORA_KIND_TUCKER ? "Tucker"
                                                : "other");
    fprintf(c->to, "%-28s %-7s %-9s %-16s %-22s %s\n", lora_name(l), kind, rank, fit,
            lora_origin(l), m->compatible ? "fits" : "does not fit");
    if (m->why[0])
        fprintf(c->to, "    %s%s\n", m->compatible ? "left out: " : "", m->why);
}

static void check_file(struct check *c, const char *path)
{
    struct lora *l = NULL;
    struct lora_match m = {0};
    struct error err = {0};

    c->n++;
    if (!lora_open(&l, path, &err) || !lora_match_make(&m, l, c->info, &err)) {
        fprintf(c->to, "%-28s cannot be read\n    %s\n", path, err.text);
    } else {
        print_lora(c, l, &m);
        c->n_fit += m.compatible;
    }
    lora_match_clear(&m);
    lora_close(l);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_lora_file(const char *name)
{
    static const char suffix[] = ".safetensors";
    const size_t len = strlen(name), cut = sizeof suffix - 1;
    return name[0] != '.' && len > cut && strcmp(name + len - cut, suffix) == 0;
}

static bool check_folder(struct check *c, const char *dir, struct error *err)
{
    char **names = calloc(MOST_FILES, sizeof *names);
    DIR *d = names ? opendir(dir) : NULL;
    int n = 0;
    bool ok = d || (names ? error_set_errno(err, errno, "cannot list") && false
                          : error_set(err, ERROR_MEMORY, "no memory for a list of files"));

    for (const struct dirent *e; d && n < MOST_FILES && (e = readdir(d));)
        if (is_lora_file(e->d_name) && (names[n] = strdup(e->d_name)))
            n++;
    if (d)
        closedir(d);
    if (n)
        qsort(names, (size_t)n, sizeof *names, by_name);
    for (int i = 0; i < n; i++) {
        char path[LORA_SET_PATH_BYTES];
        ok = ok && fs_join(path, sizeof path, dir, names[i], err);
        if (ok)
            check_file(c, path);
        free(names[i]);
    }
    free(names);
    return ok || error_prefix(err, "%s", dir);
}

/* What the library has of loras_dir, in folders within it too. */
static bool check_all(struct check *c, struct library *lib, struct error *err)
{
    struct library_list list;

    if (!library_list(lib, LIBRARY_LORA, &list, err))
        return false;
    for (size_t i = 0; i < list.n; i++)
        check_file(c, list.entries[i]->path);
    library_list_clear(&list);
    return true;
}

static bool check_one(struct check *c, const char *text, struct library *lib, struct error *err)
{
    const struct library_entry *e = NULL;
    struct stat st;
    const bool is_there = stat(text, &st) == 0;

    if (is_there && S_ISDIR(st.st_mode))
        return check_folder(c, text, err);
    if (is_there && S_ISREG(st.st_mode)) {
        check_file(c, text);
        return true;
    }
    if (!library_find(lib, LIBRARY_LORA, text, &e, err))
        return error_prefix(err, "--lora");
    check_file(c, e->path);
    library_entry_free(e);
    return true;
}

bool cli_lora_check_run(const struct cli_options *o, FILE *to, struct error *err)
{
    const struct generator_find find = {.settings = &o->settings};
    struct generator_model found;
    struct library *lib = NULL;
    struct model *model = NULL;

    if (!o->n_loras && !o->all)
        return error_set(err, ERROR_INVALID, "lora-check wants --lora PATH, or --all for all of %s",
                         o->settings.loras_dir);
    if (!generator_find_model(&found, &find, "", err) ||
        !generator_library_open(&lib, &o->settings, err))
        return false;
    if (!model_open(&model, found.path, err)) {
        library_close(lib);
        return false;
    }
    struct check c = {.info = model_view(model), .to = to};
    print_head(&c);
    bool ok = !o->all || check_all(&c, lib, err);
    for (int i = 0; ok && i < o->n_loras; i++)
        ok = check_one(&c, o->loras[i], lib, err);
    if (ok)
        fprintf(to, "\n%d of %d fit\n", c.n_fit, c.n);
    if (ok && c.n_fit < c.n)
        ok = error_set(err, ERROR_INVALID, "%d of %d LoRAs do not fit %s", c.n - c.n_fit, c.n,
                       c.info->name);
    model_close(model);
    library_close(lib);
    return ok;
}
