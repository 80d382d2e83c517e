/* What of an arena is taken at one time: runs of bytes that do not touch, from below to above.
 * Internal to layout*.c. */
#ifndef ENGINE_LAYOUT_ROOM_H
#define ENGINE_LAYOUT_ROOM_H

#include <stddef.h>

struct layout_run {
    size_t begin, end;
};

struct layout_room {
    struct layout_run *taken; /* the caller's; as many as takes that are not given back */
    int n;
};

/* Bytes [begin, end), perhaps taken already. */
void layout_room_take(struct layout_room *r, size_t begin, size_t end);

/* Ends a take that overlaps no other. */
void layout_room_give(struct layout_room *r, size_t begin, size_t end);

/* The begin of the smallest gap that holds so many bytes, of equal ones the lowest; where there is
 * none, the end of all that is taken. */
size_t layout_room_find_gap(const struct layout_room *r, size_t bytes);

/* The highest place below top that holds them; where there is none, the lowest above. */
size_t layout_room_find_high(const struct layout_room *r, size_t bytes, size_t top);

#endif
