/* The pickles are made by tests/make_torch_files.py. */
#include "model/torch_pickle.h"
#include "model/torch_testing.h"

#include <string.h>

#define PICKLES "fuzz/corpus/pickle"

static const float store[4] = {1, 2, 3, 4};

/* One storage called 0 with four floats. */
static bool find(void *ctx, const struct torch_pickle_storage *s, const unsigned char **bytes,
                 struct error *err)
{
    (void)ctx;
    *bytes = (const unsigned char *)store;
    return (s->key.len == 1 && s->key.ptr[0] == '0' &&
            s->elements * s->element_bytes <= sizeof store) ||
           error_set(err, ERROR_CORRUPT, "no such storage");
}

static bool read_tensors(struct torch_pickle_tensors *out, const char *name, struct error *err)
{
    struct pickle p = {0};
    size_t n;
    unsigned char *bytes = torch_testing_read(PICKLES, name, &n);

    *err = (struct error){0};
    *out = (struct torch_pickle_tensors){0};
    bool ok = bytes && pickle_read(&p, bytes, n, torch_pickle_allows, err) &&
              torch_pickle_collect(out, &p, find, NULL, err);
    pickle_clear(&p);
    free(bytes);
    return ok;
}

static void reads_tensors(void)
{
    static const char *const names[] = {"good", "storage_not_viewed", "old_ordered_dict"};
    struct torch_pickle_tensors t;
    struct error err;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CHECK(read_tensors(&t, names[i], &err) && t.n == 1);
        if (t.n != 1) {
            fprintf(stderr, "%s: %s\n", names[i], err.text);
            continue;
        }
        CHECK(strcmp(t.tensors[0].name, "w") == 0 && t.tensors[0].n_bytes == sizeof store);
        CHECK(t.tensors[0].bytes == (const unsigned char *)store && t.tensors[0].dims[0] == 4);
        torch_pickle_clear(&t);
    }
    CHECK(read_tensors(&t, "good_list", &err) && t.n == 2 && strcmp(t.tensors[1].name, "1") == 0);
    torch_pickle_clear(&t);
}

/* Tensors that are there and cannot be read say why when somebody wants them. */
static void keeps_what_it_cannot_read(void)
{
    static const struct {
        const char *file, *type;
    } rows[] = {
        {"storage_unknown", "of a storage that is unknown"},
        {"tensor_sparse", "not a plain tensor"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct torch_pickle_tensors t;
        struct error err;
        bool ok = read_tensors(&t, rows[i].file, &err);
        CHECK(ok && t.n == 1 && !t.tensors[0].dtype_known && t.tensors[0].n_bytes == 0 &&
              strstr(t.tensors[0].dtype_name, rows[i].type));
        torch_pickle_clear(&t);
    }
}

static void refuses(void)
{
    static const struct {
        const char *file, *error;
    } rows[] = {
        {"os_system", "wants to call posix.system"},
        {"os_system_4", "wants to call posix.system"},
        {"eval", "wants to call __builtin__.eval"},
        {"getattr", "wants to call __builtin__.getattr"},
        {"subprocess", "wants to call subprocess.Popen"},
        {"newobj", "wants to call os.popen"},
        {"name_unused", "wants to call posix.system"},
        {"prefix_is_no_package", "wants to call torchevil.run"},
        {"stack_name_is_number", "a name that is no text"},
        {"name_not_text", "a name that is no text"},
        {"build_on_dict", "gives a state to what is no object"},
        {"build_on_name", "gives a state to what is no object"},
        {"call_of_call", "calls what is no name"},
        {"call_of_text", "calls what is no name"},
        {"call_with_list", "calls what is no name"},
        {"inst", "(INST) at byte"},
        {"obj", "(OBJ) at byte"},
        {"extension", "0x82 (EXT1) at byte 2"},
        {"unknown_operation", "0xf0 (unknown) at byte 2"},
        {"protocol_0", "no pickle of protocol 2"},
        {"protocol_9", "protocol that is not read"},
        {"second_protocol", "protocol that is not read"},
        {"laughs", "holds no tensors"},
        {"contains_itself", "holds no tensors"},
        {"too_deep", "more than 16 levels deep"},
        {"memo_index", "remembers too much"},
        {"never_remembered", "recalls what it never remembered"},
        {"huge_text", "cut short, at byte 2"},
        {"huge_bytes", "cut short, at byte 2"},
        {"huge_long", "cut short, at byte 2"},
        {"empty_stack", "empty stack"},
        {"below_mark", "empty stack"},
        {"tuple_below_mark", "empty stack"},
        {"no_mark", "a mark that is not there"},
        {"odd_items", "a key without a value"},
        {"odd_dict", "a key without a value"},
        {"items_into_text", "items into what has none"},
        {"two_values", "more or less than one value"},
        {"no_value", "more or less than one value"},
        {"open_mark", "more or less than one value"},
        {"reference_is_none", "tensor 'w': has a storage described"},
        {"reference_is_text", "tensor 'w': has a storage described"},
        {"storage_is_number", "tensor 'w': has a tensor without a storage"},
        {"storage_viewed", "described in a way"},
        {"storage_negative", "described in a way"},
        {"storage_huge", "more bytes than exist"},
        {"storage_missing", "tensor 'w': no such storage"},
        {"storage_too_long", "tensor 'w': no such storage"},
        {"storage_climbs", "tensor 'w': no such storage"},
        {"past_storage", "'w' claims 4 elements from 1 on, its storage has 4"},
        {"offset_wraps", "claims 4 elements from 9223372036854775807"},
        {"offset_negative", "begins nowhere"},
        {"size_wraps", "more bytes than exist"},
        {"size_negative", "no shape"},
        {"size_is_text", "no shape"},
        {"nine_dimensions", "no shape"},
        {"strides_missing", "no shape"},
        {"tensor_of_nothing", "'w' is described in a way"},
        {"tensor_twice", "'w' is there twice"},
        {"name_is_empty", "a name that is no text"},
        {"name_has_escape", "a name that is no text"},
        {"name_has_zero", "a name that is no text"},
        {"name_too_long", "a name that is no text"},
        {"no_tensors", "holds no tensors"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct torch_pickle_tensors t;
        struct error err;
        bool ok = read_tensors(&t, rows[i].file, &err);
        if (ok || !strstr(err.text, rows[i].error))
            fprintf(stderr, "%s: '%s': ", rows[i].file, ok ? "accepted" : err.text);
        CHECK(!ok && strstr(err.text, rows[i].error));
        torch_pickle_clear(&t);
    }
}

/* Each bound is met by a pickle that goes one step beyond it. */
static void bounds_everything(void)
{
    static const struct {
        const char *why, *head, *body;
        size_t times;
        const char *error;
    } rows[] = {
        {"values", "", "]0", PICKLE_MAX_VALUES, "more than 2097152 values"},
        {"stack", "", "N", PICKLE_MAX_STACK + 1, "too much waits"},
        {"marks", "", "(", PICKLE_MAX_STACK + 1, "too many marks"},
        {"memo", "N", "\x94", PICKLE_MAX_MEMO + 1, "remembers too much"},
        {"list items", "]", "Na", PICKLE_MAX_ITEMS + 1, "more than 4194304 items"},
        {"length", "", "N0", PICKLE_MAX_BYTES / 2, "cut short"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t head = strlen(rows[i].head), body = strlen(rows[i].body);
        size_t n = 2 + head + body * rows[i].times;
        unsigned char *bytes = malloc(n + 1);
        struct pickle p;
        struct error err = {0};
        if (!bytes) {
            free(bytes);
            continue;
        }
        memcpy(bytes, "\x80\x04", 2);
        memcpy(bytes + 2, rows[i].head, head);
        for (size_t k = 0; k < rows[i].times; k++)
            memcpy(bytes + 2 + head + k * body, rows[i].body, body);
        bytes[n] = '.';
        bool ok = pickle_read(&p, bytes, n + 1, torch_pickle_allows, &err);
        if (ok || !strstr(err.text, rows[i].error))
            fprintf(stderr, "%s: '%s': ", rows[i].why, err.text);
        CHECK(!ok && strstr(err.text, rows[i].error));
        free(bytes);
    }
}

int main(void)
{
    reads_tensors();
    keeps_what_it_cannot_read();
    refuses();
    bounds_everything();
    return TEST_END();
}
