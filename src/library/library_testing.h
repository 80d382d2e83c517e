/* Folders made for the library's tests: a temporary one, files of a few bytes, and models with the
 * headers of the demo model and holes for weights. */
#ifndef LIBRARY_LIBRARY_TESTING_H
#define LIBRARY_LIBRARY_TESTING_H

#include "base/fs.h"
#include "base/le.h"
#include "base/test.h"
#include "library/library.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <unistd.h>

enum { LIBRARY_TESTING_PATH_BYTES = 4096, LIBRARY_TESTING_HEADER_BYTES = 1 << 20 };

/* The folder that all paths are below. */
static char library_testing_root[LIBRARY_TESTING_PATH_BYTES];

/* A path below the root, put together like printf, in one of a few rooms. */
PRINTF_LIKE(1, 2) static inline const char *library_testing_path(const char *fmt, ...)
{
    static char rooms[4][LIBRARY_TESTING_PATH_BYTES];
    static int next;
    char *room = rooms[next++ % 4];
    va_list args;

    const int n = snprintf(room, LIBRARY_TESTING_PATH_BYTES, "%s/", library_testing_root);
    va_start(args, fmt);
    vsnprintf(room + n, (size_t)(LIBRARY_TESTING_PATH_BYTES - n), fmt, args);
    va_end(args);
    return room;
}

static inline void library_testing_begin(void)
{
    char name[] = "/tmp/library_test.XXXXXX";
    char *made = mkdtemp(name), *real = made ? realpath(made, NULL) : NULL;

    CHECK(real != NULL);
    snprintf(library_testing_root, sizeof library_testing_root, "%s", real ? real : "/nowhere");
    free(real);
}

/* A folder with everything in it, or a file; links are not followed. */
static inline void library_testing_remove(const char *path)
{
    char inner[LIBRARY_TESTING_PATH_BYTES];
    struct stat st;
    DIR *d = lstat(path, &st) == 0 && S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    const struct dirent *e;

    while (d && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%.3000s/%s", path, e->d_name);
        library_testing_remove(inner);
    }
    if (d)
        closedir(d);
    remove(path);
}

static inline void library_testing_end(void)
{
    library_testing_remove(library_testing_root);
}

static inline void library_testing_folder(const char *path)
{
    struct error err = {0};
    bool ok = fs_make_folders(path, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
}

/* With the folders above it. */
static inline void library_testing_write(const char *path, const void *bytes, size_t n)
{
    char folder[LIBRARY_TESTING_PATH_BYTES];
    struct error err = {0};

    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    library_testing_folder(folder);
    CHECK(fs_write(path, bytes, n, &err));
}

static inline void library_testing_text(const char *path, const char *text)
{
    library_testing_write(path, text, strlen(text));
}

static inline void library_testing_link(const char *to, const char *path)
{
    CHECK(symlink(to, path) == 0);
}

/* Seconds before now: when a file or folder was changed. */
static inline void library_testing_age(const char *path, int seconds)
{
    struct timeval now, at[2];
    gettimeofday(&now, NULL);
    now.tv_sec -= seconds;
    at[0] = at[1] = now;
    CHECK(utimes(path, at) == 0);
}

/* Copies a file; of safetensors only the header, and a hole for the weights. */
static inline void library_testing_copy(const char *to, const char *from)
{
    struct error err = {0};
    char *bytes = NULL;
    size_t n = 0;

    CHECK(fs_read(&bytes, &n, from, 32 << 20, &err));
    if (!bytes)
        return;
    const bool weights = strstr(from, ".safetensors") != NULL;
    const size_t kept = weights ? 8 + (size_t)le_u64((const unsigned char *)bytes) : n;
    library_testing_write(to, bytes, kept);
    CHECK(truncate(to, (off_t)n) == 0);
    free(bytes);
}

/* A diffusers folder at path, small but whole. */
static inline void library_testing_model(const char *path)
{
    static const char *const files[] = {
        "model_index.json",         "scheduler/scheduler_config.json",
        "text_encoder/config.json", "text_encoder/model.safetensors",
        "tokenizer/merges.txt",     "tokenizer/vocab.json",
        "unet/config.json",         "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",          "vae/diffusion_pytorch_model.safetensors",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char from[LIBRARY_TESTING_PATH_BYTES], to[LIBRARY_TESTING_PATH_BYTES];
        snprintf(from, sizeof from, "assets/demo-model/%s", files[i]);
        snprintf(to, sizeof to, "%.3000s/%s", path, files[i]);
        library_testing_copy(to, from);
    }
}

/* A safetensors file of float16 tensors of zeros, all of one shape, and perhaps metadata (a JSON
 * object).  second may be NULL. */
static inline void library_testing_tensors(const char *path, const char *first, const char *second,
                                           int rows, int columns, const char *metadata)
{
    char header[4096];
    const size_t each = (size_t)rows * (size_t)columns * 2, data = second ? 2 * each : each;
    const char *const names[] = {first, second};
    size_t n =
        (size_t)snprintf(header, sizeof header, "{\"__metadata__\":%s", metadata ? metadata : "{}");

    for (size_t i = 0; i < 2 && names[i]; i++)
        n += (size_t)snprintf(header + n, sizeof header - n,
                              ",\"%s\":{\"dtype\":\"F16\",\"shape\":[%d,%d],"
                              "\"data_offsets\":[%zu,%zu]}",
                              names[i], rows, columns, i * each, (i + 1) * each);
    n += (size_t)snprintf(header + n, sizeof header - n, "}");
    unsigned char *bytes = calloc(1, 8 + n + data);
    CHECK(bytes != NULL);
    if (!bytes)
        return;
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)n >> 8 * i);
    memcpy(bytes + 8, header, n);
    library_testing_write(path, bytes, 8 + n + data);
    free(bytes);
}

static inline void library_testing_embedding(const char *path, int rows, int columns)
{
    library_testing_tensors(path, "emb_params", NULL, rows, columns, NULL);
}

/* Of rank 1, for a layer of SDXL's cross attention. */
static inline void library_testing_lora(const char *path, const char *metadata)
{
    library_testing_tensors(path,
                            "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k."
                            "lora_down.weight",
                            "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k."
                            "lora_up.weight",
                            1, 1, metadata);
}

/* A library of one kind, whose folder is path. */
static inline struct library *library_testing_open(enum library_kind kind, const char *path)
{
    struct library_settings s = {.default_model = ""};
    struct library *lib = NULL;
    struct error err = {0};

    s.folders[kind] = path;
    bool ok = library_open(&lib, &s, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
    return lib;
}

/* The entry called so in a list; NULL without one. */
static inline const struct library_entry *library_testing_in(const struct library_list *list,
                                                             const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->entries[i]->name, name) == 0)
            return list->entries[i];
    return NULL;
}

static inline struct library_list library_testing_list(struct library *lib, enum library_kind kind)
{
    struct library_list list = {0};
    struct error err = {0};
    bool ok = library_refresh(lib, &err) && library_list(lib, kind, &list, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
    return list;
}

#endif
