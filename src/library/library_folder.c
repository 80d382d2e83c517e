#include "library/library_folder.h"

#include "base/fs.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef __APPLE__
#define MODIFIED(st) ((st)->st_mtimespec)
#else
#define MODIFIED(st) ((st)->st_mtim)
#endif

enum { MAX_REVISIONS = 1000, REVISION_BYTES = 128 };

static const char hf_prefix[] = "models--";

/* Fences. */

static bool real_folder(char out[LIBRARY_FOLDER_PATH_BYTES], const char *path)
{
    struct stat st;
    char *real = path && path[0] ? realpath(path, NULL) : NULL;
    bool ok = real && strlen(real) < LIBRARY_FOLDER_PATH_BYTES && stat(real, &st) == 0 &&
              S_ISDIR(st.st_mode);

    snprintf(out, LIBRARY_FOLDER_PATH_BYTES, "%s", ok ? real : "");
    free(real);
    return ok;
}

bool library_folder_fence(struct library_folder_fence *out, const char *root, const char *hf_cache)
{
    (void)real_folder(out->hf_cache, hf_cache);
    return real_folder(out->root, root);
}

static bool is_inside(const char *folder, const char *path)
{
    size_t len = strlen(folder);
    if (len == 1 && folder[0] == '/')
        return true;
    return len > 0 && strncmp(path, folder, len) == 0 && (path[len] == '/' || !path[len]);
}

const char *library_folder_leads_out(const struct library_folder_fence *f, const char *path)
{
    char *real = realpath(path, NULL);
    const char *problem = NULL;

    if (!real)
        problem = "it is a link to something that is not there";
    else if (!is_inside(f->root, real) && !is_inside(f->hf_cache, real))
        problem = "it is a link that leads out of its folder";
    free(real);
    return problem;
}

/* Recognition. */

static bool join(char out[LIBRARY_FOLDER_PATH_BYTES], const char *dir, const char *name)
{
    int n = snprintf(out, LIBRARY_FOLDER_PATH_BYTES, "%s/%s", dir, name);
    return n > 0 && n < LIBRARY_FOLDER_PATH_BYTES;
}

static bool has_file(const char *dir, const char *name)
{
    char path[LIBRARY_FOLDER_PATH_BYTES];
    struct stat st;
    return join(path, dir, name) && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool library_folder_is(enum library_kind kind, const char *path)
{
    const bool model = has_file(path, "model_index.json") || has_file(path, "unet/config.json") ||
                       has_file(path, "unet/diffusion_pytorch_model.safetensors") ||
                       has_file(path, "unet/diffusion_pytorch_model.bin");

    if (kind == LIBRARY_MODEL)
        return model;
    return kind == LIBRARY_VAE && (has_file(path, model ? "vae/config.json" : "config.json"));
}

/* Hugging Face. */

bool library_folder_is_hf(const char *name)
{
    return strncmp(name, hf_prefix, sizeof hf_prefix - 1) == 0;
}

static bool is_revision(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            return false;
    return name[0] && name[0] != '.' && strlen(name) < REVISION_BYTES;
}

/* What refs/main says, when it is a plain file of one plain name. */
static bool read_main(char out[REVISION_BYTES], const char *dir)
{
    char path[LIBRARY_FOLDER_PATH_BYTES], *text = NULL;
    struct error ignored;
    struct stat st;
    size_t n = 0;

    if (!join(path, dir, "refs/main") || lstat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        !fs_read(&text, &n, path, REVISION_BYTES - 1, &ignored))
        return false;
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    memcpy(out, text, n);
    out[n] = 0;
    free(text);
    return strlen(out) == n && is_revision(out);
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* The newest folder among the snapshots; of equally old ones the last by name. */
static bool newest_revision(char out[REVISION_BYTES], const char *snapshots)
{
    DIR *d = opendir(snapshots);
    const struct dirent *e;
    struct timespec best = {0};

    out[0] = 0;
    for (int i = 0; d && i < MAX_REVISIONS && (e = readdir(d)) != NULL; i++) {
        char path[LIBRARY_FOLDER_PATH_BYTES];
        struct stat st;
        if (!is_revision(e->d_name) || !join(path, snapshots, e->d_name) || stat(path, &st) != 0 ||
            !S_ISDIR(st.st_mode))
            continue;
        const struct timespec at = MODIFIED(&st);
        if (!out[0] || is_later(&at, &best) ||
            (!is_later(&best, &at) && strcmp(e->d_name, out) > 0)) {
            snprintf(out, REVISION_BYTES, "%.*s", REVISION_BYTES - 1, e->d_name);
            best = at;
        }
    }
    if (d)
        closedir(d);
    return out[0];
}

bool library_folder_hf_root(char out[LIBRARY_FOLDER_PATH_BYTES], const char *path)
{
    char snapshots[LIBRARY_FOLDER_PATH_BYTES], revision[REVISION_BYTES];

    if (!join(snapshots, path, "snapshots"))
        return false;
    if (!is_folder(snapshots)) {
        snprintf(out, LIBRARY_FOLDER_PATH_BYTES, "%s", path);
        return true;
    }
    if (read_main(revision, path) && join(out, snapshots, revision) && is_folder(out))
        return true;
    return newest_revision(revision, snapshots) && join(out, snapshots, revision);
}

void library_folder_repository(char out[LIBRARY_NAME_BYTES], const char *name)
{
    const char *org = library_folder_is_hf(name) ? name + sizeof hf_prefix - 1 : name;
    const char *end = strstr(org, org == name ? "__" : "--");

    out[0] = 0;
    if (end && end > org && end[2])
        snprintf(out, LIBRARY_NAME_BYTES, "%.*s/%s", (int)(end - org), org, end + 2);
}

/* Sizes. */

static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < n; i++) /* FNV-1a */
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

void library_folder_count(struct library_folder_size *out, const char *name, const struct stat *st)
{
    const struct timespec at = MODIFIED(st);
    const int64_t ns = (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
    const uint64_t numbers[] = {(uint64_t)st->st_size, (uint64_t)ns, (uint64_t)st->st_ino,
                                (uint64_t)st->st_dev};
    uint64_t hash = mix(0xcbf29ce484222325u, name, strlen(name));

    hash = mix(hash, numbers, sizeof numbers);
    out->stamp += hash | 1; /* a sum: the order of a folder's files means nothing */
    out->bytes += st->st_size > 0 ? (uint64_t)st->st_size : 0;
    if (ns > out->modified_ns)
        out->modified_ns = ns;
}

static const char *look_at(struct library_folder_size *out, const char *dir, const char *part,
                           const char *name, const struct library_folder_fence *f)
{
    char path[LIBRARY_FOLDER_PATH_BYTES], inner[300];
    struct stat st;

    if (!join(path, dir, name) || lstat(path, &st) != 0)
        return NULL; /* gone meanwhile */
    if (S_ISLNK(st.st_mode)) {
        const char *problem = library_folder_leads_out(f, path);
        if (problem)
            return problem;
        if (stat(path, &st) != 0)
            return NULL;
    }
    if (S_ISDIR(st.st_mode))
        return NULL;
    if (!S_ISREG(st.st_mode))
        return "it holds something that is neither a file nor a folder";
    snprintf(inner, sizeof inner, "%s/%.255s", part, name);
    library_folder_count(out, inner, &st);
    return NULL;
}

/* The files of one part; a part that is not there is none of ours to miss. */
static void measure_part(struct library_folder_size *out, const char *path, const char *part,
                         const struct library_folder_fence *f)
{
    char dir[LIBRARY_FOLDER_PATH_BYTES];
    const struct dirent *e;
    DIR *d = join(dir, path, part) ? opendir(dir) : NULL;

    if (d && !out->problem)
        out->problem = library_folder_leads_out(f, dir);
    for (int i = 0; d && !out->problem && (e = readdir(d)) != NULL; i++) {
        if (e->d_name[0] == '.')
            continue;
        if (i == LIBRARY_FOLDER_MAX_FILES)
            out->problem = "one of its folders holds more than 4096 files";
        else
            out->problem = look_at(out, dir, part, e->d_name, f);
    }
    if (d)
        closedir(d);
}

void library_folder_measure(struct library_folder_size *out, enum library_kind kind,
                            const char *path, const struct library_folder_fence *f)
{
    static const char *const parts[] = {".",         "unet",         "vae",
                                        "scheduler", "text_encoder", "text_encoder_2",
                                        "tokenizer", "tokenizer_2"};
    static const char *const vae_parts[] = {".", "vae"};
    const bool vae = kind == LIBRARY_VAE;
    const size_t n = vae ? sizeof vae_parts / sizeof *vae_parts : sizeof parts / sizeof *parts;

    *out = (struct library_folder_size){0};
    for (size_t i = 0; i < n; i++)
        measure_part(out, path, vae ? vae_parts[i] : parts[i], f);
}
