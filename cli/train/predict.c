/* convgrad predict and evaluate: what a trained network says. */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- predict ---- */

/* Prints the classes of one sample with the largest probabilities, or its outputs. */
static void print_sample(const struct model *m, const void *outputs, int64_t index, int64_t top, int json)
{
    const int64_t count = m->facts.output_elements;
    const int digits = m->facts.type == CVG_F32 ? 9 : 17; /* as many as give the same number back */
    char *taken = cli_alloc((size_t)count, 1);
    printf(json ? "{\"index\": %" PRId64 : "%" PRId64 ":", index);
    if (!m->facts.classifies) {
        printf(json ? ", \"outputs\": [" : "");
        for (int64_t i = 0; i < count; i++)
            if (json)
                printf("%s%.*g", i ? ", " : "", digits, value_of(m->facts.type, outputs, i));
            else
                printf(" %.6g", value_of(m->facts.type, outputs, i));
        printf(json ? "]}\n" : "\n");
        free(taken);
        return;
    }
    printf(json ? ", \"classes\": [" : "");
    for (int64_t n = 0; n < top && n < count; n++) {
        int64_t best = -1;
        for (int64_t i = 0; i < count; i++)
            if (!taken[i] && (best < 0 || value_of(m->facts.type, outputs, i) > value_of(m->facts.type, outputs, best)))
                best = i;
        taken[best] = 1;
        if (json)
            printf("%s{\"class\": %" PRId64 ", \"probability\": %.*g}", n ? ", " : "", best, digits,
                   value_of(m->facts.type, outputs, best));
        else
            printf("%s %" PRId64 " (%.2f %%)", n ? "," : "", best, 100 * value_of(m->facts.type, outputs, best));
    }
    printf(json ? "]}\n" : "\n");
    free(taken);
}

int command_predict(const struct args *args)
{
    struct dataset data;
    cvg_error error;
    const int json = args->option[OPT_FORMAT] && !strcmp(args->option[OPT_FORMAT], "json");
    if (args->option[OPT_FORMAT] && !json && strcmp(args->option[OPT_FORMAT], "text"))
        die(EXIT_BAD_INPUT, "--format is \"%s\"; must be text or json", args->option[OPT_FORMAT]);
    if (args->count != 2)
        die(EXIT_BAD_INPUT, "predict takes weights (a file, or a training's folder) and images; has %d arguments",
            args->count);
    const int64_t top = args_count(args, OPT_TOP, 3, 1);
    struct model m = model_read(args, args->word[0]);
    if (!dataset_read(&data, args->word[1], 0, &error) || !dataset_fits(&data, &m.facts, 0, &error))
        die(EXIT_BAD_INPUT, "%s", error.text);
    const cvg_arrays arrays = dataset_arrays(&data, m.network);
    const cvg_samples samples = cvg_samples_array(&arrays);
    const int64_t shard = m.facts.shard;
    const size_t size = type_size(m.settings.type);
    char *input = cli_alloc((size_t)(shard * m.facts.input_elements), size);
    char *output = cli_alloc((size_t)(shard * m.facts.output_elements), size);
    void *workspace = cli_alloc(cvg_network_workspace_size(m.network, CVG_PREDICT), 1);
    for (int64_t begin = 0; begin < data.count; begin += shard) {
        const int64_t count = data.count - begin < shard ? data.count - begin : shard;
        for (int64_t i = 0; i < count; i++)
            samples.read(samples.context, begin + i, input + (size_t)(i * m.facts.input_elements) * size, NULL);
        if (cvg_predict(m.network, m.parameters, input, count, output, workspace) ||
            (m.facts.classifies && cvg_softmax(m.network, count, output)))
            die(EXIT_WRONG, "samples from %" PRId64 " on cannot be predicted", begin);
        for (int64_t i = 0; i < count; i++)
            print_sample(&m, output + (size_t)(i * m.facts.output_elements) * size, begin + i, top, json);
    }
    free(input);
    free(output);
    free(workspace);
    dataset_free(&data);
    model_free(&m);
    return 0;
}

/* ---- evaluate ---- */

/* How many samples of each class (rows) were taken for which (columns). */
static void print_confusion(const struct model *m, const struct dataset *data, const void *outputs)
{
    const int64_t classes = m->facts.output_elements;
    int64_t *table = cli_alloc((size_t)(classes * classes), sizeof *table);
    for (int64_t i = 0; i < data->count; i++) {
        table[data->label[i] * classes + class_of(&m->facts, outputs, i)]++;
    }
    if (classes <= 20) {
        printf("\nclass   taken for");
        for (int64_t c = 0; c < classes; c++)
            printf("%s%6" PRId64, c ? "" : "\n     ", c);
        for (int64_t i = 0; i < classes; i++) {
            printf("\n%5" PRId64, i);
            for (int64_t c = 0; c < classes; c++)
                printf("%6" PRId64, table[i * classes + c]);
        }
        printf("\n");
    }
    free(table);
}

int command_evaluate(const struct args *args)
{
    struct dataset data;
    cvg_error error;
    cvg_trainer *trainer;
    cvg_loss loss;
    cvg_recipe recipe = CVG_RECIPE_INIT;
    int threads;
    if (args->count != 1)
        die(EXIT_BAD_INPUT, "evaluate takes weights (a file, or a training's folder); has %d arguments", args->count);
    if (!args->option[OPT_DATA])
        die(EXIT_BAD_INPUT, "--data is missing; must be IMAGES,LABELS, or CIFAR's .bin files");
    args_threads(args, "0", &threads, 1);
    struct model m = model_read(args, args->word[0]);
    if (!dataset_read(&data, args->option[OPT_DATA], 1, &error) || !dataset_fits(&data, &m.facts, 1, &error))
        die(EXIT_BAD_INPUT, "%s", error.text);
    recipe.samples = data.count;
    recipe.batch = data.count < m.facts.shard ? data.count : m.facts.shard;
    const int workers = threads ? threads : (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (cvg_trainer_create(&trainer, m.network, &recipe, workers, ranks_group(), &error))
        die(EXIT_BAD_INPUT, "%s", error.text);
    const cvg_arrays arrays = dataset_arrays(&data, m.network);
    const cvg_samples samples = cvg_samples_array(&arrays);
    void *workspace = cli_alloc(cvg_trainer_workspace_size(trainer), 1);
    void *outputs = cli_alloc((size_t)(data.count * m.facts.output_elements), type_size(m.settings.type));
    if (cvg_evaluate(trainer, m.parameters, &samples, &loss, outputs, workspace, &error))
        die(EXIT_WRONG, "%s", error.text);
    printf("%" PRId64 " samples: loss %.6g", loss.count, loss.sum / (double)loss.count);
    if (m.facts.classifies)
        printf(", %" PRId64 " right: accuracy %.2f %%", loss.hits, 100 * (double)loss.hits / (double)loss.count);
    printf("\n");
    if (m.facts.classifies)
        print_confusion(&m, &data, outputs);
    free(outputs);
    free(workspace);
    cvg_trainer_destroy(trainer);
    dataset_free(&data);
    model_free(&m);
    return 0;
}
