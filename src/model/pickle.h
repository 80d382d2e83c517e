/* Reads Python's pickle format as data: the values it describes, with nothing executed.
 *
 * A pickle is a program for a small stack machine, and the usual machine calls whatever function
 * the file names.  This one has no way to call anything: a name stays a name, and a call becomes a
 * value that says what was to be called with what (PICKLE_CALL).  What such a value means is for
 * the caller to know.  Names the caller does not allow are refused on sight.
 *
 * Everything is bounded: values, items, depth of the stack, the memo.  Texts are never copied. */
#ifndef MODEL_PICKLE_H
#define MODEL_PICKLE_H

#include "base/error.h"

#include <stdint.h>

enum {
    PICKLE_MAX_BYTES = 64 << 20, /* of one pickle */
    PICKLE_MAX_VALUES = 1 << 21,
    PICKLE_MAX_ITEMS = 1 << 22, /* of all tuples, lists and dictionaries together */
    PICKLE_MAX_STACK = 1 << 20, /* values and marks that wait for their use */
    PICKLE_MAX_MEMO = 1 << 21,
    PICKLE_MAX_NAME_BYTES = 256, /* of a module, and of a name in it */
};

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,  /* number is 0 or 1 */
    PICKLE_INT,   /* number */
    PICKLE_LONG,  /* a whole number of more than 64 bits: text has its little-endian bytes */
    PICKLE_FLOAT, /* real */
    PICKLE_TEXT,  /* text; not checked to be UTF-8 */
    PICKLE_BYTES, /* text */
    PICKLE_TUPLE, /* items */
    PICKLE_LIST,  /* items */
    PICKLE_SET,   /* items */
    PICKLE_DICT,  /* items: key, value, key, value... */
    PICKLE_NAME,  /* something of a Python module: module and name */
    PICKLE_CALL,  /* an object: callee and args by which it was to be made, a state, and key-value
                     items that were to be set in it */
    PICKLE_REFERENCE, /* a "persistent id": args is what identifies it */
};

typedef uint32_t pickle_ref; /* a value's place in pickle.values; 0 is None */

struct pickle_text {
    const char *ptr; /* borrowed from the pickle's bytes; not terminated */
    uint32_t len;
};

struct pickle_object {
    uint32_t first, last;           /* places in pickle.items; meaningless when n_items is 0 */
    pickle_ref callee, args, state; /* of PICKLE_CALL; args of PICKLE_REFERENCE */
};

struct pickle_value {
    enum pickle_kind kind;
    uint32_t n_items;
    union {
        int64_t number;
        double real;
        struct pickle_text text;
        struct {
            struct pickle_text module;
            const char *name;
            uint32_t name_len;
        } name;
        struct pickle_object object;
    };
};

/* Items of one value are chained, since a value may grow while others do. */
struct pickle_item {
    pickle_ref value;
    uint32_t next; /* place in pickle.items */
};

/* Zero is a pickle of nothing.  Values may contain themselves. */
struct pickle {
    struct pickle_value *values; /* owned */
    struct pickle_item *items;   /* owned */
    size_t n_values, n_items, values_cap, items_cap;
    pickle_ref root;
    size_t n_bytes; /* how many bytes it took; what follows is the caller's */
};

/* Whether a pickle may speak of this name at all.  Texts are not terminated. */
typedef bool (*pickle_allow_fn)(struct pickle_text module, struct pickle_text name);

/* Reads one pickle of protocol 2 to 5 from the start of bytes, which are borrowed for as long as
 * the values live. */
bool pickle_read(struct pickle *out, const unsigned char *bytes, size_t n_bytes,
                 pickle_allow_fn allow, struct error *err) MUST_CHECK;

void pickle_clear(struct pickle *p);

/* True when v is a text of exactly these bytes. */
bool pickle_is_text(const struct pickle_value *v, const char *text);

/* True when v is the name module.name. */
bool pickle_is_name(const struct pickle_value *v, const char *module, const char *name);

/* The first n items of v.  False when v has not exactly n, or is nothing that has items. */
bool pickle_items(const struct pickle *p, const struct pickle_value *v, pickle_ref *out,
                  uint32_t n);

#endif
