#include "text/prompt_schedule_parse.h"

#include "base/assert.h"
#include "text/prompt_scan.h"

#include <stdlib.h>
#include <string.h>

enum {
    NONE = -1,
    NODES_PER_BYTE = 4,         /* "()" makes four of two bytes */
    MAX_PROMPT_BYTES = 16 << 20 /* far above every limit of requests; keeps places in 32 bits */
};

struct parser {
    const char *text;
    size_t len, at;
    struct prompt_steps steps;
    struct prompt_node *nodes;
    int n_nodes, max_nodes;
    int depth;
    bool too_deep;
};

/* What ends a sequence besides a bracket that closes. */
enum context {
    AT_START,   /* nothing does: what fits nowhere is text */
    IN_OPTIONS, /* between [ and ], where | separates */
    IN_TEXT     /* where | is text */
};

static int parse_sequence(struct parser *p, enum context context);

static int new_node(struct parser *p, enum prompt_node_kind kind)
{
    ASSERT(p->n_nodes < p->max_nodes);
    p->nodes[p->n_nodes] = (struct prompt_node){.kind = kind, .first = NONE, .next = NONE};
    return p->n_nodes++;
}

/* *last is the parent's last child, which saves the search. */
static void append(struct parser *p, int parent, int *last, int child)
{
    if (*last == NONE)
        p->nodes[parent].first = child;
    else
        p->nodes[*last].next = child;
    *last = child;
    p->nodes[parent].n_children++;
}

static void append_text(struct parser *p, int parent, int *last, size_t at, size_t len)
{
    struct prompt_node *tail = *last == NONE ? NULL : &p->nodes[*last];

    if (tail && tail->kind == PROMPT_NODE_TEXT && tail->at + tail->len == at) {
        tail->len += (uint32_t)len;
        return;
    }
    const int child = new_node(p, PROMPT_NODE_TEXT);
    p->nodes[child].at = (uint32_t)at;
    p->nodes[child].len = (uint32_t)len;
    append(p, parent, last, child);
}

static bool at_char(const struct parser *p, char c)
{
    return p->at < p->len && p->text[p->at] == c;
}

/* The step a number means, as the reference's collect_steps does. */
static int step_of(const struct parser *p, double v, bool is_fraction)
{
    const int steps = p->steps.steps;

    if (is_fraction)
        v = (v - (p->steps.first_steps > 0 ? 1 : 0)) * steps;
    else
        v -= p->steps.first_steps;
    if (v >= steps)
        return steps;
    return v < 1 ? 0 : (int)v;
}

/* Reads "0.5]", spaces allowed around the number. */
static bool read_when(struct parser *p, int *when)
{
    const size_t begin = prompt_scan_skip_spaces(p->text, p->len, p->at);
    size_t end = begin;
    double v;

    if (!prompt_scan_number(&v, p->text, p->len, &end, PROMPT_SCAN_EXPONENT))
        return false;
    const size_t close = prompt_scan_skip_spaces(p->text, p->len, end);
    if (close == p->len || p->text[close] != ']')
        return false;
    *when = step_of(p, v, memchr(p->text + begin, '.', end - begin) != NULL);
    p->at = close + 1;
    return true;
}

/* "(a)", "(a:b)" and "[a]" stay as they stand around what is in them. */
static int finish_group(struct parser *p, size_t open, int inner, size_t colon, int second)
{
    const int group = new_node(p, PROMPT_NODE_SEQUENCE);
    int last = NONE;

    append_text(p, group, &last, open, 1);
    append(p, group, &last, inner);
    if (second != NONE) {
        append_text(p, group, &last, colon, 1);
        append(p, group, &last, second);
    }
    append_text(p, group, &last, p->at, 1);
    p->at++;
    return group;
}

static int parse_round(struct parser *p)
{
    const size_t open = p->at++;
    const int first = parse_sequence(p, IN_TEXT);
    const size_t colon = p->at;
    int second = NONE;

    if (first == NONE)
        return NONE;
    if (at_char(p, ':')) {
        p->at++;
        second = parse_sequence(p, IN_TEXT);
        if (second == NONE)
            return NONE;
    }
    return at_char(p, ')') ? finish_group(p, open, first, colon, second) : NONE;
}

/* The part behind the first ":" of "[a:b:when]" or "[b:when]". */
static int parse_edit(struct parser *p, int first)
{
    int when, before = NONE, after = first;

    p->at++;
    if (!read_when(p, &when)) {
        before = first;
        after = parse_sequence(p, IN_TEXT);
        if (after == NONE || !at_char(p, ':'))
            return NONE;
        p->at++;
        if (!read_when(p, &when))
            return NONE;
    }
    if (before == NONE)
        before = new_node(p, PROMPT_NODE_SEQUENCE);
    const int edit = new_node(p, PROMPT_NODE_EDIT);
    int last = NONE;
    append(p, edit, &last, before);
    append(p, edit, &last, after);
    p->nodes[edit].when = when;
    return edit;
}

/* Options that turn out to be text: one sequence, each | a part of it.  Reading them again instead
 * would double the work with every bracket they are in. */
static int join_options(struct parser *p, int options)
{
    const int sequence = new_node(p, PROMPT_NODE_SEQUENCE);
    int last = NONE, option = p->nodes[options].first;

    while (option != NONE) {
        const int next = p->nodes[option].next;
        p->nodes[option].next = NONE;
        append(p, sequence, &last, option);
        if (next != NONE)
            append_text(p, sequence, &last, p->nodes[option].at, 1);
        option = next;
    }
    p->nodes[options] = (struct prompt_node){.kind = PROMPT_NODE_SEQUENCE, .first = NONE};
    return sequence;
}

static int parse_square(struct parser *p)
{
    const size_t open = p->at++;
    const int options = new_node(p, PROMPT_NODE_ALTERNATE);
    int last = NONE;

    for (;; p->at++) {
        const int option = parse_sequence(p, IN_OPTIONS);
        if (option == NONE)
            return NONE;
        p->nodes[option].at = (uint32_t)p->at; /* of the | behind it */
        append(p, options, &last, option);
        if (!at_char(p, '|'))
            break;
    }
    if (at_char(p, ']')) {
        if (p->nodes[options].n_children == 1)
            return finish_group(p, open, join_options(p, options), 0, NONE);
        p->at++;
        return options;
    }
    if (!at_char(p, ':'))
        return NONE;
    return parse_edit(p, join_options(p, options));
}

/* NONE, with all nodes and bytes given back, when no group begins here. */
static int parse_group(struct parser *p)
{
    const size_t at = p->at;
    const int n_nodes = p->n_nodes;
    int group = NONE;

    if (p->depth == PROMPT_SCAN_MAX_DEPTH) {
        p->too_deep = true;
    } else {
        p->depth++;
        group = p->text[at] == '(' ? parse_round(p) : parse_square(p);
        p->depth--;
    }
    if (group == NONE) {
        p->at = at;
        p->n_nodes = n_nodes;
    }
    return group;
}

/* Bytes up to the next special character; a backslash takes the one behind it along. */
static size_t plain_run(const struct parser *p)
{
    size_t at = p->at;

    while (at < p->len && (p->text[at] == '\0' || !strchr("()[]:|", p->text[at])))
        at += p->text[at] == '\\' && at + 1 < p->len ? 2 : 1;
    return at - p->at;
}

/* NONE when a bracket in it begins no group, but at the start. */
static int parse_sequence(struct parser *p, enum context context)
{
    const int sequence = new_node(p, PROMPT_NODE_SEQUENCE);
    int last = NONE;

    while (p->at < p->len && !p->too_deep) {
        size_t text = plain_run(p);
        if (at_char(p, '(') || at_char(p, '[')) {
            const int group = parse_group(p);
            if (group != NONE)
                append(p, sequence, &last, group);
            else if (context == AT_START)
                text = 1;
            else
                return NONE;
        } else if (text == 0) {
            if (context != AT_START && (context != IN_TEXT || !at_char(p, '|')))
                break;
            text = 1;
        }
        if (text) {
            append_text(p, sequence, &last, p->at, text);
            p->at += text;
        }
    }
    return p->too_deep ? NONE : sequence;
}

bool prompt_schedule_parse_tree(struct prompt_tree *out, const char *prompt, size_t len,
                                struct prompt_steps steps, struct error *err)
{
    struct parser p = {.text = prompt, .len = len, .steps = steps};

    if (len > MAX_PROMPT_BYTES)
        return error_set(err, ERROR_LIMIT, "the prompt has %zu bytes; %d are possible", len,
                         MAX_PROMPT_BYTES);
    p.max_nodes = (int)len * NODES_PER_BYTE + NODES_PER_BYTE;
    p.nodes = malloc((size_t)p.max_nodes * sizeof *p.nodes);
    if (!p.nodes)
        return error_set(err, ERROR_MEMORY, "no memory for a prompt of %zu bytes", len);
    const int root = parse_sequence(&p, AT_START);
    if (root == NONE) {
        free(p.nodes);
        return error_set(err, ERROR_INVALID, "the prompt's brackets are more than %d deep",
                         PROMPT_SCAN_MAX_DEPTH);
    }
    *out = (struct prompt_tree){p.nodes, p.n_nodes, root};
    return true;
}
