#include "base/test.h"
#include "config/settings_file.h"

#include <string.h>

static struct settings s;
static struct settings_origins origins;
static struct error err;

static bool read_text(const char *text)
{
    settings_defaults(&s, &origins);
    err = (struct error){0};
    return settings_file_read_bytes(&s, &origins, "c.json", text, strlen(text), &err);
}

static void reads_every_kind_of_value(void)
{
    CHECK(read_text("{\"port\": 8080, \"models_dir\": \"/srv\", \"log_prompts\": true,\n"
                    "\"memory_budget\": \"6GiB\", \"max-body\": 4096,\n"
                    "\"memory_thresholds\": [1, 2, 3.5, 4],\n"
                    "\"max_image_sizes_cpu\": [\"64x64\", \"128x128\", \"256x256\", \"512x512\", "
                    "\"768x512\"]}"));
    CHECK(s.port == 8080 && strcmp(s.models_dir, "/srv") == 0 && s.log_prompts == TRI_TRUE);
    CHECK(s.memory_budget == (uint64_t)6 << 30 && s.max_body == 4096);
    CHECK(s.memory_thresholds[2] > 3.4 && s.max_image_sizes_cpu[4].width == 768);
    CHECK(origins.from[settings_find("port") - settings_rows] == SETTINGS_FILE);
}

static void leaves_flags_first(void)
{
    settings_defaults(&s, &origins);
    CHECK(settings_set(&s, &origins, "port", "1234", &err));
    static const char text[] = "{\"port\": 8080, \"threads\": 2}";
    CHECK(settings_file_read_bytes(&s, &origins, "c.json", text, sizeof text - 1, &err));
    CHECK(s.port == 1234 && s.threads == 2);
}

static void says_where_it_is_wrong(void)
{
    static const struct {
        const char *text, *says;
    } row[] = {
        {"{\n  \"prot\": 1}", "c.json:2:3: there is no setting 'prot'"},
        {"{\"port\": 1,\n \"threads\": 300}", "c.json:2:13: 'threads': "},
        {"{\"port\": {}}", "c.json:1:10: 'port' has to be"},
        {"{\"port\": null}", "c.json:1:10: 'port' has to be"},
        {"{\"port\": \"a\"}", "c.json:1:10: 'port': "},
        {"{\"port\": 1", "c.json:1:10: "},
        {"[]", "c.json:1:1: not a JSON object"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        CHECK(!read_text(row[i].text));
        if (strncmp(err.text, row[i].says, strlen(row[i].says)) != 0)
            fprintf(stderr, "%s\n", err.text);
        CHECK(strncmp(err.text, row[i].says, strlen(row[i].says)) == 0);
        CHECK(s.port == 7866 && s.threads == 0); /* as before */
    }
}

int main(void)
{
    reads_every_kind_of_value();
    leaves_flags_first();
    says_where_it_is_wrong();
    return TEST_END();
}
