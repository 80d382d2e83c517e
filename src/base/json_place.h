/* Where in a JSON text a value stands, for errors about values that are sound JSON.
 *
 * jansson tells places only while it parses.  It keeps members in the order of the text, so the
 * number of a member leads back to its place. */
#ifndef BASE_JSON_PLACE_H
#define BASE_JSON_PLACE_H

#include <stdbool.h>
#include <stddef.h>

struct json_place {
    int line, column; /* from 1; columns count characters */
};

/* text is JSON that jansson has accepted.  path leads to the value: members of objects and elements
 * of arrays by their number, from the outermost in.  of_key: the last step's key instead of its
 * value.  A path that leads nowhere gives the place where it ends. */
struct json_place json_place_find(const char *text, size_t n_bytes, const size_t *path, int n_path,
                                  bool of_key);

#endif
