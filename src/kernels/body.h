/*
 * The kernels' code, once.  A file for one instruction set and type defines
 *
 *   real         float or double
 *   KERNELS      the name of the struct cvg_kernels to define
 *   KERNELS_ISA  its instruction set, KERNELS_TYPE its cvg_type
 *
 * and includes a simd_*.h with
 *
 *   vec, VW            a vector, and how many reals it holds
 *   v_zero v_load v_load_part v_store v_store_part v_splat v_fma v_mul v_add v_sub
 *   vmask v_mask v_load_mask v_even v_ordered v_zip  for FRAMES: some lanes, and every other
 *   tvec, TW           the vector in which blocks are turned
 *   t_load t_store t_splat t_mul t_add t_even t_odd t_zip
 *   STREAMS t_stream   whether lines may be written past the caches, and how
 *   t_load_turned      TC columns of TW rows, which lie step apart
 *   ROWS_1 .. ROWS_12  the most rows of a tile 1 .. 12 vectors wide, cut to CVG_TILE_ROWS: the
 *                      sums, and the smaller of rows and vectors, and one more, must fit in
 *                      the registers
 *   MAIN_VECS          the width of the best tile, SPREAD_VECS of that for rows far apart
 *   DOT_SUMS           the registers that dot() may fill with sums
 *
 * and, if it has them, NARROW, a tile of half a vector from elsewhere, and NARROW_KERNELS, whose vectors are that; of
 * float, HALVES, and FRAMES where some lanes of a vector are loaded fast; then this file.
 */
#include "../broken.h"
#include "kernels.h"

#include <string.h>

/* Without the unrolling, compilers keep the accumulators in memory. */
#if defined(__clang__)
#define UNROLL_FOR _Pragma("clang loop unroll(full)") for
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#elif defined(__GNUC__)
#define UNROLL_FOR _Pragma("GCC unroll 32") for
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#else
#define UNROLL_FOR for
#define INLINE static inline
#define NOINLINE
#endif
/*
 * What compilers would not do by themselves: the condition of a loop that runs so long that registers are for what is
 * within; an address that waits in memory until it is used; one that is not taken apart, to be added up for each
 * element.
 */
#if defined(__GNUC__) && !defined(SMALL)
#define LONG_LOOP(condition) __builtin_expect_with_probability(condition, 1, 0.999)
#define IN_MEMORY(p) __asm__("" : "+m"(p))
#else
#define LONG_LOOP(condition) (condition)
#define IN_MEMORY(p)
#endif
#ifdef __GNUC__
#define ONE_ADDRESS(p) __asm__("" : "+r"(p))
#else
#define ONE_ADDRESS(p)
#endif
#ifdef CVG_NO_HALVES
#undef HALVES
#endif
#ifdef SMALL
#define FEW_TILES
enum { STENCIL_ROWS = 2, STENCIL_VECS = 1 };
#else
enum { STENCIL_ROWS = 8, STENCIL_VECS = 3 };
#ifndef FRAMES
#define NINES /* what frames have instead */
#endif
#endif
#ifdef NINES
#define DOT_SINGLE CVG_DOT_COLUMNS
#else
#define DOT_SINGLE DOT_MOST(1)
#endif
enum { MOST_VECS = 12, NINE_ROWS = 12, FEW_ROWS = 6, EVEN_ROWS = 9, ASKS = sizeof(vec) == 64 ? 12 : 8 };
enum { SINGLE_VECS = SPREAD_VECS > MAIN_VECS ? SPREAD_VECS : 0 }; /* of tiles that do not repeat themselves */
#define CUT_ROWS(rows) ((int)(rows) < CVG_TILE_ROWS ? (int)(rows) : CVG_TILE_ROWS)
#define CUT(rows) CUT_ROWS(rows)

#if defined(SMALL) || defined(__OPTIMIZE_SIZE__) /* memory of sums is not asked for */
enum { CLAIMS = 0 };
#else
enum { CLAIMS = 1 };
#endif

enum lie { ANYHOW, NEAR, EVEN }; /* rows of a tile */

#define TILE_NAME(name) name
#define TILE_FMA(a, b, sum) v_fma(a, b, sum)
#define TILE_SPLAT(p) v_splat(*(p))
#include "body_tiles.h"

#include "body_dots.h"
#include "body_rows.h"
#include "body_planes.h"
#ifdef FRAMES
#include "body_frames.h"
#include "body_weights.h"
#endif
#include "body_lanes.h"
#if !defined(SMALL) && !defined(__OPTIMIZE_SIZE__)
#define WEIGH_NINE
#include "body_nine.h"
#if defined(FRAMES) && defined(V_PICK)
enum {
    DEPTH_RESULTS = 7,     /* neighbours that share what is loaded */
    DEPTH_TAPS = 7,        /* of a line, at most */
    DEPTH_WEIGHTS = 16384, /* bytes of weights, about, that go through all rows before the next, */
    DEPTH_CHANNELS = 128,  /* of so many channels, or fewer, */
    DEPTH_NEAR = 24576,    /* of which the lines that a row reads have no more bytes, as they stay near for the next, */
    DEPTH_LEAST = 128,     /* but so many bytes that follow each other, */
    DEPTH_READ = 256,      /* and more where a line is read for few products */
    DEPTH_LINE = 64,       /* bytes of a line of the cache */
    DEPTH_MEET = 1024,     /* bytes: columns that lie multiples of them apart meet in few sets of it */
};

/* Channels, of elements of so many bytes, that go through all rows before the next; so many have weights that fit. */
static int64_t depth_channels(const struct cvg_frame *f, int64_t size, int64_t fit)
{
    const int64_t near = DEPTH_NEAR / (f->taps[0] * f->extent[1] * size);
    int64_t channels = DEPTH_CHANNELS;
    while (channels > fit || (channels > near && channels * size > DEPTH_LEAST))
        channels /= 2;
    return f->taps[0] == 3 && f->step[0] == 1 && channels * size < DEPTH_READ ? DEPTH_CHANNELS : channels;
}

#define SQUARES_PICK
#ifdef NARROW_KERNELS /* with half as many lanes picking takes longer than it saves */
#define WEIGH_SQUARES
#endif
#include "body_squares.h"

#ifdef WEIGH_SQUARES /* of 3x3 taps without steps filter_squares() is faster */
#define SQUARES_ARE_DEEP(type) (sizeof(type) == sizeof(real))
#else
#define SQUARES_ARE_DEEP(type) 0
#endif
#define DEPTH(name) depth_##name
#define ELEMENT real
#define ELEMENT_LOAD(p) v_load(p)
#define ELEMENT_STORE(p, v) v_store(p, v)
#include "body_depth.h"
#endif
#endif
#ifdef SMALL /* its loops have no constant ends */
#undef UNROLL_FOR
#define UNROLL_FOR for
#endif
#include "body_points.h"

#ifdef HALVES
#include "body_halves.h"
#endif

#include "body_table.h"
