/* Problems as text: benchdnn's strings, shape tables, and lists of numbers. */
#ifndef CLI_PROBLEM_H
#define CLI_PROBLEM_H

#include "convgrad.h"

struct problem {
    char name[64]; /* empty if it has none */
    cvg_conv conv; /* type and struct_size are left as they were */
};

/*
 * Reads benchdnn's problem string, such as "g2mb1ic4ih6iw6oc6kh3ph1n\"name\"":
 * mb and, for every axis, i and k are required; dilation counts from 0 (dh1 is
 * dilation 2).  A missing w entry is that of h (and h that of d); a missing
 * padding is 0 unless an output size tells it.  An output size also tells
 * the padding at the end.  Returns 0, with the sentence in error, if it cannot.
 */
int problem_parse(struct problem *problem, const char *text, cvg_error *error);

/*
 * The string of a problem, which problem_parse reads back as the same problem, unless the
 * padding at the end is more than the output needs.
 */
void problem_print(const cvg_conv *conv, char *text, size_t size);

/* The arguments that name a problem exactly: its quoted string, or shapes and geometry. */
void problem_arguments(const cvg_conv *conv, char *text, size_t size);

/* " --layout channels_last --weight-layout krsc", or what of it is not the default; and ", views" if there are steps.
 */
void layout_print(const cvg_conv *conv, char *text, size_t size);

/*
 * Reads a shape table: CSV with the header
 * name,n,c,h,w,k,r,s,stride_h,stride_w,pad_top,pad_left,pad_bottom,pad_right,
 * dilation_h,dilation_w,groups[,...].  The caller frees *problems.  Returns the
 * number of problems, or -1 with the sentence in error.
 */
int problem_read_table(struct problem **problems, const char *path, cvg_error *error);

/* Reads "3" or "3,3,..." into numbers; returns how many, or -1 if it is no such list. */
int numbers_parse(const char *text, int64_t *numbers, int most);

/* Elements of each tensor of a valid problem. */
struct sizes {
    int64_t input, weight, output, bias;
    double macs;  /* multiply-adds of one pass */
    double terms; /* products behind one output; behind one grad_weight; behind one grad_input */
    double weight_terms, input_terms;
};
struct sizes problem_sizes(const cvg_conv *conv);

#endif
