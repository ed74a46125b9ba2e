#include "history.h"

#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char head[] = "epoch,steps,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy\n";
enum { LINE = 200 };

/* What its text reads as: so a history that was read goes on as the one that was written. */
static double rounded(double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.9g", value);
    return strtod(text, NULL);
}

void history_add(struct history *history, const struct epoch *epoch)
{
    if (history->count == history->room) {
        history->room = history->room ? 2 * history->room : 16;
        struct epoch *more = realloc(history->epochs, (size_t)history->room * sizeof *more);
        if (!more)
            die(EXIT_WRONG, "out of memory for %" PRId64 " epochs", history->room);
        history->epochs = more;
    }
    struct epoch *e = &history->epochs[history->count++];
    *e = *epoch;
    double *const all[] = {&e->learning_rate, &e->loss, &e->accuracy, &e->test_loss, &e->test_accuracy};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        *all[i] = rounded(*all[i]);
}

int64_t history_best(const struct history *history)
{
    int64_t best = -1;
    for (int64_t i = 0; i < history->count; i++) {
        const struct epoch *e = &history->epochs[i], *b = best < 0 ? NULL : &history->epochs[best];
        if (isnan(e->test_loss))
            continue;
        if (!b || e->test_accuracy > b->test_accuracy || (e->test_accuracy < 0 && e->test_loss < b->test_loss))
            best = i;
    }
    return best;
}

/* A number that is there, after a comma; nothing but the comma if not. */
static int number(char *text, size_t size, double value, int there)
{
    return there ? snprintf(text, size, ",%.9g", value) : snprintf(text, size, ",");
}

char *history_text(const struct history *history)
{
    const size_t size = sizeof head + (size_t)history->count * LINE;
    char *text = cli_alloc(size, 1);
    size_t length = (size_t)snprintf(text, size, "%s", head);
    for (int64_t i = 0; i < history->count; i++) {
        const struct epoch *e = &history->epochs[i];
        length += (size_t)snprintf(text + length, size - length, "%" PRId64 ",%" PRId64, e->epoch, e->steps);
        length += (size_t)number(text + length, size - length, e->learning_rate, 1);
        length += (size_t)number(text + length, size - length, e->loss, 1);
        length += (size_t)number(text + length, size - length, e->accuracy, e->accuracy >= 0);
        length += (size_t)number(text + length, size - length, e->test_loss, !isnan(e->test_loss));
        length += (size_t)number(text + length, size - length, e->test_accuracy, e->test_accuracy >= 0);
        length += (size_t)snprintf(text + length, size - length, "\n");
    }
    return text;
}

int history_read(struct history *history, const char *text)
{
    *history = (struct history){0};
    if (strncmp(text, head, sizeof head - 1))
        return 0;
    for (text += sizeof head - 1; *text; text++) {
        double fields[7];
        for (int i = 0; i < 7; i++) {
            const char *after = text;
            fields[i] = i == 5 ? NAN : -1;       /* what nothing between commas means */
            if (*text != ',' && *text != '\n') { /* strtod() would go on into the next line */
                char *end;
                fields[i] = strtod(text, &end);
                after = end;
            }
            if (*after != (i < 6 ? ',' : '\n'))
                return 0;
            text = after + (i < 6);
        }
        const struct epoch epoch = {(int64_t)fields[0], (int64_t)fields[1], fields[2], fields[3],
                                    fields[4],          fields[5],          fields[6]};
        history_add(history, &epoch);
    }
    return 1;
}
