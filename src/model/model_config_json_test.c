#include "base/test.h"
#include "model/model_config_json.h"

#include <string.h>

static const char good_unet[] =
    "{\"block_out_channels\":[32,64],\"down_block_types\":[\"DownBlock2D\","
    "\"CrossAttnDownBlock2D\"],\"up_block_types\":[\"CrossAttnUpBlock2D\",\"UpBlock2D\"],"
    "\"attention_head_dim\":[2,4],\"transformer_layers_per_block\":[1,3],"
    "\"cross_attention_dim\":48,\"norm_num_groups\":16}";

static void obeys_the_unet_config(void)
{
    struct json j;
    struct error err = {0};
    struct unet_config c;
    CHECK(json_read_bytes(&j, "u", good_unet, sizeof good_unet - 1, 4096, &err));
    CHECK(model_config_json_unet(&c, &j, &err));
    CHECK(c.n_levels == 2 && c.channels[1] == 64 && c.groups == 16 && c.layers_per_block == 2);
    CHECK(c.transformer_layers[0] == 0 && c.transformer_layers[1] == 3);
    CHECK(c.mid_transformer_layers == 3 && c.heads[0] == 2 && c.mid_heads == 4);
    CHECK(c.cross_attention_dim == 48 && c.flip_sin_to_cos && !c.linear_projection);
    json_clear(&j);
}

/* Each row is one key changed in the good config. */
static void refuses_what_the_engine_cannot_do(void)
{
    static const struct {
        const char *key, *value, *error;
    } rows[] = {
        {"act_fn", "\"gelu\"", "only \"silu\""},
        {"class_embed_type", "\"timestep\"", "null or false"},
        {"only_cross_attention", "true", "null or false"},
        {"dual_cross_attention", "true", "null or false"},
        {"resnet_time_scale_shift", "\"scale_shift\"", "only \"default\""},
        {"conv_in_kernel", "5", "only 3"},
        {"addition_embed_type", "\"image\"", "text_time"},
        {"block_out_channels", "[33,64]", "norm groups"},
        {"block_out_channels", "[32,64,64]", "3 blocks"},
        {"block_out_channels", "[32,99999]", "from 1 to 16384"},
        {"attention_head_dim", "[2,5]", "heads"},
        {"attention_head_dim", "[2]", "2 levels"},
        {"transformer_layers_per_block", "[[1],[2]]", "whole number"},
        {"up_block_types", "[\"UpBlock2D\",\"CrossAttnUpBlock2D\"]", "mirror"},
        {"down_block_types", "[\"DownBlock2D\",\"SimpleCrossAttnDownBlock2D\"]",
         "CrossAttnDownBlock2D or DownBlock2D"},
        {"norm_num_groups", "\"32\"", "whole number"},
        {"layers_per_block", "0", "from 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json j;
        struct error err = {0};
        struct unet_config c;
        CHECK(json_read_bytes(&j, "u.json", good_unet, sizeof good_unet - 1, 4096, &err));
        json_object_set_new(j.root, rows[i].key, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
        CHECK(!model_config_json_unet(&c, &j, &err));
        if (!strstr(err.text, rows[i].error))
            fprintf(stderr, "%s instead of %s: ", err.text, rows[i].error);
        CHECK(strstr(err.text, rows[i].error) && strncmp(err.text, "u.json: ", 8) == 0);
        json_clear(&j);
    }
}

static void mends_the_special_tokens_of_old_clip_configs(void)
{
    static const char text[] = "{\"hidden_size\":768,\"intermediate_size\":3072,"
                               "\"num_attention_heads\":12,\"num_hidden_layers\":12,"
                               "\"bos_token_id\":0,\"eos_token_id\":2,\"pad_token_id\":1}";
    struct json j;
    struct error err = {0};
    struct clip_config c;
    CHECK(json_read_bytes(&j, "t", text, sizeof text - 1, 4096, &err));
    CHECK(model_config_json_clip(&c, &j, &err));
    CHECK(c.bos_id == 49406 && c.eos_id == 49407 && c.pad_id == 49407 && c.projection_dim == 0);
    json_object_set_new(j.root, "hidden_act", json_string("relu"));
    CHECK(!model_config_json_clip(&c, &j, &err) && strstr(err.text, "\"relu\""));
    json_clear(&j);
}

static void reads_schedules(void)
{
    static const char text[] = "{\"prediction_type\":\"v_prediction\",\"beta_start\":0.00085,"
                               "\"beta_end\":0.012,\"beta_schedule\":\"scaled_linear\","
                               "\"rescale_betas_zero_snr\":true,\"steps_offset\":1}";
    struct json j;
    struct error err = {0};
    struct schedule_config c;
    CHECK(json_read_bytes(&j, "s", text, sizeof text - 1, 4096, &err));
    CHECK(model_config_json_schedule(&c, &j, &err));
    CHECK(c.prediction == MODEL_V_PREDICTION && c.scaled_linear && c.zero_snr &&
          c.steps_offset == 1 && c.train_timesteps == 1000 && c.beta_end == 0.012f);
    json_object_set_new(j.root, "prediction_type", json_string("sample"));
    CHECK(!model_config_json_schedule(&c, &j, &err) && strstr(err.text, "prediction_type"));
    json_clear(&j);
}

int main(void)
{
    obeys_the_unet_config();
    refuses_what_the_engine_cannot_do();
    mends_the_special_tokens_of_old_clip_configs();
    reads_schedules();
    return TEST_END();
}
