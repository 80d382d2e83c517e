#include "library/library_hashes.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/thread.h"
#include "library/library_sha256.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct library_hashes {
    char *file; /* owned; "": none */

    pthread_mutex_t lock;

    /* Guarded by lock. */
    json_t *rows;     /* path to row, in the order they came in; owned */
    struct stat seen; /* the file as it was read or written last */
};

/* Rows as JSON. */

static bool read_row(const json_t *j, struct library_hashes_row *out)
{
    const json_t *bytes = json_object_get(j, "bytes"), *at = json_object_get(j, "modified_ns");
    const char *sha256 = json_string_value(json_object_get(j, "sha256"));
    const char *tensors = json_string_value(json_object_get(j, "tensors"));

    *out = (struct library_hashes_row){0};
    if (!json_is_integer(bytes) || json_integer_value(bytes) < 0 || !json_is_integer(at) ||
        !sha256 || !library_sha256_is(sha256) || (tensors && !library_sha256_is(tensors)))
        return false;
    out->bytes = (uint64_t)json_integer_value(bytes);
    out->modified_ns = json_integer_value(at);
    memcpy(out->sha256, sha256, sizeof out->sha256);
    if (tensors)
        memcpy(out->tensors, tensors, sizeof out->tensors);
    return true;
}

static json_t *write_row(const struct library_hashes_row *row)
{
    json_t *j = json_pack("{sI sI ss}", "bytes", (json_int_t)row->bytes, "modified_ns",
                          (json_int_t)row->modified_ns, "sha256", row->sha256);
    if (j && row->tensors[0] && json_object_set_new(j, "tensors", json_string(row->tensors)) != 0) {
        json_decref(j);
        return NULL;
    }
    return j;
}

/* A new row goes to the end; without room the first one makes place. */
static bool put_locked(struct library_hashes *h, const char *path,
                       const struct library_hashes_row *row)
{
    json_t *j = write_row(row);

    json_object_del(h->rows, path);
    if (json_object_size(h->rows) >= LIBRARY_HASHES_MAX_ROWS)
        json_object_del(h->rows, json_object_iter_key(json_object_iter(h->rows)));
    return j && json_object_set_new(h->rows, path, j) == 0;
}

static bool merge_locked(struct library_hashes *h, const void *text, size_t n_bytes)
{
    struct json j;
    struct error ignored;
    const char *path;
    json_t *value;
    size_t n = 0;

    if (!json_read_bytes(&j, "hashes", text, n_bytes, LIBRARY_HASHES_MAX_BYTES, &ignored))
        return false;
    json_t *files = json_object_get(j.root, "files");
    bool ok = json_integer_value(json_object_get(j.root, "version")) == 1 && json_is_object(files);
    if (ok) {
        json_object_foreach(files, path, value)
        {
            struct library_hashes_row row;
            if (n++ < LIBRARY_HASHES_MAX_ROWS && path[0] == '/' && read_row(value, &row) &&
                !put_locked(h, path, &row))
                break; /* no memory: what is missing is computed again */
        }
    }
    json_clear(&j);
    return ok;
}

bool library_hashes_merge(struct library_hashes *h, const void *text, size_t n_bytes)
{
    pthread_mutex_lock(&h->lock);
    bool ok = merge_locked(h, text, n_bytes);
    pthread_mutex_unlock(&h->lock);
    return ok;
}

/* The file. */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtime == b->st_mtime;
}

void library_hashes_reload(struct library_hashes *h)
{
    struct error ignored;
    struct stat st;
    char *text = NULL;
    size_t n = 0;

    if (!h->file[0] || stat(h->file, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    pthread_mutex_lock(&h->lock);
    bool known = is_same_file(&st, &h->seen);
    h->seen = st;
    pthread_mutex_unlock(&h->lock);
    if (known || !fs_read(&text, &n, h->file, LIBRARY_HASHES_MAX_BYTES, &ignored))
        return;
    (void)library_hashes_merge(h, text, n);
    free(text);
}

bool library_hashes_open(struct library_hashes **out, const char *file, struct error *err)
{
    struct library_hashes *h = calloc(1, sizeof *h);

    if (h)
        h->file = strdup(file);
    if (h)
        h->rows = json_object();
    if (!h || !h->file || !h->rows) {
        if (h) {
            json_decref(h->rows);
            free(h->file);
        }
        free(h);
        return error_set(err, ERROR_MEMORY, "no memory for the files' hashes");
    }
    pthread_mutex_init(&h->lock, NULL);
    library_hashes_reload(h);
    *out = h;
    return true;
}

void library_hashes_close(struct library_hashes *h)
{
    if (!h)
        return;
    pthread_mutex_destroy(&h->lock);
    json_decref(h->rows);
    free(h->file);
    free(h);
}

bool library_hashes_find(struct library_hashes *h, const char *path, uint64_t bytes,
                         int64_t modified_ns, struct library_hashes_row *out)
{
    pthread_mutex_lock(&h->lock);
    const json_t *j = json_object_get(h->rows, path);
    bool ok = j && read_row(j, out) && out->bytes == bytes && out->modified_ns == modified_ns;
    pthread_mutex_unlock(&h->lock);
    return ok;
}

/* The text is made with the lock held and written without it. */
static bool write_file(struct library_hashes *h, struct error *err)
{
    char *text = NULL;
    struct stat st;

    pthread_mutex_lock(&h->lock);
    json_t *all = json_pack("{si sO}", "version", 1, "files", h->rows);
    if (all)
        text = json_dumps(all, JSON_INDENT(1));
    json_decref(all);
    pthread_mutex_unlock(&h->lock);
    if (!text)
        return error_set(err, ERROR_MEMORY, "no memory to write the files' hashes");
    bool ok = fs_write(h->file, text, strlen(text), err);
    free(text);
    if (ok && stat(h->file, &st) == 0) {
        pthread_mutex_lock(&h->lock);
        h->seen = st;
        pthread_mutex_unlock(&h->lock);
    }
    return ok;
}

bool library_hashes_add(struct library_hashes *h, const char *path,
                        const struct library_hashes_row *row, struct error *err)
{
    library_hashes_reload(h); /* or what others wrote would be lost */
    pthread_mutex_lock(&h->lock);
    bool ok = put_locked(h, path, row);
    pthread_mutex_unlock(&h->lock);
    if (!ok)
        return error_set(err, ERROR_MEMORY, "no memory for a file's hash");
    return !h->file[0] || write_file(h, err);
}

size_t library_hashes_count(struct library_hashes *h)
{
    pthread_mutex_lock(&h->lock);
    size_t n = json_object_size(h->rows);
    pthread_mutex_unlock(&h->lock);
    return n;
}
