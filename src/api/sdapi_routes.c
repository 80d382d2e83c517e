#include "api/sdapi_routes.h"

#include "api/sdapi_images.h"
#include "api/sdapi_options.h"
#include "api/sdapi_samplers.h"

#define V1 "/sdapi/v1/"
#define GET(path, handler, summary)                                                                \
    {                                                                                              \
        HTTP_GET, V1 path, handler, 0, summary " (AUTOMATIC1111).", NULL                           \
    }
#define POST(path, handler, summary)                                                               \
    {                                                                                              \
        HTTP_POST, V1 path, handler, 0, summary " (AUTOMATIC1111).", NULL                          \
    }

const struct api_route sdapi_routes[] = {
    POST("txt2img", sdapi_images_txt2img, "Makes pictures from a prompt"),
    POST("img2img", sdapi_images_img2img, "Makes pictures from a picture and a prompt"),
    GET("options", sdapi_options_get, "Shows the options"),
    POST("options", sdapi_options_post, "Changes options for everybody"),
    GET("samplers", sdapi_samplers_list, "Lists the samplers"),
    GET("schedulers", sdapi_samplers_list_schedulers, "Lists the schedulers"),
    {.path = NULL},
};
