/* The memory of one machine, shared by all processes of this program that one user runs: each
 * writes down the peak of what it is about to do before it does it, and sees what the others will
 * still take.
 *
 * The list is a small file of slots.  Who owns a slot holds a lock on its bytes, which the kernel
 * lets go of when the process ends, however it ends: nothing has to be cleaned up after a crash.
 * Where the system has no such locks, or the file cannot be opened, nobody sees anybody. */
#ifndef MEMORY_MEMORY_RESERVE_H
#define MEMORY_MEMORY_RESERVE_H

#include "base/error.h"

#include <stdint.h>

/* Processes that can be listed at a time; those beyond see the others and are not seen. */
enum { MEMORY_RESERVE_SLOTS = 64 };

struct memory_reserve; /* one owner, one thread at a time */

/* path: the list's file, made where it is missing; NULL: the one this user's processes share
 * ($XDG_RUNTIME_DIR/diffusionapi-memory, else /tmp/diffusionapi-memory-UID).  ERROR_IO where it
 * cannot be opened, is not this user's own or is no regular file. */
bool memory_reserve_open(struct memory_reserve **out, const char *path,
                         struct error *err) MUST_CHECK;

/* Accepts NULL.  Gives back what was reserved. */
void memory_reserve_close(struct memory_reserve *r);

/* Locks the list, which others then wait for, and tells how many bytes the others' peaks lie above
 * what they hold already: memory that looks free and is not.  Ends with memory_reserve_end, within
 * milliseconds.  NULL: no others. */
uint64_t memory_reserve_begin(struct memory_reserve *r);

/* Unlocks the list.  From now on this process's peak is peak_bytes; 0: it reserves nothing. */
void memory_reserve_end(struct memory_reserve *r, uint64_t peak_bytes);

/* The same, where the others do not matter. */
void memory_reserve_set(struct memory_reserve *r, uint64_t peak_bytes);

#endif
