/* For shell tests: writes the tensors of a file as torch.save would.
 *
 *   torch_tool zip|legacy IN OUT [KEY]   under a dictionary's KEY, when there is one
 */
#include "base/buf.h"
#include "model/tensor_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 256 << 20, ALIGNMENT = 64, LOCAL_BYTES = 30 };

static void add_number(struct buf *b, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) {
        unsigned char byte = (unsigned char)(value >> 8 * i);
        buf_add(b, &byte, 1);
    }
}

static void add_string(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

/* Pickle, protocol 2. */

static void add_text(struct buf *b, const char *text)
{
    add_string(b, "X");
    add_number(b, strlen(text), 4);
    add_string(b, text);
}

static void add_int(struct buf *b, uint64_t value)
{
    add_string(b, "\x8a\x08");
    add_number(b, value, 8);
}

static const char *storage_of(const struct tensor_info *t)
{
    static const char *const names[DTYPE_COUNT] = {"FloatStorage",    "HalfStorage",
                                                   "BFloat16Storage", "DoubleStorage",
                                                   "IntStorage",      "LongStorage"};
    return names[t->dtype];
}

static void add_tensor(struct buf *b, const struct tensor_info *t, size_t key, bool legacy)
{
    uint64_t stride[TENSOR_INFO_MAX_DIMS], step = 1;
    char text[64];

    add_string(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    add_text(b, "storage");
    snprintf(text, sizeof text, "ctorch\n%s\n", storage_of(t));
    add_string(b, text);
    snprintf(text, sizeof text, "%zu", key);
    add_text(b, text);
    add_text(b, "cpu");
    add_int(b, t->n_bytes / dtype_bytes(t->dtype));
    add_string(b, legacy ? "NtQK" : "tQK");
    add_number(b, 0, 1);
    add_string(b, "(");
    for (int i = 0; i < t->n_dims; i++)
        add_int(b, (uint64_t)t->dims[i]);
    add_string(b, "t(");
    for (int i = t->n_dims; i-- > 0;) {
        stride[i] = step;
        step *= (uint64_t)t->dims[i];
    }
    for (int i = 0; i < t->n_dims; i++)
        add_int(b, stride[i]);
    add_string(b, "t\x89"
                  "ccollections\nOrderedDict\n)RtR");
}

static void add_pickle(struct buf *b, const struct tensor_file *f, const char *key, bool legacy)
{
    add_string(b, "\x80\x02");
    if (key) {
        add_string(b, "}");
        add_text(b, key);
    }
    add_string(b, "ccollections\nOrderedDict\n)R(");
    for (size_t i = 0; i < tensor_file_count(f); i++) {
        add_text(b, tensor_file_at(f, i)->name);
        add_tensor(b, tensor_file_at(f, i), i, legacy);
    }
    add_string(b, key ? "us." : "u.");
}

/* Containers. */

static uint32_t crc_of(const void *bytes, size_t n)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= ((const unsigned char *)bytes)[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* Data are aligned by a field of padding in the local header, as PyTorch does. */
static void add_entry(struct buf *b, struct buf *directory, const char *name, const void *bytes,
                      size_t n)
{
    size_t at = b->len, data_at = at + LOCAL_BYTES + strlen(name) + 4;
    size_t padding = (ALIGNMENT - data_at % ALIGNMENT) % ALIGNMENT;
    struct buf common;

    buf_init(&common, 64);
    add_number(&common, 0, 8); /* version, flags, method, time */
    add_number(&common, 0, 2);
    add_number(&common, crc_of(bytes, n), 4);
    add_number(&common, n, 4);
    add_number(&common, n, 4);
    add_number(&common, strlen(name), 2);

    add_string(b, "PK\3\4");
    buf_add(b, common.bytes, common.len);
    add_number(b, 4 + padding, 2);
    add_string(b, name);
    add_string(b, "FB");
    add_number(b, padding, 2);
    for (size_t i = 0; i < padding; i++)
        add_string(b, "Z");
    buf_add(b, bytes, n);

    add_string(directory, "PK\1\2");
    add_number(directory, 0, 2);
    buf_add(directory, common.bytes, common.len);
    add_number(directory, 0, 8); /* extra field, comment, disk, attributes */
    add_number(directory, 0, 4);
    add_number(directory, at, 4);
    add_string(directory, name);
    buf_clear(&common);
}

static void add_zip(struct buf *b, const struct tensor_file *f, const char *key)
{
    struct buf pickle, directory;
    char name[64];

    buf_init(&pickle, MAX_BYTES);
    buf_init(&directory, MAX_BYTES);
    add_pickle(&pickle, f, key, false);
    add_entry(b, &directory, "m/data.pkl", pickle.bytes, pickle.len);
    add_entry(b, &directory, "m/version", "3\n", 2);
    add_entry(b, &directory, "m/byteorder", "little", 6);
    for (size_t i = 0; i < tensor_file_count(f); i++) {
        const struct tensor_info *t = tensor_file_at(f, i);
        snprintf(name, sizeof name, "m/data/%zu", i);
        add_entry(b, &directory, name, t->bytes, (size_t)t->n_bytes);
    }
    size_t at = b->len, n = tensor_file_count(f) + 3;
    buf_add(b, directory.bytes, directory.len);
    add_string(b, "PK\5\6");
    add_number(b, 0, 4);
    add_number(b, n, 2);
    add_number(b, n, 2);
    add_number(b, directory.len, 4);
    add_number(b, at, 4);
    add_number(b, 0, 2);
    b->failed |= pickle.failed || directory.failed || n > 0xfffe;
    buf_clear(&pickle);
    buf_clear(&directory);
}

static void add_legacy(struct buf *b, const struct tensor_file *f, const char *key)
{
    add_string(b, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.");
    add_string(b, "\x80\x02}");
    add_text(b, "little_endian");
    add_string(b, "\x88s.");
    add_pickle(b, f, key, true);
    add_string(b, "\x80\x02](");
    for (size_t i = 0; i < tensor_file_count(f); i++) {
        char name[32];
        snprintf(name, sizeof name, "%zu", i);
        add_text(b, name);
    }
    add_string(b, "e.");
    for (size_t i = 0; i < tensor_file_count(f); i++) {
        const struct tensor_info *t = tensor_file_at(f, i);
        add_number(b, t->n_bytes / dtype_bytes(t->dtype), 8);
        buf_add(b, t->bytes, (size_t)t->n_bytes);
    }
}

static bool write_file(const struct buf *b, const char *path)
{
    FILE *out = b->failed ? NULL : fopen(path, "wb");
    bool ok = out && fwrite(b->bytes, 1, b->len, out) == b->len;
    return out && fclose(out) == 0 && ok;
}

int main(int argc, char **argv)
{
    struct tensor_file *f = NULL;
    struct error err = {0};
    struct buf b;

    if (argc < 4 || (strcmp(argv[1], "zip") != 0 && strcmp(argv[1], "legacy") != 0)) {
        fprintf(stderr, "usage: torch_tool zip|legacy IN OUT [KEY]\n");
        return 2;
    }
    if (!tensor_file_open(&f, argv[2], &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (size_t i = 0; i < tensor_file_count(f); i++)
        if (!tensor_file_at(f, i)->dtype_known) {
            fprintf(stderr, "%s: a type that has no storage\n", tensor_file_at(f, i)->name);
            return 1;
        }
    buf_init(&b, MAX_BYTES);
    (strcmp(argv[1], "zip") == 0 ? add_zip : add_legacy)(&b, f, argc > 4 ? argv[4] : NULL);
    bool ok = write_file(&b, argv[3]);
    if (!ok)
        fprintf(stderr, "%s: not written\n", argv[3]);
    buf_clear(&b);
    tensor_file_close(f);
    return ok ? 0 : 1;
}
