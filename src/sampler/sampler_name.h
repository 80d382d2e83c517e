/* Names as people write them, for the tables of this folder. */
#ifndef SAMPLER_SAMPLER_NAME_H
#define SAMPLER_SAMPLER_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Compares text[0 .. len) with name: ASCII case does not count, and '_' is as good as ' '. */
bool sampler_name_same(const char *text, size_t len, const char *name);

/* Appends name to a list with commas, if it fits. */
void sampler_name_list(char *list, size_t cap, const char *name);

#endif
