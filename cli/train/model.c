#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *model_text_read(const char *path)
{
    size_t size;
    cvg_error error;
    unsigned char *bytes = file_read(path, &size, &error);
    if (!bytes)
        die(EXIT_BAD_INPUT, "%s", error.text);
    if (memchr(bytes, 0, size))
        die(EXIT_BAD_INPUT, "%s: has a NUL; must be a model's text", path);
    bytes[size] = 0;
    return (char *)bytes;
}

/* Weights of convgrad train: how the network was made is in their metadata. */
static void read_own(struct model *m, const struct args *args, const char *settings)
{
    static const enum option needless[] = {OPT_TYPE, OPT_EXACT, OPT_ERROR_GROWTH};
    if (!settings_read(&m->settings, settings))
        die(EXIT_BAD_INPUT, "%s: is damaged: its settings are none of convgrad train", m->path);
    for (int i = 0; i < 3; i++)
        if (args->option[needless[i]])
            die(EXIT_BAD_INPUT, "%s is given; %s says itself what it is", option_info[needless[i]].name, m->path);
}

/* Others', as Python's or those of a program that uses the library: options say what their metadata do not. */
static void read_other(struct model *m, const struct args *args)
{
    cvg_type types[CVG_TYPE_COUNT];
    if (args_types(args, CVG_F32, 2, types) != 1)
        die(EXIT_BAD_INPUT, "--type is \"%s\"; must be one type", args->option[OPT_TYPE]);
    m->settings.type = types[0];
    m->settings.error_growth = plan_error_growth;
}

struct model model_read(const struct args *args, const char *path)
{
    struct model m = {.facts = {.struct_size = sizeof m.facts}};
    struct weights weights;
    struct stat there;
    char best[4200];
    cvg_error error;
    snprintf(best, sizeof best, "%s/best.safetensors", path);
    weights_read(&weights, path, stat(best, &there) ? "checkpoint.safetensors" : "best.safetensors");
    memcpy(m.path, weights.path, sizeof m.path);
    m.text = weights_note(&weights, "model");
    if (m.text && args->option[OPT_MODEL])
        die(EXIT_BAD_INPUT, "--model is given; %s says itself what it is", m.path);
    if (!m.text && !args->option[OPT_MODEL])
        die(EXIT_BAD_INPUT,
            "%s: is no file of convgrad train, or is damaged: it has no model (--model MODEL.txt tells that of other "
            "programs' weights)",
            m.path);
    char *settings = m.text ? weights_note(&weights, "settings") : NULL;
    if (settings)
        read_own(&m, args, settings);
    else
        read_other(&m, args);
    free(settings);
    if (!m.text)
        m.text = model_text_read(args->option[OPT_MODEL]);
    m.network = network_make(m.text, &m.settings, 64, 1);
    cvg_network_get_facts(m.network, &m.facts);
    m.parameters = cli_alloc((size_t)m.facts.parameters, type_size(m.settings.type));
    if (cvg_network_load(m.network, m.parameters, weights.bytes, weights.size, 1, NULL, &error))
        die(EXIT_BAD_INPUT, "%s: %s", weights.path, error.text);
    free(weights.bytes);
    return m;
}

void model_free(struct model *m)
{
    cvg_network_destroy(m->network);
    free(m->parameters);
    free(m->text);
}
