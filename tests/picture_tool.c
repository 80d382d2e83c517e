/* For shell tests: reads what a picture says, and compares two.
 *
 *   picture_tool info FILE KEY     the infotext's value; "prompt" and "negative" are the prompts
 *   picture_tool size FILE         WIDTHxHEIGHT
 *   picture_tool difference A B    the mean difference of their pixels, of 255
 */
#include "image/image_format.h"
#include "image/infotext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int info(const struct image_file *file, const char *key, struct error *err)
{
    struct infotext text = {0};

    if (!file->infotext || !infotext_parse(&text, file->infotext, strlen(file->infotext), err))
        return 1;
    const char *value = strcmp(key, "prompt") == 0     ? text.prompt
                        : strcmp(key, "negative") == 0 ? text.negative_prompt
                                                       : infotext_find(&text, key);
    if (value)
        printf("%s\n", value);
    infotext_clear(&text);
    return value ? 0 : 1;
}

static int difference(const struct image *a, const struct image *b)
{
    double sum = 0;

    if (a->width != b->width || a->height != b->height)
        return 1;
    for (size_t i = 0; i < image_bytes(a); i++)
        sum += abs(a->px[i] - b->px[i]);
    printf("%.4f\n", sum / (double)image_bytes(a));
    return 0;
}

int main(int argc, char **argv)
{
    struct image_file a = {0}, b = {0};
    struct error err = {0};
    int status = 2;

    if (argc >= 3 && image_format_load(&a, argv[2], &err)) {
        if (strcmp(argv[1], "info") == 0 && argc == 4)
            status = info(&a, argv[3], &err);
        else if (strcmp(argv[1], "size") == 0)
            status = printf("%dx%d\n", a.image.width, a.image.height) < 0;
        else if (strcmp(argv[1], "difference") == 0 && argc == 4 &&
                 image_format_load(&b, argv[3], &err))
            status = difference(&a.image, &b.image);
    }
    if (err.code)
        fprintf(stderr, "%s\n", err.text);
    image_format_clear(&a);
    image_format_clear(&b);
    return status;
}
