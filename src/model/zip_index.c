/* Format: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory),
 * 4.3.14 to 4.3.16 (end records) and 4.5.3 (zip64 extra field). */
#include "model/zip_index.h"

#include "base/le.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOCAL_MARK = 0x04034b50,
    CENTRAL_MARK = 0x02014b50,
    END_MARK = 0x06054b50,
    END64_MARK = 0x06064b50,
    LOCATOR64_MARK = 0x07064b50,
    LOCAL_BYTES = 30,
    CENTRAL_BYTES = 46,
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR64_BYTES = 20,
    MAX_COMMENT_BYTES = 65535,
    ZIP64_EXTRA = 1,
    FLAG_ENCRYPTED = 1,
    FLAG_SIZES_FOLLOW = 8, /* a data descriptor behind the data: the local header has no sizes */
};

struct directory {
    const unsigned char *bytes;
    uint64_t file_bytes;
    uint64_t at, n_bytes, n_entries;
};

/* What the central directory says of one entry. */
struct record {
    struct zip_index_entry entry;
    unsigned flags, method;
    uint64_t packed_bytes, record_bytes;
};

static bool fits(uint64_t at, uint64_t n, uint64_t end)
{
    return at <= end && n <= end - at;
}

static bool bad_end(struct error *err)
{
    return error_set(err, ERROR_CORRUPT,
                     "the zip's directory is not where its end says: cut short or damaged");
}

/* Files larger than 4 GB, or with more than 65535 entries, say so in a second end record. */
static bool read_end64(struct directory *d, uint64_t end_at, struct error *err)
{
    if (end_at < LOCATOR64_BYTES || le_u32(d->bytes + end_at - LOCATOR64_BYTES) != LOCATOR64_MARK)
        return bad_end(err);
    uint64_t at = le_u64(d->bytes + end_at - LOCATOR64_BYTES + 8);
    if (!fits(at, END64_BYTES, end_at - LOCATOR64_BYTES))
        return bad_end(err);
    const unsigned char *p = d->bytes + at;
    if (le_u32(p) != END64_MARK || le_u32(p + 16) != 0 || le_u32(p + 20) != 0 ||
        le_u64(p + 24) != le_u64(p + 32))
        return bad_end(err);
    d->n_entries = le_u64(p + 32);
    d->n_bytes = le_u64(p + 40);
    d->at = le_u64(p + 48);
    return fits(d->at, d->n_bytes, at) || bad_end(err);
}

static bool read_end(struct directory *d, uint64_t at, struct error *err)
{
    const unsigned char *p = d->bytes + at;

    d->n_entries = le_u16(p + 10);
    d->n_bytes = le_u32(p + 12);
    d->at = le_u32(p + 16);
    if (d->n_entries == 0xffff || d->n_bytes == 0xffffffff || d->at == 0xffffffff)
        return read_end64(d, at, err);
    if (le_u16(p + 4) != 0 || le_u16(p + 6) != 0 || le_u16(p + 8) != d->n_entries)
        return error_set(err, ERROR_CORRUPT, "is one part of a zip in several files");
    return fits(d->at, d->n_bytes, at) || bad_end(err);
}

/* The end record is the last thing in the file but for a comment, whose length it tells. */
static bool find_end(struct directory *d, struct error *err)
{
    if (d->file_bytes >= END_BYTES) {
        uint64_t last = d->file_bytes - END_BYTES;
        uint64_t first = last > MAX_COMMENT_BYTES ? last - MAX_COMMENT_BYTES : 0;
        for (uint64_t at = last + 1; at-- > first;)
            if (le_u32(d->bytes + at) == END_MARK && le_u16(d->bytes + at + 20) == last - at)
                return read_end(d, at, err);
    }
    return error_set(err, ERROR_CORRUPT, "the zip has no end: cut short, or not a zip file");
}

/* Fields that are too small for their value stand in an extra field, in a fixed order. */
static bool read_zip64(struct record *r, const unsigned char *extra, size_t n, struct error *err)
{
    uint64_t *fields[] = {&r->entry.n_bytes, &r->packed_bytes, &r->entry.header_at};

    while (n >= 4) {
        size_t len = le_u16(extra + 2);
        if (len > n - 4)
            break;
        if (le_u16(extra) == ZIP64_EXTRA) {
            const unsigned char *p = extra + 4;
            for (size_t i = 0; i < 3; i++) {
                if (*fields[i] != 0xffffffff)
                    continue;
                if (len < 8)
                    return error_set(err, ERROR_CORRUPT,
                                     "zip entry '%.*s' has a size that is not told",
                                     (int)r->entry.name_bytes, r->entry.name);
                *fields[i] = le_u64(p);
                p += 8;
                len -= 8;
            }
            return true;
        }
        extra += 4 + len;
        n -= 4 + len;
    }
    return true;
}

static bool read_record(struct record *r, const struct directory *d, uint64_t at, struct error *err)
{
    uint64_t end = d->at + d->n_bytes;
    if (!fits(at, CENTRAL_BYTES, end) || le_u32(d->bytes + at) != CENTRAL_MARK)
        return bad_end(err);

    const unsigned char *p = d->bytes + at;
    size_t name_bytes = le_u16(p + 28), extra_bytes = le_u16(p + 30);
    *r = (struct record){.flags = le_u16(p + 8),
                         .method = le_u16(p + 10),
                         .packed_bytes = le_u32(p + 20),
                         .record_bytes = CENTRAL_BYTES + name_bytes + extra_bytes + le_u16(p + 32)};
    r->entry = (struct zip_index_entry){.name = (const char *)p + CENTRAL_BYTES,
                                        .name_bytes = name_bytes,
                                        .n_bytes = le_u32(p + 24),
                                        .header_at = le_u32(p + 42)};
    if (!fits(at, r->record_bytes, end))
        return bad_end(err);
    if (name_bytes == 0 || name_bytes > ZIP_INDEX_MAX_NAME_BYTES ||
        !utf8_is_text(r->entry.name, name_bytes))
        return error_set(err, ERROR_CORRUPT, "the zip has an entry whose name is no text");
    return read_zip64(r, p + CENTRAL_BYTES + name_bytes, extra_bytes, err);
}

/* Central directory and local header must tell the same story, or two readers of the same file
 * would see different things. */
static bool check_local(struct record *r, const struct directory *d, struct error *err)
{
    struct zip_index_entry *e = &r->entry;
    int len = (int)e->name_bytes;

    if (r->flags & FLAG_ENCRYPTED)
        return error_set(err, ERROR_INVALID, "zip entry '%.*s' is encrypted", len, e->name);
    if (r->method != 0)
        return error_set(err, ERROR_INVALID,
                         "zip entry '%.*s' is compressed (method %u): PyTorch stores weights as "
                         "they are; zip the file anew without compression (zip -0)",
                         len, e->name, r->method);
    if (!fits(e->header_at, LOCAL_BYTES, d->at))
        return error_set(err, ERROR_CORRUPT, "zip entry '%.*s' is not in the file", len, e->name);
    if (r->packed_bytes != e->n_bytes)
        return error_set(err, ERROR_CORRUPT, "zip entry '%.*s' has two sizes", len, e->name);
    const unsigned char *p = d->bytes + e->header_at;
    uint64_t before = LOCAL_BYTES + (uint64_t)le_u16(p + 26) + le_u16(p + 28);
    uint32_t packed = le_u32(p + 18), size = le_u32(p + 22);
    bool told = !(r->flags & FLAG_SIZES_FOLLOW) && size != 0xffffffff;
    if (le_u32(p) != LOCAL_MARK || le_u16(p + 26) != e->name_bytes ||
        !fits(e->header_at, before, d->at) ||
        memcmp(p + LOCAL_BYTES, e->name, e->name_bytes) != 0 || le_u16(p + 8) != 0 ||
        (told && (size != e->n_bytes || packed != e->n_bytes)))
        return error_set(err, ERROR_CORRUPT,
                         "zip entry '%.*s': its header differs from the directory", len, e->name);
    e->at = e->header_at + before;
    return fits(e->at, e->n_bytes, d->at) ||
           error_set(err, ERROR_CORRUPT,
                     "zip entry '%.*s' claims %" PRIu64 " bytes at %" PRIu64
                     ", more than the file has",
                     len, e->name, e->n_bytes, e->at);
}

static int compare_names(const void *a, const void *b)
{
    const struct zip_index_entry *x = a, *y = b;
    size_t n = x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes;
    int order = memcmp(x->name, y->name, n);
    return order ? order : (x->name_bytes > y->name_bytes) - (x->name_bytes < y->name_bytes);
}

static int compare_places(const void *a, const void *b)
{
    const struct zip_index_entry *x = a, *y = b;
    return (x->header_at > y->header_at) - (x->header_at < y->header_at);
}

/* Leaves the entries in the order of their names. */
static bool check_together(struct zip_index *x, struct error *err)
{
    const struct zip_index_entry *e = x->entries;

    qsort(x->entries, x->n, sizeof *e, compare_places);
    for (size_t i = 1; i < x->n; i++)
        if (e[i].header_at < e[i - 1].at + e[i - 1].n_bytes)
            return error_set(err, ERROR_CORRUPT, "zip entry '%.*s' overlaps '%.*s'",
                             (int)e[i].name_bytes, e[i].name, (int)e[i - 1].name_bytes,
                             e[i - 1].name);
    qsort(x->entries, x->n, sizeof *e, compare_names);
    for (size_t i = 1; i < x->n; i++)
        if (compare_names(&e[i], &e[i - 1]) == 0)
            return error_set(err, ERROR_CORRUPT, "zip entry '%.*s' is there twice",
                             (int)e[i].name_bytes, e[i].name);
    return true;
}

static bool read_entries(struct zip_index *x, const struct directory *d, struct error *err)
{
    uint64_t at = d->at;
    struct record r;

    if (d->n_entries > ZIP_INDEX_MAX_ENTRIES || d->n_entries > d->n_bytes / CENTRAL_BYTES)
        return error_set(err, ERROR_CORRUPT,
                         "the zip claims %" PRIu64 " entries in a directory of %" PRIu64 " bytes",
                         d->n_entries, d->n_bytes);
    x->entries = calloc((size_t)d->n_entries + 1, sizeof *x->entries);
    if (!x->entries)
        return error_set(err, ERROR_MEMORY, "no memory for the zip's directory");
    while (x->n < d->n_entries) {
        if (!read_record(&r, d, at, err) || !check_local(&r, d, err))
            return false;
        at += r.record_bytes;
        x->entries[x->n++] = r.entry;
    }
    return check_together(x, err);
}

bool zip_index_read(struct zip_index *out, const unsigned char *bytes, size_t n_bytes,
                    struct error *err)
{
    struct directory d = {.bytes = bytes, .file_bytes = n_bytes};

    *out = (struct zip_index){0};
    if (find_end(&d, err) && read_entries(out, &d, err))
        return true;
    zip_index_clear(out);
    return false;
}

void zip_index_clear(struct zip_index *x)
{
    free(x->entries);
    *x = (struct zip_index){0};
}

const struct zip_index_entry *zip_index_find(const struct zip_index *x, const char *name,
                                             size_t name_bytes)
{
    struct zip_index_entry key = {.name = name, .name_bytes = name_bytes};
    return x->n ? bsearch(&key, x->entries, x->n, sizeof key, compare_names) : NULL;
}
