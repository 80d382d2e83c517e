#include "model/pickle_machine.h"

#include <stdlib.h>

enum { MIN_CAP = 256 };

static const uint32_t unset = UINT32_MAX; /* no value has this place */

bool pickle_machine_bad(const struct pickle_machine *m, struct error *err, const char *what)
{
    error_set(err, ERROR_CORRUPT, "%s, at byte %zu of the pickle", what, m->op_at);
    return false; /* said here so that the compiler sees that results stay unused */
}

/* Growing, up to a bound each. */

static bool grow(void **array, size_t *cap, size_t n, size_t size, size_t max)
{
    if (n < *cap)
        return true;
    if (n >= max)
        return false;
    size_t more = *cap ? *cap * 2 : MIN_CAP; /* far from wrapping: max is small */
    if (more > max)
        more = max;
    void *bigger = realloc(*array, more * size);
    if (!bigger)
        return false;
    *array = bigger;
    *cap = more;
    return true;
}

static bool push_height(struct pickle_heights *h, uint32_t value)
{
    void *at = h->at;
    bool ok = grow(&at, &h->cap, h->n, sizeof *h->at, PICKLE_MAX_STACK);
    h->at = at;
    if (ok)
        h->at[h->n++] = value;
    return ok;
}

bool pickle_machine_push(struct pickle_machine *m, pickle_ref ref, struct error *err)
{
    return push_height(&m->stack, ref) || pickle_machine_bad(m, err, "too much waits on the stack");
}

bool pickle_machine_new_value(struct pickle_machine *m, pickle_ref *out, struct pickle_value value,
                              struct error *err)
{
    void *values = m->p->values;
    bool ok = grow(&values, &m->p->values_cap, m->p->n_values, sizeof value, PICKLE_MAX_VALUES);
    m->p->values = values;
    if (!ok) {
        error_set(err, ERROR_LIMIT, "has more than %d values, or no memory for them",
                  PICKLE_MAX_VALUES);
        return false;
    }
    *out = (pickle_ref)m->p->n_values;
    m->p->values[m->p->n_values++] = value;
    return true;
}

bool pickle_machine_push_new(struct pickle_machine *m, struct pickle_value value, struct error *err)
{
    pickle_ref ref;
    return pickle_machine_new_value(m, &ref, value, err) && pickle_machine_push(m, ref, err);
}

bool pickle_machine_add_item(struct pickle_machine *m, pickle_ref to, pickle_ref item,
                             struct error *err)
{
    void *items = m->p->items;
    bool ok = grow(&items, &m->p->items_cap, m->p->n_items, sizeof *m->p->items, PICKLE_MAX_ITEMS);
    m->p->items = items;
    if (!ok)
        return error_set(err, ERROR_LIMIT, "has more than %d items, or no memory for them",
                         PICKLE_MAX_ITEMS);
    uint32_t place = (uint32_t)m->p->n_items++;
    struct pickle_value *v = &m->p->values[to];
    m->p->items[place] = (struct pickle_item){.value = item};
    if (v->n_items++ == 0)
        v->object.first = place;
    else
        m->p->items[v->object.last].next = place;
    v->object.last = place;
    return true;
}

/* The stack. */

size_t pickle_machine_floor_of(const struct pickle_machine *m)
{
    return m->marks.n ? m->marks.at[m->marks.n - 1] : 0;
}

bool pickle_machine_pop(struct pickle_machine *m, pickle_ref *out, struct error *err)
{
    if (m->stack.n <= pickle_machine_floor_of(m))
        return pickle_machine_bad(m, err, "takes from an empty stack");
    *out = m->stack.at[--m->stack.n];
    return true;
}

bool pickle_machine_top(const struct pickle_machine *m, pickle_ref *out, struct error *err)
{
    if (m->stack.n <= pickle_machine_floor_of(m))
        return pickle_machine_bad(m, err, "looks at an empty stack");
    *out = m->stack.at[m->stack.n - 1];
    return true;
}

/* The place on the stack where the values since the last mark begin; the mark is taken away. */
bool pickle_machine_pop_mark(struct pickle_machine *m, size_t *first, struct error *err)
{
    if (m->marks.n == 0)
        return pickle_machine_bad(m, err, "asks for a mark that is not there");
    *first = m->marks.at[--m->marks.n];
    return true;
}

bool pickle_machine_push_mark(struct pickle_machine *m, struct error *err)
{
    return push_height(&m->marks, (uint32_t)m->stack.n) ||
           pickle_machine_bad(m, err, "too many marks");
}

/* The memo. */

bool pickle_machine_remember(struct pickle_machine *m, uint64_t place, struct error *err)
{
    pickle_ref ref;
    struct pickle_heights *memo = &m->memo;

    if (!pickle_machine_top(m, &ref, err))
        return false;
    if (place >= PICKLE_MAX_MEMO)
        return pickle_machine_bad(m, err, "remembers too much");
    while (memo->n <= place) {
        void *at = memo->at;
        bool ok = grow(&at, &memo->cap, memo->n, sizeof *memo->at, PICKLE_MAX_MEMO);
        memo->at = at;
        if (!ok)
            return error_set(err, ERROR_MEMORY, "no memory for a pickle");
        memo->at[memo->n++] = unset;
    }
    memo->at[place] = ref;
    return true;
}

bool pickle_machine_recall(const struct pickle_machine *m, uint64_t place, pickle_ref *out,
                           struct error *err)
{
    if (place >= m->memo.n || m->memo.at[place] == unset)
        return pickle_machine_bad(m, err, "recalls what it never remembered");
    *out = m->memo.at[place];
    return true;
}

void pickle_machine_clear(struct pickle_machine *m)
{
    free(m->stack.at);
    free(m->marks.at);
    free(m->memo.at);
}
