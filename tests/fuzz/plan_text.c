/* Texts of plans: only the very text that the library wrote for a problem is taken for it. */
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cvg_conv conv = CVG_CONV_INIT;
    cvg_options options = CVG_OPTIONS_INIT;
    cvg_error error = {""};
    cvg_plan *plan;
    char text[2000];
    struct bytes bytes = {data, data + size};
    const uint8_t kind = take_byte(&bytes);

    /* What the text must be of. */
    conv.type = kind & 1 ? CVG_F64 : CVG_F32;
    conv.in[0] = conv.in[1] = 20;
    conv.filter[0] = conv.filter[1] = kind & 2 ? 3 : 1;
    conv.in_channels = conv.out_channels = kind & 4 ? 64 : 3;
    options.error_growth = kind & 8 ? 1 : 12;
    if (kind & 16)
        options.algo[CVG_FORWARD] = CVG_DIRECT;
    options.threads = 1;

    const cvg_status status = cvg_plan_import(&plan, (const char *)bytes.at, (size_t)(bytes.end - bytes.at), &conv,
                                              kind & 32 ? NULL : &options, &error);
    if (status) {
        must(plan == NULL, "a refused text leaves a plan");
        must_tell(&error);
        return 0;
    }
    const size_t length = cvg_plan_export(plan, text, sizeof text);
    must(length == (size_t)(bytes.end - bytes.at) && !memcmp(text, bytes.at, length),
         "a text that was changed is taken");
    cvg_plan_destroy(plan);
    return 0;
}
