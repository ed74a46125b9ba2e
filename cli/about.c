/* What ran, where and when: said with every measurement. */
#include "about.h"

#include "cli.h"
#include "page.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct about about;

/* The processor's name, where the system tells it. */
static void find_processor(void)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(about.processor, sizeof about.processor, "unknown processor");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
            snprintf(about.processor, sizeof about.processor, "%.*s", (int)strcspn(strchr(line, ':') + 2, "\n"),
                     strchr(line, ':') + 2);
            break;
        }
    if (file)
        fclose(file);
}

void about_command(int argc, char **argv)
{
    size_t length = 0;
    for (int i = 0; i < argc && length < sizeof about.command; i++) {
        const int quote = !*argv[i] || strpbrk(argv[i], " \t\n'\"\\$`*?;&|<>()#~") != NULL;
        const char *word = i ? argv[i] : "convgrad";
        length += (size_t)snprintf(about.command + length, sizeof about.command - length, "%s%s%s%s", i ? " " : "",
                                   i && quote ? "'" : "", word, i && quote ? "'" : "");
    }
}

const struct about *about_now(int threads)
{
    const time_t now = time(NULL);
    const cvg_conv conv = CVG_CONV_INIT;
    cvg_plan *plan = plan_of(&conv, CVG_AUTO, 1, 1);
    snprintf(about.isa, sizeof about.isa, "%s", cvg_plan_isa(plan));
    about.fuses = cvg_plan_fuses(plan);
    cvg_plan_destroy(plan);
    find_processor();
    about.threads = threads;
    strftime(about.date, sizeof about.date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    return &about;
}

void about_print(const struct about *a)
{
    printf("convgrad %s, %s\n%s, %s, %d %s\ncommand: %.90s%s\n", cvg_version(), a->date, a->processor, a->isa,
           a->threads, a->threads == 1 ? "thread" : "threads", a->command, strlen(a->command) > 90 ? " ..." : "");
}

void about_json(const struct about *a, FILE *out)
{
    const struct {
        const char *name, *value;
    } texts[] = {
        {"version", cvg_version()}, {"date", a->date}, {"cpu", a->processor}, {"isa", a->isa}, {"command", a->command}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        fprintf(out, ",\"%s\":", texts[i].name);
        json_string(out, texts[i].value);
    }
}
