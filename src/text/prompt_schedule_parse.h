/* The tree of a prompt with editing.  Internal to text/. */
#ifndef TEXT_PROMPT_SCHEDULE_PARSE_H
#define TEXT_PROMPT_SCHEDULE_PARSE_H

#include "text/prompt_schedule.h"

#include <stdint.h>

enum prompt_node_kind {
    PROMPT_NODE_TEXT,
    PROMPT_NODE_SEQUENCE,
    PROMPT_NODE_EDIT,     /* two children, sequences: up to the step `when`, and after it */
    PROMPT_NODE_ALTERNATE /* n_children sequences */
};

struct prompt_node {
    enum prompt_node_kind kind;
    uint32_t at, len; /* a text's bytes */
    int first, next;  /* first child and next sibling, -1: none */
    int n_children;
    int when; /* a step of this pass; below 1: `after` from the start */
};

struct prompt_tree {
    struct prompt_node *nodes; /* owned */
    int n_nodes, root;
};

/* On true the caller frees out->nodes. */
bool prompt_schedule_parse_tree(struct prompt_tree *out, const char *prompt, size_t len,
                                struct prompt_steps steps, struct error *err) MUST_CHECK;

#endif
