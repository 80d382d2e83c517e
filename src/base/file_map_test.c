#include "base/file_map.h"
#include "base/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void maps_a_file_and_refuses_the_rest(void)
{
    char path[] = "/tmp/file_map_test.XXXXXX";
    struct file_map map;
    struct error err = {0};
    int fd = mkstemp(path);

    CHECK(fd >= 0);
    CHECK(!file_map_open(&map, path, &err) && err.code == ERROR_CORRUPT);
    CHECK(strstr(err.text, "is empty") && strstr(err.text, path));
    CHECK(write(fd, "hello", 5) == 5);
    CHECK(file_map_open(&map, path, &err) && map.n_bytes == 5 && !memcmp(map.bytes, "hello", 5));
    file_map_close(&map);
    file_map_close(&map);
    close(fd);
    unlink(path);
    CHECK(!file_map_open(&map, path, &err) && err.code == ERROR_NOT_FOUND);
    CHECK(!file_map_open(&map, "/tmp", &err) && strstr(err.text, "not a regular file"));
    CHECK(!file_map_open(&map, "/dev/null", &err) && err.code == ERROR_INVALID);
}

int main(void)
{
    maps_a_file_and_refuses_the_rest();
    return TEST_END();
}
