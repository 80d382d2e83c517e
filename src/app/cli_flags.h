/* What may be written on the command line: one row per command and per flag.
 *
 * The rows feed the parser, the help and the errors.  Every setting of config/settings.h is a flag
 * too, with '-' for '_'.  Text is borrowed from argv. */
#ifndef APP_CLI_FLAGS_H
#define APP_CLI_FLAGS_H

#include "config/settings.h"
#include "sampler/rng.h"
#include "sampler/sampler.h"
#include "sampler/schedule.h"

enum cli_command_bit {
    CLI_TXT2IMG = 1,
    CLI_IMG2IMG = 2,
    CLI_INSPECT = 4,
    CLI_SETTINGS = 8,
    CLI_SAMPLERS = 16,
    CLI_VERSION = 32,
    CLI_HELP = 64,
    CLI_PLAN = 128,
    CLI_CHECK_MEMORY = 256,
    CLI_LORA_CHECK = 512,
    CLI_UPSCALE = 1024,
    CLI_SERVE = 2048,
    CLI_CLIENT = 1 << 20,
    CLI_MODELS = 32768,
    CLI_INFO = 4096,
    CLI_GENERATE = CLI_TXT2IMG | CLI_IMG2IMG,
    CLI_ASK = CLI_GENERATE | CLI_PLAN | CLI_CLIENT, /* commands that take a whole request */
    CLI_EDIT = CLI_IMG2IMG | CLI_PLAN | CLI_CLIENT, /* and may begin with a picture */
};

struct cli_command {
    const char *name;
    enum cli_command_bit bit;
    const char *argument; /* "PATH"; NULL: takes none */
    bool argument_needed;
    const char *help;
};

enum { CLI_MAX_LORAS = 16 };

struct cli_options {
    const struct cli_command *command;
    const char *argument; /* NULL when not given */
    struct settings settings;
    struct settings_origins origins;

    const char *prompt, *negative_prompt; /* never NULL */
    const char *upscaler;                 /* NULL when not given */
    double scale;                         /* 0 when not given */
    const char *image, *output;           /* NULL when not given; plan's image may be "WxH" */
    const char *preview;                  /* NULL when not given */
    const char *config;                   /* NULL when not given */
    int64_t preview_every;                /* steps; 0 when not given */
    int64_t width, height;                /* 0 when not given */
    int64_t steps, batch_size, clip_skip;
    int64_t seed;     /* -1: random */
    double cfg_scale; /* below 0 when not given */
    double denoising_strength;
    const char *refiner; /* a model's name or path; NULL when not given */
    double refiner_switch_at;
    const struct sampler *sampler;
    enum schedule_kind sampler_suffix; /* "DPM++ 2M Karras"; SCHEDULE_AUTOMATIC without one */
    const struct schedule *scheduler;  /* NULL when not given */
    enum rng_kind rng;
    bool hires;
    double hires_scale;
    int64_t hires_width, hires_height, hires_steps; /* 0 when not given */
    const char *hires_upscaler;
    double hires_denoising_strength;
    const char *hires_sampler, *hires_scheduler; /* NULL when not given */
    const char *hires_prompt, *hires_negative_prompt;
    const char *mask; /* NULL when not given */
    int64_t mask_blur, inpainting_fill, inpaint_padding;
    bool inpaint_full_res, mask_invert, mask_soft;
    const char *resize_mode; /* NULL when not given */
    double resize_by;        /* 0 when not given */
    const char *img2img_rule;
    double eta, s_churn, s_tmin, s_tmax, s_noise;
    int64_t subseed; /* -1: random */
    double subseed_strength;
    int64_t seed_resize_width, seed_resize_height; /* 0 when not given */
    int64_t n_iter;
    const char *loras[CLI_MAX_LORAS]; /* "NAME_OR_PATH[:SCALE]", n_loras of them */
    int n_loras;
    const char *server;       /* client: NULL when not given, like the next two */
    const char *job, *cancel; /* ids of jobs */
    bool list, no_wait;
    bool manual, json, help, all, hash;
};

enum cli_flag_kind {
    CLI_TEXT,      /* const char * */
    CLI_INT,       /* int64_t */
    CLI_NUMBER,    /* double */
    CLI_SAMPLER,   /* sampler and sampler_suffix */
    CLI_SCHEDULER, /* const struct schedule * */
    CLI_RNG,       /* enum rng_kind */
    CLI_SETTING,   /* another name of a setting */
    CLI_LORA,      /* one more of loras */
    CLI_SWITCH,    /* bool; takes no value */
};

struct cli_flag {
    const char *name; /* without the two dashes */
    enum cli_flag_kind kind;
    unsigned commands; /* of enum cli_command_bit */
    size_t offset;     /* in struct cli_options; not for CLI_SETTING */
    double min, max;   /* CLI_INT and CLI_NUMBER */
    const char *value; /* how help calls the value; for CLI_SETTING the setting's key */
    const char *help;
};

/* Both tables end with a row whose name is NULL. */
extern const struct cli_command cli_flags_commands[];
extern const struct cli_flag cli_flags_rows[];

/* argv as main gets it.  get is getenv, or a test's own.  ERROR_INVALID says what is allowed. */
bool cli_flags_parse(struct cli_options *out, int argc, char *const *argv,
                     const char *(*get)(const char *name), struct error *err) MUST_CHECK;

/* Sets ERROR_INVALID that lists the commands, and returns false. */
bool cli_flags_unknown_command(struct error *err, const char *name);

/* NULL when there is no such command. */
const struct cli_command *cli_flags_find_command(const char *name);

/* A setting's key as a flag: '-' for '_'. */
void cli_flags_setting_name(char *out, size_t room, const struct settings_row *row);

#endif
