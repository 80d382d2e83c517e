/* The files are made by tests/make_torch_files.py. */
#include "model/tensor_file.h"
#include "model/torch_file.h"
#include "model/torch_testing.h"

#include <string.h>

#define FILES "fuzz/corpus/torch_file"

static bool open_copy(struct tensor_file **out, unsigned char **bytes, const char *name,
                      struct error *err)
{
    size_t n;
    *err = (struct error){0};
    *out = NULL;
    *bytes = torch_testing_read(FILES, name, &n);
    return *bytes && tensor_file_from_bytes(out, name, *bytes, n, err);
}

static bool holds(const struct tensor_file *f, const char *name, enum dtype dtype,
                  const void *bytes, size_t n)
{
    const struct tensor_info *t = tensor_file_find(f, name);
    return t && t->dtype_known && t->dtype == dtype && t->n_bytes == n &&
           memcmp(t->bytes, bytes, n) == 0;
}

static void reads_every_type_and_place(const char *name)
{
    struct tensor_file *f;
    struct error err;
    unsigned char *bytes;
    static const float rows[] = {0, 1, 2, 3, 4, 5}, bias[] = {6, 7}, nine = 9, seven = 7;
    static const uint16_t halves[] = {0x3e00, 0xc000}, three = 0x4040;
    static const int64_t ids[] = {0, 1, 2, 3};
    static const double quarter = 0.25;

    bool ok = open_copy(&f, &bytes, name, &err);
    CHECK(ok);
    if (!ok) {
        fprintf(stderr, "%s\n", err.text);
        free(bytes);
        return;
    }
    CHECK(tensor_file_count(f) == 11);
    CHECK(holds(f, "a.weight", DTYPE_F32, rows, sizeof rows));
    CHECK(holds(f, "a.bias", DTYPE_F32, bias, sizeof bias));
    CHECK(holds(f, "half", DTYPE_F16, halves, sizeof halves));
    CHECK(holds(f, "bfloat", DTYPE_BF16, &three, sizeof three));
    CHECK(holds(f, "double", DTYPE_F64, &quarter, sizeof quarter));
    CHECK(holds(f, "ids", DTYPE_I64, ids, sizeof ids));
    CHECK(holds(f, "scalar", DTYPE_F32, &seven, sizeof seven));
    CHECK(holds(f, "none", DTYPE_F32, "", 0));
    CHECK(holds(f, "parameter", DTYPE_F32, &nine, sizeof nine));
    const struct tensor_info *t = tensor_file_find(f, "a.weight");
    CHECK(t && t->n_dims == 2 && t->dims[0] == 2 && t->dims[1] == 3);
    t = tensor_file_find(f, "bytes");
    CHECK(t && !t->dtype_known && strcmp(t->dtype_name, "U8") == 0 && t->n_bytes == 2);
    t = tensor_file_find(f, "turned");
    CHECK(t && !t->dtype_known && strstr(t->dtype_name, "not contiguous") && t->n_bytes == 0);
    CHECK(!tensor_file_find(f, "w")); /* that is in "params", after which "params_ema" comes */
    CHECK(strcmp(tensor_file_path(f), name) == 0);
    tensor_file_close(f);
    free(bytes);
}

/* One row a file of the corpus: what its only tensor is called, or what the error says. */
static void knows_good_from_bad(void)
{
    static const struct {
        const char *file, *tensor, *error;
    } rows[] = {
        {"lightning", "model.w", NULL},
        {"embedding_a", "string_to_param.*", NULL},
        {"embedding_b", "string_to_param.*", NULL},
        {"embedding_c", "<cat>", NULL},
        {"module", "0.weight", NULL},
        {"zip_plain", "w", NULL},
        {"zip_comment", "w", NULL},
        {"zip_descriptors", "w", NULL},
        {"zip_deeper_pickle", "w", NULL},
        {"zip64_end", "w", NULL},
        {"legacy_plain", "w", NULL},
        {"zip_compressed", NULL, "'a/data.pkl' is compressed (method 8)"},
        {"zip_no_pickle", NULL, "no data.pkl"},
        {"zip_two_pickles", NULL, "more than one data.pkl"},
        {"zip_no_storage", NULL, "tensor 'w': its storage 'data/0' is not in the zip"},
        {"zip_short_storage", NULL, "has 15 bytes, the pickle says 16"},
        {"zip_big_endian", NULL, "big-endian"},
        {"zip_twice", NULL, "'a/data/0' is there twice"},
        {"zip_encrypted", NULL, "is encrypted"},
        {"zip_overlap", NULL, "'a/data/0' overlaps 'a/data/1'"},
        {"zip_local_name", NULL, "its header differs"},
        {"zip_local_size", NULL, "its header differs"},
        {"zip_size", NULL, "claims 999 bytes at"},
        {"zip_size_not_told", NULL, "has two sizes"},
        {"zip_header_past_end", NULL, "'a/data/0' is not in the file"},
        {"zip_name_is_no_text", NULL, "whose name is no text"},
        {"zip_directory_past_end", NULL, "not where its end says"},
        {"zip_directory_huge", NULL, "not where its end says"},
        {"zip_count", NULL, "claims 9 entries"},
        {"zip_parts", NULL, "several files"},
        {"zip_no_locator", NULL, "not where its end says"},
        {"zip64_lies", NULL, "not where its end says"},
        {"legacy_magic", NULL, "not one that torch.save wrote"},
        {"legacy_protocol", NULL, "a format of PyTorch that is unknown"},
        {"legacy_big_endian", NULL, "big-endian"},
        {"legacy_count", NULL, "another size than the pickle says"},
        {"legacy_cut", NULL, "longer than the file"},
        {"legacy_no_count", NULL, "is missing: the file is cut short"},
        {"legacy_no_keys", NULL, "tensor 'w': its storage is not in the file"},
        {"legacy_unknown_key", NULL, "lists a storage that no tensor has"},
        {"legacy_keys_are_none", NULL, "no list of storages"},
        {"legacy_two_stories", NULL, "two stories of storage '0'"},
        {"legacy_os_system", NULL, "wants to call posix.system"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tensor_file *f;
        struct error err;
        unsigned char *bytes;
        bool ok = open_copy(&f, &bytes, rows[i].file, &err);
        bool expected = rows[i].tensor
                            ? ok && tensor_file_find(f, rows[i].tensor) != NULL
                            : !ok && strstr(err.text, rows[i].error) &&
                                  strncmp(err.text, rows[i].file, strlen(rows[i].file)) == 0;
        if (!expected)
            fprintf(stderr, "%s: %s: ", rows[i].file, ok ? "opened" : err.text);
        CHECK(expected);
        tensor_file_close(f);
        free(bytes);
    }
}

/* Whatever is accepted lies inside the bytes. */
static bool is_sound(const struct tensor_file *f, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < tensor_file_count(f); i++) {
        const struct tensor_info *t = tensor_file_at(f, i);
        if (t->n_bytes > 0 && (t->bytes < bytes || t->n_bytes > n ||
                               (size_t)(t->bytes - bytes) > n - (size_t)t->n_bytes))
            return false;
    }
    return true;
}

/* Every prefix is an error with a sentence, and no changed byte leads outside the file. */
static void survives_damage(const char *name)
{
    size_t n;
    unsigned char *bytes = torch_testing_read(FILES, name, &n);

    for (size_t cut = 0; bytes && cut < n; cut++) {
        unsigned char *prefix = malloc(cut + 1);
        struct tensor_file *f = NULL;
        struct error err = {0};
        if (!prefix)
            break;
        memcpy(prefix + 1, bytes, cut); /* the end of the block is the end of the file */
        bool ok = tensor_file_from_bytes(&f, "cut", prefix + 1, cut, &err);
        if (ok || strncmp(err.text, "cut: ", 5) != 0 || !err.text[5])
            fprintf(stderr, "%s cut at %zu: ", name, cut);
        CHECK(!ok && strncmp(err.text, "cut: ", 5) == 0 && err.text[5]);
        tensor_file_close(f);
        free(prefix);
    }
    for (size_t i = 0; i < n * 3; i++) {
        static const unsigned char flips[3] = {0x01, 0x80, 0xff};
        struct tensor_file *f = NULL;
        struct error err = {0};
        bytes[i / 3] ^= flips[i % 3];
        if (tensor_file_from_bytes(&f, "bent", bytes, n, &err))
            CHECK(is_sound(f, bytes, n));
        else
            CHECK(err.code != ERROR_NONE && err.text[0]);
        tensor_file_close(f);
        bytes[i / 3] ^= flips[i % 3];
    }
    free(bytes);
}

static void tells_torch_from_safetensors(void)
{
    CHECK(torch_file_is_torch((const unsigned char *)"PK\3\4", 4));
    CHECK(torch_file_is_torch((const unsigned char *)"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9", 9));
    CHECK(torch_file_is_torch((const unsigned char *)"\x80\x04\x95\x0d\0\0\0\0\0", 9));
    CHECK(!torch_file_is_torch((const unsigned char *)"\x80\x02\0\0\0\0\0\0{", 9));
    CHECK(!torch_file_is_torch((const unsigned char *)"\x81\x02\0\0\0\0\0\0{", 9));
    CHECK(!torch_file_is_torch((const unsigned char *)"P", 1));
}

int main(void)
{
    reads_every_type_and_place("good_zip");
    reads_every_type_and_place("good_legacy");
    reads_every_type_and_place("good_protocol_4");
    knows_good_from_bad();
    survives_damage("zip_plain");
    survives_damage("zip64_end");
    survives_damage("legacy_plain");
    survives_damage("lightning");
    survives_damage("embedding_b");
    tells_torch_from_safetensors();
    return TEST_END();
}
