/* What the files of the generator share. */
#ifndef GENERATOR_GENERATOR_INTERNAL_H
#define GENERATOR_GENERATOR_INTERNAL_H

#include "generator/generator.h"
#include "generator/generator_infotext.h"
#include "generator/generator_model.h"
#include "image/mask.h"
#include "pipeline/preview.h"

#include <sys/stat.h>

enum { GENERATOR_LORAS_BYTES = 1024 };

/* The model that is open, and what was put beside it. */
struct generator_loaded {
    struct pipeline *pipeline; /* owned; NULL: none */
    struct generator_model found;
    struct stat file;                           /* of found.path when it was opened */
    char tokenizer[GENERATOR_MODEL_PATH_BYTES]; /* "": the model's own */
    char vae[GENERATOR_MODEL_PATH_BYTES];       /* "": the model's own */
    char refiner[GENERATOR_MODEL_PATH_BYTES];   /* "": none */
    double used;                                /* when it was last, clock_seconds */
};

/* What a task has come to: gone with the next one. */
struct generator_prepared {
    bool ready;
    struct generator_task task; /* what it points to is gone when the run is over */
    bool is_upscale;
    struct image input; /* owned; of the size that is used */
    struct mask mask;   /* owned */
    bool has_mask;
    char *infotext;                /* owned; of the input's file, for mode "upscale"; or NULL */
    size_t upscale_bytes;          /* planned peak of mode "upscale" */
    int input_width, input_height; /* of the file */
    struct gen_request asked;
    char lora_paths[GEN_MAX_LORAS][GENERATOR_PATH_BYTES]; /* that asked borrows */
    char upscaler_path[GENERATOR_PATH_BYTES];             /* of hires; likewise */
    struct machine machine;
    struct memory_policy policy;
    enum memory_size_policy size_policy;
    struct plan_size sized;  /* owned */
    struct preview *preview; /* owned */
    size_t n_tokens[2];
    char loras[GENERATOR_LORAS_BYTES]; /* in use, as the picture's text lists them */
    const char *refiner_name;          /* where it draws */
    struct gen_warnings notes;
    uint64_t resident_bytes; /* of the process, before */
};

struct generator {
    struct generator_options options;
    struct library *own_library; /* owned; of the command line, once a name was looked for */
    struct backend *backend;     /* owned */
    struct generator_loaded loaded;
    struct generator_prepared now;
};

/* How the caller's people call a field: "--vae" on the command line, "vae" in a request. */
enum generator_field {
    GENERATOR_MODEL,
    GENERATOR_VAE,
    GENERATOR_REFINER,
    GENERATOR_IMAGE,
    GENERATOR_MASK,
    GENERATOR_PROMPT,
    GENERATOR_NEGATIVE_PROMPT,
    GENERATOR_UPSCALER,
    GENERATOR_FIELDS
};
const char *generator_field_name(const struct generator *g, enum generator_field f);

/* Something the result will tell as a warning. */
void generator_note(struct generator *g, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* generator_open.c: models and what belongs to them. */
bool generator_open_model(struct generator *g, const struct gen_job *j,
                          struct error *err) MUST_CHECK;
bool generator_open_vae(struct generator *g, const struct gen_job *j, struct error *err) MUST_CHECK;
bool generator_open_refiner(struct generator *g, const struct gen_job *j,
                            struct error *err) MUST_CHECK;
bool generator_open_preview(struct generator *g, const struct gen_job *j,
                            struct error *err) MUST_CHECK;
void generator_open_loras(struct generator *g, const struct gen_job *j);
bool generator_open_upscaler(struct generator *g, char out[GENERATOR_PATH_BYTES], const char *name,
                             struct error *err) MUST_CHECK;

/* generator_result.c: what the queue keeps of a run. */
struct generator_pictures {
    int n;
    int width, height;
    json_t *seeds, *infotexts; /* arrays, owned */
    size_t text_bytes;         /* of the infotexts */
};
bool generator_result_add(struct generator_pictures *p, const struct image *image, uint64_t seed,
                          const char *infotext, struct error *err) MUST_CHECK;
bool generator_result_write(struct generator *g, struct generator_result *r,
                            const struct generator_pictures *p, struct error *err) MUST_CHECK;

/* The quality of files of a format that loses something: the request's, or the format's setting. */
int generator_result_quality(const struct generator *g, const char *format);

/* Gives back what the process holds and does not need. */
void generator_release(struct generator *g);

#endif
