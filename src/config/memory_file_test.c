#include "base/test.h"
#include "config/memory_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct settings s;
static struct settings_origins origins;
static struct error err;

static bool read_text(const char *text)
{
    settings_defaults(&s, &origins);
    err = (struct error){0};
    return memory_file_read_bytes(&s, &origins, "m.json", text, strlen(text), &err);
}

static enum settings_origin origin_of(const char *key)
{
    return (enum settings_origin)origins.from[settings_find(key) - settings_rows];
}

static void reads_the_documented_file(void)
{
    CHECK(read_text("{ \"memory_thresholds\": {\"very_low\": 6, \"low\": 12, \"medium\": 18, "
                    "\"high\": 24, \"very_high\": 32},\n"
                    "  \"max_image_sizes\": {\"mps\": {\"very_low\": [512, 512], \"low\": "
                    "[768, 640]}, \"cuda\": {}, \"cpu\": {}},\n"
                    "  \"optimizations\": {\"enable_vae_tiling\": true, "
                    "\"enable_attention_slicing\": true,\n"
                    "                    \"enable_model_cpu_offload\": true, "
                    "\"enable_sequential_cpu_offload\": false} }"));
    CHECK(s.memory_thresholds[0] == 6 && s.memory_thresholds[3] == 24);
    CHECK(s.max_image_sizes_mps[1].width == 768 && s.max_image_sizes_mps[1].height == 640);
    CHECK(s.max_image_sizes_mps[2].width == 1024);
    CHECK(s.enable_vae_tiling == TRI_TRUE && s.enable_cpu_offload == TRI_TRUE);
    CHECK(s.enable_sequential_cpu_offload == TRI_FALSE);
    CHECK(s.enable_memory_efficient_attention == TRI_AUTO);
    CHECK(origin_of("memory_thresholds") == SETTINGS_FILE);
    CHECK(origin_of("max_image_sizes_mps") == SETTINGS_FILE);
    CHECK(origin_of("max_image_sizes_cuda") == SETTINGS_DEFAULT);
    CHECK(origin_of("enable_cpu_offload") == SETTINGS_FILE);
    CHECK(origin_of("cleanup_before_loading") == SETTINGS_DEFAULT);
}

static void merges_parts_over_the_defaults(void)
{
    CHECK(read_text("{}"));
    CHECK(read_text("{\"memory_thresholds\": {\"high\": 40.5}}"));
    CHECK(s.memory_thresholds[2] == 24 && s.memory_thresholds[3] == 40.5);
    CHECK(s.memory_thresholds[4] == 40.5);
    CHECK(read_text("{\"memory_thresholds\": {\"low\": 12}, \"optimizations\": "
                    "{\"reduce_vae_sample_size\": \"auto\", \"force_cleanup_after_generation\": "
                    "false, \"cleanup_before_loading\": true, "
                    "\"enable_memory_efficient_attention\": true}}"));
    CHECK(s.memory_thresholds[0] == 8 && s.memory_thresholds[1] == 12);
    CHECK(s.force_cleanup_after_generation == TRI_FALSE && s.cleanup_before_loading == TRI_TRUE);
    CHECK(s.enable_memory_efficient_attention == TRI_TRUE);
    CHECK(s.reduce_vae_sample_size == TRI_AUTO);
}

static void refuses_with_the_place_and_what_is_allowed(void)
{
    static const struct {
        const char *text, *where, *value, *allowed;
    } row[] = {
        {"{\"memory_thresholds\": {\"low\": 4}}", "m.json:1:31:", "'low' is 4", "8 by default"},
        {"{\"memory_thresholds\": {\"very_low\": 20}}", "m.json:1:36:", "'very_low' is 20",
         "'low' is 16 by default"},
        {"{\"memory_thresholds\": {\"low\": 9,\n \"medium\": 9}}", "m.json:2:12:", "'medium' is 9",
         "rise"},
        {"{\"memory_thresholds\": {\"very_high\": 31}}", "m.json:1:37:", "31", "rise"},
        {"{\"memory_thresholds\": {\"very_low\": 0}}", "m.json:1:36:", "is 0", "number of GiB"},
        {"{\"memory_thresholds\": {\"low\": \"12\"}}", "m.json:1:31:", "\"12\"", "number of GiB"},
        {"{\"memory_thresholds\": {\"lowest\": 1}}", "m.json:1:24:", "lowest", "very_low, low"},
        {"{\"memory_thresholds\": 8}", "m.json:1:23:", "is 8", "an object"},
        {"{\"max_image_sizes\": {\"tpu\": {}}}", "m.json:1:22:", "tpu", "mps, cuda, cpu"},
        {"{\"max_image_sizes\":\n{\"cpu\":\n{\"low\": [512, 63]}}}", "m.json:3:15:", "63",
         "64 to 16384"},
        {"{\"max_image_sizes\": {\"cpu\": {\"low\": [512.0, 512]}}}", "m.json:1:38:", "512.0",
         "whole number"},
        {"{\"max_image_sizes\": {\"cpu\": {\"low\": [512]}}}", "m.json:1:37:", "[512]",
         "[WIDTH, HEIGHT]"},
        {"{\"max_image_sizes\": {\"cpu\": {\"low\": \"512x512\"}}}", "m.json:1:37:", "512x512",
         "[WIDTH, HEIGHT]"},
        {"{\"max_image_sizes\": {\"cpu\": {\"big\": [512, 512]}}}", "m.json:1:30:", "big",
         "very_high"},
        {"{\"optimizations\": {\"enable_vae_tiling\": 1}}", "m.json:1:41:", "is 1",
         "true, false or \"auto\""},
        {"{\"optimizations\": {\"enable_vae_tiling\": null}}", "m.json:1:41:", "null", "true"},
        {"{\"optimizations\": {\"enable_vae_tilling\": true}}",
         "m.json:1:20:", "enable_vae_tilling", "cleanup_before_loading"},
        {"{\"optimizations\": {\"enable_cpu_offload\": true, \"enable_model_cpu_offload\": true}}",
         "m.json:1:48:", "enable_model_cpu_offload", "are one"},
        {"{\n  \"max_image_size\": [512, 512]}", "m.json:2:3:", "max_image_size",
         "memory_thresholds"},
        {"{\n  \"optimizations\": {},\n  \"optimizations\": {}}", "m.json:3:", "duplicate", ""},
        {"{\"optimizations\": {},}", "m.json:1:", "", ""},
        {"[]", "m.json:1:1:", "object", ""},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bool refused = !read_text(row[i].text);
        bool told = refused && strncmp(err.text, row[i].where, strlen(row[i].where)) == 0 &&
                    strstr(err.text, row[i].value) && strstr(err.text, row[i].allowed);
        if (!told)
            fprintf(stderr, "row: %s: %s\n", row[i].text, err.text);
        CHECK(told);
        for (size_t k = 0; k < settings_row_count; k++)
            CHECK(origins.from[k] == SETTINGS_DEFAULT);
    }
}

static void gives_way_to_the_environment_and_flags(void)
{
    static const char text[] = "{\"memory_thresholds\": {\"low\": 12}, \"optimizations\": "
                               "{\"enable_vae_tiling\": true, \"enable_cpu_offload\": true}}";
    settings_defaults(&s, &origins);
    CHECK(settings_set(&s, &origins, "enable-vae-tiling", "false", &err));
    CHECK(settings_set(&s, &origins, "memory-thresholds", "1 2 3 4", &err));
    CHECK(memory_file_read_bytes(&s, &origins, "m.json", text, strlen(text), &err));
    CHECK(s.enable_vae_tiling == TRI_FALSE && s.enable_cpu_offload == TRI_TRUE);
    CHECK(s.memory_thresholds[1] == 2);
    CHECK(origin_of("enable_vae_tiling") == SETTINGS_FLAG);
    CHECK(origin_of("enable_cpu_offload") == SETTINGS_FILE);
}

static void reads_the_file_that_the_setting_names(void)
{
    char path[] = "/tmp/memory_file_test_XXXXXX";
    static const char text[] = "{\"optimizations\": {\"enable_vae_tiling\": false}}";
    int fd = mkstemp(path);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    settings_defaults(&s, &origins);
    CHECK(memory_file_read(&s, &origins, &err));
    CHECK(origin_of("enable_vae_tiling") == SETTINGS_DEFAULT);
    CHECK(settings_set(&s, &origins, "memory_config", path, &err));
    CHECK(memory_file_read(&s, &origins, &err));
    CHECK(s.enable_vae_tiling == TRI_FALSE);
    unlink(path);

    settings_defaults(&s, &origins);
    CHECK(settings_set(&s, &origins, "memory_config", path, &err));
    CHECK(!memory_file_read(&s, &origins, &err));
    CHECK(err.code == ERROR_NOT_FOUND && strstr(err.text, path));
    CHECK(strstr(err.text, "--memory-config"));
    CHECK(settings_set(&s, &origins, "memory_config", "/tmp", &err));
    CHECK(!memory_file_read(&s, &origins, &err));
}

int main(void)
{
    reads_the_documented_file();
    merges_parts_over_the_defaults();
    refuses_with_the_place_and_what_is_allowed();
    gives_way_to_the_environment_and_flags();
    reads_the_file_that_the_setting_names();
    return TEST_END();
}
