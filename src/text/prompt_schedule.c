#include "text/prompt_schedule.h"

#include "base/assert.h"
#include "base/buf.h"
#include "text/prompt_schedule_parse.h"

#include <stdlib.h>
#include <string.h>

/* Adds the prompt's text at a step. */
static void render(struct buf *to, const struct prompt_tree *tree, int node, const char *prompt,
                   int step)
{
    const struct prompt_node *n = &tree->nodes[node];
    int child = n->first;

    switch (n->kind) {
    case PROMPT_NODE_TEXT:
        buf_add(to, prompt + n->at, n->len);
        break;
    case PROMPT_NODE_SEQUENCE:
        for (; child >= 0; child = tree->nodes[child].next)
            render(to, tree, child, prompt, step);
        break;
    case PROMPT_NODE_EDIT:
        if (step > n->when)
            child = tree->nodes[child].next;
        render(to, tree, child, prompt, step);
        break;
    case PROMPT_NODE_ALTERNATE:
        for (int skip = (step - 1) % n->n_children; skip > 0; skip--)
            child = tree->nodes[child].next;
        render(to, tree, child, prompt, step);
        break;
    }
}

/* Whether the prompt may be another one after a step. */
static void mark_steps(bool *ends, const struct prompt_tree *tree, int steps)
{
    memset(ends, 0, (size_t)steps + 1);
    ends[steps] = true;
    for (int i = 0; i < tree->n_nodes; i++) {
        const struct prompt_node *n = &tree->nodes[i];
        if (n->kind == PROMPT_NODE_ALTERNATE && n->n_children > 1)
            memset(ends, 1, (size_t)steps + 1);
        else if (n->kind == PROMPT_NODE_EDIT && n->when >= 1)
            ends[n->when] = true;
    }
}

static bool has_room(struct prompt_schedule *s, int steps, struct error *err)
{
    *s = (struct prompt_schedule){0};
    s->parts = calloc((size_t)steps, sizeof *s->parts);
    s->texts = calloc((size_t)steps, sizeof *s->texts);
    return (s->parts && s->texts) ||
           error_set(err, ERROR_MEMORY, "no memory for a prompt over %d steps", steps);
}

/* Finds or keeps a text; *left is how many bytes more may be kept. */
static bool keep_text(struct prompt_schedule *s, int *place, const char *text, size_t len,
                      size_t *left, struct error *err)
{
    for (*place = 0; *place < s->n_texts; ++*place)
        if (strncmp(s->texts[*place], text, len) == 0 && s->texts[*place][len] == '\0')
            return true;
    if (len + 1 > *left)
        return error_set(err, ERROR_LIMIT,
                         "the prompt's texts of all steps have more than %d bytes",
                         PROMPT_SCHEDULE_MAX_BYTES);
    char *copy = malloc(len + 1);
    if (!copy)
        return error_set(err, ERROR_MEMORY, "no memory for a prompt of %zu bytes", len);
    memcpy(copy, text, len);
    copy[len] = '\0';
    *left -= len + 1;
    s->texts[s->n_texts++] = copy;
    return true;
}

static bool list_parts(struct prompt_schedule *s, const struct prompt_tree *tree,
                       const char *prompt, size_t len, int steps, struct error *err)
{
    size_t left = PROMPT_SCHEDULE_MAX_BYTES;
    bool *ends = malloc((size_t)steps + 1);
    struct buf text;
    bool ok = ends != NULL || error_set(err, ERROR_MEMORY, "no memory for %d steps", steps);

    buf_init(&text, len + 1);
    if (ok)
        mark_steps(ends, tree, steps);
    for (int step = 1; ok && step <= steps; step++) {
        if (!ends[step])
            continue;
        struct prompt_part *part = &s->parts[s->n_parts];
        text.len = 0;
        render(&text, tree, tree->root, prompt, step);
        buf_add(&text, "", 1);
        ok = !text.failed || error_set(err, ERROR_MEMORY, "no memory for a prompt");
        ok = ok && keep_text(s, &part->text, text.bytes, text.len - 1, &left, err);
        part->last_step = step;
        s->n_parts += ok;
    }
    buf_clear(&text);
    free(ends);
    return ok;
}

bool prompt_schedule_parse(struct prompt_schedule *out, const char *prompt, size_t len,
                           struct prompt_steps steps, struct error *err)
{
    struct prompt_tree tree = {0};

    ASSERT(steps.steps >= 1 && steps.first_steps >= 0);
    *out = (struct prompt_schedule){0};
    if (!prompt_schedule_parse_tree(&tree, prompt, len, steps, err))
        return false;
    const bool ok =
        has_room(out, steps.steps, err) && list_parts(out, &tree, prompt, len, steps.steps, err);
    free(tree.nodes);
    if (!ok)
        prompt_schedule_clear(out);
    return ok;
}

bool prompt_schedule_literal(struct prompt_schedule *out, const char *prompt, size_t len, int steps,
                             struct error *err)
{
    size_t left = PROMPT_SCHEDULE_MAX_BYTES;

    if (!has_room(out, 1, err) || !keep_text(out, &out->parts[0].text, prompt, len, &left, err)) {
        prompt_schedule_clear(out);
        return false;
    }
    out->parts[0].last_step = steps;
    out->n_parts = 1;
    return true;
}

int prompt_schedule_at(const struct prompt_schedule *s, int step)
{
    int i = 0;
    while (i + 1 < s->n_parts && s->parts[i].last_step < step)
        i++;
    return s->parts[i].text;
}

void prompt_schedule_clear(struct prompt_schedule *s)
{
    for (int i = 0; i < s->n_texts; i++)
        free(s->texts[i]);
    free(s->texts);
    free(s->parts);
    *s = (struct prompt_schedule){0};
}
