/* The bodies of /sdapi/v1 in /openapi.json, from the table of fields. */
#ifndef API_SDAPI_SCHEMA_H
#define API_SDAPI_SCHEMA_H

#include <jansson.h>

#define SDAPI_SCHEMA_TXT2IMG "SdapiTxt2Img"
#define SDAPI_SCHEMA_IMG2IMG "SdapiImg2Img"
#define SDAPI_SCHEMA_EXTRA "SdapiExtraSingleImage"
#define SDAPI_SCHEMA_EXTRA_BATCH "SdapiExtraBatchImages"

/* Adds the four of them. */
void sdapi_schema_add(json_t *schemas);

#endif
