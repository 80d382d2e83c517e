/* A job as it stands in the queue: what is to be made, with names where files will be found later.
 *
 * Its JSON is the one language between the HTTP families, the queue and the worker ("canonical"):
 *
 *     {"mode": "txt2img", "prompt": "a red ball", "width": 512, "height": 512, "seed": 7}
 *
 * One table describes every field: key, other spellings, kind, range, help.  The reader, the
 * writer, the messages, the OpenAPI document and the manual all walk that table.  What is absent or
 * null has its default.  Unknown keys, wrong types and values out of range are errors that name the
 * field, the value and what is allowed.  The input picture and the mask are files, not JSON.
 *
 * Which model a name means, and what "as the model likes it" is, the generator finds out. */
#ifndef REQUEST_GEN_JOB_H
#define REQUEST_GEN_JOB_H

#include "base/json.h"
#include "request/gen_request.h"

enum gen_job_mode { GEN_JOB_TXT2IMG, GEN_JOB_IMG2IMG, GEN_JOB_UPSCALE, GEN_JOB_MODES };

enum {
    GEN_JOB_MAX_BYTES = 256 << 10, /* of the JSON text */
    GEN_JOB_MAX_PICTURES = 256,    /* batch_size x n_iter */
    GEN_JOB_NAME_BYTES = 1024,     /* longest name of a model, VAE, LoRA, upscaler, ... */
};

struct gen_job_lora {
    const char *name; /* in the folder of LoRAs, or a path for the command line */
    double scale;
};

/* A number with 0 where nobody said one. */
struct gen_job_size {
    double width, height;
};

struct gen_job_hires {
    bool enabled;
    double scale;         /* of the first size; not used where width or height is said */
    int width, height;    /* pixels; 0: not said, from the other one and the shape */
    const char *upscaler; /* "Latent", "Lanczos", ..., or a file's name */
    int steps;            /* 0: as many as the first pass */
    double denoising_strength;
    const struct sampler *sampler;   /* NULL: the first pass's */
    const struct schedule *schedule; /* NULL: the first pass's */
    const char *prompt;              /* "": the first pass's */
    const char *negative_prompt;     /* likewise */
};

struct gen_job_mask {
    int blur_x, blur_y; /* pixels */
    int fill;           /* under the mask: 0 the surroundings, 1 the input, 2 noise, 3 nothing */
    bool full_res;      /* only the masked region, enlarged to the whole size */
    int padding;        /* pixels around that region */
    bool invert;        /* black is repainted */
    bool round;         /* each place of the mask is wholly in or out */
};

struct gen_job_upscale {
    const char *upscaler_1;
    const char *upscaler_2; /* "": none */
    double upscaler_2_visibility;
    double resize;          /* factor, where width and height are 0 */
    int resize_w, resize_h; /* pixels; 0: not said */
    bool crop;              /* fill resize_w x resize_h and cut off what is too much */
    bool first;             /* before the other steps; there are none here: kept for the record */
};

/* Texts are UTF-8 and never NULL: "" is "not said".  They are borrowed, from `document` where it
 * was read, from whoever filled it in otherwise. */
struct gen_job {
    json_t *document; /* owned reference that keeps the texts; NULL: they belong to somebody else */

    enum gen_job_mode mode;
    const char *prompt, *negative_prompt;
    int prompt_syntax; /* enum gen_syntax; below 0: as the setting says */
    int width, height; /* pixels, multiples of 8; 0: as the input picture or the model has it */
    int batch_size;    /* pictures at once */
    int n_iter;        /* batches one after the other, with rising seeds */
    int steps;
    double cfg_scale;                /* below 0: as the model likes it */
    const struct sampler *sampler;   /* never NULL */
    const struct schedule *schedule; /* never NULL; may be Automatic */
    int64_t seed;                    /* below 0: random, see gen_job_pick_seeds */
    int64_t subseed;                 /* likewise */
    double subseed_strength;
    int seed_resize_width, seed_resize_height; /* pixels; 0: off */
    enum rng_kind rng;
    int clip_skip;
    double denoising_strength;

    const char *model;   /* "": the setting's */
    const char *vae;     /* "": the setting's */
    const char *refiner; /* "": none */
    double refiner_switch_at;
    struct gen_job_lora loras[GEN_MAX_LORAS];
    int n_loras;

    struct gen_job_hires hires;
    int resize_mode; /* 0 stretch, 1 crop, 2 extend the border, 3 stretch the latent */
    struct gen_job_size resize_to; /* pixels */
    struct gen_job_size resize_by; /* factors */
    bool exact_size;               /* width x height is what the input is brought to */
    int img2img_rule;              /* enum gen_img2img_rule */
    struct gen_job_mask mask;
    double eta; /* below 0: the sampler's own */
    double s_churn, s_tmin;
    double s_tmax; /* below 0: no upper end */
    double s_noise;

    int file_type;   /* enum gen_job_file_type */
    int quality;     /* 1..100; 0: as the setting says */
    int size_policy; /* enum memory_size_policy; below 0: as the setting says */
    bool preview;
    double preview_every_seconds;
    const char *user; /* for the picture's text */

    struct gen_job_upscale upscale;
};

/* Names in gen_job_file_types, which are also the files' endings. */
enum gen_job_file_type { GEN_JOB_PNG, GEN_JOB_JPG, GEN_JOB_WEBP, GEN_JOB_AVIF };
extern const char *const gen_job_file_types[]; /* ends with NULL */
extern const char *const gen_job_mode_names[]; /* by enum gen_job_mode; ends with NULL */

enum gen_job_kind {
    GEN_JOB_TEXT,      /* const char *; min and max are bytes */
    GEN_JOB_INT,       /* int */
    GEN_JOB_NUMBER,    /* double */
    GEN_JOB_BOOL,      /* bool */
    GEN_JOB_CHOICE,    /* int: an index into choices, below 0 for "not said"; JSON: the word */
    GEN_JOB_SEED,      /* int64_t; JSON: -1 or null for random */
    GEN_JOB_SAMPLER,   /* const struct sampler *; JSON: its name, with a schedule's behind it or not
                        */
    GEN_JOB_SCHEDULER, /* const struct schedule *; JSON: its name */
    GEN_JOB_LORAS,     /* JSON: an array of {"name": text, "scale": number} or of names */
};

/* A maximum that the server's settings may lower or raise. */
enum gen_job_cap {
    GEN_JOB_FIXED,
    GEN_JOB_CAP_SIDE,
    GEN_JOB_CAP_STEPS,
    GEN_JOB_CAP_BATCH,
    GEN_JOB_CAP_PROMPT
};

enum { GEN_JOB_MAX_ALIASES = 4 };

struct gen_job_field {
    const char *object; /* the key of the object that it is a member of; NULL: the request itself */
    const char *key;
    const char *aliases[GEN_JOB_MAX_ALIASES]; /* other spellings of key, NULL behind the last */
    enum gen_job_kind kind;
    size_t offset;   /* in struct gen_job */
    double min, max; /* TEXT, INT, NUMBER, SEED, and the scales of LORAS */
    int multiple;    /* INT: of what it has to be one; 0: any */
    enum gen_job_cap cap;
    const char *const *choices; /* CHOICE; ends with NULL */
    unsigned modes;             /* 1 << enum gen_job_mode: where it has an effect */
    const char *help;
};

/* The table; a row whose key is NULL ends it.  Rows of one object follow each other. */
extern const struct gen_job_field gen_job_fields[];

/* The largest value of a field under these limits. */
double gen_job_field_max(const struct gen_job_field *f, const struct gen_limits *limits);

/* The default as JSON, null for "not said".  The caller owns the reference; NULL: no memory. */
json_t *gen_job_field_default(const struct gen_job_field *f);

/* Every field's default; nothing to clear. */
struct gen_job gen_job_defaults(void);

/* Reads canonical JSON and checks it, gen_job_check included.  On true the caller clears *out; it
 * holds a reference to root. */
bool gen_job_read(struct gen_job *out, json_t *root, const struct gen_limits *limits,
                  struct error *err) MUST_CHECK;
/* The same from text of at most GEN_JOB_MAX_BYTES. */
bool gen_job_read_text(struct gen_job *out, const char *text, size_t len,
                       const struct gen_limits *limits, struct error *err) MUST_CHECK;

/* What no single field shows: pixels in all, pictures in all, what a mode needs.  ERROR_INVALID. */
bool gen_job_check(const struct gen_job *j, const struct gen_limits *limits,
                   struct error *err) MUST_CHECK;

/* Random seeds become numbers.  To be done before a job is queued, so that another attempt draws
 * the same picture. */
bool gen_job_pick_seeds(struct gen_job *j, struct error *err) MUST_CHECK;

/* Canonical JSON: mode, and every field that is not its default.  gen_job_read gives the same job
 * again.  The caller owns *out. */
bool gen_job_write(json_t **out, const struct gen_job *j, struct error *err) MUST_CHECK;
/* As text with a final 0; the caller frees it. */
bool gen_job_write_text(char **out, const struct gen_job *j, struct error *err) MUST_CHECK;

/* Accepts zeroes. */
void gen_job_clear(struct gen_job *j);

#endif
