/*
 * The FMA peak of this machine: independent multiply-adds in registers and
 * nothing else, by the widest vectors that the processor has.
 */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>
#define X86 1
#endif

enum {
    CHAINS = 12, /* cover latency 4 to 5 at 2 a cycle */
    ROUNDS = 20000,
    MOST_REPEATS = 64, /* so that the start of the threads does not count */
    TIMES = 30,
};

/* Each returns a value that depends on every sum, so that none is optimised away. */
typedef double spin_fn(void);

#ifdef X86
#define SPIN(name, isa, vector, set1, fma, real)                                                  \
    __attribute__((target(isa))) static double name(void)                                         \
    {                                                                                             \
        vector sum[CHAINS];                                                                       \
        const vector a = set1((real)0.999), b = set1((real)1e-3);                                 \
        union {                                                                                   \
            vector v;                                                                             \
            real x[sizeof(vector) / sizeof(real)];                                                \
        } out;                                                                                    \
        for (int i = 0; i < CHAINS; i++)                                                          \
            sum[i] = set1((real)i);                                                               \
        for (int r = 0; r < ROUNDS; r++)                                                          \
            _Pragma("GCC unroll 32") for (int i = 0; i < CHAINS; i++) sum[i] = fma(sum[i], a, b); \
        double total = 0;                                                                         \
        for (int i = 0; i < CHAINS; i++) {                                                        \
            out.v = sum[i];                                                                       \
            total += (double)out.x[0];                                                            \
        }                                                                                         \
        return total;                                                                             \
    }
SPIN(spin_avx2_f32, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, float)
SPIN(spin_avx2_f64, "avx2,fma", __m256d, _mm256_set1_pd, _mm256_fmadd_pd, double)
SPIN(spin_avx512_f32, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, float)
SPIN(spin_avx512_f64, "avx512f", __m512d, _mm512_set1_pd, _mm512_fmadd_pd, double)
#endif

/* 16-byte vectors (or what the compiler makes of them): multiply and add. */
#define SPIN_PORTABLE(name, real)                           \
    static double name(void)                                \
    {                                                       \
        enum { N = CHAINS * 16 / sizeof(real) };            \
        real sum[N];                                        \
        double total = 0;                                   \
        for (int i = 0; i < N; i++)                         \
            sum[i] = (real)i;                               \
        for (int r = 0; r < ROUNDS; r++)                    \
            for (int i = 0; i < N; i++)                     \
                sum[i] = sum[i] * (real)0.999 + (real)1e-3; \
        for (int i = 0; i < N; i++)                         \
            total += (double)sum[i];                        \
        return total;                                       \
    }
SPIN_PORTABLE(spin_portable_f32, float)
SPIN_PORTABLE(spin_portable_f64, double)

struct spin {
    spin_fn *run;
    double flops; /* of one run */
    int repeats;
};

static struct spin best_spin(cvg_type type)
{
    const int f32 = type != CVG_F64; /* halves are computed as such */
    int bytes = 16;
    spin_fn *run = f32 ? spin_portable_f32 : spin_portable_f64;
#ifdef X86
    const char *isa = getenv("CVG_ISA"); /* which is known to be one by now */
    const int any = !isa || !*isa;
    if (__builtin_cpu_supports("avx512f") && (any || !strcmp(isa, "avx512"))) {
        bytes = 64;
        run = f32 ? spin_avx512_f32 : spin_avx512_f64;
    } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && (any || !strcmp(isa, "avx2"))) {
        bytes = 32;
        run = f32 ? spin_avx2_f32 : spin_avx2_f64;
    }
#endif
    return (struct spin){run, 2.0 * CHAINS * ROUNDS * bytes / (f32 ? 4 : 8), 1};
}

static void spin_task(void *context, int index)
{
    const struct spin *spin = context;
    static volatile double sink;
    (void)index;
    for (int i = 0; i < spin->repeats; i++)
        if (isnan(spin->run()))
            sink = 1; /* never: the sums converge */
    (void)sink;
}

double peak_flops(cvg_type type, int threads)
{
    struct spin spin = best_spin(type);
    const double first = seconds();
    double best = 0, begin = first;
    for (int i = 0; i < TIMES && begin - first < 1; i++) { /* less often where it is slow, as under an emulator */
        thread_each(NULL, threads, spin_task, &spin);
        const double end = seconds();
        best = fmax(best, spin.repeats * threads * spin.flops / (end - begin));
        begin = end;
        if (spin.repeats < MOST_REPEATS)
            spin.repeats *= 2;
    }
    return best;
}

enum { STREAM_BYTES = 64 << 20, STREAM_SUMS = 16 }; /* of one thread */

/* Reads its part of an array in words of 8 bytes. */
static void stream_task(void *context, int index)
{
    const uint64_t *words = (const uint64_t *)context + (size_t)index * (STREAM_BYTES / 8);
    static volatile uint64_t sink;
    uint64_t sum[STREAM_SUMS] = {0}, total = 0;
    for (size_t i = 0; i < STREAM_BYTES / 8; i += STREAM_SUMS)
        for (int l = 0; l < STREAM_SUMS; l++)
            sum[l] += words[i + l];
    for (int l = 0; l < STREAM_SUMS; l++)
        total += sum[l];
    if (total == 1)
        sink = total; /* never: the words are 0 */
    (void)sink;
}

double peak_bytes(int threads)
{
    void *words = cli_alloc((size_t)threads, STREAM_BYTES);
    double best = 0;
    memset(words, 0, (size_t)threads * STREAM_BYTES); /* real pages */
    for (int i = 0; i < 5; i++) {
        const double begin = seconds();
        thread_each(NULL, threads, stream_task, words);
        best = fmax(best, (double)threads * STREAM_BYTES / (seconds() - begin));
    }
    free(words);
    return best;
}
