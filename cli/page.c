#include "page.h"

#include <math.h>

/* Bytes of the UTF-8 character that text begins with; 0 if it is none. */
static int character(const unsigned char *text)
{
    static const struct {
        unsigned char low, high, second_low, second_high;
        int length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (*text < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (*text >= forms[i].low && *text <= forms[i].high && text[1] >= forms[i].second_low &&
            text[1] <= forms[i].second_high) {
            int length = 2;
            while (length < forms[i].length && (text[length] & 0xc0) == 0x80)
                length++;
            return length == forms[i].length ? length : 0;
        }
    return 0;
}

void json_string(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    fputc('"', out);
    while (*at) {
        const int length = character(at);
        if (length == 0)
            fputs("\\ufffd", out);
        else if (length == 1 &&
                 (*at < ' ' || *at == 0x7f || *at == '"' || *at == '\\' || *at == '<' || *at == '>' || *at == '&'))
            fprintf(out, "\\u%04x", *at);
        else
            fwrite(at, 1, (size_t)length, out);
        at += length ? length : 1;
    }
    fputc('"', out);
}

void json_number(FILE *out, double value)
{
    if (isfinite(value))
        fprintf(out, "%.17g", value);
    else
        fprintf(out, "\"%s\"", isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
}
