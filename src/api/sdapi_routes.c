#include "api/sdapi_routes.h"

#include "api/sdapi_control.h"
#include "api/sdapi_extras.h"
#include "api/sdapi_images.h"
#include "api/sdapi_lists.h"
#include "api/sdapi_options.h"
#include "api/sdapi_samplers.h"
#include "api/sdapi_schema.h"
#include "api/sdapi_system.h"

#define V1 "/sdapi/v1/"
#define GET(path, handler, summary)                                                                \
    {                                                                                              \
        HTTP_GET, V1 path, handler, 0, summary " (AUTOMATIC1111).", NULL                           \
    }
#define POST(path, handler, summary, body)                                                         \
    {                                                                                              \
        HTTP_POST, V1 path, handler, 0, summary " (AUTOMATIC1111).", body                          \
    }

const struct api_route sdapi_routes[] = {
    POST("txt2img", sdapi_images_txt2img, "Makes pictures from a prompt", SDAPI_SCHEMA_TXT2IMG),
    POST("img2img", sdapi_images_img2img, "Makes pictures from a picture and a prompt",
         SDAPI_SCHEMA_IMG2IMG),
    POST("extra-single-image", sdapi_extras_single, "Enlarges a picture", SDAPI_SCHEMA_EXTRA),
    POST("extra-batch-images", sdapi_extras_batch, "Enlarges pictures", SDAPI_SCHEMA_EXTRA_BATCH),
    POST("png-info", sdapi_extras_png_info, "Tells how a picture was made", NULL),
    GET("progress", sdapi_control_progress, "Tells how far the running job is"),
    POST("interrupt", sdapi_control_interrupt, "Ends the running job with what there is", NULL),
    POST("skip", sdapi_control_skip, "Leaves the running batch as it is and goes on", NULL),
    GET("options", sdapi_options_get, "Shows the options"),
    POST("options", sdapi_options_post, "Changes options for everybody", NULL),
    GET("sd-models", sdapi_lists_models, "Lists the models"),
    GET("sd-vae", sdapi_lists_vaes, "Lists the VAEs"),
    GET("sd-modules", sdapi_lists_vaes, "Lists the VAEs"),
    GET("samplers", sdapi_samplers_list, "Lists the samplers"),
    GET("schedulers", sdapi_samplers_list_schedulers, "Lists the schedulers"),
    GET("upscalers", sdapi_lists_upscalers, "Lists the upscalers"),
    GET("latent-upscale-modes", sdapi_lists_latent_modes, "Lists how latents are enlarged"),
    GET("loras", sdapi_lists_loras, "Lists the LoRAs"),
    GET("embeddings", sdapi_lists_embeddings, "Lists the textual inversions"),
    GET("hypernetworks", sdapi_lists_nothing, "There are none"),
    GET("face-restorers", sdapi_lists_nothing, "There are none"),
    GET("realesrgan-models", sdapi_lists_nothing, "There are none; see upscalers"),
    GET("prompt-styles", sdapi_lists_nothing, "There are none"),
    GET("scripts", sdapi_lists_scripts, "There are none"),
    GET("script-info", sdapi_lists_nothing, "There are none"),
    GET("extensions", sdapi_lists_nothing, "There are none"),
    GET("cmd-flags", sdapi_system_flags, "Tells how the server was started"),
    GET("memory", sdapi_system_memory, "Tells of memory"),
    POST("refresh-checkpoints", sdapi_lists_refresh, "Looks at the folders again", NULL),
    POST("refresh-vae", sdapi_lists_refresh, "Looks at the folders again", NULL),
    POST("refresh-loras", sdapi_lists_refresh, "Looks at the folders again", NULL),
    POST("refresh-embeddings", sdapi_lists_refresh, "Looks at the folders again", NULL),
    POST("unload-checkpoint", sdapi_system_unload, "Takes the model out of memory", NULL),
    POST("reload-checkpoint", sdapi_system_reload, "Does nothing: jobs load their model", NULL),
    {.path = NULL},
};
