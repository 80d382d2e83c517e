/* Hashes, their cache, LoRAs' metadata, and many threads at once. */
#include "base/thread.h"
#include "library/library_hashes.h"
#include "library/library_sha256.h"
#include "library/library_testing.h"

#include <jansson.h>

#define below(...) library_testing_path(__VA_ARGS__)

static bool is(const char *a, const char *b)
{
    if (a && b && strcmp(a, b) == 0)
        return true;
    fprintf(stderr, "is '%s', not '%s'\n", a ? a : "(null)", b ? b : "(null)");
    return false;
}

/* FIPS 180-2's examples and the empty file. */
static void hashes_files_whole(void)
{
    static const struct {
        const char *text, *sha256;
    } row[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    struct library_sha256 sum;
    struct error err = {0};

    library_testing_begin();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const char *path = below("x");
        library_testing_text(path, row[i].text);
        CHECK(library_sha256_files(&sum, &path, 1, true, NULL, NULL, &err));
        CHECK(is(sum.all, row[i].sha256) && !sum.tensors[0] && sum.bytes == strlen(row[i].text));
    }
    char a[LIBRARY_TESTING_PATH_BYTES], b[LIBRARY_TESTING_PATH_BYTES];
    snprintf(a, sizeof a, "%s", below("a"));
    snprintf(b, sizeof b, "%s", below("b"));
    library_testing_text(a, "a");
    library_testing_text(b, "bc");
    CHECK(library_sha256_files(&sum, (const char *[]){a, b}, 2, false, NULL, NULL, &err));
    CHECK(is(sum.all, row[1].sha256));
    const char *folder = library_testing_root;
    CHECK(!library_sha256_files(&sum, &folder, 1, false, NULL, NULL, &err));
    CHECK(library_sha256_is(row[0].sha256) && !library_sha256_is("abc"));
    library_testing_end();
}

static bool always(void *ctx)
{
    ++*(int *)ctx;
    return true;
}

static bool never(void *ctx)
{
    ++*(int *)ctx;
    return false;
}

static void is_cancelled_between_chunks(void)
{
    struct library_sha256 sum;
    struct error err = {0};
    int asked = 0;

    library_testing_begin();
    library_testing_text(below("x"), "");
    CHECK(truncate(below("x"), (5 << 20) + 1) == 0);
    const char *path = below("x");
    CHECK(!library_sha256_files(&sum, &path, 1, false, always, &asked, &err) && asked == 1);
    CHECK(err.code == ERROR_CANCELLED);
    asked = 0;
    CHECK(library_sha256_files(&sum, &path, 1, false, never, &asked, &err) && asked == 6);
    library_testing_end();
}

/* All letters of the digits, so that a hash of the tensors is known from the data alone. */
static void hashes_the_tensors_of_a_lora(void)
{
    static const char claimed[] =
        "{\"ss_output_name\":\"the alias\",\"sshs_model_hash\":"
        "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}";
    struct library_sha256 data;
    struct error err = {0};
    const struct library_entry *plain, *named, *hashed;

    library_testing_begin();
    library_testing_lora(below("l/plain.safetensors"), NULL);
    library_testing_lora(below("l/named.safetensors"), claimed);
    library_testing_write(below("data"), "\0\0\0\0", 4);
    const char *path = below("data");
    CHECK(library_sha256_files(&data, &path, 1, false, NULL, NULL, &err));

    struct library *lib = library_testing_open(LIBRARY_LORA, below("l"));
    CHECK(library_find(lib, LIBRARY_LORA, "plain", &plain, &err));
    CHECK(library_find(lib, LIBRARY_LORA, "the alias", &named, &err) && is(named->name, "named"));
    CHECK(!plain->alias && is(named->alias, "the alias") && !plain->short_hash[0]);
    CHECK(is(named->short_hash, "0123456789ab") && !named->sha256[0]);
    if (!plain->problem) {
        CHECK(library_hash(lib, plain, NULL, NULL, &hashed, &err));
        CHECK(strlen(hashed->short_hash) == 12 && strncmp(hashed->short_hash, data.all, 12) == 0 &&
              strlen(hashed->sha256) == 64);
        library_entry_free(hashed);
    }
    if (plain->problem)
        fprintf(stderr, "%s\n", plain->problem);
    CHECK(!plain->problem);
    library_entry_free(plain);
    library_entry_free(named);
    library_close(lib);
    library_testing_end();
}

static void tells_a_loras_metadata(void)
{
    struct error err = {0};
    const struct library_entry *e;
    char *text = NULL;

    library_testing_begin();
    library_testing_lora(below("l/a.safetensors"),
                         "{\"ss_tag_frequency\":\"{\\\"cat\\\": 3}\",\"broken\":\"{no\","
                         "\"ssmd_cover_images\":\"[1]\",\"ss_epoch\":\"3\"}");
    library_testing_lora(below("l/b.safetensors"), NULL);
    struct library *lib = library_testing_open(LIBRARY_LORA, below("l"));
    CHECK(library_find(lib, LIBRARY_LORA, "a", &e, &err) && library_lora_metadata(e, &text, &err));
    CHECK(is(text, "{\"ss_tag_frequency\":{\"cat\":3},\"broken\":\"{no\",\"ss_epoch\":\"3\"}"));
    free(text);
    library_entry_free(e);
    CHECK(library_find(lib, LIBRARY_LORA, "b", &e, &err) && library_lora_metadata(e, &text, &err));
    CHECK(is(text, "{}"));
    free(text);
    library_entry_free(e);
    library_close(lib);
    library_testing_end();
}

static struct library *open_with_cache(void)
{
    static char models[LIBRARY_TESTING_PATH_BYTES], cache[LIBRARY_TESTING_PATH_BYTES];
    struct library_settings s = {.hash_file = cache};
    struct library *lib = NULL;
    struct error err = {0};

    snprintf(models, sizeof models, "%s", below("e"));
    snprintf(cache, sizeof cache, "%s", below("hashes.json"));
    s.folders[LIBRARY_EMBEDDING] = models;
    CHECK(library_open(&lib, &s, &err));
    return lib;
}

static const struct library_entry *find_x(struct library *lib)
{
    const struct library_entry *e = NULL;
    struct error err = {0};
    CHECK(library_refresh(lib, &err) && library_find(lib, LIBRARY_EMBEDDING, "x", &e, &err));
    return e;
}

static void remembers_hashes_in_a_file(void)
{
    const struct library_entry *e, *hashed;
    struct error err = {0};
    char sha256[LIBRARY_SHA256_BYTES];

    library_testing_begin();
    library_testing_embedding(below("e/x.safetensors"), 1, 768);
    struct library *first = open_with_cache(), *second = open_with_cache();
    e = find_x(first);
    CHECK(is(e->title, "x.safetensors") && !e->sha256[0]);
    CHECK(library_hash(first, e, NULL, NULL, &hashed, &err));
    library_entry_free(e);
    snprintf(sha256, sizeof sha256, "%s", hashed->sha256);
    CHECK(strlen(sha256) == 64 && strlen(hashed->short_hash) == 12);
    library_entry_free(hashed);
    CHECK(library_find(first, LIBRARY_EMBEDDING, sha256, &e, &err)); /* no second passed */
    CHECK(strstr(e->title, "x.safetensors [") && is(e->sha256, sha256));
    library_entry_free(e);

    /* Another process has it too, and one that starts. */
    e = find_x(second);
    CHECK(is(e->sha256, sha256));
    library_entry_free(e);
    struct library *third = open_with_cache();
    e = find_x(third);
    CHECK(is(e->sha256, sha256));
    library_entry_free(e);

    /* Another file has another hash. */
    library_testing_embedding(below("e/x.safetensors"), 2, 768);
    e = find_x(third);
    CHECK(!e->sha256[0] && !e->short_hash[0]);
    library_entry_free(e);
    library_close(first);
    library_close(second);
    library_close(third);

    /* A damaged cache is none. */
    library_testing_text(below("hashes.json"), "{\"version\": 1, \"files\": [");
    third = open_with_cache();
    e = find_x(third);
    CHECK(!e->sha256[0] && library_hash(third, e, NULL, NULL, &hashed, &err));
    library_entry_free(e);
    library_entry_free(hashed);
    library_close(third);
    third = open_with_cache();
    e = find_x(third);
    CHECK(e->sha256[0] != 0);
    library_entry_free(e);
    library_close(third);
    library_testing_end();
}

static void hashes_the_unet_of_a_folder(void)
{
    struct library_sha256 sum;
    const struct library_entry *e, *hashed;
    struct error err = {0};

    library_testing_begin();
    library_testing_model(below("m/model"));
    struct library *lib = library_testing_open(LIBRARY_MODEL, below("m"));
    CHECK(library_find(lib, LIBRARY_MODEL, "model", &e, &err));
    CHECK(library_hash(lib, e, NULL, NULL, &hashed, &err));
    const char *unet = below("m/model/unet/diffusion_pytorch_model.safetensors");
    CHECK(library_sha256_files(&sum, &unet, 1, false, NULL, NULL, &err));
    CHECK(is(hashed->sha256, sum.all) && strncmp(hashed->short_hash, sum.all, 10) == 0 &&
          strlen(hashed->short_hash) == 10);
    library_entry_free(hashed);
    /* What has changed since it was listed is not hashed under its old name. */
    library_testing_text(below("m/model/unet/config.json"), "{}");
    CHECK(!library_hash(lib, e, NULL, NULL, &hashed, &err) && err.code == ERROR_BUSY);
    library_entry_free(e);
    library_close(lib);
    library_testing_end();
}

static void keeps_rows_within_bounds(void)
{
    struct library_hashes_row row = {.bytes = 1, .modified_ns = 2}, got;
    struct library_hashes *h = NULL;
    struct error err = {0};
    char path[64];

    memset(row.sha256, 'a', LIBRARY_SHA256_BYTES - 1);
    CHECK(library_hashes_open(&h, "", &err));
    for (int i = 0; i < LIBRARY_HASHES_MAX_ROWS + 5; i++) {
        snprintf(path, sizeof path, "/%d", i);
        CHECK(library_hashes_add(h, path, &row, &err));
    }
    CHECK(library_hashes_count(h) == LIBRARY_HASHES_MAX_ROWS);
    CHECK(!library_hashes_find(h, "/4", 1, 2, &got) && library_hashes_find(h, "/5", 1, 2, &got));
    CHECK(!library_hashes_find(h, "/5", 2, 2, &got) && !library_hashes_find(h, "/5", 1, 3, &got));
    library_hashes_close(h);
}

static void drops_rows_that_make_no_sense(void)
{
    static const struct {
        const char *why, *row;
        bool good;
    } row[] = {
        {"whole", "\"/a\":{\"bytes\":1,\"modified_ns\":2,\"sha256\":\"@\"}", true},
        {"with tensors",
         "\"/a\":{\"bytes\":1,\"modified_ns\":2,\"sha256\":\"@\",\"tensors\":\"@\"}", true},
        {"no path", "\"a\":{\"bytes\":1,\"modified_ns\":2,\"sha256\":\"@\"}", false},
        {"no size", "\"/a\":{\"modified_ns\":2,\"sha256\":\"@\"}", false},
        {"negative", "\"/a\":{\"bytes\":-1,\"modified_ns\":2,\"sha256\":\"@\"}", false},
        {"no time", "\"/a\":{\"bytes\":1,\"sha256\":\"@\"}", false},
        {"short hash", "\"/a\":{\"bytes\":1,\"modified_ns\":2,\"sha256\":\"abc\"}", false},
        {"bad tensors", "\"/a\":{\"bytes\":1,\"modified_ns\":2,\"sha256\":\"@\",\"tensors\":\"x\"}",
         false},
        {"a text", "\"/a\":\"@\"", false},
    };
    struct error err = {0};

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char text[512];
        struct library_hashes *h = NULL;
        size_t n = (size_t)snprintf(text, sizeof text, "{\"version\":1,\"files\":{");
        for (const char *c = row[i].row; *c; c++)
            n += (size_t)(*c == '@' ? snprintf(text + n, sizeof text - n, "%064d", 7)
                                    : snprintf(text + n, sizeof text - n, "%c", *c));
        n += (size_t)snprintf(text + n, sizeof text - n, "}}");
        CHECK(library_hashes_open(&h, "", &err) && library_hashes_merge(h, text, n));
        if ((library_hashes_count(h) == 1) != row[i].good)
            fprintf(stderr, "%s\n", row[i].why);
        CHECK((library_hashes_count(h) == 1) == row[i].good);
        CHECK(!library_hashes_merge(h, "{\"version\":2,\"files\":{}}", 24));
        library_hashes_close(h);
    }
}

static void *ask(void *arg)
{
    struct library *lib = arg;
    struct error err = {0};

    for (int i = 0; i < 30; i++) {
        struct library_list list;
        const struct library_entry *e = NULL, *hashed = NULL;
        if (i % 3 == 0)
            CHECK(library_refresh(lib, &err));
        CHECK(library_list(lib, LIBRARY_EMBEDDING, &list, &err) && list.n >= 1);
        CHECK(library_find(lib, LIBRARY_EMBEDDING, "x", &e, &err));
        if (e && library_hash(lib, e, NULL, NULL, &hashed, &err))
            library_entry_free(hashed);
        library_entry_free(e);
        library_list_clear(&list);
    }
    return NULL;
}

static void serves_many_threads(void)
{
    pthread_t threads[6];
    struct error err = {0};

    library_testing_begin();
    library_testing_embedding(below("e/x.safetensors"), 1, 768);
    struct library *lib = open_with_cache();
    for (int i = 0; i < 6; i++)
        CHECK(thread_start(&threads[i], ask, lib, 0, &err));
    for (int i = 0; i < 20; i++)
        library_testing_embedding(below("e/%d.safetensors", i), 1, 768);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    library_close(lib);
    library_testing_end();
}

int main(void)
{
    hashes_files_whole();
    is_cancelled_between_chunks();
    hashes_the_tensors_of_a_lora();
    tells_a_loras_metadata();
    remembers_hashes_in_a_file();
    hashes_the_unet_of_a_folder();
    keeps_rows_within_bounds();
    drops_rows_that_make_no_sense();
    serves_many_threads();
    return TEST_END();
}
