#include "app/cli_flags.h"

#include "base/parse.h"
#include "config/memory_file.h"
#include "config/settings_file.h"
#include "request/gen_request.h"

#include <stdio.h>
#include <string.h>

const struct cli_command cli_flags_commands[] = {
    {"txt2img", CLI_TXT2IMG, NULL, false, "makes a picture from a prompt"},
    {"img2img", CLI_IMG2IMG, NULL, false, "makes a picture from a prompt and another picture"},
    {"plan", CLI_PLAN, NULL, false, "tells what a request will take, without running it"},
    {"check-memory", CLI_CHECK_MEMORY, NULL, false,
     "tests detection, settings and optimizations of memory on this machine"},
    {"inspect", CLI_INSPECT, "PATH", true,
     "tells what a model holds: a folder, a file, or a name in models_dir"},
    {"lora-check", CLI_LORA_CHECK, NULL, false, "tells which LoRAs fit a model, and why not"},
    {"models", CLI_MODELS, "KIND", false,
     "lists models, loras, upscalers, embeddings and vaes in their folders"},
    {"upscale", CLI_UPSCALE, NULL, false, "enlarges a picture with a network or a filter"},
    {"info", CLI_INFO, "FILE", false, "tells what a picture's file says of itself"},
    {"serve", CLI_SERVE, NULL, false, "answers requests over HTTP, until it is stopped"},
    {"client", CLI_CLIENT, NULL, false,
     "has a running server make a picture, shows how it gets on, and saves it"},
    {"settings", CLI_SETTINGS, NULL, false, "lists the settings in effect and their origin"},
    {"samplers", CLI_SAMPLERS, NULL, false, "lists samplers and schedulers"},
    {"version", CLI_VERSION, NULL, false, "prints the version"},
    {"help", CLI_HELP, "COMMAND", false, "explains a command and its flags"},
    {.name = NULL},
};

#define AT(field) offsetof(struct cli_options, field)
#define ANY 0, 0

const struct cli_flag cli_flags_rows[] = {
    {"prompt", CLI_TEXT, CLI_ASK, AT(prompt), ANY, "TEXT", "what to draw"},
    {"negative-prompt", CLI_TEXT, CLI_ASK, AT(negative_prompt), ANY, "TEXT",
     "what to stay away from"},
    {"upscaler", CLI_TEXT, CLI_UPSCALE, AT(upscaler), ANY, "NAME",
     "a path, a name in upscalers_dir, or one of Lanczos, Nearest, None, ... (Lanczos)"},
    {"scale", CLI_NUMBER, CLI_UPSCALE, AT(scale), 0.25, 16, "X",
     "sides of the result over the picture's (a network's own; 2 for a filter)"},
    {"image", CLI_TEXT, CLI_UPSCALE, AT(image), ANY, "FILE", "the picture to enlarge"},
    {"image", CLI_TEXT, CLI_EDIT, AT(image), ANY, "FILE",
     "the picture to start from; for plan also its size, as 640x480"},
    {"denoising-strength", CLI_NUMBER, CLI_EDIT, AT(denoising_strength), 0, 1, "X",
     "0 keeps the picture, 1 forgets it (0.75)"},
    {"width", CLI_INT, CLI_ASK, AT(width), 64, 16384, "PX",
     "a multiple of 8 (the model's own size; img2img: the picture's)"},
    {"height", CLI_INT, CLI_ASK, AT(height), 64, 16384, "PX", "likewise"},
    {"steps", CLI_INT, CLI_ASK, AT(steps), 1, 1000, "N", "sampler steps (20)"},
    {"cfg-scale", CLI_NUMBER, CLI_ASK, AT(cfg_scale), 0, 100, "X",
     "guidance; 1 turns it off and halves the work (7; demo model 5)"},
    {"sampler", CLI_SAMPLER, CLI_ASK, AT(sampler), ANY, "NAME",
     "see `samplers`; a scheduler's name may follow (Euler a)"},
    {"scheduler", CLI_SCHEDULER, CLI_ASK, AT(scheduler), ANY, "NAME", "see `samplers` (Automatic)"},
    {"seed", CLI_INT, CLI_ASK, AT(seed), -1, 4294967295.0, "N",
     "start of the random numbers; -1: any (1)"},
    {"rng", CLI_RNG, CLI_ASK, AT(rng), ANY, "NAME",
     "cpu or philox: torch's generator on a CPU or a GPU (cpu)"},
    {"clip-skip", CLI_INT, CLI_ASK, AT(clip_skip), 1, 12, "N",
     "text encoder's layer to use, counted from the end (1)"},
    {"lora", CLI_LORA, CLI_ASK, 0, ANY, "NAME[:SCALE]",
     "LoRA: a path or a name in loras_dir, and its strength (1); may be repeated"},
    {"lora", CLI_LORA, CLI_LORA_CHECK, 0, ANY, "PATH",
     "a file, a folder, or a name in loras_dir; may be repeated"},
    {"all", CLI_SWITCH, CLI_LORA_CHECK, AT(all), ANY, NULL, "all LoRAs of loras_dir"},
    {"refiner", CLI_TEXT, CLI_ASK, AT(refiner), ANY, "MODEL",
     "SDXL's refiner, which draws the last steps; a path or a name like --model (none)"},
    {"refiner-switch-at", CLI_NUMBER, CLI_ASK, AT(refiner_switch_at), 0, 1, "X",
     "part of the steps before the refiner's (0.8)"},
    {"hires", CLI_SWITCH, CLI_ASK, AT(hires), ANY, NULL,
     "a second, larger pass over the picture (see --hires-scale)"},
    {"hires-scale", CLI_NUMBER, CLI_ASK, AT(hires_scale), 1, GEN_MAX_HIRES_SCALE, "X",
     "times width and height (2)"},
    {"hires-width", CLI_INT, CLI_ASK, AT(hires_width), 64, 16384, "PX",
     "of the result instead; alone it keeps the shape, with --hires-height what is over is cut"},
    {"hires-height", CLI_INT, CLI_ASK, AT(hires_height), 64, 16384, "PX", "likewise"},
    {"hires-upscaler", CLI_TEXT, CLI_ASK, AT(hires_upscaler), ANY, "NAME",
     "Latent, Latent (bicubic), Lanczos, ..., or a network as in `upscale` (Latent)"},
    {"hires-steps", CLI_INT, CLI_ASK, AT(hires_steps), 1, 1000, "N",
     "steps of the second pass that are run (as many as --steps)"},
    {"hires-denoising-strength", CLI_NUMBER, CLI_ASK, AT(hires_denoising_strength), 0, 1, "X",
     "how much of the first picture the second pass forgets (0.4)"},
    {"hires-sampler", CLI_TEXT, CLI_ASK, AT(hires_sampler), ANY, "NAME",
     "of the second pass (the first one's)"},
    {"hires-scheduler", CLI_TEXT, CLI_ASK, AT(hires_scheduler), ANY, "NAME", "likewise"},
    {"hires-prompt", CLI_TEXT, CLI_ASK, AT(hires_prompt), ANY, "TEXT", "likewise"},
    {"hires-negative-prompt", CLI_TEXT, CLI_ASK, AT(hires_negative_prompt), ANY, "TEXT",
     "likewise"},
    {"mask", CLI_TEXT, CLI_EDIT, AT(mask), ANY, "FILE", "white is painted anew, black stays"},
    {"mask-blur", CLI_INT, CLI_EDIT, AT(mask_blur), 0, MASK_MAX_BLUR, "PX",
     "how far the mask's border fades (4)"},
    {"mask-invert", CLI_SWITCH, CLI_EDIT, AT(mask_invert), ANY, NULL,
     "black is painted anew, white stays"},
    {"mask-soft", CLI_SWITCH, CLI_EDIT, AT(mask_soft), ANY, NULL,
     "gray paints in part, instead of wholly or not at all"},
    {"inpainting-fill", CLI_INT, CLI_EDIT, AT(inpainting_fill), 0, MASK_BLEND_COUNT - 1, "N",
     "under the mask is at first 0 what surrounds it, 1 the picture, 2 noise, 3 nothing (1)"},
    {"inpaint-full-res", CLI_SWITCH, CLI_EDIT, AT(inpaint_full_res), ANY, NULL,
     "draws the mask's surroundings alone, at full size, and puts them back"},
    {"inpaint-full-res-padding", CLI_INT, CLI_EDIT, AT(inpaint_padding), 0, GEN_MAX_INPAINT_PADDING,
     "PX", "how much around the mask that is (32)"},
    {"resize-mode", CLI_TEXT, CLI_EDIT, AT(resize_mode), ANY, "MODE",
     "how the picture is brought to size: 0 just resize, 1 crop and resize, 2 resize and fill, "
     "3 as latent (0)"},
    {"resize-by", CLI_NUMBER, CLI_EDIT, AT(resize_by), 0.05, 16, "X",
     "the picture's sides times this, instead of --width and --height"},
    {"img2img-rule", CLI_TEXT, CLI_EDIT, AT(img2img_rule), ANY, "RULE",
     "steps that are run: diffusers, strength times steps; webui, one more; webui all, all "
     "(diffusers)"},
    {"eta", CLI_NUMBER, CLI_ASK, AT(eta), 0, 1, "X",
     "noise that ancestral and SDE samplers renew (the sampler's own)"},
    {"s-churn", CLI_NUMBER, CLI_ASK, AT(s_churn), 0, 100, "X",
     "noise that Euler, Heun and DPM2 add before a step (0)"},
    {"s-tmin", CLI_NUMBER, CLI_ASK, AT(s_tmin), 0, 1e6, "X", "from this noise level on (0)"},
    {"s-tmax", CLI_NUMBER, CLI_ASK, AT(s_tmax), 0, 1e6, "X", "up to this one (any)"},
    {"s-noise", CLI_NUMBER, CLI_ASK, AT(s_noise), 0, 10, "X", "deviation of added noise (1)"},
    {"subseed", CLI_INT, CLI_ASK, AT(subseed), -1, 4294967295.0, "N",
     "seed of a variation; -1: any (any)"},
    {"subseed-strength", CLI_NUMBER, CLI_ASK, AT(subseed_strength), 0, 1, "X",
     "how much of the noise is the variation's (0)"},
    {"seed-resize-width", CLI_INT, CLI_ASK, AT(seed_resize_width), 64, 16384, "PX",
     "noise as of a picture of this size, with --seed-resize-height"},
    {"seed-resize-height", CLI_INT, CLI_ASK, AT(seed_resize_height), 64, 16384, "PX", "likewise"},
    {"n-iter", CLI_INT, CLI_ASK, AT(n_iter), 1, 64, "N",
     "so many batches one after the other, with rising seeds (1)"},
    {"batch-size", CLI_INT, CLI_ASK, AT(batch_size), 1, 64, "N",
     "pictures at once; each has the seed after the last one's (1)"},
    {"output", CLI_TEXT, CLI_ASK | CLI_UPSCALE, AT(output), ANY, "FILE",
     "PNG, JPEG, WebP or AVIF by its ending (picture-N.png, N not in use)"},
    {"preview-every", CLI_INT, CLI_GENERATE, AT(preview_every), 1, 1000, "N",
     "a small picture of the state every N steps, beside the output (FILE-preview-STEP.png)"},
    {"preview", CLI_TEXT, CLI_GENERATE, AT(preview), ANY, "FILE",
     "the file for it instead, written anew each time (every step)"},
    {"tokenizer", CLI_SETTING, CLI_ASK, 0, ANY, "tokenizer_dir", "another name of --tokenizer-dir"},
    {"config", CLI_TEXT, CLI_SERVE | CLI_SETTINGS, AT(config), ANY, "FILE",
     "JSON file with settings by their keys"},
    {"server", CLI_TEXT, CLI_CLIENT, AT(server), ANY, "URL",
     "address of the server (http://127.0.0.1:PORT, port as --port says)"},
    {"no-wait", CLI_SWITCH, CLI_CLIENT, AT(no_wait), ANY, NULL,
     "prints the job's id and leaves it to the server"},
    {"job", CLI_TEXT, CLI_CLIENT, AT(job), ANY, "ID",
     "follows a job that is there already, and saves its pictures"},
    {"cancel", CLI_TEXT, CLI_CLIENT, AT(cancel), ANY, "ID",
     "cancels a job, or removes an ended one"},
    {"list", CLI_SWITCH, CLI_CLIENT, AT(list), ANY, NULL, "lists the server's jobs"},
    {"manual", CLI_SWITCH, CLI_SETTINGS, AT(manual), ANY, NULL, "prints docs/settings.md"},
    {"json", CLI_SWITCH, CLI_PLAN, AT(json), ANY, NULL, "prints the plan as JSON"},
    {"json", CLI_SWITCH, CLI_MODELS, AT(json), ANY, NULL, "prints the lists as JSON"},
    {"hash", CLI_SWITCH, CLI_MODELS, AT(hash), ANY, NULL,
     "reads files whose SHA-256 is not known yet, and remembers it"},
    {"json", CLI_SWITCH, CLI_INFO, AT(json), ANY, NULL, "prints what POST /img-info answers"},
    {"help", CLI_SWITCH, ~0u, AT(help), ANY, NULL, "explains the command"},
    {.name = NULL},
};

const struct cli_command *cli_flags_find_command(const char *name)
{
    for (const struct cli_command *c = cli_flags_commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* Appends to a list that may be cut off. */
static void add_to_list(char *list, size_t room, const char *before, const char *name)
{
    size_t have = strlen(list);
    snprintf(list + have, room - have, "%s%s%s", have ? ", " : "", before, name);
}

bool cli_flags_unknown_command(struct error *err, const char *name)
{
    char list[400] = "";
    for (const struct cli_command *c = cli_flags_commands; c->name; c++)
        add_to_list(list, sizeof list, "", c->name);
    return error_set(err, ERROR_INVALID, "there is no command '%.60s'; there are %s", name, list);
}

void cli_flags_setting_name(char *out, size_t room, const struct settings_row *row)
{
    snprintf(out, room, "%s", row->key);
    for (; *out; out++)
        if (*out == '_')
            *out = '-';
}

static bool unknown_flag(const struct cli_command *command, const char *name, size_t len,
                         struct error *err)
{
    char list[1000] = "";
    for (const struct cli_flag *f = cli_flags_rows; f->name; f++)
        if (f->commands & command->bit)
            add_to_list(list, sizeof list, "--", f->name);
    return error_set(err, ERROR_INVALID,
                     "%s has no flag --%.*s; it has %s, and those of the settings "
                     "(`diffusionapi settings` lists them)",
                     command->name, (int)(len < 24 ? len : 24), name, list[0] ? list : "none");
}

static const struct cli_flag *find_flag(const struct cli_command *command, const char *name,
                                        size_t len)
{
    for (const struct cli_flag *f = cli_flags_rows; f->name; f++)
        if ((f->commands & command->bit) && strlen(f->name) == len &&
            strncmp(f->name, name, len) == 0)
            return f;
    return NULL;
}

static bool set_sampler(struct cli_options *o, const char *value, struct error *err)
{
    o->sampler = sampler_find(value, &o->sampler_suffix);
    return o->sampler || sampler_unknown(err, value);
}

static bool set_scheduler(struct cli_options *o, const char *value, struct error *err)
{
    o->scheduler = schedule_find(value);
    return o->scheduler || schedule_unknown(err, value);
}

static bool set_rng(struct cli_options *o, const char *value, struct error *err)
{
    return rng_kind_find(&o->rng, value) ||
           error_set(err, ERROR_INVALID, "there is no generator '%.60s'; there are cpu, philox",
                     value);
}

static bool set_flag(struct cli_options *o, const struct cli_flag *f, const char *value,
                     struct error *err)
{
    unsigned char *field = (unsigned char *)o + f->offset;
    int64_t whole;
    double number;

    switch (f->kind) {
    case CLI_TEXT:
        memcpy(field, &value, sizeof value);
        return true;
    case CLI_INT:
        if (!parse_int64(&whole, value, (int64_t)f->min, (int64_t)f->max, err))
            return error_prefix(err, "--%s", f->name);
        memcpy(field, &whole, sizeof whole);
        return true;
    case CLI_NUMBER:
        if (!parse_double(&number, value, f->min, f->max, err))
            return error_prefix(err, "--%s", f->name);
        memcpy(field, &number, sizeof number);
        return true;
    case CLI_SAMPLER:
        return set_sampler(o, value, err);
    case CLI_SCHEDULER:
        return set_scheduler(o, value, err);
    case CLI_RNG:
        return set_rng(o, value, err);
    case CLI_LORA:
        if (o->n_loras == CLI_MAX_LORAS)
            return error_set(err, ERROR_INVALID, "--%s is there more than %d times", f->name,
                             CLI_MAX_LORAS);
        o->loras[o->n_loras++] = value;
        return true;
    case CLI_SETTING:
        return settings_set(&o->settings, &o->origins, f->value, value, err);
    case CLI_SWITCH:
        memcpy(field, &(bool){true}, sizeof(bool));
        return true;
    }
    return false;
}

/* A setting by its flag; false with ERROR_INVALID for names that are none. */
static bool set_setting(struct cli_options *o, const char *name, size_t len, const char *value,
                        struct error *err)
{
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)(len < sizeof key ? len : sizeof key - 1), name);
    return settings_set(&o->settings, &o->origins, key, value, err);
}

static bool is_setting(const char *name, size_t len)
{
    char key[64];
    if (len >= sizeof key)
        return false;
    memcpy(key, name, len);
    key[len] = 0;
    return settings_find(key) != NULL;
}

/* Takes argv[*i], "--name value" or "--name=value", and moves *i behind it. */
static bool take_flag(struct cli_options *o, int argc, char *const *argv, int *i, struct error *err)
{
    const char *name = argv[*i] + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const struct cli_flag *flag = find_flag(o->command, name, len);

    if (!flag && !is_setting(name, len))
        return unknown_flag(o->command, name, len, err);
    ++*i;
    if (flag && flag->kind == CLI_SWITCH) {
        if (equals)
            return error_set(err, ERROR_INVALID, "--%s takes no value", flag->name);
        return set_flag(o, flag, NULL, err);
    }
    const char *value = equals ? equals + 1 : NULL;
    if (!value) {
        if (*i >= argc || strncmp(argv[*i], "--", 2) == 0)
            return error_set(err, ERROR_INVALID,
                             "--%.*s needs a value; one that begins with -- is written as "
                             "--%.*s=VALUE",
                             (int)len, name, (int)len, name);
        value = argv[(*i)++];
    }
    return flag ? set_flag(o, flag, value, err) : set_setting(o, name, len, value, err);
}

static struct cli_options defaults(void)
{
    struct cli_options o = {.prompt = "",
                            .negative_prompt = "",
                            .steps = 20,
                            .batch_size = 1,
                            .clip_skip = 1,
                            .seed = 1,
                            .cfg_scale = -1,
                            .denoising_strength = 0.75,
                            .refiner_switch_at = 0.8,
                            .sampler = sampler_find("Euler a", NULL),
                            .hires_scale = 2,
                            .hires_upscaler = "Latent",
                            .hires_denoising_strength = 0.4,
                            .hires_prompt = "",
                            .hires_negative_prompt = "",
                            .mask_blur = 4,
                            .inpainting_fill = 1,
                            .inpaint_padding = 32,
                            .eta = -1,
                            .s_tmax = -1,
                            .s_noise = 1,
                            .subseed = -1,
                            .n_iter = 1,
                            .rng = RNG_CPU};
    settings_defaults(&o.settings, &o.origins);
    return o;
}

static const struct cli_command *command_of(int argc, char *const *argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return cli_flags_find_command("help");
    if (strcmp(argv[1], "--version") == 0)
        return cli_flags_find_command("version");
    return cli_flags_find_command(argv[1]);
}

bool cli_flags_parse(struct cli_options *out, int argc, char *const *argv,
                     const char *(*get)(const char *name), struct error *err)
{
    *out = defaults();
    out->command = command_of(argc, argv);
    if (!out->command)
        return cli_flags_unknown_command(err, argv[1]);
    if (!(out->command->bit & (CLI_HELP | CLI_VERSION)) &&
        !settings_from_environment(&out->settings, &out->origins, get, err))
        return false;

    for (int i = 2; i < argc;) {
        if (strcmp(argv[i], "-h") == 0) {
            out->help = true;
            i++;
        } else if (strncmp(argv[i], "--", 2) == 0) {
            if (!take_flag(out, argc, argv, &i, err))
                return false;
        } else if (out->command->argument && !out->argument) {
            out->argument = argv[i++];
        } else {
            return error_set(err, ERROR_INVALID,
                             "%s does not know what to do with '%.60s'; flags begin with --",
                             out->command->name, argv[i]);
        }
    }
    if (out->command->argument_needed && !out->argument && !out->help)
        return error_set(err, ERROR_INVALID, "%s needs a %s", out->command->name,
                         out->command->argument);
    if (out->command->bit == CLI_IMG2IMG && !out->image && !out->help)
        return error_set(err, ERROR_INVALID, "img2img needs a picture: --image FILE");
    if (out->config && !out->help &&
        !settings_file_read(&out->settings, &out->origins, out->config, err))
        return false;
    if (out->mask && !out->image)
        return error_set(err, ERROR_INVALID, "--mask is for a picture: --image FILE");
    return (out->command->bit & (CLI_HELP | CLI_VERSION)) || out->help ||
           memory_file_read(&out->settings, &out->origins, err);
}
