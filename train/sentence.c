#include "sentence.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

cvg_status cvt_fail(cvg_error *error, cvg_status status, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return status;
}

void cvt_print(struct cvt_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const size_t at = t->length < t->size ? t->length : t->size;
    const int n = vsnprintf(t->size > at ? t->text + at : NULL, t->size - at, format, args);
    va_end(args);
    if (n > 0)
        t->length += (size_t)n;
}

cvg_status cvt_line_fail(struct cvt_line *line, const char *format, ...)
{
    if (line->error) {
        char text[sizeof line->error->text];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        struct cvt_text to = {line->error->text, sizeof line->error->text, 0};
        cvt_print(&to, "line %d: %s", line->number, text);
    }
    return CVG_INVALID_ARGUMENT;
}

/* Cuts the line's copy into words. */
static int cut_words(struct cvt_line *line)
{
    line->words = 0;
    line->name = NULL;
    memset(line->taken, 0, sizeof line->taken);
    for (char *at = line->copy; *at;) {
        if (*at == ' ' || *at == '\t') {
            *at++ = 0;
            continue;
        }
        if (line->words == CVT_WORDS)
            return cvt_line_fail(line, "more than %d words", CVT_WORDS), -1;
        line->word[line->words++] = at;
        while (*at && *at != ' ' && *at != '\t')
            at++;
    }
    if (line->words > 1 && strcmp(line->word[1], "=") == 0) {
        if (line->words < 3)
            return cvt_line_fail(line, "no layer after \"%.40s =\"", line->word[0]), -1;
        if (strlen(line->word[0]) >= CVT_WORD)
            return cvt_line_fail(line, "the name \"%.40s\" is longer than %d bytes", line->word[0], CVT_WORD - 1), -1;
        line->name = line->word[0];
        line->words -= 2;
        memmove(line->word, line->word + 2, (size_t)line->words * sizeof *line->word);
    }
    return 1;
}

int cvt_next_line(struct cvt_line *line, const char *text, size_t length, size_t *at)
{
    if (*at >= length)
        return 0;
    const char *begin = text + *at, *end = memchr(begin, '\n', length - *at);
    size_t count = end ? (size_t)(end - begin) : length - *at;
    *at += count + (end != NULL);
    line->number++;
    const char *comment = memchr(begin, '#', count);
    if (comment)
        count = (size_t)(comment - begin);
    while (count > 0 && (begin[count - 1] == '\r' || begin[count - 1] == ' ' || begin[count - 1] == '\t'))
        count--;
    if (count > CVT_LINE)
        return cvt_line_fail(line, "longer than %d bytes", CVT_LINE), -1;
    for (size_t i = 0; i < count; i++)
        if ((unsigned char)begin[i] < 32 && begin[i] != '\t')
            return cvt_line_fail(line, "byte %d is no text", (unsigned char)begin[i]), -1;
    memcpy(line->text, begin, count);
    line->text[count] = 0;
    memcpy(line->copy, line->text, count + 1);
    return cut_words(line);
}

const char *cvt_take(struct cvt_line *line)
{
    for (int i = 1; i < line->words; i++)
        if (!line->taken[i] && !strchr(line->word[i], '=')) {
            line->taken[i] = 1;
            return line->word[i];
        }
    return NULL;
}

const char *cvt_take_key(struct cvt_line *line, const char *key)
{
    const size_t length = strlen(key);
    for (int i = 1; i < line->words; i++)
        if (!line->taken[i] && strncmp(line->word[i], key, length) == 0 && line->word[i][length] == '=') {
            line->taken[i] = 1;
            return line->word[i] + length + 1;
        }
    return NULL;
}

/* Digits of a whole number, at most 2^40; *end behind them. */
static int64_t digits(const char *text, const char **end)
{
    int64_t value = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value > ((int64_t)1 << 40) / 10 ? (int64_t)1 << 40 : value * 10 + (*text - '0');
    *end = text;
    return value;
}

cvg_status cvt_read_whole(struct cvt_line *line, const char *text, const char *what, int64_t least, int64_t most,
                          int64_t *value)
{
    const char *end;
    if (!text)
        return CVG_OK;
    const int64_t read = digits(text, &end);
    if (end == text || *end || read < least || read > most)
        return cvt_line_fail(line, "%s is \"%.40s\"; must be a whole number from %lld to %lld", what, text,
                             (long long)least, (long long)most);
    *value = read;
    return CVG_OK;
}

/* Whole numbers and a power of ten: exact up to 2^53 and 10^22, and the same rounding everywhere beyond. */
double cvt_parse_number(const char *text, const char **end)
{
    const char *at = text;
    double value = 0, power = 1;
    const int minus = *at == '-';
    at += minus;
    int count = 0, places = 0, exponent = 0;
    for (; *at >= '0' && *at <= '9'; at++, count++)
        value = value * 10 + (*at - '0');
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++, count++, places++)
            value = value * 10 + (*at - '0');
    if (count == 0) {
        *end = text;
        return 0;
    }
    if ((*at == 'e' || *at == 'E') &&
        ((at[1] >= '0' && at[1] <= '9') || ((at[1] == '-' || at[1] == '+') && at[2] >= '0' && at[2] <= '9'))) {
        const int down = at[1] == '-';
        at += at[1] == '-' || at[1] == '+' ? 2 : 1;
        for (; *at >= '0' && *at <= '9'; at++)
            exponent = exponent < 1000 ? exponent * 10 + (*at - '0') : exponent;
        exponent = down ? -exponent : exponent;
    }
    exponent -= places;
    for (int i = exponent < 0 ? -exponent : exponent; i > 0 && i < 2000; i--)
        power *= 10;
    value = exponent < 0 ? value / power : value * power;
    *end = at;
    return minus ? -value : value;
}

cvg_status cvt_read_number(struct cvt_line *line, const char *text, const char *what, double *value)
{
    const char *end;
    if (!text)
        return CVG_OK;
    double read = cvt_parse_number(text, &end);
    int good = end != text;
    if (good && *end == '/') { /* 1/255 */
        const char *below = end + 1;
        const double by = cvt_parse_number(below, &end);
        good = end != below && by != 0;
        read = good ? read / by : 0;
    }
    if (!good || *end || !(read - read == 0))
        return cvt_line_fail(line, "%s is \"%.40s\"; must be a number", what, text);
    *value = read;
    return CVG_OK;
}

cvg_status cvt_read_axes(struct cvt_line *line, const char *text, const char *what, int rank, int64_t least,
                         int64_t value[3])
{
    const int64_t most = ((int64_t)1 << 31) - 1;
    const char *end, *at = text;
    int64_t read[3] = {0, 0, 0};
    int count = 0, good = 1;
    if (!text)
        return CVG_OK;
    do {
        const char *begin = at;
        const int64_t one = digits(begin, &end);
        good = end != begin && one >= least && one <= most && count < rank;
        if (good)
            read[count++] = one;
        at = end + 1;
    } while (good && *end == 'x');
    if (!good || *end || (count != 1 && count != rank))
        return cvt_line_fail(line,
                             "%s is \"%.40s\"; must be one whole number, or %d with x between, each at least %lld",
                             what, text, rank, (long long)least);
    for (int i = 0; i < rank; i++)
        value[i] = read[count == 1 ? 0 : i];
    return CVG_OK;
}

cvg_status cvt_all_taken(struct cvt_line *line, const char *usage)
{
    for (int i = 1; i < line->words; i++)
        if (!line->taken[i])
            return cvt_line_fail(line, "\"%.40s\" is not understood here; write %s", line->word[i], usage);
    return CVG_OK;
}
