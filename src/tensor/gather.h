/*
 * forward and grad_input as one sum, seen from its destination:
 *
 *   dst[m][i] = sum over l, tap of weight[m][l][tap] * source[l][source(i, tap)]
 *
 *   pass        dst         m  source       l   taps and source(i, tap)
 *   forward     output      k  input        c   all taps; strided input
 *   grad_input  grad_input  c  grad_output  k   the taps of one stride phase (box.h)
 */
#ifndef CVG_GATHER_H
#define CVG_GATHER_H

#include "tiles.h"
#include "view.h"

/* The names of the table above, for one pass. */
struct cvg_gather {
    int gradient; /* 1: grad_input */
    int64_t M, L; /* channels of one group */
};

/* The weight by these names; steps count elements, between neighbours. */
struct cvg_gather_weight {
    const char *base;
    int64_t g, m, l, tap;
};

struct cvg_gather_weight cvg_gather_weight(const struct cvg_task *task, const struct cvg_gather *view);

struct cvg_gather cvg_gather_of(const struct cvg_shape *shape, cvg_pass pass);

/*
 * Packs the weights of channels m .. m + width - 1 and l .. l + l_count - 1 of group g to
 * to[l][tap][lane], lanes wide; lanes past width are 0.
 */
void cvg_pack_weight(const struct cvg_task *task, const struct cvg_gather *view, int64_t g, int64_t m, int width,
                     int64_t l, int64_t l_count, int lanes, char *to);

/* The same of pairs of l: to[pair][tap][lane], of l_count pairs from pair l on. */
void cvg_pack_pairs(const struct cvg_task *task, const struct cvg_gather *view, int64_t g, int64_t m, int width,
                    int64_t l, int64_t l_count, int lanes, char *to);

/*
 * The same of a whole weight, [group][panel][l][tap][row]: panel number index of all groups, of so many rows; those of
 * a group take weight_size elements.
 */
void cvg_pack_panel(const struct cvg_task *task, const struct cvg_gather *view, int64_t index, int64_t rows,
                    int64_t weight_size, void *packed);

#endif
