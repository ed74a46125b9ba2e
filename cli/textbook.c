/*
 * The numbers that the textbook's section 17.4 prints for its two worked
 * examples, in row-major order.  The complex example's x, w, col_x, col_w and
 * dB are not printed there.
 */
#include "explain.h"

static const double counting[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static const double simple_col_x[] = {0, 1, 3, 4, 1, 2, 4, 5, 3, 4, 6, 7, 4, 5, 7, 8};
static const double simple_db[] = {6};
static const double simple_dw[] = {19, 25, 37, 43};
static const double simple_dcol[] = {0, 0, 0, 0, 0, 1, 2, 3, 0, 2, 4, 6, 0, 3, 6, 9};
static const double simple_delta_out[] = {0, 0, 1, 0, 4, 6, 4, 12, 9};

static const double complex_delta_in_2d[] = {0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15};
static const double complex_dw_col[] = {
    564, 812,  586, 850,  630, 926,  652, 964,  762,  1154, 784,  1192,
    828, 1268, 850, 1306, 960, 1496, 982, 1534, 1026, 1610, 1048, 1648,
};
static const double complex_dw[] = {
    564, 586, 630, 652, 762,  784,  828,  850,  960,  982,  1026, 1048,
    812, 850, 926, 964, 1154, 1192, 1268, 1306, 1496, 1534, 1610, 1648,
};
static const double complex_dcol[] = {
    48,  52,  56,  60,  64,  68,  72,  76,  80,  84,  88,  92,  60,  66,  72,  78,  84,  90,  96,  102,
    108, 114, 120, 126, 72,  80,  88,  96,  104, 112, 120, 128, 136, 144, 152, 160, 84,  94,  104, 114,
    124, 134, 144, 154, 164, 174, 184, 194, 144, 164, 184, 204, 224, 244, 264, 284, 304, 324, 344, 364,
    156, 178, 200, 222, 244, 266, 288, 310, 332, 354, 376, 398, 168, 192, 216, 240, 264, 288, 312, 336,
    360, 384, 408, 432, 180, 206, 232, 258, 284, 310, 336, 362, 388, 414, 440, 466,
};
static const double complex_delta_out[] = {
    48,  112, 66,  128, 296,  172, 88,  200, 114, 64,  152, 90,  176, 408,  236, 120, 272, 154,
    80,  192, 114, 224, 520,  300, 152, 344, 194, 144, 320, 178, 352, 776,  428, 216, 472, 258,
    224, 488, 266, 528, 1144, 620, 312, 672, 362, 304, 656, 354, 704, 1512, 812, 408, 872, 466,
};

#define NUMBERS(a) a, (int)(sizeof a / sizeof *a)

static const struct {
    int example;
    enum explained which;
    const double *numbers;
    int count;
} printed[] = {
    {1, X, counting, 9},
    {1, W, counting, 4},
    {1, DELTA_IN, counting, 4},
    {1, COL_X, NUMBERS(simple_col_x)},
    {1, COL_W, counting, 4},
    {1, DELTA_IN_2D, counting, 4},
    {1, DB, NUMBERS(simple_db)},
    {1, DW_COL, NUMBERS(simple_dw)},
    {1, DW, NUMBERS(simple_dw)},
    {1, DCOL, NUMBERS(simple_dcol)},
    {1, DELTA_OUT, NUMBERS(simple_delta_out)},
    {2, DELTA_IN, counting, 16},
    {2, DELTA_IN_2D, NUMBERS(complex_delta_in_2d)},
    {2, DW_COL, NUMBERS(complex_dw_col)},
    {2, DW, NUMBERS(complex_dw)},
    {2, DCOL, NUMBERS(complex_dcol)},
    {2, DELTA_OUT, NUMBERS(complex_delta_out)},
};

const double *textbook_numbers(int example, enum explained which, int *count)
{
    for (size_t i = 0; i < sizeof printed / sizeof *printed; i++)
        if (printed[i].example == example && printed[i].which == which) {
            *count = printed[i].count;
            return printed[i].numbers;
        }
    return NULL;
}

int textbook_agrees(int example, const struct explanation *e)
{
    for (int which = 0; which < EXPLAINED; which++) {
        int count;
        const double *numbers = textbook_numbers(example, (enum explained)which, &count);
        if (!numbers)
            continue;
        if (e->array[which].count != count)
            return 0;
        for (int i = 0; i < count; i++)
            if (array_get(&e->array[which], i) != numbers[i])
                return 0;
    }
    return 1;
}
