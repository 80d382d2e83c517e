/* Format: torch/serialization.py (persistent ids) and torch/_utils.py (_rebuild_* and their
 * arguments) of PyTorch 0.4 to 2.4. */
#include "model/torch_pickle.h"

#include "base/size.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 16, MAX_NAMES_BYTES = 32 << 20, FIRST_CAP = 256 };

/* Names. */

static bool same(struct pickle_text text, const char *other)
{
    return strlen(other) == text.len && memcmp(text.ptr, other, text.len) == 0;
}

/* module is package, or lies in it. */
static bool is_in(struct pickle_text module, const char *package)
{
    size_t n = strlen(package);
    return module.len >= n && memcmp(module.ptr, package, n) == 0 &&
           (module.len == n || module.ptr[n] == '.');
}

bool torch_pickle_allows(struct pickle_text module, struct pickle_text name)
{
    /* What trainers leave in their checkpoints beside the weights. */
    static const char *const packages[] = {
        "torch",
        "collections",
        "pytorch_lightning",
        "lightning",
        "lightning_fabric",
        "numpy",
        "omegaconf",
        "torchmetrics",
        "argparse",
        "pathlib",
        "transformers",
        "diffusers",
        "ldm",
        "sgm",
        "datetime",
        "typing",
        "enum",
        "_codecs",
        "copyreg",
        "copy_reg",
    };
    static const char *const builtins[] = {
        "object", "set",  "frozenset", "dict",      "list",  "tuple", "int",  "float",   "str",
        "bytes",  "bool", "complex",   "bytearray", "slice", "range", "long", "unicode",
    };
    for (size_t i = 0; i < sizeof packages / sizeof packages[0]; i++)
        if (is_in(module, packages[i]))
            return true;
    if (!same(module, "builtins") && !same(module, "__builtin__"))
        return false;
    for (size_t i = 0; i < sizeof builtins / sizeof builtins[0]; i++)
        if (same(name, builtins[i]))
            return true;
    return false;
}

/* Storages. */

static const struct storage_row {
    const char *name, *dtype_name;
    uint64_t bytes;
    bool known;
    enum dtype dtype;
} storage_rows[] = {
    {"FloatStorage", "F32", 4, true, DTYPE_F32},
    {"HalfStorage", "F16", 2, true, DTYPE_F16},
    {"BFloat16Storage", "BF16", 2, true, DTYPE_BF16},
    {"DoubleStorage", "F64", 8, true, DTYPE_F64},
    {"IntStorage", "I32", 4, true, DTYPE_I32},
    {"LongStorage", "I64", 8, true, DTYPE_I64},
    {"ShortStorage", "I16", 2, false, DTYPE_F32},
    {"CharStorage", "I8", 1, false, DTYPE_F32},
    {"ByteStorage", "U8", 1, false, DTYPE_F32},
    {"BoolStorage", "BOOL", 1, false, DTYPE_F32},
    {"ComplexFloatStorage", "C64", 8, false, DTYPE_F32},
    {"ComplexDoubleStorage", "C128", 16, false, DTYPE_F32},
};

bool torch_pickle_storage(const struct pickle *p, const struct pickle_value *v,
                          struct torch_pickle_storage *out, struct error *err)
{
    enum { SAYS_STORAGE, TYPE, KEY, LOCATION, ELEMENTS, VIEW, FIELDS };
    pickle_ref id[FIELDS] = {0};
    size_t bytes;

    if (v->kind != PICKLE_REFERENCE)
        return error_set(err, ERROR_CORRUPT, "has a tensor without a storage");
    const struct pickle_value *args = &p->values[v->object.args], *values = p->values;
    /* The last field, a view of another storage, is always None since PyTorch 0.4. */
    if (!pickle_items(p, args, id, FIELDS) && !pickle_items(p, args, id, FIELDS - 1))
        id[VIEW] = 1;
    if (id[VIEW] || args->kind != PICKLE_TUPLE ||
        !pickle_is_text(&values[id[SAYS_STORAGE]], "storage") ||
        values[id[TYPE]].kind != PICKLE_NAME || !is_in(values[id[TYPE]].name.module, "torch") ||
        values[id[KEY]].kind != PICKLE_TEXT || values[id[ELEMENTS]].kind != PICKLE_INT ||
        values[id[ELEMENTS]].number < 0 ||
        !utf8_is_text(values[id[KEY]].text.ptr, values[id[KEY]].text.len))
        return error_set(err, ERROR_CORRUPT, "has a storage described in a way that is not read");

    const struct pickle_value *type = &values[id[TYPE]];
    *out = (struct torch_pickle_storage){.key = values[id[KEY]].text,
                                         .type_name = {type->name.name, type->name.name_len},
                                         .element_bytes = 1,
                                         .elements = (uint64_t)values[id[ELEMENTS]].number};
    for (size_t i = 0; i < sizeof storage_rows / sizeof storage_rows[0]; i++) {
        const struct storage_row *row = &storage_rows[i];
        if (!same(out->type_name, row->name))
            continue;
        out->dtype_name = row->dtype_name;
        out->dtype_known = row->known;
        out->dtype = row->dtype;
        out->element_bytes = row->bytes;
    }
    return size_mul(&bytes, (size_t)out->elements, (size_t)out->element_bytes) ||
           error_set(err, ERROR_CORRUPT, "storage '%.*s' claims more bytes than exist",
                     (int)(out->key.len < 100 ? out->key.len : 100), out->key.ptr);
}

/* Tensors. */

struct collect {
    const struct pickle *p;
    torch_pickle_find_fn find;
    void *ctx;
    struct torch_pickle_tensors *out;
    unsigned char *seen; /* one per value: containers are entered once, so that loops end */
    char path[TORCH_PICKLE_MAX_NAME_BYTES + 1];
    size_t path_len;
    int depth;
};

static const struct pickle_value *value(const struct collect *c, pickle_ref ref)
{
    return &c->p->values[ref];
}

static bool bad_tensor(const struct collect *c, struct error *err, const char *what)
{
    return error_set(err, ERROR_CORRUPT, "tensor '%.200s' %s", c->path, what);
}

/* A tuple of whole numbers that are not negative. */
static int read_numbers(const struct collect *c, pickle_ref ref, int64_t out[TENSOR_INFO_MAX_DIMS])
{
    const struct pickle_value *v = value(c, ref);
    pickle_ref items[TENSOR_INFO_MAX_DIMS];

    if ((v->kind != PICKLE_TUPLE && v->kind != PICKLE_LIST) || v->n_items > TENSOR_INFO_MAX_DIMS ||
        !pickle_items(c->p, v, items, v->n_items))
        return -1;
    for (uint32_t i = 0; i < v->n_items; i++) {
        out[i] = value(c, items[i])->number;
        if (value(c, items[i])->kind != PICKLE_INT || out[i] < 0)
            return -1;
    }
    return (int)v->n_items;
}

/* Rows one after the other: strides of dimensions of one element do not matter. */
static bool is_contiguous(const struct tensor_info *t, const int64_t *strides)
{
    uint64_t want = 1; /* no more than the elements, which were counted without wrapping */

    for (int i = t->n_dims; i-- > 0;) {
        if (t->dims[i] != 1 && (uint64_t)strides[i] != want)
            return false;
        want *= (uint64_t)t->dims[i];
    }
    return true;
}

/* The tensor lies in the storage, as far as the pickle's own numbers tell. */
static bool check_place(const struct collect *c, const struct torch_pickle_storage *s,
                        int64_t offset, size_t elements, struct error *err)
{
    size_t end;

    if (!size_add(&end, (size_t)offset, elements) || end > s->elements)
        return error_set(err, ERROR_CORRUPT,
                         "tensor '%.200s' claims %zu elements from %" PRId64
                         " on, its storage has %" PRIu64,
                         c->path, elements, offset, s->elements);
    return true;
}

/* Fills in type and bytes, or says in dtype_name why they cannot be read. */
static bool locate(const struct collect *c, struct tensor_info *t, pickle_ref storage,
                   pickle_ref offset, const int64_t *strides, struct error *err)
{
    struct torch_pickle_storage s;
    size_t elements = 1;
    int64_t at = value(c, offset)->number;

    if (!torch_pickle_storage(c->p, value(c, storage), &s, err))
        return error_prefix(err, "tensor '%.200s'", c->path);
    if (value(c, offset)->kind != PICKLE_INT || at < 0)
        return bad_tensor(c, err, "begins nowhere in its storage");
    for (int i = 0; i < t->n_dims; i++)
        if (!size_mul(&elements, elements, (size_t)t->dims[i]))
            return bad_tensor(c, err, "claims more bytes than exist");
    if (!s.dtype_name) {
        t->dtype_name = "of a storage that is unknown";
        return true;
    }
    if (elements > 0 && !is_contiguous(t, strides)) {
        t->dtype_name = "with strides (not contiguous; save it after .contiguous())";
        return true;
    }
    if (!check_place(c, &s, at, elements, err))
        return false;
    if (!c->find(c->ctx, &s, &t->bytes, err))
        return error_prefix(err, "tensor '%.200s'", c->path);
    t->dtype_name = s.dtype_name;
    t->dtype_known = s.dtype_known;
    t->dtype = s.dtype;
    t->bytes += (uint64_t)at * s.element_bytes; /* within the storage, whose bytes do not wrap */
    t->n_bytes = elements * s.element_bytes;
    return true;
}

static bool add_tensor(struct collect *c, const struct tensor_info *t, struct error *err)
{
    struct torch_pickle_tensors *out = c->out;

    if (out->n == TORCH_PICKLE_MAX_TENSORS)
        return error_set(err, ERROR_LIMIT, "has more than %d tensors", TORCH_PICKLE_MAX_TENSORS);
    if (out->n == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : FIRST_CAP;
        struct tensor_info *tensors = realloc(out->tensors, cap * sizeof *tensors);
        if (!tensors)
            return error_set(err, ERROR_MEMORY, "no memory for the list of tensors");
        out->tensors = tensors;
        out->cap = cap;
    }
    out->tensors[out->n++] = *t;
    buf_add(&out->names, c->path, c->path_len + 1);
    return !out->names.failed ||
           error_set(err, ERROR_LIMIT, "the names of its tensors take more than %d MB",
                     MAX_NAMES_BYTES >> 20);
}

/* The callee and arguments by which v rebuilds a tensor; false when v is something else.
 * Parameters and tensors with attributes wrap the call of the tensor itself. */
static bool find_rebuild(const struct collect *c, const struct pickle_value *v,
                         const struct pickle_value **callee, const struct pickle_value **args)
{
    for (int wraps = 0; wraps < 4 && v->kind == PICKLE_CALL; wraps++) {
        *callee = value(c, v->object.callee);
        *args = value(c, v->object.args);
        uint32_t first = (*args)->object.first;
        if (pickle_is_name(*callee, "torch._tensor", "_rebuild_from_type_v2") &&
            (*args)->n_items >= 3) {
            const struct pickle_item *items = c->p->items;
            *callee = value(c, items[first].value);
            *args = value(c, items[items[items[first].next].next].value);
            return (*callee)->kind == PICKLE_NAME && (*args)->kind == PICKLE_TUPLE;
        }
        if ((!pickle_is_name(*callee, "torch._utils", "_rebuild_parameter") &&
             !pickle_is_name(*callee, "torch._utils", "_rebuild_parameter_with_state")) ||
            (*args)->n_items == 0)
            return same((*callee)->name.module, "torch._utils") && (*callee)->name.name_len > 8 &&
                   memcmp((*callee)->name.name, "_rebuild", 8) == 0;
        v = value(c, c->p->items[first].value);
    }
    return false;
}

static bool read_tensor(struct collect *c, const struct pickle_value *callee,
                        const struct pickle_value *args, struct error *err)
{
    enum { STORAGE, OFFSET, SIZE, STRIDE, REQUIRED, MAX_ARGS = 8 };
    struct tensor_info t = {.dtype_name = "that is not a plain tensor of PyTorch"};
    int64_t strides[TENSOR_INFO_MAX_DIMS];
    pickle_ref a[MAX_ARGS];
    bool plain = pickle_is_name(callee, "torch._utils", "_rebuild_tensor_v2") ||
                 pickle_is_name(callee, "torch._utils", "_rebuild_tensor");

    if (!plain)
        return add_tensor(c, &t, err);
    if (args->kind != PICKLE_TUPLE || args->n_items < REQUIRED || args->n_items > MAX_ARGS ||
        !pickle_items(c->p, args, a, args->n_items))
        return bad_tensor(c, err, "is described in a way that is not read");
    t.n_dims = read_numbers(c, a[SIZE], t.dims);
    if (t.n_dims < 0 || read_numbers(c, a[STRIDE], strides) != t.n_dims)
        return bad_tensor(c, err, "has no shape and strides of at most 8 dimensions");
    return locate(c, &t, a[STORAGE], a[OFFSET], strides, err) && add_tensor(c, &t, err);
}

/* Dictionaries, and what is made like one. */
static bool is_dict(const struct collect *c, const struct pickle_value *v)
{
    return v->kind == PICKLE_DICT ||
           (v->kind == PICKLE_CALL &&
            (pickle_is_name(value(c, v->object.callee), "collections", "OrderedDict") ||
             pickle_is_name(value(c, v->object.callee), "collections", "defaultdict")));
}

static bool walk(struct collect *c, pickle_ref ref, struct error *err);

/* Goes on with the name grown by one part, and shrinks it again. */
static bool walk_under(struct collect *c, const char *part, size_t n, pickle_ref ref,
                       struct error *err)
{
    size_t old = c->path_len, dot = old ? 1 : 0;
    enum pickle_kind kind = value(c, ref)->kind;

    if (kind < PICKLE_TUPLE || kind == PICKLE_NAME || kind == PICKLE_REFERENCE)
        return true;
    if (n == 0 || n + dot > TORCH_PICKLE_MAX_NAME_BYTES - old || !utf8_is_text(part, n))
        return error_set(err, ERROR_CORRUPT,
                         "something in '%.200s' has a name that is no text of 1 to %d bytes",
                         c->path, TORCH_PICKLE_MAX_NAME_BYTES);
    if (dot)
        c->path[old] = '.';
    memcpy(c->path + old + dot, part, n);
    c->path_len = old + dot + n;
    c->path[c->path_len] = 0;
    bool ok = walk(c, ref, err);
    c->path_len = old;
    c->path[old] = 0;
    return ok;
}

static bool walk_pairs(struct collect *c, const struct pickle_value *v, struct error *err)
{
    uint32_t at = v->n_items ? v->object.first : 0;

    for (uint32_t i = 0; i + 1 < v->n_items; i += 2) {
        const struct pickle_item *key = &c->p->items[at], *item = &c->p->items[key->next];
        const struct pickle_value *k = value(c, key->value);
        char number[24];
        at = item->next;
        bool ok = true;
        if (k->kind == PICKLE_TEXT)
            ok = walk_under(c, k->text.ptr, k->text.len, item->value, err);
        else if (k->kind == PICKLE_INT)
            ok = walk_under(c, number,
                            (size_t)snprintf(number, sizeof number, "%" PRId64, k->number),
                            item->value, err);
        if (!ok)
            return false;
    }
    return true;
}

static bool walk_list(struct collect *c, const struct pickle_value *v, struct error *err)
{
    uint32_t at = v->object.first;

    for (uint32_t i = 0; i < v->n_items; i++) {
        char number[16];
        int n = snprintf(number, sizeof number, "%" PRIu32, i);
        if (!walk_under(c, number, (size_t)n, c->p->items[at].value, err))
            return false;
        at = c->p->items[at].next;
    }
    return true;
}

/* Modules of PyTorch keep their tensors in dictionaries of their state. */
static bool walk_module(struct collect *c, const struct pickle_value *v, struct error *err)
{
    static const char *const names[] = {"_parameters", "_buffers", "_modules"};
    const struct pickle_value *state = value(c, v->object.state);
    uint32_t at = state->kind == PICKLE_DICT && state->n_items ? state->object.first : 0;
    uint32_t n = state->kind == PICKLE_DICT ? state->n_items : 0;

    for (uint32_t i = 0; i + 1 < n; i += 2) {
        const struct pickle_item *key = &c->p->items[at], *item = &c->p->items[key->next];
        at = item->next;
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            if (pickle_is_text(value(c, key->value), names[k]) && !walk(c, item->value, err))
                return false;
    }
    return true;
}

/* Old Python saved an ordered dictionary as a list of pairs to make it from. */
static bool walk_old_pairs(struct collect *c, const struct pickle_value *v, struct error *err)
{
    pickle_ref list, pair[2];

    if (!pickle_items(c->p, value(c, v->object.args), &list, 1) ||
        value(c, list)->kind != PICKLE_LIST)
        return true;
    uint32_t at = value(c, list)->object.first;
    for (uint32_t i = 0; i < value(c, list)->n_items; i++) {
        const struct pickle_value *item = value(c, c->p->items[at].value);
        at = c->p->items[at].next;
        if (pickle_items(c->p, item, pair, 2) && value(c, pair[0])->kind == PICKLE_TEXT &&
            !walk_under(c, value(c, pair[0])->text.ptr, value(c, pair[0])->text.len, pair[1], err))
            return false;
    }
    return true;
}

static bool walk(struct collect *c, pickle_ref ref, struct error *err)
{
    const struct pickle_value *v = value(c, ref), *callee, *args;
    bool ok = true;

    if (find_rebuild(c, v, &callee, &args))
        return read_tensor(c, callee, args, err);
    if (c->seen[ref])
        return true;
    c->seen[ref] = 1;
    if (c->depth == MAX_DEPTH)
        return error_set(err, ERROR_CORRUPT, "'%.200s' lies more than %d levels deep", c->path,
                         MAX_DEPTH);
    c->depth++;
    if (is_dict(c, v))
        ok = walk_pairs(c, v, err) && (v->kind == PICKLE_DICT || walk_old_pairs(c, v, err));
    else if (v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST)
        ok = walk_list(c, v, err);
    else if (v->kind == PICKLE_CALL)
        ok = walk_module(c, v, err);
    c->depth--;
    return ok;
}

/* The value under a text key; None when there is none. */
static pickle_ref find_key(const struct collect *c, const struct pickle_value *v, const char *text)
{
    pickle_ref found = 0;
    uint32_t at = v->n_items ? v->object.first : 0;

    for (uint32_t i = 0; i + 1 < v->n_items; i += 2) {
        const struct pickle_item *key = &c->p->items[at], *item = &c->p->items[key->next];
        at = item->next;
        if (pickle_is_text(value(c, key->value), text))
            found = item->value; /* the last one counts, as in Python */
    }
    return found;
}

static int compare_names(const void *a, const void *b)
{
    const struct tensor_info *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static bool finish(struct torch_pickle_tensors *t, struct error *err)
{
    const char *name = t->names.bytes;

    if (t->n == 0)
        return error_set(err, ERROR_CORRUPT, "holds no tensors");
    for (size_t i = 0; i < t->n; i++) {
        t->tensors[i].name = name;
        name += strlen(name) + 1;
    }
    qsort(t->tensors, t->n, sizeof *t->tensors, compare_names);
    for (size_t i = 1; i < t->n; i++)
        if (compare_names(&t->tensors[i], &t->tensors[i - 1]) == 0)
            return error_set(err, ERROR_CORRUPT, "tensor '%.200s' is there twice",
                             t->tensors[i].name);
    return true;
}

static bool collect(struct collect *c, struct error *err)
{
    static const char *const usual[] = {"state_dict", "params_ema", "params", "model_state_dict",
                                        "model"};
    const struct pickle_value *root = value(c, c->p->root);

    for (size_t i = 0; is_dict(c, root) && i < sizeof usual / sizeof usual[0]; i++) {
        pickle_ref ref = find_key(c, root, usual[i]);
        if (is_dict(c, value(c, ref)) && !walk(c, ref, err))
            return false;
        if (c->out->n > 0)
            return true;
    }
    return walk(c, c->p->root, err);
}

bool torch_pickle_collect(struct torch_pickle_tensors *out, const struct pickle *p,
                          torch_pickle_find_fn find, void *ctx, struct error *err)
{
    struct collect c = {.p = p, .find = find, .ctx = ctx, .out = out};

    *out = (struct torch_pickle_tensors){0};
    buf_init(&out->names, MAX_NAMES_BYTES);
    c.seen = calloc(p->n_values, 1);
    bool ok = c.seen ? collect(&c, err) && finish(out, err)
                     : error_set(err, ERROR_MEMORY, "no memory for a pickle");
    free(c.seen);
    if (!ok)
        torch_pickle_clear(out);
    return ok;
}

void torch_pickle_clear(struct torch_pickle_tensors *t)
{
    free(t->tensors);
    buf_clear(&t->names);
    *t = (struct torch_pickle_tensors){0};
}
