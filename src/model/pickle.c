/* Format: CPython's Lib/pickletools.py, which documents every opcode. */
#include "model/pickle.h"

#include "base/utf8.h"
#include "model/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

enum { NO_VALUE = 0, TRUE_VALUE = 1, FALSE_VALUE = 2 };

static struct pickle_value *value_at(const struct pickle_machine *m, pickle_ref ref)
{
    return &m->p->values[ref];
}

/* What the operations do. */

static bool op_proto(struct pickle_machine *m, struct error *err)
{
    if (m->op_at != 0 || m->number < 2 || m->number > 5)
        return pickle_machine_bad(m, err, "is of a protocol that is not read (2 to 5 are)");
    return true;
}

static bool op_nothing(struct pickle_machine *m, struct error *err)
{
    (void)m;
    (void)err;
    return true;
}

static bool op_stop(struct pickle_machine *m, struct error *err)
{
    if (m->marks.n || m->stack.n != 1)
        return pickle_machine_bad(m, err, "ends with more or less than one value");
    m->p->root = m->stack.at[0];
    m->stopped = true;
    return true;
}

static bool op_mark(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push_mark(m, err);
}

static bool op_pop(struct pickle_machine *m, struct error *err)
{
    pickle_ref ignored;
    if (m->marks.n && m->stack.n == pickle_machine_floor_of(m)) {
        m->marks.n--; /* a mark can be taken away like a value */
        return true;
    }
    return pickle_machine_pop(m, &ignored, err);
}

static bool op_pop_mark(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_pop_mark(m, &m->stack.n, err);
}

static bool op_dup(struct pickle_machine *m, struct error *err)
{
    pickle_ref ref;
    return pickle_machine_top(m, &ref, err) && pickle_machine_push(m, ref, err);
}

static bool op_none(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push(m, NO_VALUE, err);
}

static bool op_true(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push(m, TRUE_VALUE, err);
}

static bool op_false(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push(m, FALSE_VALUE, err);
}

static bool op_unsigned(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push_new(
        m, (struct pickle_value){.kind = PICKLE_INT, .number = (int64_t)(uint32_t)m->number}, err);
}

static bool op_signed(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push_new(
        m, (struct pickle_value){.kind = PICKLE_INT, .number = (int32_t)(uint32_t)m->number}, err);
}

/* Little-endian two's complement of any length; none means 0. */
static bool op_long(struct pickle_machine *m, struct error *err)
{
    uint32_t n = m->text.len;
    const unsigned char *p = (const unsigned char *)m->text.ptr;
    uint64_t bits = n && (p[n - 1] & 0x80) ? UINT64_MAX : 0;
    struct pickle_value v = {.kind = PICKLE_INT};

    if (n > 8)
        return pickle_machine_push_new(
            m, (struct pickle_value){.kind = PICKLE_LONG, .text = m->text}, err);
    for (uint32_t i = n; i-- > 0;)
        bits = bits << 8 | p[i];
    memcpy(&v.number, &bits, sizeof bits);
    return pickle_machine_push_new(m, v, err);
}

static bool op_float(struct pickle_machine *m, struct error *err)
{
    struct pickle_value v = {.kind = PICKLE_FLOAT};
    uint64_t bits = __builtin_bswap64(m->number); /* the one big-endian number of the format */
    memcpy(&v.real, &bits, sizeof bits);
    return pickle_machine_push_new(m, v, err);
}

static bool op_text(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push_new(m, (struct pickle_value){.kind = PICKLE_TEXT, .text = m->text},
                                   err);
}

static bool op_bytes(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push_new(m, (struct pickle_value){.kind = PICKLE_BYTES, .text = m->text},
                                   err);
}

/* A new container of what lies on the stack from first on. */
static bool gather(struct pickle_machine *m, enum pickle_kind kind, size_t first, struct error *err)
{
    pickle_ref ref;

    if (!pickle_machine_new_value(m, &ref, (struct pickle_value){.kind = kind}, err))
        return false;
    for (size_t i = first; i < m->stack.n; i++)
        if (!pickle_machine_add_item(m, ref, m->stack.at[i], err))
            return false;
    m->stack.n = first;
    return pickle_machine_push(m, ref, err);
}

static bool gather_marked(struct pickle_machine *m, enum pickle_kind kind, struct error *err)
{
    size_t first;
    if (!pickle_machine_pop_mark(m, &first, err))
        return false;
    if (kind == PICKLE_DICT && (m->stack.n - first) % 2 != 0)
        return pickle_machine_bad(m, err, "has a key without a value");
    return gather(m, kind, first, err);
}

static bool op_empty_tuple(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push_new(m, (struct pickle_value){.kind = PICKLE_TUPLE}, err);
}

static bool op_empty_list(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push_new(m, (struct pickle_value){.kind = PICKLE_LIST}, err);
}

static bool op_empty_set(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push_new(m, (struct pickle_value){.kind = PICKLE_SET}, err);
}

static bool op_empty_dict(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_push_new(m, (struct pickle_value){.kind = PICKLE_DICT}, err);
}

static bool op_tuple(struct pickle_machine *m, struct error *err)
{
    return gather_marked(m, PICKLE_TUPLE, err);
}

static bool op_list(struct pickle_machine *m, struct error *err)
{
    return gather_marked(m, PICKLE_LIST, err);
}

static bool op_frozenset(struct pickle_machine *m, struct error *err)
{
    return gather_marked(m, PICKLE_SET, err);
}

static bool op_dict(struct pickle_machine *m, struct error *err)
{
    return gather_marked(m, PICKLE_DICT, err);
}

static bool small_tuple(struct pickle_machine *m, size_t n, struct error *err)
{
    if (m->stack.n - pickle_machine_floor_of(m) < n)
        return pickle_machine_bad(m, err, "takes from an empty stack");
    return gather(m, PICKLE_TUPLE, m->stack.n - n, err);
}

static bool op_tuple1(struct pickle_machine *m, struct error *err)
{
    return small_tuple(m, 1, err);
}

static bool op_tuple2(struct pickle_machine *m, struct error *err)
{
    return small_tuple(m, 2, err);
}

static bool op_tuple3(struct pickle_machine *m, struct error *err)
{
    return small_tuple(m, 3, err);
}

/* Adds what lies on the stack from first on to the value under it. */
static bool extend(struct pickle_machine *m, size_t first, bool pairs, struct error *err)
{
    pickle_ref to;
    size_t end = m->stack.n;

    if (pairs && (end - first) % 2 != 0)
        return pickle_machine_bad(m, err, "has a key without a value");
    m->stack.n = first;
    if (!pickle_machine_top(m, &to, err))
        return false;
    enum pickle_kind kind = value_at(m, to)->kind;
    if (kind != PICKLE_CALL && kind != (pairs ? PICKLE_DICT : PICKLE_LIST) &&
        (pairs || kind != PICKLE_SET))
        return pickle_machine_bad(m, err, "puts items into what has none");
    if (kind == PICKLE_CALL && !pairs)
        return true; /* an object that is like a list: nothing among weights is */
    for (size_t i = first; i < end; i++)
        if (!pickle_machine_add_item(m, to, m->stack.at[i], err))
            return false;
    return true;
}

static bool extend_last(struct pickle_machine *m, size_t n, bool pairs, struct error *err)
{
    if (m->stack.n - pickle_machine_floor_of(m) < n)
        return pickle_machine_bad(m, err, "takes from an empty stack");
    return extend(m, m->stack.n - n, pairs, err);
}

static bool extend_marked(struct pickle_machine *m, bool pairs, struct error *err)
{
    size_t first;
    return pickle_machine_pop_mark(m, &first, err) && extend(m, first, pairs, err);
}

static bool op_append(struct pickle_machine *m, struct error *err)
{
    return extend_last(m, 1, false, err);
}

static bool op_appends(struct pickle_machine *m, struct error *err)
{
    return extend_marked(m, false, err);
}

static bool op_setitem(struct pickle_machine *m, struct error *err)
{
    return extend_last(m, 2, true, err);
}

static bool op_setitems(struct pickle_machine *m, struct error *err)
{
    return extend_marked(m, true, err);
}

/* The memo. */

static bool op_put(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_remember(m, m->number, err);
}

/* Protocol 4 counts for itself. */
static bool op_memoize(struct pickle_machine *m, struct error *err)
{
    return pickle_machine_remember(m, m->memo.n, err);
}

static bool op_get(struct pickle_machine *m, struct error *err)
{
    pickle_ref ref;
    return pickle_machine_recall(m, m->number, &ref, err) && pickle_machine_push(m, ref, err);
}

/* Names and calls. */

static bool push_name(struct pickle_machine *m, struct pickle_text module, struct pickle_text name,
                      struct error *err)
{
    struct pickle_value v = {.kind = PICKLE_NAME};

    if (module.len > PICKLE_MAX_NAME_BYTES || name.len > PICKLE_MAX_NAME_BYTES)
        return pickle_machine_bad(m, err, "has too long a name");
    if (!utf8_is_text(module.ptr, module.len) || !utf8_is_text(name.ptr, name.len))
        return pickle_machine_bad(m, err, "has a name that is no text");
    if (!m->allow(module, name))
        return error_set(err, ERROR_CORRUPT,
                         "wants to call %.*s.%.*s (byte %zu of the pickle): refused, nothing of it "
                         "was executed",
                         (int)module.len, module.ptr, (int)name.len, name.ptr, m->op_at);
    v.name.module = module;
    v.name.name = name.ptr;
    v.name.name_len = name.len;
    return pickle_machine_push_new(m, v, err);
}

static bool op_global(struct pickle_machine *m, struct error *err)
{
    return push_name(m, m->text, m->text2, err);
}

static bool op_stack_global(struct pickle_machine *m, struct error *err)
{
    pickle_ref module, name;

    if (!pickle_machine_pop(m, &name, err) || !pickle_machine_pop(m, &module, err))
        return false;
    if (value_at(m, module)->kind != PICKLE_TEXT || value_at(m, name)->kind != PICKLE_TEXT)
        return pickle_machine_bad(m, err, "has a name that is no text");
    return push_name(m, value_at(m, module)->text, value_at(m, name)->text, err);
}

static bool push_call(struct pickle_machine *m, pickle_ref callee, pickle_ref args,
                      struct error *err)
{
    struct pickle_value v = {.kind = PICKLE_CALL};

    if (value_at(m, callee)->kind != PICKLE_NAME || value_at(m, args)->kind != PICKLE_TUPLE)
        return pickle_machine_bad(m, err, "calls what is no name");
    v.object.callee = callee;
    v.object.args = args;
    return pickle_machine_push_new(m, v, err);
}

static bool op_call(struct pickle_machine *m, struct error *err)
{
    pickle_ref callee, args;
    return pickle_machine_pop(m, &args, err) && pickle_machine_pop(m, &callee, err) &&
           push_call(m, callee, args, err);
}

/* The named arguments are dropped: nothing among weights has any. */
static bool op_newobj_ex(struct pickle_machine *m, struct error *err)
{
    pickle_ref named;
    return pickle_machine_pop(m, &named, err) && op_call(m, err);
}

static bool op_build(struct pickle_machine *m, struct error *err)
{
    pickle_ref state, object;

    if (!pickle_machine_pop(m, &state, err) || !pickle_machine_top(m, &object, err))
        return false;
    if (value_at(m, object)->kind != PICKLE_CALL)
        return pickle_machine_bad(m, err, "gives a state to what is no object");
    value_at(m, object)->object.state = state;
    return true;
}

static bool op_persid(struct pickle_machine *m, struct error *err)
{
    struct pickle_value v = {.kind = PICKLE_REFERENCE};
    return pickle_machine_pop(m, &v.object.args, err) && pickle_machine_push_new(m, v, err);
}

/* The table of operations. */

enum argument {
    ARG_NONE,
    ARG_U1,
    ARG_U2,
    ARG_U4,
    ARG_U8,
    ARG_TEXT1, /* a length of 1, 4 or 8 bytes and as many bytes */
    ARG_TEXT4,
    ARG_TEXT8,
    ARG_LINES, /* two lines */
};

struct operation {
    unsigned char code;
    enum argument argument;
    const char *name; /* as pickletools calls it */
    bool (*run)(struct pickle_machine *, struct error *);
};

static const struct operation operations[] = {
    {0x80, ARG_U1, "PROTO", op_proto},
    {0x95, ARG_U8, "FRAME", op_nothing}, /* a hint for readers of streams */
    {'.', ARG_NONE, "STOP", op_stop},
    {'(', ARG_NONE, "MARK", op_mark},
    {'0', ARG_NONE, "POP", op_pop},
    {'1', ARG_NONE, "POP_MARK", op_pop_mark},
    {'2', ARG_NONE, "DUP", op_dup},
    {'N', ARG_NONE, "NONE", op_none},
    {0x88, ARG_NONE, "NEWTRUE", op_true},
    {0x89, ARG_NONE, "NEWFALSE", op_false},
    {'J', ARG_U4, "BININT", op_signed},
    {'K', ARG_U1, "BININT1", op_unsigned},
    {'M', ARG_U2, "BININT2", op_unsigned},
    {0x8a, ARG_TEXT1, "LONG1", op_long},
    {0x8b, ARG_TEXT4, "LONG4", op_long},
    {'G', ARG_U8, "BINFLOAT", op_float},
    {'T', ARG_TEXT4, "BINSTRING", op_text},
    {'U', ARG_TEXT1, "SHORT_BINSTRING", op_text},
    {'X', ARG_TEXT4, "BINUNICODE", op_text},
    {0x8c, ARG_TEXT1, "SHORT_BINUNICODE", op_text},
    {0x8d, ARG_TEXT8, "BINUNICODE8", op_text},
    {'B', ARG_TEXT4, "BINBYTES", op_bytes},
    {'C', ARG_TEXT1, "SHORT_BINBYTES", op_bytes},
    {0x8e, ARG_TEXT8, "BINBYTES8", op_bytes},
    {0x96, ARG_TEXT8, "BYTEARRAY8", op_bytes},
    {')', ARG_NONE, "EMPTY_TUPLE", op_empty_tuple},
    {'t', ARG_NONE, "TUPLE", op_tuple},
    {0x85, ARG_NONE, "TUPLE1", op_tuple1},
    {0x86, ARG_NONE, "TUPLE2", op_tuple2},
    {0x87, ARG_NONE, "TUPLE3", op_tuple3},
    {']', ARG_NONE, "EMPTY_LIST", op_empty_list},
    {'l', ARG_NONE, "LIST", op_list},
    {'a', ARG_NONE, "APPEND", op_append},
    {'e', ARG_NONE, "APPENDS", op_appends},
    {'}', ARG_NONE, "EMPTY_DICT", op_empty_dict},
    {'d', ARG_NONE, "DICT", op_dict},
    {'s', ARG_NONE, "SETITEM", op_setitem},
    {'u', ARG_NONE, "SETITEMS", op_setitems},
    {0x8f, ARG_NONE, "EMPTY_SET", op_empty_set},
    {0x90, ARG_NONE, "ADDITEMS", op_appends},
    {0x91, ARG_NONE, "FROZENSET", op_frozenset},
    {'q', ARG_U1, "BINPUT", op_put},
    {'r', ARG_U4, "LONG_BINPUT", op_put},
    {0x94, ARG_NONE, "MEMOIZE", op_memoize},
    {'h', ARG_U1, "BINGET", op_get},
    {'j', ARG_U4, "LONG_BINGET", op_get},
    {'c', ARG_LINES, "GLOBAL", op_global},
    {0x93, ARG_NONE, "STACK_GLOBAL", op_stack_global},
    {'R', ARG_NONE, "REDUCE", op_call},
    {0x81, ARG_NONE, "NEWOBJ", op_call},
    {0x92, ARG_NONE, "NEWOBJ_EX", op_newobj_ex},
    {'b', ARG_NONE, "BUILD", op_build},
    {'Q', ARG_NONE, "BINPERSID", op_persid},
    /* Known, for the message; torch.save writes none of them. */
    {'i', ARG_NONE, "INST", NULL},
    {'o', ARG_NONE, "OBJ", NULL},
    {'I', ARG_NONE, "INT", NULL},
    {'L', ARG_NONE, "LONG", NULL},
    {'F', ARG_NONE, "FLOAT", NULL},
    {'S', ARG_NONE, "STRING", NULL},
    {'V', ARG_NONE, "UNICODE", NULL},
    {'g', ARG_NONE, "GET", NULL},
    {'p', ARG_NONE, "PUT", NULL},
    {'P', ARG_NONE, "PERSID", NULL},
    {0x82, ARG_NONE, "EXT1", NULL},
    {0x83, ARG_NONE, "EXT2", NULL},
    {0x84, ARG_NONE, "EXT4", NULL},
    {0x97, ARG_NONE, "NEXT_BUFFER", NULL},
    {0x98, ARG_NONE, "READONLY_BUFFER", NULL},
};

static bool cut_short(const struct pickle_machine *m, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "the pickle is cut short, at byte %zu", m->op_at);
}

static bool take_number(struct pickle_machine *m, size_t n, struct error *err)
{
    if (m->n_bytes - m->at < n)
        return cut_short(m, err);
    m->number = 0;
    for (size_t i = n; i-- > 0;)
        m->number = m->number << 8 | m->bytes[m->at + i];
    m->at += n;
    return true;
}

static bool take_text(struct pickle_machine *m, size_t length_bytes, struct error *err)
{
    if (!take_number(m, length_bytes, err))
        return false;
    if (m->number > m->n_bytes - m->at)
        return cut_short(m, err);
    /* No pickle is longer than PICKLE_MAX_BYTES, so the length fits. */
    m->text = (struct pickle_text){(const char *)m->bytes + m->at, (uint32_t)m->number};
    m->at += (size_t)m->number;
    return true;
}

static bool take_line(struct pickle_machine *m, struct pickle_text *line, struct error *err)
{
    const unsigned char *from = m->bytes + m->at;
    const unsigned char *end = m->n_bytes > m->at ? memchr(from, '\n', m->n_bytes - m->at) : NULL;
    if (!end)
        return cut_short(m, err);
    *line = (struct pickle_text){(const char *)from, (uint32_t)(end - from)};
    m->at += line->len + 1u;
    return true;
}

static bool take_argument(struct pickle_machine *m, enum argument argument, struct error *err)
{
    switch (argument) {
    case ARG_U1:
        return take_number(m, 1, err);
    case ARG_U2:
        return take_number(m, 2, err);
    case ARG_U4:
        return take_number(m, 4, err);
    case ARG_U8:
        return take_number(m, 8, err);
    case ARG_TEXT1:
        return take_text(m, 1, err);
    case ARG_TEXT4:
        return take_text(m, 4, err);
    case ARG_TEXT8:
        return take_text(m, 8, err);
    case ARG_LINES:
        return take_line(m, &m->text, err) && take_line(m, &m->text2, err);
    default:
        return true;
    }
}

static bool run(struct pickle_machine *m, struct error *err)
{
    const struct pickle_value first[] = {{.kind = PICKLE_NONE},
                                         {.kind = PICKLE_BOOL, .number = 1},
                                         {.kind = PICKLE_BOOL, .number = 0}};
    const struct operation *by_code[256] = {0};
    pickle_ref ignored;

    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        by_code[operations[i].code] = &operations[i];
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
        if (!pickle_machine_new_value(m, &ignored, first[i], err))
            return false;
    if (m->n_bytes < 2 || m->bytes[0] != 0x80)
        return error_set(err, ERROR_CORRUPT, "is no pickle of protocol 2 or later");
    while (!m->stopped) {
        m->op_at = m->at;
        if (m->at == m->n_bytes)
            return cut_short(m, err);
        unsigned char code = m->bytes[m->at++];
        const struct operation *op = by_code[code];
        if (!op || !op->run)
            return error_set(err, ERROR_CORRUPT,
                             "has operation 0x%02x (%s) at byte %zu of the pickle, which is not "
                             "read",
                             code, op ? op->name : "unknown", m->op_at);
        if (!take_argument(m, op->argument, err) || !op->run(m, err))
            return false;
    }
    m->p->n_bytes = m->at;
    return true;
}

bool pickle_read(struct pickle *out, const unsigned char *bytes, size_t n_bytes,
                 pickle_allow_fn allow, struct error *err)
{
    *out = (struct pickle){0};
    struct pickle_machine m = {.p = out,
                               .bytes = bytes,
                               .n_bytes = n_bytes < PICKLE_MAX_BYTES ? n_bytes : PICKLE_MAX_BYTES,
                               .allow = allow};
    bool ok = run(&m, err);
    pickle_machine_clear(&m);
    if (!ok)
        pickle_clear(out);
    return ok;
}

void pickle_clear(struct pickle *p)
{
    free(p->values);
    free(p->items);
    *p = (struct pickle){0};
}

static bool same(struct pickle_text text, const char *other)
{
    return strlen(other) == text.len && memcmp(text.ptr, other, text.len) == 0;
}

bool pickle_is_text(const struct pickle_value *v, const char *text)
{
    return v->kind == PICKLE_TEXT && same(v->text, text);
}

bool pickle_is_name(const struct pickle_value *v, const char *module, const char *name)
{
    return v->kind == PICKLE_NAME && same(v->name.module, module) &&
           same((struct pickle_text){v->name.name, v->name.name_len}, name);
}

bool pickle_items(const struct pickle *p, const struct pickle_value *v, pickle_ref *out, uint32_t n)
{
    if (v->kind < PICKLE_TUPLE || v->kind == PICKLE_NAME || v->n_items != n)
        return false;
    uint32_t at = v->object.first;
    for (uint32_t i = 0; i < n; i++) {
        out[i] = p->items[at].value;
        at = p->items[at].next;
    }
    return true;
}
