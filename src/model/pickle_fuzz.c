#include "model/pickle.h"
#include "model/torch_pickle.h"

#include <stdlib.h>

static const unsigned char store[64];

static bool find(void *ctx, const struct torch_pickle_storage *s, const unsigned char **bytes,
                 struct error *err)
{
    (void)ctx;
    *bytes = store;
    return (s->elements * s->element_bytes <= sizeof store) ||
           error_set(err, ERROR_CORRUPT, "too long");
}

static void check_text(const uint8_t *data, size_t size, const char *ptr, uint32_t len)
{
    const char *first = (const char *)data;
    if (len && (ptr < first || len > size || ptr + len > first + size))
        abort();
}

static void check_object(const struct pickle *p, const struct pickle_value *v)
{
    uint32_t at = v->object.first, i = 0;

    for (; i < v->n_items; i++) {
        if (at >= p->n_items || p->items[at].value >= p->n_values)
            abort();
        if (i + 1 == v->n_items && at != v->object.last)
            abort();
        at = p->items[at].next;
    }
    if (v->kind == PICKLE_DICT && v->n_items % 2)
        abort();
    if (v->object.callee >= p->n_values || v->object.args >= p->n_values ||
        v->object.state >= p->n_values)
        abort();
    if (v->kind == PICKLE_CALL && (p->values[v->object.callee].kind != PICKLE_NAME ||
                                   p->values[v->object.args].kind != PICKLE_TUPLE))
        abort();
}

/* All that values refer to exists, all text lies in the pickle, and tensors lie in the storage. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pickle p;
    struct torch_pickle_tensors t;
    struct error err = {0};

    if (!pickle_read(&p, data, size, torch_pickle_allows, &err)) {
        if (p.values || err.code == ERROR_NONE || !err.text[0])
            abort();
        return 0;
    }
    if (p.n_bytes > size || p.root >= p.n_values)
        abort();
    for (size_t i = 0; i < p.n_values; i++) {
        const struct pickle_value *v = &p.values[i];
        if (v->kind == PICKLE_NAME) {
            check_text(data, size, v->name.module.ptr, v->name.module.len);
            check_text(data, size, v->name.name, v->name.name_len);
        } else if (v->kind == PICKLE_TEXT || v->kind == PICKLE_BYTES || v->kind == PICKLE_LONG) {
            check_text(data, size, v->text.ptr, v->text.len);
        } else if (v->kind >= PICKLE_TUPLE) {
            check_object(&p, v);
        }
    }
    if (torch_pickle_collect(&t, &p, find, NULL, &err)) {
        for (size_t i = 0; i < t.n; i++) {
            const struct tensor_info *x = &t.tensors[i];
            if (x->dtype_known && (x->bytes < store || x->n_bytes > sizeof store ||
                                   x->bytes + x->n_bytes > store + sizeof store))
                abort();
        }
        torch_pickle_clear(&t);
    } else if (err.code == ERROR_NONE || !err.text[0]) {
        abort();
    }
    pickle_clear(&p);
    return 0;
}
