#include "config/settings.h"

#include "base/assert.h"
#include "config/settings_value.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* The field names its row, so a row cannot fill another field than the one it documents. */
#define FIELD(f) #f, offsetof(struct settings, f), sizeof((struct settings *)0)->f

#define MACHINE_MIN ((int64_t)1 << 20)
#define MACHINE_MAX ((int64_t)1 << 50) /* a PiB */

const struct settings_row settings_rows[] = {
    {FIELD(model), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "model used when a request names none: a folder, a .safetensors or .ckpt "
     "file, or a name in models_dir; "
     "empty: the demo model, in the server the first of models_dir that can be used"},
    {FIELD(models_dir), SETTINGS_TEXT, 0, 0, "models", "MODELS_DIR", NULL,
     "folder of models that may be called by their name"},
    {FIELD(tokenizer_dir), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "folder with vocab.json and merges.txt for single-file models, which carry none"},
    {FIELD(vae), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "VAE instead of the model's own: a folder, a file, or a name in vae_dir (taesd: the tiny "
     "one); "
     "empty: the model's"},
    {FIELD(vae_dir), SETTINGS_TEXT, 0, 0, "vae", "VAE_DIR", NULL,
     "folder of VAEs that may be called by their name"},
    {FIELD(embeddings_dir), SETTINGS_TEXT, 0, 0, "embeddings", "EMBEDDINGS_DIR", NULL,
     "folder of textual inversions: a file's name in a prompt stands for its vectors"},
    {FIELD(prompt_syntax), SETTINGS_TEXT, 0, 0, "webui", NULL, "webui off",
     "webui: (word:1.2), [a:b:0.5], BREAK and the like mean something in prompts; off: they are "
     "text"},
    {FIELD(loras_dir), SETTINGS_TEXT, 0, 0, "loras", "LORAS_DIR", NULL,
     "folder of LoRAs, which requests call by their name"},
    {FIELD(upscalers_dir), SETTINGS_TEXT, 0, 0, "upscalers", "UPSCALERS_DIR", NULL,
     "folder of upscalers, which requests call by their name"},
    {FIELD(labels_file), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "JSON file of models' names and what they are called in lists; empty: labels.json in "
     "models_dir, or else the labels that the program comes with"},
    {FIELD(hf_cache), SETTINGS_TEXT, 0, 0, "", "HF_HUB_CACHE", NULL,
     "hub folder of a Hugging Face cache, which links in the folders of models may lead into; "
     "empty: none"},
    {FIELD(isa), SETTINGS_TEXT, 0, 0, "auto", NULL, "auto portable avx2 avx512 amx neon",
     "instruction set of the CPU kernels; auto takes the best there is"},
    {FIELD(threads), SETTINGS_INT, 0, 256, "0", NULL, NULL,
     "compute threads; 0: one per physical core"},
    {FIELD(max_side), SETTINGS_INT, 64, 16384, "4096", NULL, NULL,
     "largest width or height of a request, pixels"},
    {FIELD(max_pixels), SETTINGS_INT, 4096, 67108864, "16777216", NULL, NULL,
     "largest width x height of a request"},
    {FIELD(max_steps), SETTINGS_INT, 1, 1000, "150", NULL, NULL, "most sampler steps of a request"},
    {FIELD(max_batch), SETTINGS_INT, 1, 64, "16", NULL, NULL, "most pictures of a request"},
    {FIELD(jpeg_quality), SETTINGS_INT, 1, 100, "85", NULL, NULL,
     "quality of JPEG files when a request names none"},
    {FIELD(webp_quality), SETTINGS_INT, 1, 100, "85", NULL, NULL,
     "quality of WebP files when a request names none"},
    {FIELD(avif_quality), SETTINGS_INT, 1, 100, "75", NULL, NULL,
     "quality of AVIF files when a request names none"},
    {FIELD(avif_speed), SETTINGS_INT, 1, 10, "6", NULL, NULL,
     "effort for AVIF files: the larger the quicker, and the larger the file"},
    {FIELD(device), SETTINGS_TEXT, 0, 0, "auto", NULL, "auto cpu cuda mps",
     "device to use, or to plan for; auto takes what there is"},
    {FIELD(total), SETTINGS_BYTES, MACHINE_MIN, MACHINE_MAX, "auto", NULL, NULL,
     "memory in total of the machine to plan for, instead of this one"},
    {FIELD(available), SETTINGS_BYTES, 0, MACHINE_MAX, "auto", NULL, NULL,
     "memory available on the machine to plan for, instead of this one"},
    {FIELD(memory_config), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "JSON file with memory_thresholds, max_image_sizes and optimizations"},
    {FIELD(memory_thresholds), SETTINGS_THRESHOLDS, 0, 0, "8 16 24 32 32", NULL, NULL,
     "upper bounds of the memory levels very_low to very_high, GiB available; the last level has "
     "none"},
    {FIELD(max_image_sizes_mps), SETTINGS_LEVEL_SIZES, 0, 0,
     "512x512 768x768 1024x1024 1280x1280 1536x1536", NULL, NULL,
     "largest picture by memory level on Apple GPUs"},
    {FIELD(max_image_sizes_cuda), SETTINGS_LEVEL_SIZES, 0, 0,
     "768x768 1024x1024 1280x1280 1536x1536 2048x2048", NULL, NULL,
     "largest picture by memory level on NVIDIA GPUs"},
    {FIELD(max_image_sizes_cpu), SETTINGS_LEVEL_SIZES, 0, 0,
     "512x512 512x512 768x768 1024x1024 1024x1024", NULL, NULL,
     "largest picture by memory level on CPUs"},
    {FIELD(max_image_size), SETTINGS_SIZE, 0, 0, "auto", NULL, NULL,
     "largest picture, instead of all three tables; auto: the tables"},
    {FIELD(size_policy), SETTINGS_TEXT, 0, 0, "table", NULL, "table planned refuse",
     "when a picture is too large: make it as small as the tables say, as large as the plan "
     "proves to fit, or refuse"},
    {FIELD(memory_budget), SETTINGS_BYTES, 1 << 20, MACHINE_MAX, "auto", NULL, NULL,
     "use no more memory than this; auto: what is available"},
    {FIELD(memory_reserve), SETTINGS_BYTES, 0, MACHINE_MAX, "auto", NULL, NULL,
     "memory left for the system; auto: the larger of 512 MiB and 5 %"},
    {FIELD(model_idle_seconds), SETTINGS_INT, 0, 31536000, "600", NULL, NULL,
     "a model that nobody used for so long is unloaded; 0: never"},
    {FIELD(enable_vae_tiling), SETTINGS_TRI, 0, 0, "auto", NULL, NULL,
     "decode and encode pictures in tiles"},
    {FIELD(enable_attention_slicing), SETTINGS_TRI, 0, 0, "auto", NULL, NULL,
     "attention in slices"},
    {FIELD(enable_memory_efficient_attention), SETTINGS_TRI, 0, 0, "auto", NULL, NULL,
     "attention in one streaming pass"},
    {FIELD(enable_cpu_offload), SETTINGS_TRI, 0, 0, "auto", "DIFFUSIONAPI_ENABLE_MODEL_CPU_OFFLOAD",
     NULL, "one network in memory at a time"},
    {FIELD(enable_sequential_cpu_offload), SETTINGS_TRI, 0, 0, "auto", NULL, NULL,
     "weights streamed layer by layer"},
    {FIELD(reduce_vae_sample_size), SETTINGS_TRI, 0, 0, "auto", NULL, NULL,
     "SDXL's VAE in tiles of 512 pixels instead of 1024"},
    {FIELD(force_cleanup_after_generation), SETTINGS_TRI, 0, 0, "auto", NULL, NULL,
     "give scratch memory back after every generation"},
    {FIELD(cleanup_before_loading), SETTINGS_TRI, 0, 0, "auto", NULL, NULL,
     "give scratch memory back before a model is loaded"},
    {FIELD(listen), SETTINGS_TEXT, 0, 0, "127.0.0.1", NULL, NULL,
     "address that `serve` listens on, as numbers; any but the loopback needs credentials"},
    {FIELD(port), SETTINGS_INT, 0, 65535, "7866", NULL, NULL, "TCP port; 0: any that is free"},
    {FIELD(open_access), SETTINGS_TRI, 0, 0, "false", NULL, NULL,
     "true: everybody who reaches the address may use the server without credentials"},
    {FIELD(data_dir), SETTINGS_TEXT, 0, 0, "data", NULL, NULL,
     "folder of the server's jobs, results and keys; one server at a time works there"},
    {FIELD(api_key), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "keys that clients may send (Bearer, x-api-key, api-key), separated by blanks"},
    {FIELD(api_key_file), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "file with one key a line; NAME and a blank before it give it a name for the log"},
    {FIELD(user), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "NAME:PASSWORD that clients may send (Basic); several are separated by commas"},
    {FIELD(user_file), SETTINGS_TEXT, 0, 0, "", NULL, NULL, "file with one NAME:PASSWORD a line"},
    {FIELD(tls_certificate), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "PEM file of the certificate and those above it; with tls_key: HTTPS instead of HTTP"},
    {FIELD(tls_key), SETTINGS_TEXT, 0, 0, "", NULL, NULL, "PEM file of the certificate's key"},
    {FIELD(cors_origins), SETTINGS_TEXT, 0, 0, "loopback", NULL, NULL,
     "web pages that may use the server: loopback (those of this machine), *, none, or origins "
     "such as https://example.org, separated by blanks"},
    {FIELD(allowed_hosts), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "names besides localhost that clients may call a server on the loopback by, separated by "
     "blanks: that of a reverse proxy; *: any"},
    {FIELD(public_url), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "begin of the addresses given out, such as https://images.example.org; empty: from the "
     "request"},
    {FIELD(url_seconds), SETTINGS_INT, 60, 31536000, "3600", NULL, NULL,
     "how long a signed address of a picture is good"},
    {FIELD(max_body), SETTINGS_BYTES, 1 << 10, 1 << 30, "64MiB", NULL, NULL,
     "largest body of a request"},
    {FIELD(max_connections), SETTINGS_INT, 1, 4096, "128", NULL, NULL,
     "connections at a time; more have to wait"},
    {FIELD(idle_seconds), SETTINGS_INT, 1, 3600, "30", NULL, NULL,
     "a connection that says nothing for so long is closed"},
    {FIELD(request_seconds), SETTINGS_INT, 1, 86400, "300", NULL, NULL,
     "a request, or the reading of its answer, may take so long"},
    {FIELD(openai_aliases), SETTINGS_TEXT, 0, 0, "dall-e gpt-image", NULL, NULL,
     "model names of /v1 requests that mean the default model: whatever begins with one of these "
     "words"},
    {FIELD(late_answer_seconds), SETTINGS_INT, 0, 86400, "100", NULL, NULL,
     "clients that wait for a picture get the begin of the answer after so long, so that they go "
     "on waiting; 0: never before the end"},
    {FIELD(queue_size), SETTINGS_INT, 1, 100000, "1000", NULL, NULL,
     "most jobs that wait; more are refused with 429"},
    {FIELD(job_attempts), SETTINGS_INT, 1, 100, "2", NULL, NULL,
     "times that a job is begun when the worker dies with it"},
    {FIELD(keep_days), SETTINGS_INT, 0, 36500, "30", NULL, NULL,
     "finished jobs and their pictures are removed after so many days; 0: never"},
    {FIELD(keep_jobs), SETTINGS_INT, 0, 100000000, "10000", NULL, NULL,
     "finished jobs that are kept, the newest; 0: all"},
    {FIELD(keep_bytes), SETTINGS_BYTES, 0, MACHINE_MAX, "10GiB", NULL, NULL,
     "bytes of finished jobs' files that are kept; auto: all"},
    {FIELD(stop_seconds), SETTINGS_INT, 0, 3600, "5", NULL, NULL,
     "a server that is told to stop gives the running job so long; then it runs again at the next "
     "start"},
    {FIELD(img2img_loras), SETTINGS_TRI, 0, 0, "false", NULL, NULL,
     "true: POST /img2img applies LoRAs; false: it leaves them out and says so, as the original "
     "did"},
    {FIELD(log_level), SETTINGS_TEXT, 0, 0, "info", NULL, "error warn info debug",
     "lines of the server's log"},
    {FIELD(log_prompts), SETTINGS_TRI, 0, 0, "false", NULL, NULL,
     "true: prompts stand in the log; they are personal data"},
};
const size_t settings_row_count = sizeof settings_rows / sizeof settings_rows[0];

static bool same_key(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b))
            return false;
    return *a == *b;
}

int settings_quality(const struct settings *s, const char *format)
{
    if (strcasecmp(format, "jpeg") == 0 || strcasecmp(format, "jpg") == 0)
        return (int)s->jpeg_quality;
    if (strcasecmp(format, "webp") == 0)
        return (int)s->webp_quality;
    return strcasecmp(format, "avif") == 0 ? (int)s->avif_quality : 100;
}

const struct settings_row *settings_find(const char *key)
{
    for (size_t i = 0; i < settings_row_count; i++)
        if (same_key(settings_rows[i].key, key))
            return &settings_rows[i];
    return NULL;
}

bool settings_is_secret(const struct settings_row *row)
{
    return row->offset == offsetof(struct settings, api_key) ||
           row->offset == offsetof(struct settings, user);
}

static bool set_row(struct settings *s, const struct settings_row *row, const char *value,
                    struct error *err)
{
    return settings_value_parse((unsigned char *)s + row->offset, row, value, err);
}

static void remember(struct settings_origins *origins, const struct settings_row *row,
                     enum settings_origin origin)
{
    size_t i = (size_t)(row - settings_rows);
    ASSERT(i < sizeof origins->from);
    origins->from[i] = (unsigned char)origin;
}

void settings_defaults(struct settings *s, struct settings_origins *origins)
{
    memset(s, 0, sizeof *s);
    memset(origins, 0, sizeof *origins);
    for (size_t i = 0; i < settings_row_count; i++) {
        struct error err = {0};
        bool row_is_sound = set_row(s, &settings_rows[i], settings_rows[i].fallback, &err);
        ASSERT(row_is_sound);
    }
}

/* DIFFUSIONAPI_ and the key in capitals. */
static void variable_name(char out[96], const struct settings_row *row)
{
    size_t len = (size_t)snprintf(out, 96, "DIFFUSIONAPI_%s", row->key);
    for (size_t i = 0; i < len && i < 95; i++)
        out[i] = (char)toupper((unsigned char)out[i]);
}

bool settings_from_environment(struct settings *s, struct settings_origins *origins,
                               const char *(*get)(const char *name), struct error *err)
{
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct settings_row *row = &settings_rows[i];
        char name[96];
        variable_name(name, row);
        const char *const names[] = {row->variable, name}; /* its own name wins */
        for (size_t k = 0; k < 2; k++) {
            const char *value = names[k] ? get(names[k]) : NULL;
            if (!value)
                continue;
            if (!set_row(s, row, value, err))
                return error_prefix(err, "%s", names[k]);
            remember(origins, row, SETTINGS_VARIABLE);
        }
    }
    return true;
}

bool settings_set(struct settings *s, struct settings_origins *origins, const char *key,
                  const char *value, struct error *err)
{
    const struct settings_row *row = settings_find(key);
    if (!row)
        return error_set(err, ERROR_INVALID, "there is no setting '%s'", key);
    if (!set_row(s, row, value, err))
        return error_prefix(err, "--%s", key);
    remember(origins, row, SETTINGS_FLAG);
    return true;
}

void settings_write(char *out, size_t room, const struct settings *s,
                    const struct settings_row *row)
{
    settings_value_write(out, room, row, (const unsigned char *)s + row->offset);
}

const char *settings_origin_name(enum settings_origin origin)
{
    static const char *const name[] = {"default", "file", "environment", "flag"};
    return name[origin];
}

/* The key with '-' for '_', as people write flags. */
static void flag_name(char out[64], const struct settings_row *row)
{
    size_t len = (size_t)snprintf(out, 64, "%s", row->key);
    for (size_t i = 0; i < len && i < 63; i++)
        if (out[i] == '_')
            out[i] = '-';
}

void settings_print_manual(FILE *to)
{
    fputs("# Settings\n\nPrinted from the table in `src/config/settings.c` by `diffusionapi "
          "settings --manual`; do not edit.\n\nA flag wins over the environment, the environment "
          "over the memory file, the file over the default.\n\n",
          to);
    fputs("| flag | variable | default | allowed | meaning |\n| --- | --- | --- | --- | --- |\n",
          to);
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct settings_row *row = &settings_rows[i];
        char name[96], allowed[128], flag[64];
        variable_name(name, row);
        flag_name(flag, row);
        settings_value_allowed(allowed, sizeof allowed, row);
        fprintf(to, "| `--%s` | `%s`%s%s%s | %s | %s | %s |\n", flag, name,
                row->variable ? ", `" : "", row->variable ? row->variable : "",
                row->variable ? "`" : "", row->fallback[0] ? row->fallback : "(empty)", allowed,
                row->help);
    }
}
