/* What lies in the folders of models, LoRAs, upscalers, embeddings and VAEs: listed, told apart by
 * their headers, and found by whatever people and clients call them.
 *
 * No name leads out of its folder.  A link is followed where its target lies in the same folder or
 * among the blobs of a Hugging Face cache; other links, broken files and models that cannot be run
 * are listed with their problem.  No weight is read, but by library_hash.
 *
 * Every function may be called from any thread.  A folder is looked at again when it is asked for
 * and the last look is a second old; what has not changed is not opened again, and while one thread
 * looks the others get the last list. */
#ifndef LIBRARY_LIBRARY_H
#define LIBRARY_LIBRARY_H

#include "base/error.h"
#include "model/model_config.h"

#include <stdint.h>

enum library_kind {
    LIBRARY_MODEL,
    LIBRARY_LORA,
    LIBRARY_UPSCALER,
    LIBRARY_EMBEDDING,
    LIBRARY_VAE,
    LIBRARY_KINDS
};

enum {
    LIBRARY_MAX_ENTRIES = 10000, /* of a kind; what the folder has beyond them is not listed */
    LIBRARY_MAX_DEPTH = 5,       /* folders inside each other */
    LIBRARY_NAME_BYTES = 512,    /* longest name, with its final 0; longer ones are not listed */
    LIBRARY_SHA256_BYTES = 65,   /* 64 digits and the final 0 */
    LIBRARY_SHORT_HASH_BYTES = 13,
};

struct library_settings {
    const char *folders[LIBRARY_KINDS]; /* a missing folder is an empty list; NULL or "": none */
    const char *default_model;          /* the setting `model`: anything that library_find takes, or
                                           a path, for whoever runs the server may name one; NULL or
                                           "": the first sound model, or else the demo model */
    const char *demo_model;             /* the demo model's folder; NULL or "": there is none */
    const char *labels_file;            /* JSON object of name to label; NULL or "": labels.json in
                                           the models' folder, or else the table of the program */
    const char *hash_file;              /* keeps what library_hash found; NULL or "": memory only */
    const char *hf_cache;               /* hub folder of a Hugging Face cache; NULL or "": none */
};

/* Constant.  Text is UTF-8 and never NULL but where the comment says so. */
struct library_entry {
    enum library_kind kind;
    const char *name;       /* unique in its kind: a folder's or a file's name without its ending,
                               behind its sub-folder ("anime/mix"); with the ending where
                               two files would be called the same */
    const char *label;      /* for people: from the table of labels, or name */
    const char *title;      /* web UIs': "anime/mix.safetensors [1a2b3c4d5e]", or file_name alone
                               while the hash is unknown; of folders without an ending */
    const char *file_name;  /* below the kind's folder, with its ending: "anime/mix.safetensors" */
    const char *path;       /* absolute: what model_open, lora_open, ... take */
    const char *repository; /* "org/name" of a folder models--org--name or org__name; else NULL */
    const char *alias;      /* LoRA: ss_output_name of its metadata; else NULL */
    const char *problem;    /* why it cannot be used, a sentence; NULL: it can */
    const char *family;     /* "sd15", "sd15-inpainting", "sdxl", "sdxl-inpainting", "sdxl-refiner";
                               of LoRAs and embeddings also "sd2", of VAEs "taesd", of upscalers
                               "esrgan"; "" where the file does not tell */
    bool is_folder, is_demo;
    uint64_t bytes;           /* of all its files */
    int64_t modified_unix_ms; /* of the newest of them */

    /* What is known without reading weights, or from an earlier library_hash of the same file. */
    char short_hash[LIBRARY_SHORT_HASH_BYTES]; /* "" or 10 digits of sha256; of embeddings 12, of
                                                  LoRAs 12 of web UIs' hash over the tensors */
    char sha256[LIBRARY_SHA256_BYTES];         /* "" or 64 digits.  Of folders: of the UNet's (a
                                                  VAE's) file of weights, shards one after another */

    /* Models and VAEs. */
    enum model_family model_family;
    bool v_prediction;
    int native_side; /* pixels the model was trained at, 512, 768 or 1024 ...; 0: not a model */

    int scale;            /* of upscalers: 1, 2, 4, 8; else 0 */
    int n_vectors;        /* of embeddings; else 0 */
    int vector_widths[2]; /* of embeddings: numbers of a vector of each text encoder; 0: none */
    int64_t step;         /* of embeddings: training step, -1 unknown */
};

struct library;

/* Reads labels and hashes; folders wait for the first question.  A labels file that was named and
 * cannot be read is an error; damaged hashes are computed again.  On true the caller owns *out;
 * everything in s is copied. */
bool library_open(struct library **out, const struct library_settings *s,
                  struct error *err) MUST_CHECK;

/* Accepts NULL.  No other call may be under way; entries and lists that were given out live on. */
void library_close(struct library *lib);

/* Looks at all folders, labels and hashes now, however young the last look is. */
bool library_refresh(struct library *lib, struct error *err) MUST_CHECK;

/* Entries sorted by name, as bytes.  Of models, the demo model is there as "demo" where the folder
 * has no sound model or the default is the demo model, and the default model where its setting is a
 * path outside the folder. */
struct library_list {
    const struct library_entry *const *entries;
    size_t n;
    struct library_shelf *owned; /* what holds them */
    bool cut; /* the folder holds more than LIBRARY_MAX_ENTRIES, or deeper folders */
};

/* The caller ends *out with library_list_clear, which accepts zeroes. */
bool library_list(struct library *lib, enum library_kind kind, struct library_list *out,
                  struct error *err) MUST_CHECK;
void library_list_clear(struct library_list *list);

/* Finds by name, file name, title, label (case, '-', '_' and blanks at the ends do not count),
 * "org/name", name without the sub-folder, alias, short hash or sha256 (where they are known), in
 * this order; "demo" is the demo model where nothing else is called so.  A broken entry is found
 * too: look at problem, or use library_find_sound.  ERROR_NOT_FOUND tells near names or what there
 * is; ERROR_INVALID what an ambiguous text could mean.  The caller ends *out with
 * library_entry_free.
 */
bool library_find(struct library *lib, enum library_kind kind, const char *text,
                  const struct library_entry **out, struct error *err) MUST_CHECK;

/* The same, and fails with the entry's problem where it has one (ERROR_CORRUPT). */
bool library_find_sound(struct library *lib, enum library_kind kind, const char *text,
                        const struct library_entry **out, struct error *err) MUST_CHECK;

/* The model that a request without one means.  The caller ends *out with library_entry_free. */
bool library_default_model(struct library *lib, const struct library_entry **out,
                           struct error *err) MUST_CHECK;

/* Keeps an entry of a list beyond it; ended with library_entry_free, which accepts NULL. */
const struct library_entry *library_entry_keep(const struct library_entry *e);
void library_entry_free(const struct library_entry *e);

/* Reads the file and fills the hashes, or takes them from the cache where the file is the same by
 * size and time.  Broken entries have none (ERROR_CORRUPT).  cancelled (may be NULL) is asked every
 * few megabytes; ERROR_CANCELLED.  *out is a new entry, ended with library_entry_free; later lists
 * have the hashes too. */
bool library_hash(struct library *lib, const struct library_entry *e, bool (*cancelled)(void *ctx),
                  void *ctx, const struct library_entry **out, struct error *err) MUST_CHECK;

/* A LoRA's metadata: a JSON object as text, "{}" where the file has none.  Read from the file each
 * time, because trainers put pages of it there.  The caller frees *out. */
bool library_lora_metadata(const struct library_entry *e, char **out, struct error *err) MUST_CHECK;

/* The table of labels, sorted by label, installed or not. */
struct library_label {
    const char *name, *label;
};
struct library_labels {
    const struct library_label *rows;
    size_t n;
    struct library_labels_table *owned; /* what holds them */
};

/* The caller ends *out with library_labels_clear, which accepts zeroes. */
bool library_labels(struct library *lib, struct library_labels *out, struct error *err) MUST_CHECK;
void library_labels_clear(struct library_labels *labels);

/* "model", "lora", "upscaler", "embedding", "vae". */
const char *library_kind_name(enum library_kind kind);

#endif
