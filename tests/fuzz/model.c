/*
 * Model texts: refused with a sentence, or a network whose parameters fill their array; small ones are run: nothing is
 * written outside, and a sample is predicted alike alone and beside another.
 */
#include "convgrad_train.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { SHARD = 2, MOST_ELEMENTS = 20000, GUARD = 64 };

static void check_parameters(const cvg_network *n, const cvg_network_facts *facts)
{
    int64_t count = 0, trained = 0;
    cvg_parameter p;
    for (int i = 0; cvg_network_parameter(n, i, &p); i++) {
        must(p.offset >= 0 && p.count > 0 && p.offset + p.count <= facts->parameters, "%s lies outside", p.name);
        must(p.layer >= 0 && p.layer < facts->layers && cvg_network_layer(n, p.layer), "%s has no layer", p.name);
        count += p.count;
        trained += p.trained ? p.count : 0;
    }
    must(count == facts->parameters && trained == facts->trained, "parameters do not fill their array");
}

static void *filled(size_t size)
{
    char *memory = malloc(size + GUARD);
    must(memory != NULL, "out of memory");
    memset(memory, 0x3c, size + GUARD); /* numbers of about 0.01 */
    return memory;
}

static void check_guard(const void *memory, size_t size)
{
    for (size_t i = size; i < size + GUARD; i++)
        must(((const char *)memory)[i] == 0x3c, "written outside");
}

static void run(const cvg_network *n, const cvg_network_facts *facts)
{
    const size_t in = (size_t)facts->input_elements * sizeof(float),
                 out = (size_t)facts->output_elements * sizeof(float);
    const size_t all = (size_t)facts->parameters * sizeof(float);
    const size_t room[2] = {cvg_network_workspace_size(n, CVG_PREDICT), cvg_network_workspace_size(n, CVG_TRAIN)};
    float *parameters = filled(all), *gradient = filled(all), *input = filled(SHARD * in),
          *output = filled(SHARD * out);
    float *alone = filled(out), *target = filled(SHARD * out);
    int64_t classes[SHARD] = {0, facts->output_elements - 1};
    void *workspace[2] = {filled(room[0]), filled(room[1])};
    cvg_loss loss;
    cvg_error error = {""};
    for (int64_t i = 0; i < SHARD * facts->input_elements; i++)
        input[i] = (float)(i % 7) / 8;
    must(!cvg_network_init(n, CVG_HE, 3, parameters), "init");
    const cvg_shard shard = {
        .count = SHARD, .batch = SHARD, .input = input, .target = facts->classifies ? (const void *)classes : target};
    must(!cvg_loss_gradient(n, parameters, &shard, gradient, &loss, workspace[1], &error) || error.text[0],
         "no sentence");
    must(!cvg_predict(n, parameters, input, SHARD, output, workspace[0]), "predict");
    must(!cvg_predict(n, parameters, (char *)input + in, 1, alone, workspace[0]), "predict");
    must(memcmp(alone, (char *)output + out, out) == 0, "a sample beside another is predicted otherwise");
    check_guard(gradient, all);
    check_guard(output, SHARD * out);
    check_guard(workspace[0], room[0]);
    check_guard(workspace[1], room[1]);
    void *const memory[] = {parameters, gradient, input, output, alone, target, workspace[0], workspace[1]};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cvg_network_options options = CVG_NETWORK_OPTIONS_INIT;
    cvg_network_facts facts = {.struct_size = sizeof facts};
    cvg_network *n;
    cvg_error error = {""};
    char text[100];
    options.shard = SHARD;
    if (cvg_network_create(&n, (const char *)data, size, &options, &error)) {
        must(n == NULL, "a refused model has a network");
        must_tell(&error);
        return 0;
    }
    must(!cvg_network_get_facts(n, &facts), "facts");
    must(cvg_network_describe(n, text, sizeof text) > 0 && strlen(text) < sizeof text, "describe");
    check_parameters(n, &facts);
    if (facts.parameters < MOST_ELEMENTS && cvg_network_workspace_size(n, CVG_TRAIN) < 100 * MOST_ELEMENTS)
        run(n, &facts);
    cvg_network_destroy(n);
    return 0;
}
