/* The demonstration's data: digits of 5 x 7 dots, drawn with another place, size, slant, strength and noise each. */
#include "dataset.h"

#include "cli.h"

#include <math.h>
#include <stdio.h>

enum { SIDE = 16 };

static const char *const digits[10][7] = {
    {" ### ", "#   #", "#  ##", "# # #", "##  #", "#   #", " ### "},
    {"  #  ", " ##  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "},
    {" ### ", "#   #", "    #", "   # ", "  #  ", " #   ", "#####"},
    {"#####", "   # ", "  #  ", "   # ", "    #", "#   #", " ### "},
    {"   # ", "  ## ", " # # ", "#  # ", "#####", "   # ", "   # "},
    {"#####", "#    ", "#### ", "    #", "    #", "#   #", " ### "},
    {"  ## ", " #   ", "#    ", "#### ", "#   #", "#   #", " ### "},
    {"#####", "    #", "   # ", "  #  ", "  #  ", "  #  ", "  #  "},
    {" ### ", "#   #", "#   #", " ### ", "#   #", "#   #", " ### "},
    {" ### ", "#   #", "#   #", " ####", "    #", "   # ", " ##  "},
};

/* How much of a dot lies at (x, y) of a digit: dots fade into what is beside them. */
static double ink(int digit, double x, double y)
{
    double sum = 0;
    for (int row = 0; row < 7; row++)
        for (int column = 0; column < 5; column++)
            if (digits[digit][row][column] == '#') {
                const double dx = 1 - fabs(x - column), dy = 1 - fabs(y - row);
                sum += dx > 0 && dy > 0 ? dx * dy : 0;
            }
    return sum < 1 ? sum : 1;
}

static double between(struct random *random, double low, double high)
{
    return low + (high - low) * (random_uniform(random) + 1) / 2;
}

void dataset_draw(struct dataset *data, int64_t count, uint64_t seed)
{
    struct random random = {seed};
    *data = (struct dataset){.count = count, .elements = SIDE * SIDE, .rank = 3, .shape = {1, SIDE, SIDE}};
    snprintf(data->images, sizeof data->images, "drawn digits");
    snprintf(data->labels, sizeof data->labels, "drawn digits");
    data->values = cli_alloc((size_t)count, SIDE * SIDE);
    data->label = cli_alloc((size_t)count, sizeof *data->label);
    for (int64_t i = 0; i < count; i++) {
        const int digit = (int)(random_bits(&random) % 10);
        const double size = between(&random, 1.2, 1.9), slant = between(&random, -0.35, 0.35);
        const double left = SIDE / 2.0 + between(&random, -2.5, 2.5), top = SIDE / 2.0 + between(&random, -1.5, 1.5);
        const double strength = between(&random, 120, 255), noise = between(&random, 10, 70);
        data->label[i] = digit;
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                const double down = (y - top) / size, right = (x - left) / size + slant * down;
                const double value = strength * ink(digit, right + 2, down + 3) + noise * random_uniform(&random);
                data->values[(i * SIDE + y) * SIDE + x] = (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
            }
    }
}
