/* Every setting of the program, once: key, variable, flag, range, default and help are one row.
 *
 * A value comes from the default, then the memory file (config/memory_file.h), then the
 * environment, then a flag; the last one wins, and where it came from is remembered.
 * docs/settings.md is printed from the table. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "base/error.h"
#include "base/tri.h"

#include <stdint.h>
#include <stdio.h>

enum {
    SETTINGS_TEXT_BYTES = 1024,
    SETTINGS_LEVELS = 5, /* of memory: very_low, low, medium, high, very_high */
    SETTINGS_SIDE_MIN = 64,
    SETTINGS_SIDE_MAX = 16384, /* pixels */
};

/* A number of bytes that nobody set. */
#define SETTINGS_BYTES_AUTO UINT64_MAX

/* GiB. */
#define SETTINGS_THRESHOLD_MIN 0.001
#define SETTINGS_THRESHOLD_MAX 1048576.0

struct settings_size {
    int64_t width, height; /* pixels; zeroes: auto */
};

struct settings {
    char model[SETTINGS_TEXT_BYTES];
    char models_dir[SETTINGS_TEXT_BYTES];
    char tokenizer_dir[SETTINGS_TEXT_BYTES];
    char vae[SETTINGS_TEXT_BYTES];
    char vae_dir[SETTINGS_TEXT_BYTES];
    char embeddings_dir[SETTINGS_TEXT_BYTES];
    char prompt_syntax[SETTINGS_TEXT_BYTES];
    char loras_dir[SETTINGS_TEXT_BYTES];
    char upscalers_dir[SETTINGS_TEXT_BYTES];
    char labels_file[SETTINGS_TEXT_BYTES];
    char hf_cache[SETTINGS_TEXT_BYTES];
    char isa[32];
    int64_t threads;
    int64_t max_side;
    int64_t max_pixels;
    int64_t max_steps;
    int64_t max_batch;
    int64_t jpeg_quality;
    int64_t webp_quality;
    int64_t avif_quality;
    int64_t avif_speed;

    char device[8];            /* "auto", "cpu", "cuda", "mps" */
    uint64_t total, available; /* SETTINGS_BYTES_AUTO: as found */
    char memory_config[SETTINGS_TEXT_BYTES];
    double memory_thresholds[SETTINGS_LEVELS]; /* GiB; the last changes nothing */
    struct settings_size max_image_sizes_mps[SETTINGS_LEVELS];
    struct settings_size max_image_sizes_cuda[SETTINGS_LEVELS];
    struct settings_size max_image_sizes_cpu[SETTINGS_LEVELS];
    struct settings_size max_image_size; /* instead of every size above, when set */
    char size_policy[16];                /* "table", "planned", "refuse" */
    uint64_t memory_budget;              /* SETTINGS_BYTES_AUTO: none */
    uint64_t memory_reserve;             /* SETTINGS_BYTES_AUTO: by the machine's size */
    int64_t model_idle_seconds;
    enum tri enable_vae_tiling;
    enum tri enable_attention_slicing;
    enum tri enable_memory_efficient_attention;
    enum tri enable_cpu_offload; /* of whole models */
    enum tri enable_sequential_cpu_offload;
    enum tri reduce_vae_sample_size;
    enum tri force_cleanup_after_generation;
    enum tri cleanup_before_loading;

    /* The server. */
    char listen[64];
    int64_t port;
    enum tri open_access; /* no credentials although others reach the address */
    char data_dir[SETTINGS_TEXT_BYTES];
    char api_key[SETTINGS_TEXT_BYTES]; /* secrets: never printed, see settings_is_secret */
    char api_key_file[SETTINGS_TEXT_BYTES];
    char user[SETTINGS_TEXT_BYTES];
    char user_file[SETTINGS_TEXT_BYTES];
    char tls_certificate[SETTINGS_TEXT_BYTES];
    char tls_key[SETTINGS_TEXT_BYTES];
    char cors_origins[SETTINGS_TEXT_BYTES];
    char allowed_hosts[SETTINGS_TEXT_BYTES];
    char public_url[SETTINGS_TEXT_BYTES];
    int64_t url_seconds;
    uint64_t max_body;
    int64_t max_connections;
    int64_t idle_seconds;
    int64_t request_seconds;
    char openai_aliases[SETTINGS_TEXT_BYTES];
    int64_t late_answer_seconds;
    int64_t queue_size;
    int64_t job_attempts;
    int64_t keep_days;
    int64_t keep_jobs;
    uint64_t keep_bytes; /* SETTINGS_BYTES_AUTO: all */
    int64_t stop_seconds;
    enum tri img2img_loras;
    char log_level[8];
    enum tri log_prompts;
};

enum settings_kind {
    SETTINGS_TEXT,
    SETTINGS_INT,         /* int64_t */
    SETTINGS_TRI,         /* enum tri */
    SETTINGS_SIZE,        /* struct settings_size: "1024x1024" or "auto" */
    SETTINGS_BYTES,       /* uint64_t: "6GiB" or "auto" */
    SETTINGS_LEVEL_SIZES, /* struct settings_size[SETTINGS_LEVELS]: five sizes */
    SETTINGS_THRESHOLDS,  /* double[SETTINGS_LEVELS]: rising */
};

struct settings_row {
    const char *key; /* threads: flag --threads, variable DIFFUSIONAPI_THREADS */
    size_t offset, size;
    enum settings_kind kind;
    int64_t min, max;     /* SETTINGS_INT, SETTINGS_BYTES */
    const char *fallback; /* the default, as one would write it */
    const char *variable; /* a second variable that is honoured; NULL: none */
    const char *choices;  /* SETTINGS_TEXT: what is allowed, separated by blanks; NULL: anything */
    const char *help;
};

enum settings_origin { SETTINGS_DEFAULT, SETTINGS_FILE, SETTINGS_VARIABLE, SETTINGS_FLAG };

extern const struct settings_row settings_rows[];
extern const size_t settings_row_count;

/* Where each value came from; by row. */
struct settings_origins {
    unsigned char from[128];
};

void settings_defaults(struct settings *s, struct settings_origins *origins);

/* Reads the rows' variables with get (getenv, or a test's own).  ERROR_INVALID names the variable,
 * its value and what is allowed. */
bool settings_from_environment(struct settings *s, struct settings_origins *origins,
                               const char *(*get)(const char *name), struct error *err) MUST_CHECK;

/* Sets one value by key ('-' is as good as '_'). */
bool settings_set(struct settings *s, struct settings_origins *origins, const char *key,
                  const char *value, struct error *err) MUST_CHECK;

/* NULL when there is no such setting. */
/* The quality for files of a format ("jpeg", "jpg", "webp", "avif"; any other loses nothing and
 * gets 100) where a request names none. */
int settings_quality(const struct settings *s, const char *format);

const struct settings_row *settings_find(const char *key);

/* A credential: lists show only whether it is set. */
bool settings_is_secret(const struct settings_row *row);

/* The value as text; out has room bytes. */
void settings_write(char *out, size_t room, const struct settings *s,
                    const struct settings_row *row);

const char *settings_origin_name(enum settings_origin origin);

/* docs/settings.md. */
void settings_print_manual(FILE *to);

#endif
