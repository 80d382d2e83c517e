#include "model/model_config_check.h"
#include "model/model_config_json.h"

#include <stdint.h>
#include <stdlib.h>

/* An accepted configuration keeps the limits of model_config.h; a refused one says why. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json j;
    struct error err = {0}, second = {0};
    struct clip_config clip;
    struct unet_config unet;
    struct vae_config vae;
    struct schedule_config schedule;

    if (!json_read_bytes(&j, "fuzz", data, size, JSON_CONFIG_MAX_BYTES, &err))
        return 0;
    if (model_config_json_clip(&clip, &j, &err)
            ? !model_config_check_clip(&clip, "fuzz", &second) || clip.eos_id >= clip.vocab_size
            : !err.text[0])
        abort();
    if (model_config_json_unet(&unet, &j, &err) && !model_config_check_unet(&unet, "fuzz", &second))
        abort();
    if (model_config_json_vae(&vae, &j, &err) && !model_config_check_vae(&vae, "fuzz", &second))
        abort();
    if (model_config_json_schedule(&schedule, &j, &err) &&
        !(schedule.beta_start > 0 && schedule.beta_end < 1 && schedule.train_timesteps > 0))
        abort();
    json_clear(&j);
    return 0;
}
