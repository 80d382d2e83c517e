#include "library/library_sha256.h"

#include "base/le.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 20, LENGTH_BYTES = 8 };

/* One file on its way through the hashes. */
struct reader {
    crypto_hash_sha256_state all, tensors;
    bool want_tensors;
    uint64_t skip; /* bytes of the first file before its tensors; UINT64_MAX: not known yet */
    uint64_t at;   /* in the first file */
    unsigned char *chunk;
    bool (*cancelled)(void *ctx);
    void *ctx;
};

bool library_sha256_is(const char *text)
{
    return strlen(text) == LIBRARY_SHA256_BYTES - 1 &&
           strspn(text, "0123456789abcdef") == LIBRARY_SHA256_BYTES - 1;
}

/* A safetensors file begins with the length of its header, 8 bytes, little-endian. */
static void add_tensors(struct reader *r, const unsigned char *bytes, size_t n, uint64_t file_bytes)
{
    if (r->skip == UINT64_MAX) {
        const uint64_t header = n >= LENGTH_BYTES ? le_u64(bytes) : UINT64_MAX;
        if (file_bytes < LENGTH_BYTES || header > file_bytes - LENGTH_BYTES) {
            r->want_tensors = false;
            return;
        }
        r->skip = header + LENGTH_BYTES;
    }
    const uint64_t end = r->at + n;
    if (end > r->skip) {
        const size_t from = r->skip > r->at ? (size_t)(r->skip - r->at) : 0;
        crypto_hash_sha256_update(&r->tensors, bytes + from, n - from);
    }
    r->at = end;
}

/* As much as a chunk holds, unless the file ends. */
static bool read_chunk(int fd, unsigned char *to, size_t *n, struct error *err)
{
    *n = 0;
    while (*n < CHUNK_BYTES) {
        const ssize_t got = read(fd, to + *n, CHUNK_BYTES - *n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, errno, "cannot read");
        if (got == 0)
            break;
        *n += (size_t)got;
    }
    return true;
}

static bool read_file(struct reader *r, int fd, bool first, uint64_t *total, struct error *err)
{
    struct stat before, after;
    uint64_t read_bytes = 0;
    size_t n = 0;

    if (fstat(fd, &before) != 0)
        return error_set_errno(err, errno, "cannot look at it");
    if (!S_ISREG(before.st_mode))
        return error_set(err, ERROR_INVALID, "is not a regular file");
    do {
        if (r->cancelled && r->cancelled(r->ctx))
            return error_set(err, ERROR_CANCELLED, "stopped before the file was read");
        if (!read_chunk(fd, r->chunk, &n, err))
            return false;
        crypto_hash_sha256_update(&r->all, r->chunk, n);
        if (first && r->want_tensors)
            add_tensors(r, r->chunk, n, (uint64_t)before.st_size);
        read_bytes += n;
    } while (n == CHUNK_BYTES);
    *total += read_bytes;
    if (fstat(fd, &after) != 0 || after.st_size != before.st_size ||
        after.st_mtime != before.st_mtime || read_bytes != (uint64_t)after.st_size)
        return error_set(err, ERROR_BUSY, "changes while it is read; try again");
    return true;
}

static void write_hex(char out[LIBRARY_SHA256_BYTES], crypto_hash_sha256_state *state)
{
    unsigned char digest[crypto_hash_sha256_BYTES];

    crypto_hash_sha256_final(state, digest);
    sodium_bin2hex(out, LIBRARY_SHA256_BYTES, digest, sizeof digest);
}

bool library_sha256_files(struct library_sha256 *out, const char *const *paths, size_t n,
                          bool tensors, bool (*cancelled)(void *ctx), void *ctx, struct error *err)
{
    struct reader r = {.want_tensors = tensors,
                       .skip = UINT64_MAX,
                       .chunk = malloc(CHUNK_BYTES),
                       .cancelled = cancelled,
                       .ctx = ctx};
    bool ok = r.chunk || error_set(err, ERROR_MEMORY, "no memory to read a file");

    *out = (struct library_sha256){0};
    crypto_hash_sha256_init(&r.all);
    crypto_hash_sha256_init(&r.tensors);
    for (size_t i = 0; ok && i < n; i++) {
        const int fd = open(paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        ok = fd >= 0 ? read_file(&r, fd, i == 0, &out->bytes, err)
                     : error_set_errno(err, errno, "cannot open");
        if (fd >= 0)
            close(fd);
        if (!ok)
            (void)error_prefix(err, "%s", paths[i]);
    }
    if (ok)
        write_hex(out->all, &r.all);
    if (ok && r.want_tensors)
        write_hex(out->tensors, &r.tensors);
    free(r.chunk);
    return ok;
}
