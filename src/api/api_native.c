#include "api/api_native.h"

#include "api/api_docs.h"
#include "api/api_native_info.h"
#include "api/api_native_lists.h"
#include "api/api_native_queue.h"
#include "api/api_native_submit.h"
#include "api/api_native_system.h"
#include "api/api_openapi.h"

const struct api_route api_native_routes[] = {
    {HTTP_GET, "/hello", api_native_system_hello, API_OPEN, "Says that the server is there.", NULL},
    {HTTP_GET, "/health", api_native_system_health, 0,
     "Reports machine, folders, queue and worker.", NULL},
    {HTTP_GET, "/metrics", api_native_system_metrics, 0, "Counters in Prometheus' text format.",
     NULL},
    {HTTP_GET, "/memory", api_native_system_memory, 0,
     "Memory of the machine, its level, what a plan may use, and what is loaded.", NULL},

    {HTTP_GET, "/models", api_native_lists_models, 0, "Lists the installed models.", NULL},
    {HTTP_GET, "/models/aliases", api_native_lists_aliases, 0,
     "Lists the table of labels, installed or not.", NULL},
    {HTTP_POST, "/models/unload", api_native_system_unload, 0,
     "Takes models out of memory, after the running job.", NULL},
    {HTTP_GET, "/loras", api_native_lists_loras, 0, "Lists the LoRAs.", NULL},
    {HTTP_GET, "/upscalers", api_native_lists_upscalers, 0,
     "Lists upscalers, built in and from files.", NULL},
    {HTTP_GET, "/vaes", api_native_lists_vaes, 0, "Lists the VAEs.", NULL},
    {HTTP_GET, "/embeddings", api_native_lists_embeddings, 0, "Lists the textual inversions.",
     NULL},
    {HTTP_GET, "/sampling_methods", api_native_lists_samplers, 0, "Lists samplers and schedulers.",
     NULL},

    {HTTP_POST, "/txt2img", api_native_submit_txt2img, 0, "Queues a picture made from a prompt.",
     "Txt2Img"},
    {HTTP_POST, "/img2img", api_native_submit_img2img, 0,
     "Queues a picture made from a prompt and another picture.", "Img2Img"},
    {HTTP_POST, "/plan", api_native_submit_plan, 0,
     "Tells what a request would take, without running it; where it fits nowhere, a 422 whose "
     "`largest` is the size that would.",
     "Plan"},

    {HTTP_GET, "/queue", api_native_queue_list, 0, "Lists jobs, newest first.", NULL},
    {HTTP_GET, "/queue/{id}", api_native_queue_get, 0, "Tells a job's state, and its result.",
     NULL},
    {HTTP_DELETE, "/queue/{id}", api_native_queue_delete, 0,
     "Cancels a job that has not ended, and removes one that has.", NULL},
    {HTTP_GET, "/queue/{id}/events", api_native_queue_events, API_SIGNED,
     "Follows a job: server-sent events of its progress up to its end.", NULL},
    {HTTP_GET, "/images/{id}", api_native_queue_image, API_SIGNED, "The first picture of a job.",
     NULL},
    {HTTP_GET, "/images/{id}/{n}", api_native_queue_image, API_SIGNED,
     "A picture of a job, counted from 0.", NULL},

    {HTTP_POST, "/img-info", api_native_info_read, 0,
     "Reads the text that tells how a picture was made.", "ImgInfo"},

    {HTTP_GET, "/openapi.json", api_openapi_get, API_OPEN, "This description.", NULL},
    {HTTP_GET, "/docs", api_docs_get, API_OPEN, "The same for people.", NULL},
    {.path = NULL},
};
