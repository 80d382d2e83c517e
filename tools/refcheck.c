/* refcheck [-q] [--threads N] [--isa NAME] DIR: every stage of the program against the reference
 * vectors in DIR.
 */
#include "refcheck.h"

#include "base/parse.h"
#include "engine/cpu/cpu_backend.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void (*const groups[])(struct refcheck *r) = {
    refcheck_text,     refcheck_sampler, refcheck_stage,   refcheck_lora,
    refcheck_pipeline, refcheck_sdxl,    refcheck_upscale, refcheck_images,
};

static bool is_list_of_rows(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".json") == 0 || strcmp(dot, ".safetensors") == 0);
}

/* What lies under expect/ and no group has read: said, so that nothing passes by not being looked
 * at.  Pictures belong to the .json that lists them. */
static void list_unread(struct refcheck *r, const char *folder)
{
    char dir[REFCHECK_MAX_PATH], path[2 * REFCHECK_MAX_PATH], name[512];

    snprintf(dir, sizeof dir, "%s/expect%s%s", r->dir, *folder ? "/" : "", folder);
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s%s%s", folder, *folder ? "/" : "", e->d_name);
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (stat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && !*folder)
            list_unread(r, e->d_name);
        else if (S_ISREG(st.st_mode) && is_list_of_rows(name) && !refcheck_seen(r, name))
            refcheck_skip(r, name, "no check for this yet");
    }
    if (d)
        closedir(d);
}

static bool read_arguments(struct refcheck *r, int *n_threads, const char **isa, int argc,
                           char **argv, struct error *err)
{
    for (int i = 1; i < argc; i++) {
        int64_t n = 0;
        if (strcmp(argv[i], "-q") == 0) {
            r->quiet = true;
        } else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc) {
            if (!parse_int64(&n, argv[++i], 1, 256, err))
                return error_prefix(err, "--threads");
            *n_threads = (int)n;
        } else if (strcmp(argv[i], "--isa") == 0 && i + 1 < argc) {
            *isa = argv[++i];
        } else if (argv[i][0] != '-' && !r->dir) {
            r->dir = argv[i];
        } else {
            return error_set(err, ERROR_INVALID, "'%s' is not understood", argv[i]);
        }
    }
    struct stat st;
    if (!r->dir)
        return error_set(err, ERROR_INVALID, "no folder given");
    if (stat(r->dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return error_set(err, ERROR_NOT_FOUND, "%s is not a folder", r->dir);
    return true;
}

int main(int argc, char **argv)
{
    struct refcheck r = {0};
    struct error err = {0};
    const char *isa = NULL;
    int n_threads = 0;

    if (!read_arguments(&r, &n_threads, &isa, argc, argv, &err) ||
        !cpu_backend_open(&r.backend, n_threads, isa, &err)) {
        fprintf(stderr, "refcheck: %s\nusage: refcheck [-q] [--threads N] [--isa NAME] DIR\n",
                err.text);
        return 2;
    }
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        groups[i](&r);
        fflush(stdout);
    }
    list_unread(&r, "");
    r.backend->fn->close(r.backend);
    printf("%s  %d passed, %d failed, %d skipped\n", r.failed || !r.passed ? "FAIL" : "PASS",
           r.passed, r.failed, r.skipped);
    return r.failed || !r.passed ? 1 : 0;
}
