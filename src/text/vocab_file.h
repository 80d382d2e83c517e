/* Reads a tokenizer's vocab.json: one flat JSON object of texts and their ids.
 *
 * Made for this one shape, since a general parser takes several times as long over 49,408 entries.
 * The file is not trusted: sizes, ids, escapes and UTF-8 are checked, and errors say at which byte.
 */
#ifndef TEXT_VOCAB_FILE_H
#define TEXT_VOCAB_FILE_H

#include "base/error.h"

#include <stdint.h>

enum { VOCAB_FILE_MAX_ENTRIES = 1 << 20, VOCAB_FILE_MAX_BYTES = 64 << 20 };

struct vocab_entry {
    const char *text; /* borrowed from the bytes given to vocab_file_parse; UTF-8, not terminated */
    uint32_t len;
    int32_t id; /* 0 .. VOCAB_FILE_MAX_ENTRIES - 1; no two entries share one */
};

struct vocab_file {
    struct vocab_entry *entries; /* owned; in the file's order */
    size_t n;
};

/* Decodes escapes in place: json is changed, and must outlive *out.  The caller owns *out and
 * clears it, after a failure too.  Texts may repeat; whoever builds a map notices. */
bool vocab_file_parse(struct vocab_file *out, char *json, size_t len, struct error *err) MUST_CHECK;
void vocab_file_clear(struct vocab_file *v);

#endif
