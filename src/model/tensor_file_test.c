#include "base/test.h"
#include "model/tensor_file.h"

#include <string.h>

static void reads_safetensors(void)
{
    struct tensor_file *f = NULL;
    struct error err = {0};

    CHECK(tensor_file_open(&f, "assets/demo-model/vae/diffusion_pytorch_model.safetensors", &err));
    if (!f)
        return;
    const struct tensor_info *t = tensor_file_find(f, "decoder.conv_in.weight");
    CHECK(t && t->dtype_known && t->n_dims == 4 && t->n_bytes > 0);
    CHECK(tensor_file_count(f) > 10 && !tensor_file_find(f, "no.such"));
    CHECK(strcmp(tensor_file_at(f, 0)->name, tensor_file_at(f, 1)->name) < 0);
    CHECK(strstr(tensor_file_path(f), "vae/diffusion_pytorch_model.safetensors"));
    tensor_file_close(f);
    f = NULL;
    CHECK(!tensor_file_open(&f, "no/such", &err) && err.code == ERROR_NOT_FOUND && !f);
}

static void knows_the_endings(void)
{
    CHECK(tensor_file_stem("a/b.safetensors") == 3 && tensor_file_stem("x.ckpt") == 1);
    CHECK(tensor_file_stem("x.y") == 3 && tensor_file_stem(".pt") == 3);
}

int main(void)
{
    reads_safetensors();
    knows_the_endings();
    return TEST_END();
}
