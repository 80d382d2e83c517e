/* The library from outside: layouts, names, labels, hostile folders, limits. */
#include "library/library.h"
#include "library/library_testing.h"

#define below(...) library_testing_path(__VA_ARGS__)

static bool is(const char *a, const char *b)
{
    if (a && b && strcmp(a, b) == 0)
        return true;
    fprintf(stderr, "is '%s', not '%s'\n", a ? a : "(null)", b ? b : "(null)");
    return false;
}

static void lists_nothing_where_there_is_no_folder(void)
{
    struct library_settings s = {.folders = {[LIBRARY_LORA] = "/nowhere/at/all"}};
    struct library *lib = NULL;
    struct library_list list;
    struct error err = {0};

    CHECK(library_open(&lib, &s, &err));
    for (int i = 0; i < LIBRARY_KINDS; i++) {
        CHECK(library_list(lib, (enum library_kind)i, &list, &err) && list.n == 0 && !list.cut);
        library_list_clear(&list);
    }
    library_list_clear(&list);
    library_close(lib);
    library_close(NULL);
}

/* Hugging Face's cache: blobs, links to them, and revisions. */
static void make_cache(const char *name, bool with_main)
{
    static const char *const parts[] = {
        "scheduler/scheduler_config.json",          "text_encoder/config.json",
        "text_encoder/model.safetensors",           "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors", "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",  "model_index.json"};
    static const char *const revisions[] = {"aaa", "bbb"};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char from[300];
        snprintf(from, sizeof from, "assets/demo-model/%s", parts[i]);
        library_testing_copy(below("%s/blobs/blob%zu%s", name, i,
                                   strstr(parts[i], ".safetensors") ? ".safetensors" : ""),
                             from);
        for (int k = 0; k < 2; k++) {
            char to[300], at[LIBRARY_TESTING_PATH_BYTES];
            snprintf(at, sizeof at, "%s",
                     below("%s/snapshots/%s/%s", name, revisions[k], parts[i]));
            snprintf(to, sizeof to, "%s../../blobs/blob%zu%s", strchr(parts[i], '/') ? "../" : "",
                     i, strstr(parts[i], ".safetensors") ? ".safetensors" : "");
            *strrchr(at, '/') = 0;
            library_testing_folder(at);
            at[strlen(at)] = '/';
            library_testing_link(to, at);
        }
    }
    library_testing_age(below("%s/snapshots/bbb", name), 1000);
    if (with_main)
        library_testing_text(below("%s/refs/main", name), "bbb\n");
}

static void lists_every_layout_of_models(void)
{
    static const struct {
        const char *name, *file_name, *repository, *ends;
        bool sound;
    } row[] = {
        {"anime/broken", "anime/broken.safetensors", NULL, "/anime/broken.safetensors", false},
        {"models--org--cached", "models--org--cached", "org/cached", "/snapshots/bbb", true},
        {"models--org--flat", "models--org--flat", "org/flat", "/models--org--flat", true},
        {"models--org--newest", "models--org--newest", "org/newest", "/snapshots/aaa", true},
        {"plain", "plain", NULL, "/plain", true},
    };
    library_testing_begin();
    library_testing_model(below("plain"));
    library_testing_model(below("models--org--flat"));
    make_cache("models--org--cached", true);
    make_cache("models--org--newest", false);
    library_testing_text(below("anime/broken.safetensors"), "not a model at all");
    library_testing_text(below("notes.txt"), "no model");
    library_testing_folder(below("empty"));

    struct library *lib = library_testing_open(LIBRARY_MODEL, library_testing_root);
    struct library_list list = library_testing_list(lib, LIBRARY_MODEL);
    CHECK(list.n == sizeof row / sizeof *row);
    for (size_t i = 0; i < list.n && i < sizeof row / sizeof *row; i++) {
        const struct library_entry *e = list.entries[i];
        const size_t cut = strlen(row[i].ends), n = strlen(e->path);
        CHECK(is(e->name, row[i].name) && is(e->file_name, row[i].file_name));
        CHECK(is(e->label, row[i].name));
        CHECK(row[i].repository ? is(e->repository, row[i].repository) : !e->repository);
        CHECK(n > cut && is(e->path + n - cut, row[i].ends));
        CHECK(row[i].sound == !e->problem);
        CHECK(is(e->family, row[i].sound ? "sd15" : ""));
        CHECK(e->bytes > 0 && e->modified_unix_ms > 0);
        CHECK(e->kind == LIBRARY_MODEL && !e->is_demo);
        CHECK(!row[i].sound || (e->is_folder && e->native_side == 128 && e->v_prediction));
        if (e->problem)
            CHECK(!strstr(e->problem, library_testing_root));
        else if (e->title)
            CHECK(is(e->title, e->file_name));
    }
    library_list_clear(&list);
    library_close(lib);
    library_testing_end();
}

/* Finds text, and gives the name; "?" when it is ambiguous and "" when there is none. */
static const char *found_name(struct library *lib, enum library_kind kind, const char *text)
{
    static char name[LIBRARY_NAME_BYTES];
    const struct library_entry *e;
    struct error err = {0};

    if (!library_find(lib, kind, text, &e, &err))
        return err.code == ERROR_NOT_FOUND ? "" : "?";
    snprintf(name, sizeof name, "%s", e->name);
    library_entry_free(e);
    return name;
}

static void finds_by_everything_that_clients_say(void)
{
    static const struct {
        const char *text, *name;
    } row[] = {
        {"a", "a"},
        {"a.ckpt", "a.ckpt"},
        {"a.safetensors", "a"},
        {"A", "a"},
        {"a.safetensors [0123456789]", "a"},
        {"sub/mix", "sub/mix"},
        {"sub/mix.safetensors", "sub/mix"},
        {"mix", "sub/mix"},
        {"mix.safetensors", "sub/mix"},
        {"sub_mix", "sub/mix"},
        {"twin", "?"},
        {"one/twin", "one/twin"},
        {"models--Meina--MeinaMix_V11", "models--Meina--MeinaMix_V11"},
        {"meinamix v11", "models--Meina--MeinaMix_V11"},
        {" MeinaMix-V11 ", "models--Meina--MeinaMix_V11"},
        {"Meina/MeinaMix_V11", "models--Meina--MeinaMix_V11"},
        {"meina/meinamix_v11", "models--Meina--MeinaMix_V11"},
        {"Amanatsu", "John6666__amanatsu-illustrious-v11-sdxl"},
        {"John6666/amanatsu-illustrious-v11-sdxl", "John6666__amanatsu-illustrious-v11-sdxl"},
        {"no such model", ""},
        {"", "?"},
        {"..", ""},
        {"../a", ""},
        {"sub/../a", ""},
        {"./a", ""},
        {"/etc/passwd", ""},
        {"sub\\mix", ""},
        {"a\n", "?"},
        {"\xff", "?"},
        {"demo", ""},
        {"%s%n", ""},
    };
    static const char *const files[] = {"a.safetensors",       "a.ckpt",
                                        "sub/mix.safetensors", "one/twin.safetensors",
                                        "two/twin.pt",         "../outside.safetensors"};
    library_testing_begin();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        library_testing_text(below("models/%s", files[i]), "no weights");
    library_testing_folder(below("models/models--Meina--MeinaMix_V11/unet"));
    library_testing_text(below("models/models--Meina--MeinaMix_V11/unet/config.json"), "{}");
    library_testing_text(below("models/John6666__amanatsu-illustrious-v11-sdxl/model_index.json"),
                         "{}");

    struct library *lib = library_testing_open(LIBRARY_MODEL, below("models"));
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        CHECK(is(found_name(lib, LIBRARY_MODEL, row[i].text), row[i].name));
    char long_name[2000];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    CHECK(is(found_name(lib, LIBRARY_MODEL, long_name), "?"));
    library_close(lib);
    library_testing_end();
}

static void says_what_there_is(void)
{
    const struct library_entry *e;
    struct error err = {0};

    library_testing_begin();
    struct library *lib = library_testing_open(LIBRARY_LORA, library_testing_root);
    CHECK(!library_find(lib, LIBRARY_LORA, "x", &e, &err) && err.code == ERROR_NOT_FOUND);
    CHECK(is(err.text, "there is no LoRA 'x'; there are none at all"));
    library_testing_text(below("watercolour.safetensors"), "no weights");
    library_testing_text(below("ink.safetensors"), "no weights");
    CHECK(library_refresh(lib, &err));
    CHECK(!library_find(lib, LIBRARY_LORA, "watercolor", &e, &err));
    CHECK(is(err.text, "there is no LoRA 'watercolor'; near it: 'watercolour'"));
    CHECK(!library_find(lib, LIBRARY_LORA, "something", &e, &err));
    CHECK(is(err.text, "there is no LoRA 'something'; there are 'ink', 'watercolour'"));
    CHECK(library_find(lib, LIBRARY_LORA, "ink", &e, &err) && e->problem);
    library_entry_free(e);
    CHECK(!library_find_sound(lib, LIBRARY_LORA, "ink", &e, &err) && err.code == ERROR_CORRUPT);
    CHECK(strstr(err.text, "'ink' cannot be used") && !strstr(err.text, library_testing_root));
    library_close(lib);
    library_testing_end();
}

/* Folder and names that want out of it. */
static void leads_out_of_no_folder(void)
{
    struct error err = {0};

    library_testing_begin();
    library_testing_text(below("secret/key.safetensors"), "secret");
    library_testing_model(below("secret/model"));
    library_testing_folder(below("models"));
    library_testing_link("../secret/key.safetensors", below("models/out.safetensors"));
    library_testing_link("../secret", below("models/folder-out"));
    library_testing_link("../secret/model", below("models/model-out"));
    library_testing_link("nothing", below("models/dangling.ckpt"));
    library_testing_link(".", below("models/loop"));
    library_testing_text(below("models/in.safetensors"), "no weights");
    library_testing_link("in.safetensors", below("models/inner-link.safetensors"));
    library_testing_model(below("models/part-out"));
    CHECK(unlink(below("models/part-out/unet/config.json")) == 0);
    library_testing_link(below("secret/model/unet/config.json"),
                         below("models/part-out/unet/config.json"));
    library_testing_text(below("models/models--a--b/refs/main"), "../../../secret/model");
    library_testing_folder(below("models/models--a--b/snapshots"));
    library_testing_link("../../../secret/model", below("models/models--a--b/snapshots/aaa"));
    library_testing_text(below("models/.hidden.safetensors"), "no weights");
    library_testing_text(below("models/new\nline.safetensors"), "no weights");
    library_testing_text(below("models/back\\slash.safetensors"), "no weights");
    CHECK(mkfifo(below("models/pipe.safetensors"), 0600) == 0);

    struct library *lib = library_testing_open(LIBRARY_MODEL, below("models"));
    struct library_list list = library_testing_list(lib, LIBRARY_MODEL);
    static const struct {
        const char *name, *problem;
    } row[] = {
        {"dangling", "link to something that is not there"},
        {"folder-out", "leads out of its folder"},
        {"in", "bytes"},
        {"inner-link", "bytes"},
        {"model-out", "leads out of its folder"},
        {"models--a--b", "leads out of its folder"},
        {"out", "leads out of its folder"},
        {"part-out", "leads out of its folder"},
    };
    CHECK(list.n == sizeof row / sizeof *row);
    for (size_t i = 0; i < list.n && i < sizeof row / sizeof *row; i++) {
        const struct library_entry *e = list.entries[i], *hashed;
        CHECK(is(e->name, row[i].name));
        CHECK(e->problem && strstr(e->problem, row[i].problem));
        CHECK(!library_hash(lib, e, NULL, NULL, &hashed, &err) && err.code == ERROR_CORRUPT);
    }
    library_list_clear(&list);
    library_close(lib);
    library_testing_end();
}

static void follows_links_into_the_cache(void)
{
    struct library_settings s = {.folders = {[LIBRARY_MODEL] = NULL}};
    struct library *lib = NULL;
    struct error err = {0};

    library_testing_begin();
    library_testing_folder(below("models"));
    make_cache("hub/models--org--cached", true);
    library_testing_link("../hub/models--org--cached", below("models/models--org--cached"));
    char models[LIBRARY_TESTING_PATH_BYTES], hub[LIBRARY_TESTING_PATH_BYTES];
    snprintf(models, sizeof models, "%s", below("models"));
    snprintf(hub, sizeof hub, "%s", below("hub"));
    s.folders[LIBRARY_MODEL] = models;
    for (int i = 0; i < 2; i++) {
        s.hf_cache = i ? hub : NULL;
        CHECK(library_open(&lib, &s, &err));
        struct library_list list = library_testing_list(lib, LIBRARY_MODEL);
        CHECK(list.n == 1 && !list.entries[0]->problem == (i == 1));
        library_list_clear(&list);
        library_close(lib);
    }
    library_testing_end();
}

static void gives_every_file_a_name_of_its_own(void)
{
    static const char *const files[] = {"a.safetensors", "a.pt", "a.pt.safetensors", "a.ckpt",
                                        "b.pt"};
    static const char *const names[] = {"a", "a.ckpt", "a.pt", "a.pt.safetensors", "b"};

    library_testing_begin();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        library_testing_text(below("%s", files[i]), "no weights");
    struct library *lib = library_testing_open(LIBRARY_LORA, library_testing_root);
    struct library_list list = library_testing_list(lib, LIBRARY_LORA);
    CHECK(list.n == 5);
    for (size_t i = 0; i < list.n && i < 5; i++)
        CHECK(is(list.entries[i]->name, names[i]));
    library_list_clear(&list);
    library_close(lib);
    library_testing_end();
}

static void reads_labels_from_a_file(void)
{
    struct library_labels labels;
    struct library_settings s = {.folders = {[LIBRARY_MODEL] = NULL}};
    struct library *lib, *other = NULL;
    struct error err = {0};

    library_testing_begin();
    lib = library_testing_open(LIBRARY_MODEL, library_testing_root);
    CHECK(library_labels(lib, &labels, &err) && labels.n == 7);
    CHECK(is(labels.rows[0].label, "Amanatsu") && is(labels.rows[6].label, "PlantMilk (Walnut)"));
    library_labels_clear(&labels);

    library_testing_text(below("x.safetensors"), "no weights");
    library_testing_text(below("labels.json"), "{\"x\": \"The X\", \"not/here\": \"Another\"}");
    struct library_list list = library_testing_list(lib, LIBRARY_MODEL);
    CHECK(list.n == 1 && is(list.entries[0]->label, "The X"));
    library_list_clear(&list);
    CHECK(is(found_name(lib, LIBRARY_MODEL, "the_x"), "x"));
    CHECK(library_labels(lib, &labels, &err) && labels.n == 2);
    library_labels_clear(&labels);

    /* Broken ones are told, and the old ones stay. */
    library_testing_text(below("labels.json"), "{\"x\": 3}");
    CHECK(!library_refresh(lib, &err) && strstr(err.text, "the label of 'x'"));
    CHECK(is(found_name(lib, LIBRARY_MODEL, "the x"), "x"));
    CHECK(!library_open(&other, &(struct library_settings){.labels_file = "/nowhere.json"}, &err));
    s.folders[LIBRARY_MODEL] = library_testing_root;
    CHECK(!library_open(&other, &s, &err));
    library_close(lib);
    library_testing_end();
}

static void has_a_default_model(void)
{
    static const struct {
        const char *wanted, *name;
        bool demo_listed;
    } row[] = {
        {"", "b", false},        {"c", "c", false},          {"demo", "demo", true},
        {"outside", "", false},  {"@other", "other", false}, {"@models/c", "c", false},
        {"@demo", "demo", true},
    };
    char models[LIBRARY_TESTING_PATH_BYTES], demo[LIBRARY_TESTING_PATH_BYTES];
    struct error err = {0};

    library_testing_begin();
    library_testing_text(below("models/a.safetensors"), "broken");
    library_testing_model(below("models/b"));
    library_testing_model(below("models/c"));
    library_testing_model(below("demo"));
    library_testing_model(below("other"));
    snprintf(models, sizeof models, "%s", below("models"));
    snprintf(demo, sizeof demo, "%s", below("demo"));
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct library_settings s = {.folders = {[LIBRARY_MODEL] = models},
                                     .demo_model = demo,
                                     .default_model = row[i].wanted[0] == '@'
                                                          ? below("%s", row[i].wanted + 1)
                                                          : row[i].wanted};
        const struct library_entry *e = NULL;
        struct library *lib = NULL;
        CHECK(library_open(&lib, &s, &err));
        const bool ok = library_default_model(lib, &e, &err);
        CHECK(ok == (row[i].name[0] != 0));
        CHECK(!ok || (is(e->name, row[i].name) && e->is_demo == row[i].demo_listed));
        struct library_list list = library_testing_list(lib, LIBRARY_MODEL);
        CHECK(row[i].demo_listed == (library_testing_in(&list, "demo") != NULL));
        CHECK(!ok || library_testing_in(&list, row[i].name));
        CHECK(is(found_name(lib, LIBRARY_MODEL, "demo"), "demo"));
        library_list_clear(&list);
        library_entry_free(e);
        library_close(lib);
    }
    library_testing_end();
}

static void has_the_demo_model_where_there_is_no_other(void)
{
    struct library_settings s = {.demo_model = "assets/demo-model"};
    const struct library_entry *e = NULL;
    struct library *lib = NULL;
    struct error err = {0};

    CHECK(library_open(&lib, &s, &err));
    struct library_list list = library_testing_list(lib, LIBRARY_MODEL);
    CHECK(list.n == 1 && list.entries[0]->is_demo && is(list.entries[0]->name, "demo"));
    CHECK(!list.entries[0]->problem && list.entries[0]->native_side == 128);
    CHECK(library_default_model(lib, &e, &err) && e->is_demo && is(e->title, "demo"));
    library_entry_free(e);
    library_list_clear(&list);
    library_close(lib);
}

static void sees_what_changes(void)
{
    struct error err = {0};
    const struct library_entry *kept, *again = NULL;

    library_testing_begin();
    library_testing_embedding(below("one.safetensors"), 3, 768);
    struct library *lib = library_testing_open(LIBRARY_EMBEDDING, library_testing_root);
    struct library_list before = library_testing_list(lib, LIBRARY_EMBEDDING);
    CHECK(before.n == 1 && before.entries[0]->n_vectors == 3);
    library_testing_embedding(below("two.safetensors"), 2, 1024);
    struct library_list after = library_testing_list(lib, LIBRARY_EMBEDDING);
    CHECK(after.n == 2 && after.entries[0] == before.entries[0]); /* not opened again */
    library_testing_embedding(below("one.safetensors"), 4, 768);
    CHECK(library_refresh(lib, &err) && library_find(lib, LIBRARY_EMBEDDING, "one", &again, &err));
    CHECK(again && again->n_vectors == 4);
    library_entry_free(again);
    CHECK(unlink(below("two.safetensors")) == 0 && library_refresh(lib, &err));
    CHECK(is(found_name(lib, LIBRARY_EMBEDDING, "two"), ""));

    /* Entries outlive lists, lists the library. */
    kept = library_entry_keep(after.entries[1]);
    library_list_clear(&after);
    library_close(lib);
    CHECK(is(kept->name, "two") && is(kept->family, "sd2") && before.entries[0]->n_vectors == 3);
    library_entry_free(kept);
    library_list_clear(&before);
    library_testing_end();
}

static void reads_what_headers_tell(void)
{
    library_testing_begin();
    library_testing_embedding(below("e/plain.safetensors"), 5, 768);
    library_testing_embedding(below("e/odd.safetensors"), 5, 77);
    library_testing_embedding(below("e/many.safetensors"), 76, 768);
    struct library *lib = library_testing_open(LIBRARY_EMBEDDING, below("e"));
    struct library_list list = library_testing_list(lib, LIBRARY_EMBEDDING);
    const struct library_entry *e = library_testing_in(&list, "plain");
    CHECK(e && e->n_vectors == 5 && e->vector_widths[0] == 768 && e->vector_widths[1] == 0 &&
          e->step == -1 && is(e->family, "sd15") && !e->problem);
    e = library_testing_in(&list, "odd");
    CHECK(e && e->vector_widths[0] == 77 && is(e->family, "") && !e->problem);
    e = library_testing_in(&list, "many");
    CHECK(e && e->problem && strstr(e->problem, "76 vectors"));
    library_list_clear(&list);
    library_close(lib);

    library_testing_copy(below("v/one.safetensors"),
                         "assets/demo-model/vae/diffusion_pytorch_model.safetensors");
    library_testing_copy(below("v/folder/diffusion_pytorch_model.safetensors"),
                         "assets/demo-model/vae/diffusion_pytorch_model.safetensors");
    library_testing_copy(below("v/folder/config.json"), "assets/demo-model/vae/config.json");
    library_testing_text(below("v/taesd_decoder.safetensors"), "no weights");
    library_testing_text(below("v/taesd_encoder.safetensors"), "no weights");
    lib = library_testing_open(LIBRARY_VAE, below("v"));
    list = library_testing_list(lib, LIBRARY_VAE);
    CHECK(list.n == 3);
    e = library_testing_in(&list, "folder");
    CHECK(e && e->is_folder && !e->problem);
    e = library_testing_in(&list, "one");
    CHECK(e && !e->is_folder && !e->problem && is(e->family, ""));
    CHECK(library_testing_in(&list, "taesd"));
    library_list_clear(&list);
    library_close(lib);
    library_testing_end();
}

static void stops_at_its_limits(void)
{
    char deep[LIBRARY_TESTING_PATH_BYTES];

    library_testing_begin();
    library_testing_folder(below("many"));
    for (int i = 0; i < LIBRARY_MAX_ENTRIES + 3; i++) {
        const int fd = open(below("many/%05d.safetensors", i), O_CREAT | O_WRONLY, 0600);
        CHECK(fd >= 0);
        close(fd);
    }
    struct library *lib = library_testing_open(LIBRARY_UPSCALER, below("many"));
    struct library_list list = library_testing_list(lib, LIBRARY_UPSCALER);
    CHECK(list.n == LIBRARY_MAX_ENTRIES && list.cut);
    CHECK(list.n > 9999 && is(list.entries[9999]->name, "09999"));
    library_list_clear(&list);
    library_close(lib);

    snprintf(deep, sizeof deep, "deep");
    for (int i = 0; i <= LIBRARY_MAX_DEPTH; i++) {
        library_testing_text(below("%s/x.safetensors", deep), "no weights");
        snprintf(deep + strlen(deep), sizeof deep - strlen(deep), "/%d", i);
    }
    lib = library_testing_open(LIBRARY_UPSCALER, below("deep"));
    list = library_testing_list(lib, LIBRARY_UPSCALER);
    CHECK(list.n == LIBRARY_MAX_DEPTH && list.cut);
    library_list_clear(&list);
    library_close(lib);
    library_testing_end();
}

int main(void)
{
    lists_nothing_where_there_is_no_folder();
    lists_every_layout_of_models();
    finds_by_everything_that_clients_say();
    says_what_there_is();
    leads_out_of_no_folder();
    follows_links_into_the_cache();
    gives_every_file_a_name_of_its_own();
    reads_labels_from_a_file();
    has_a_default_model();
    has_the_demo_model_where_there_is_no_other();
    sees_what_changes();
    reads_what_headers_tell();
    stops_at_its_limits();
    return TEST_END();
}
