/* The machine as a plan sees it: which device, how much memory there is and how much is free now.
 *
 * A snapshot, not a promise.  The plan command and tests make their own struct machine. */
#ifndef MEMORY_MACHINE_H
#define MEMORY_MACHINE_H

#include "base/error.h"

#include <stdint.h>

enum machine_device { MACHINE_CPU, MACHINE_CUDA, MACHINE_MPS, MACHINE_DEVICE_COUNT };
enum machine_pressure { MACHINE_NORMAL, MACHINE_WARNING, MACHINE_CRITICAL, MACHINE_PRESSURE_COUNT };

struct machine {
    enum machine_device device;
    uint64_t total_bytes;
    uint64_t available_bytes; /* at most total_bytes */
    enum machine_pressure pressure;
};

/* Where snapshots come from, so that any machine can be put in the real one's place. */
struct machine_source {
    bool (*detect)(void *ctx, struct machine *out, struct error *err);
    void *ctx; /* borrowed */
};

/* The system this process runs on. */
struct machine_source machine_this_system(void);

bool machine_detect(struct machine *out, const struct machine_source *source,
                    struct error *err) MUST_CHECK;

/* A machine put in words; what is not said is as found. */
struct machine_words {
    bool has_device;
    enum machine_device device;
    bool has_total, has_available;
    uint64_t total_bytes, available_bytes;
};

/* Nothing is said: the machine is the one that was found. */
bool machine_is_found(const struct machine_words *words);

/* The machine that words describe.  found stands in for what they leave out and may be NULL where
 * they say all three.  The pressure of a described machine follows from its share of available
 * memory alone.  ERROR_INVALID when more is available than there is. */
bool machine_describe(struct machine *out, const struct machine_words *words,
                      const struct machine *found, struct error *err) MUST_CHECK;

/* Warning below 10 % of available memory, critical below 4 %. */
enum machine_pressure machine_pressure_of_share(const struct machine *m);

/* Detection for Linux, from the files under root ("" for the real ones).  Memory limits of control
 * groups, version 1 and 2, count, those of the groups above ours too and what others in them use;
 * file pages that the kernel can drop do not count as used.  Where a group is slowed down
 * (memory.high) its available memory ends.  It only reads files, so it is built and tested
 * everywhere. */
bool machine_linux_detect(struct machine *out, const char *root, struct error *err) MUST_CHECK;

#ifdef __APPLE__
bool machine_macos_detect(struct machine *out, struct error *err) MUST_CHECK;
#endif

/* "cpu", "cuda", "mps"; "normal", "warning", "critical". */
const char *machine_device_name(enum machine_device device);
const char *machine_pressure_name(enum machine_pressure pressure);

/* False when no device has that name. */
bool machine_find_device(enum machine_device *out, const char *name);

#endif
