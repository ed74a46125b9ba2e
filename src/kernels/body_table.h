/* The table of all kernels; a part of body.h, which says what it needs. */

const struct cvg_kernels KERNELS = {
    .isa = KERNELS_ISA,
    .type = KERNELS_TYPE,
#ifdef ROUNDS_TWICE
    .rounds_twice = 1,
#endif
    .size = sizeof(real),
    .vector = VW,
#ifdef FEW_TILES
    .tile = {{4 * VW, ROWS_4, TILE_NAME(tile_4), SINGLE_VECS == 4},
             {2 * VW, CUT(ROWS_2), TILE_NAME(tile_2), 0},
             {VW, CUT(ROWS_1), TILE_1, 0}},
    .tiles = 3,
    .main = MAIN_VECS == 2,
    .spread = SPREAD_VECS == 2,
#else
    .tile =
        {
            {12 * VW, ROWS_12, TILE_NAME(tile_12), 0},
            {6 * VW, ROWS_6, TILE_NAME(tile_6), 0},
            {4 * VW, ROWS_4, TILE_NAME(tile_4), SINGLE_VECS == 4},
            {3 * VW, CUT(ROWS_3), TILE_NAME(tile_3), 0},
            {2 * VW, CUT(ROWS_2), TILE_NAME(tile_2), 0},
            {VW, CUT(ROWS_1), TILE_1, 0},
#ifdef NARROW
            {VW / 2, CUT(NARROW_ROWS), NARROW, 0},
#endif
        },
#ifdef NARROW
    .tiles = 7,
#else
    .tiles = 6,
#endif
    .main = (MAIN_VECS == 2 ? 4 : 2), /* where MAIN_VECS stands above */
    .spread = (SPREAD_VECS == 2 ? 4 : 2),
#endif
    .dot = dot,
    .dot_columns = {DOT_SINGLE, DOT_MOST(2), DOT_MOST(3), DOT_MOST(4)},
    .fold = fold,
    .stencil = stencil,
#ifdef FRAMES
    .filter_frame = filter_frame,
    .filter_spread = filter_spread,
    .weigh_frame = weigh_frame,
#endif
    .zip = zip,
    .points = points,
    .gather = gather,
    .copy = copy,
    .put_rows = put_rows,
    .turn = turn,
    .unturn = unturn,
    .put_lanes = put_lanes,
    .copy_groups = copy_groups,
    .filter_lanes = filter_lanes,
    .weigh_lanes = weigh_lanes,
#ifdef WEIGH_NINE
    .weigh_nine = weigh_nine,
#endif
#ifdef SQUARES_PICK
    .filter_squares = filter_squares,
    .filter_depth = depth_filter,
#endif
#ifdef WEIGH_SQUARES
    .weigh_squares = weigh_squares,
#endif
    .put = put,
    .sum = sum,
#ifdef HALVES
    .half = {{widen_bf16, widen_rows_bf16, narrow_bf16, put_lanes_bf16},
             {widen_f16, widen_rows_f16, narrow_f16, put_lanes_f16}},
#endif
#ifdef HALF_VECTORS
    .filter_halves = half_filter,
    .weigh_halves = weigh_halves,
#endif
#ifdef PAIRS
    .pairs = PAIRS,
#endif
#ifdef PAIR
    .pair = PAIR,
#endif
};
