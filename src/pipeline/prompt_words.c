#include "pipeline/prompt_words.h"

#include "base/fs.h"
#include "model/tensor_file.h"
#include "model/text_inversion.h"
#include "text/prompt_scan.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_PATH_BYTES = 4096, MAX_FILES = 65536, MAX_DEPTH = 5, TEXTS = 2 };

/* Texts and names are compared without regard to case, as the tokenizer reads them; ASCII's is
 * enough to find a file, and the tokens decide. */
static char *lower(const char *text, size_t len, struct error *err)
{
    char *out = malloc(len + 1);

    if (!out) {
        error_set(err, ERROR_MEMORY, "no memory for a text of %zu bytes", len);
        return NULL;
    }
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
    out[len] = '\0';
    return out;
}

/* A list of names, each owned. */
struct names {
    char **name;
    size_t n, cap;
};

static bool add_name(struct names *list, const char *name, struct error *err)
{
    if (list->n == list->cap) {
        const size_t cap = list->cap ? 2 * list->cap : 64;
        char **grown = realloc(list->name, cap * sizeof *grown);
        if (!grown)
            return error_set(err, ERROR_MEMORY, "no memory for a list of files");
        list->name = grown;
        list->cap = cap;
    }
    list->name[list->n] = strdup(name);
    if (!list->name[list->n])
        return error_set(err, ERROR_MEMORY, "no memory for a list of files");
    list->n++;
    return true;
}

static void clear_names(struct names *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->name[i]);
    free(list->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The name behind the last slash. */
static const char *base_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

/* Whether the file's name without its ending is a word of a text. */
static bool is_named(bool *named, const char *file, char *const *texts, struct error *err)
{
    const size_t stem = tensor_file_stem(file);
    size_t found;

    *named = false;
    if (stem == 0 || file[stem] == '\0')
        return true;
    char *name = lower(file, stem, err);
    for (int i = 0; name && !*named && i < TEXTS; i++)
        *named = prompt_scan_word(&found, texts[i], strlen(texts[i]), 0, name);
    free(name);
    return name != NULL;
}

/* A walk through the folder of embeddings and those in it. */
struct walk {
    struct names *out;
    const char *root; /* with every link followed */
    char *const *texts;
    int files; /* looked at so far */
};

/* A file or folder of the root, not somewhere that a link leads to. */
static bool is_inside(const char *root, const char *path)
{
    const size_t len = strlen(root);
    char *real = realpath(path, NULL);
    const bool inside = real && strncmp(real, root, len) == 0 && real[len] == '/';

    free(real);
    return inside;
}

static bool list_files(struct walk *w, const char *below, int depth, struct error *err);

static bool look_at(struct walk *w, const char *below, const char *name, int depth,
                    struct error *err)
{
    char file[MAX_PATH_BYTES], path[MAX_PATH_BYTES];
    struct stat st;
    bool named = false;

    const int n = snprintf(file, sizeof file, "%s%s%s", below, *below ? "/" : "", name);
    const int m = snprintf(path, sizeof path, "%s/%s", w->root, file);
    if (n < 0 || n >= MAX_PATH_BYTES || m < 0 || m >= MAX_PATH_BYTES || lstat(path, &st) != 0)
        return true;
    if (S_ISDIR(st.st_mode)) /* links to folders are not followed: they may go in circles */
        return depth + 1 == MAX_DEPTH || list_files(w, file, depth + 1, err);
    if (!is_named(&named, name, w->texts, err))
        return false;
    return !named || !is_inside(w->root, path) || add_name(w->out, file, err);
}

/* The files below the root that a text names, each by its path there. */
static bool list_files(struct walk *w, const char *below, int depth, struct error *err)
{
    char path[MAX_PATH_BYTES];
    const struct dirent *entry;
    bool ok = true;

    const int n = snprintf(path, sizeof path, "%s%s%s", w->root, *below ? "/" : "", below);
    DIR *d = n > 0 && n < MAX_PATH_BYTES ? opendir(path) : NULL;
    while (d && ok && w->files < MAX_FILES && (entry = readdir(d)) != NULL) {
        w->files++;
        ok = entry->d_name[0] == '.' || look_at(w, below, entry->d_name, depth, err);
    }
    if (d)
        closedir(d);
    return ok;
}

/* In the order of their names. */
static bool find_files(struct names *out, const char *dir, char *const *texts, struct error *err)
{
    char *root = realpath(dir, NULL);
    struct walk w = {.out = out, .root = root, .texts = texts};
    bool ok = !root || list_files(&w, "", 0, err);

    free(root);
    if (ok && out->n > 1)
        qsort(out->name, out->n, sizeof *out->name, by_name);
    return ok;
}

static bool append_rows(struct prompt_words *w, const struct text_inversion *t, const int width[2],
                        struct error *err)
{
    for (int i = 0; i < 2; i++) {
        const size_t each = (size_t)width[i] * sizeof(float);
        if (!width[i])
            continue;
        float *grown = realloc(w->rows[i], (size_t)(w->n_vectors + t->n_vectors) * each);
        if (!grown)
            return error_set(err, ERROR_MEMORY, "no memory for textual inversions");
        w->rows[i] = grown;
        memcpy(grown + w->n_vectors * width[i], t->rows[i], (size_t)t->n_vectors * each);
    }
    return true;
}

/* Adds a word that is loaded.  False with err filled is no memory; a name that no token makes is
 * left out. */
static bool add_word(struct prompt_words *w, const struct text_inversion *t, const char *name,
                     const struct model_info *info, const struct tokenizer *const tokenizer[2],
                     struct error *err)
{
    int width[2] = {0};

    for (int i = 0; i < 2; i++) {
        if (!t->rows[i])
            continue;
        struct prompt_word *word = &w->words[i][w->n];
        width[i] = info->clip[i].width;
        *word = (struct prompt_word){.first_id = info->clip[i].vocab_size + w->n_vectors,
                                     .n_vectors = t->n_vectors};
        if (!prompt_chunks_name(word, tokenizer[i], name, err))
            return false;
    }
    if (!append_rows(w, t, width, err))
        return false;
    w->n_vectors += t->n_vectors;
    w->n++;
    return true;
}

/* An error about the file at path, which it begins with, without the folder of embeddings: whoever
 * asked need not know where that is. */
static const char *without_folder(const char *text, const char *path, const char *file)
{
    return strncmp(text, path, strlen(path)) == 0 ? text + (strlen(path) - strlen(file)) : text;
}

/* What is wrong with one file is told, and does not end the run. */
static bool take_file(struct prompt_words *w, const char *dir, const char *file,
                      const struct model_info *info, const struct tokenizer *const tokenizer[2],
                      struct gen_warnings *warnings, struct error *err)
{
    const int width[2] = {tokenizer[0] ? info->clip[0].width : 0,
                          tokenizer[1] ? info->clip[1].width : 0};
    char path[MAX_PATH_BYTES], name[MAX_PATH_BYTES];
    struct text_inversion t = {0};
    struct error why = {0};

    const char *base = base_of(file);
    const size_t stem = tensor_file_stem(base);
    memcpy(name, base, stem < sizeof name ? stem : 0);
    name[stem < sizeof name ? stem : 0] = '\0';
    const bool ok = fs_join(path, sizeof path, dir, file, &why) &&
                    text_inversion_load(&t, path, width, &why) &&
                    add_word(w, &t, name, info, tokenizer, &why);
    text_inversion_clear(&t);
    if (ok)
        return true;
    if (why.code == ERROR_MEMORY) {
        *err = why;
        return false;
    }
    if (warnings)
        gen_warnings_add(warnings, "'%s' stays an ordinary word: %s", name,
                         without_folder(why.text, path, file));
    return true;
}

static bool read_words(struct prompt_words *out, const char *dir, char *const *texts,
                       const struct model_info *info, const struct tokenizer *const tokenizer[2],
                       struct gen_warnings *warnings, struct error *err)
{
    struct names files = {0};
    bool ok = find_files(&files, dir, texts, err);

    for (int i = 0; ok && i < 2 && files.n; i++) {
        out->words[i] = calloc(PROMPT_WORDS_MAX, sizeof *out->words[i]);
        ok = out->words[i] || error_set(err, ERROR_MEMORY, "no memory for textual inversions");
    }
    for (size_t i = 0; ok && i < files.n; i++) {
        if (out->n == PROMPT_WORDS_MAX)
            ok = error_set(err, ERROR_LIMIT, "the prompts name more than %d textual inversions",
                           PROMPT_WORDS_MAX);
        else
            ok = take_file(out, dir, files.name[i], info, tokenizer, warnings, err);
    }
    clear_names(&files);
    return ok;
}

bool prompt_words_read(struct prompt_words *out, const char *dir, const char *const texts[2],
                       const struct model_info *info, const struct tokenizer *const tokenizer[2],
                       struct gen_warnings *warnings, struct error *err)
{
    char *lowered[TEXTS] = {NULL};
    bool ok = true;

    *out = (struct prompt_words){0};
    if (!dir || !*dir)
        return true;
    for (int i = 0; ok && i < TEXTS; i++) {
        lowered[i] = lower(texts[i], strlen(texts[i]), err);
        ok = lowered[i] != NULL;
    }
    ok = ok && read_words(out, dir, lowered, info, tokenizer, warnings, err);
    for (int i = 0; i < TEXTS; i++)
        free(lowered[i]);
    if (!ok)
        prompt_words_clear(out);
    return ok;
}

void prompt_words_clear(struct prompt_words *w)
{
    for (int i = 0; i < 2; i++) {
        free(w->words[i]);
        free(w->rows[i]);
    }
    *w = (struct prompt_words){0};
}
