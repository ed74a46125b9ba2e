/* Problem strings and lists of numbers: what is read is a valid problem, and prints as itself. */
#include "problem.h"
#include "fuzz.h"

#include <string.h>

static int same(const cvg_conv *a, const cvg_conv *b)
{
    int equal = a->spatial_dims == b->spatial_dims && a->batch == b->batch && a->in_channels == b->in_channels &&
                a->out_channels == b->out_channels && a->groups == b->groups;
    for (int i = 0; equal && i < a->spatial_dims; i++)
        equal = a->in[i] == b->in[i] && a->filter[i] == b->filter[i] && a->stride[i] == b->stride[i] &&
                a->dilation[i] == b->dilation[i] && a->pad_begin[i] == b->pad_begin[i];
    return equal;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problem problem = {.conv = CVG_CONV_INIT}, back = problem;
    cvg_error error = {""};
    char text[2000], printed[400];
    int64_t out[3], numbers[6];

    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    const int count = numbers_parse(text, numbers, 6);
    must(count == -1 || (count >= 1 && count <= 6), "%d numbers", count);
    if (!problem_parse(&problem, text, &error)) {
        must_tell(&error);
        return 0;
    }
    must(cvg_output_size(&problem.conv, out, &error) == CVG_OK, "a problem that is none: %s", error.text);
    must(strlen(problem.name) < sizeof problem.name, "the name does not end");
    problem_sizes(&problem.conv);
    problem_print(&problem.conv, printed, sizeof printed);
    if (problem_parse(&back, printed, &error)) /* large paddings beside an output size are refused */
        must(same(&problem.conv, &back.conv), "%s reads as another problem", printed);
    problem_arguments(&problem.conv, text, sizeof text);
    must(text[0] == '\'' || text[0] == '-', "no arguments");
    return 0;
}
