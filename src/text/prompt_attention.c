#include "text/prompt_attention.h"

#include "base/size.h"
#include "text/prompt_scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where the open brackets of one kind stand: the number of pieces there were. */
struct brackets {
    size_t first_piece[PROMPT_SCAN_MAX_DEPTH];
    int depth;
};

struct parser {
    const char *text;
    size_t len, at;
    struct prompt_pieces *out;
    size_t n_text;
    struct brackets rounds, squares;
};

static bool make_room(struct prompt_pieces *out, size_t len, struct error *err)
{
    size_t n, bytes;

    /* Each byte begins at most one piece; BREAK's five make two, and an empty text one. */
    *out = (struct prompt_pieces){0};
    if (size_add(&n, len, 2) && size_mul(&bytes, n, sizeof *out->pieces)) {
        out->text = malloc(len + 1);
        out->pieces = malloc(bytes);
    }
    if (out->text && out->pieces)
        return true;
    prompt_attention_clear(out);
    return error_set(err, ERROR_MEMORY, "no memory for a prompt of %zu bytes", len);
}

static void add_text(struct parser *p, const char *text, size_t len)
{
    p->out->pieces[p->out->n++] = (struct prompt_piece){p->n_text, len, 1, false};
    memcpy(p->out->text + p->n_text, text, len);
    p->n_text += len;
}

static void multiply_from(struct prompt_pieces *out, size_t first, double factor)
{
    for (size_t i = first; i < out->n; i++)
        out->pieces[i].weight *= factor;
}

static bool open_bracket(struct parser *p, struct brackets *b, struct error *err)
{
    if (b->depth == PROMPT_SCAN_MAX_DEPTH)
        return error_set(err, ERROR_INVALID,
                         "the prompt has more than %d open brackets at byte %zu",
                         PROMPT_SCAN_MAX_DEPTH, p->at);
    b->first_piece[b->depth++] = p->out->n;
    p->at++;
    return true;
}

/* Reads ":1.2)", spaces allowed around the number, when it stands here. */
static bool read_weight(struct parser *p, double *weight)
{
    size_t at = prompt_scan_skip_spaces(p->text, p->len, p->at + 1);

    if (!prompt_scan_number(weight, p->text, p->len, &at, PROMPT_SCAN_PLAIN))
        return false;
    at = prompt_scan_skip_spaces(p->text, p->len, at);
    if (at == p->len || p->text[at] != ')')
        return false;
    p->at = at + 1;
    return true;
}

static bool is_special(char c)
{
    return c != '\0' && strchr("\\()[]:", c) != NULL;
}

/* A run without special characters; the spaces around a BREAK go with it. */
static void add_run(struct parser *p)
{
    const size_t begin = p->at;
    while (p->at < p->len && !is_special(p->text[p->at]))
        p->at++;

    const char *run = p->text + begin;
    const size_t len = p->at - begin;
    size_t from = 0, found;
    while (prompt_scan_word(&found, run, len, from, "BREAK")) {
        size_t end = found;
        while (end > from && prompt_scan_is_space(run[end - 1]))
            end--;
        add_text(p, run + from, end - from);
        p->out->pieces[p->out->n++] = (struct prompt_piece){.weight = 1, .is_break = true};
        from = prompt_scan_skip_spaces(run, len, found + strlen("BREAK"));
    }
    add_text(p, run + from, len - from);
}

static bool parse_next(struct parser *p, struct error *err)
{
    const char c = p->text[p->at];
    double weight;

    if (c == '(' || c == '[')
        return open_bracket(p, c == '(' ? &p->rounds : &p->squares, err);
    if (c == ':' && p->rounds.depth > 0 && read_weight(p, &weight)) {
        multiply_from(p->out, p->rounds.first_piece[--p->rounds.depth], weight);
    } else if (c == ')' && p->rounds.depth > 0) {
        multiply_from(p->out, p->rounds.first_piece[--p->rounds.depth], 1.1);
        p->at++;
    } else if (c == ']' && p->squares.depth > 0) {
        multiply_from(p->out, p->squares.first_piece[--p->squares.depth], 1 / 1.1);
        p->at++;
    } else if (c == '\\') {
        /* A backslash in front of anything else vanishes. */
        const bool escape =
            p->at + 1 < p->len && p->text[p->at + 1] != ':' && is_special(p->text[p->at + 1]);
        add_text(p, p->text + p->at + 1, escape ? 1 : 0);
        p->at += escape ? 2 : 1;
    } else if (is_special(c)) {
        add_text(p, p->text + p->at, 1);
        p->at++;
    } else {
        add_run(p);
    }
    return true;
}

static void merge_neighbours(struct prompt_pieces *out)
{
    size_t n = 0;

    for (size_t i = 0; i < out->n; i++) {
        const struct prompt_piece piece = out->pieces[i];
        struct prompt_piece *last = n ? &out->pieces[n - 1] : NULL;
        if (last && !last->is_break && !piece.is_break && last->weight == piece.weight)
            last->len += piece.len;
        else
            out->pieces[n++] = piece;
    }
    out->n = n;
}

static bool check_weights(const struct prompt_pieces *out, struct error *err)
{
    for (size_t i = 0; i < out->n; i++) {
        const struct prompt_piece *piece = &out->pieces[i];
        if (!piece->is_break && !(fabs(piece->weight) <= PROMPT_ATTENTION_MAX_WEIGHT))
            return error_set(err, ERROR_INVALID,
                             "the prompt gives '%.*s' the weight %g; it may be from %g to %g",
                             (int)(piece->len < 60 ? piece->len : 60), out->text + piece->at,
                             piece->weight, -PROMPT_ATTENTION_MAX_WEIGHT,
                             PROMPT_ATTENTION_MAX_WEIGHT);
    }
    return true;
}

bool prompt_attention_parse(struct prompt_pieces *out, const char *text, size_t len,
                            struct error *err)
{
    struct parser p = {.text = text, .len = len, .out = out};

    if (!make_room(out, len, err))
        return false;
    bool ok = true;
    while (ok && p.at < len)
        ok = parse_next(&p, err);
    for (int i = 0; i < p.rounds.depth; i++)
        multiply_from(out, p.rounds.first_piece[i], 1.1);
    for (int i = 0; i < p.squares.depth; i++)
        multiply_from(out, p.squares.first_piece[i], 1 / 1.1);
    if (out->n == 0)
        add_text(&p, text, 0);
    out->text[p.n_text] = '\0';
    merge_neighbours(out);
    if (ok && check_weights(out, err))
        return true;
    prompt_attention_clear(out);
    return false;
}

bool prompt_attention_literal(struct prompt_pieces *out, const char *text, size_t len,
                              struct error *err)
{
    if (!make_room(out, len, err))
        return false;
    memcpy(out->text, text, len);
    out->text[len] = '\0';
    out->pieces[0] = (struct prompt_piece){0, len, 1, false};
    out->n = 1;
    return true;
}

void prompt_attention_clear(struct prompt_pieces *p)
{
    free(p->text);
    free(p->pieces);
    *p = (struct prompt_pieces){0};
}
