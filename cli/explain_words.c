/* What an explanation says, in every language that it speaks, and how it prints arrays. */
#include "explain.h"

#include <math.h>
#include <string.h>

const char *const explained_names[EXPLAINED] = {
    "x",      "w",  "delta_in", "col_x",     "col_w",        "y",           "delta_in_2d", "dB",
    "dW_col", "dW", "dcol",     "delta_out", "input_padded", "dz_stride_1", "dz_padded",   "rot_weights",
};

static const char *const languages[LANGUAGES] = {"en", "zh"};

/* Formats of one row take the same arguments in the same order. */
static const char *const sentences[SENTENCES][LANGUAGES] = {
    [X] = {"input", "input（输入数据）"},
    [W] = {"weight", "weight（卷积核）"},
    [DELTA_IN] = {"grad_output", "grad_output（输入误差矩阵）"},
    [COL_X] = {"input as the column matrix", "输入数据展开成的列矩阵"},
    [COL_W] = {"weight as a matrix", "卷积核展开成的矩阵"},
    [Y] = {"output", "output（卷积的结果）"},
    [DELTA_IN_2D] = {"grad_output as a matrix", "输入误差矩阵变换成的二维矩阵"},
    [DB] = {"grad_bias, mean over the batch", "grad_bias（偏置的梯度），除以样本数"},
    [DW_COL] = {"grad_weight as a matrix, mean over the batch", "权重梯度的二维展开形式，除以样本数"},
    [DW] = {"grad_weight, mean over the batch", "grad_weight（权重矩阵的梯度），除以样本数"},
    [DCOL] = {"grad_input as the column matrix", "输出误差的二维展开形式"},
    [DELTA_OUT] = {"grad_input", "grad_input（输出误差矩阵）"},
    [INPUT_PADDED] = {"input with its padding", "周边加 0 的输入数据"},
    [DZ_STRIDE_1] = {"grad_output with zeros stuffed in, as if stride were 1",
                     "输入误差矩阵，元素之间补 0，转换成步长为 1 的等价误差数组"},
    [DZ_PADDED] = {"the same, padded for the full convolution", "再在周边加 0，使卷积后的尺寸与输入数据一致"},
    [ROT_WEIGHTS] = {"weight rotated by 180 degrees", "旋转 180 度后的卷积核"},

    [SAY_PROBLEM] = {"problem %s\n", "问题 %s\n"},
    [SAY_CUT] = {"cut from %s: a problem of its own, whose sums hold nothing of what was cut off\n",
                 "从 %s 裁剪而来：它本身是一个完整的问题，被裁掉的部分不参与求和\n"},
    [SAY_ONES] = {"delta_in (grad_output) is all ones, since --grad-output was not given\n",
                  "没有给出 --grad-output，所以 delta_in（grad_output）全部为 1\n"},
    [SAY_GIVEN] = {"given", "已知"},
    [SAY_FORWARD] = {"method 2, forward: y as a matrix = col_x . col_w",
                     "方法 2，前向计算：矩阵形式的 y = col_x . col_w"},
    [SAY_BACKWARD] = {"method 2, backward: dB = column sums of delta_in_2d / batch; "
                      "dW = col_x^T . delta_in_2d / batch; dcol = delta_in_2d . col_w^T",
                      "方法 2，反向传播：dB = delta_in_2d 各列的和 / 样本数；"
                      "dW = col_x^T . delta_in_2d / 样本数；dcol = delta_in_2d . col_w^T"},
    [SAY_METHOD_1] = {"method 1: dW = input_padded convolved with dz_stride_1 / batch; "
                      "delta_out = dz_padded convolved with rot_weights",
                      "方法 1：dW = input_padded 与 dz_stride_1 的卷积 / 样本数；"
                      "delta_out = dz_padded 与 rot_weights 的卷积"},
    [SAY_DIFFERENCE] = {"largest difference between method 1, method 2 and the library: %.3g\n",
                        "方法 1、方法 2 与本库之间的最大差别：%.3g\n"},

    [SAY_TOO_MANY_STEPS] = {"col2img: %" PRId64 " elements of dcol are added into delta_out, row after row "
                            "(spelled out for up to %d)\n\n",
                            "col2img：dcol 的 %" PRId64 " 个元素逐行加进 delta_out（不超过 %d 个时列出每一步）\n\n"},
    [SAY_STEPS] = {"col2img, step by step (figure 17-30): every row of dcol is one output pixel's share of "
                   "the input;\nelements that meet the same place are added.\n\n",
                   "逐步演示 col2img（图 17-30）：dcol 的每一行来自一个输出像素，"
                   "要移回输入数据的形状中；\n与原有元素重叠的地方，两个值相加。\n\n"},
    [SAY_STEP] = {"step %" PRId64 ": row %" PRId64 " of dcol\n", "第 %" PRId64 " 步：dcol 的第 %" PRId64 " 行\n"},
    [SAY_PADDING] = {"falls on padding: dropped", "落在填充上：舍去"},
    [SAY_TO] = {"to", "移到"},

    [SAY_COL2IMG] = {"col2img: each row of dcol is added into the image, where the window of its output pixel was",
                     "col2img：dcol 的每一行加到图像中，位置就是它的输出像素的窗口"},
    [SAY_IM2COL] = {"img2col: the window of each output pixel becomes a row of col_x",
                    "img2col：每个输出像素的窗口成为 col_x 的一行"},
    [SAY_ROW_ADDED] = {"row %" PRId64 " of dcol is added:", "加上 dcol 的第 %" PRId64 " 行："},
    [SAY_WINDOW] = {"window of output pixel %" PRId64, "输出像素 %" PRId64 " 的窗口"},
    [SAY_IS_ROW] = {"= row %" PRId64 " of col_x", "= col_x 的第 %" PRId64 " 行"},
    [SAY_NO_PIXELS] = {"no output pixels: the batch is %" PRId64, "没有输出像素：样本数为 %" PRId64},
    [SAY_AFTER_ROW] = {"delta_out, after row %" PRId64 ":", "加完第 %" PRId64 " 行后的 delta_out："},
};

const char *explain_say(const struct explanation *e, int sentence) { return sentences[sentence][e->language]; }

int explain_language(const char *name)
{
    for (int i = 0; i < LANGUAGES; i++)
        if (!strcmp(name, languages[i]))
            return i;
    return -1;
}

/* Those that NumPy holds as floats in the textbook's program: 0. where others print 0 */
static const unsigned prints_floats = 1u << COL_X | 1u << DB | 1u << DW_COL | 1u << DW | 1u << DELTA_OUT | 1u << Y;

/* One element as NumPy prints it: integers bare, floats with their point. */
static int print_number(char *text, size_t size, double value, int floats, int integers)
{
    if (integers)
        return snprintf(text, size, floats ? "%.0f." : "%.0f", value);
    return snprintf(text, size, "%.8g", value);
}

void explain_array(FILE *out, const struct explanation *e, enum explained which)
{
    const struct array *a = &e->array[which];
    char text[64], shape[100];
    int width = 0, integers = 1;
    const int floats = prints_floats >> which & 1;

    shape_print(a->shape, a->rank, shape, sizeof shape);
    fprintf(out, "%s  = %s, %s\n", explained_names[which], explain_say(e, which), shape);
    for (int64_t i = 0; i < a->count; i++)
        integers &= fabs(array_get(a, i)) < 1e15 && array_get(a, i) == floor(array_get(a, i));
    for (int64_t i = 0; i < a->count; i++) {
        const int n = print_number(text, sizeof text, array_get(a, i), floats, integers);
        width = n > width ? n : width;
    }
    if (a->count == 0)
        fprintf(out, " []\n");
    for (int64_t i = 0; i < a->count; i++) {
        /* Axes that begin and end at this element, counted from the last. */
        int begins = 0, ends = 0;
        for (int64_t axis = a->rank - 1, block = 1; axis >= 0; axis--) {
            block *= a->shape[axis];
            begins += i % block == 0;
            ends += (i + 1) % block == 0;
        }
        if (begins) {
            if (i && begins > 1)
                fputc('\n', out);
            fprintf(out, " %*s", a->rank - begins, "");
            for (int b = 0; b < begins; b++)
                fputc('[', out);
        } else {
            fputc(' ', out);
        }
        print_number(text, sizeof text, array_get(a, i), floats, integers);
        fprintf(out, "%*s", width, text);
        for (int b = 0; b < ends; b++)
            fputc(']', out);
        if (ends)
            fputc('\n', out);
    }
}
