#include "cpu.h"

#include "error.h"

#include <stdio.h>
#include <string.h>

static int always(void) { return 1; }

#if defined(CVG_HAVE_FMA) || defined(CVG_HAVE_AVX2)
static int has_fma(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("fma");
}
#endif

#ifdef CVG_HAVE_AVX2
static int has_avx2(void) { return has_fma() && __builtin_cpu_supports("avx2"); }
#endif

#ifdef CVG_HAVE_AVX512
static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}
#endif

#ifdef CVG_HAVE_AVX512BF16
/* Intel's take longer for a pair of products than for two by AVX-512. */
static int has_fast_bf16(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_is("amd");
}

static int has_slow_bf16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16") && !has_fast_bf16(); }
#endif

#ifdef CVG_HAVE_F32
#define F32(set) &cvg_kernels_##set##_f32
#else
#define F32(set) NULL
#endif
#if defined(CVG_HAVE_F32) && !defined(CVG_NO_HALVES)
#define HALF(set) &cvg_kernels_##set##_f32
#else
#define HALF(set) NULL
#endif
#ifdef CVG_HAVE_F64
#define F64(set) &cvg_kernels_##set##_f64
#else
#define F64(set) NULL
#endif

/* Every instruction set of this build, best first. */
static const struct {
    const char *name;
    int (*available)(void);
    /* By cvg_type; NULL for a type that this build lacks, or for which a set has nothing that the next has not. */
    const struct cvg_kernels *kernels[CVG_TYPE_COUNT];
} sets[] = {
#define SET(name)                                    \
    {                                                \
        F32(name), F64(name), HALF(name), HALF(name) \
    }
#ifdef CVG_HAVE_AVX512BF16
    {"avx512bf16", has_fast_bf16, {[CVG_BF16] = F32(avx512bf16)}},
#endif
#ifdef CVG_HAVE_AVX512
    {"avx512", has_avx512, SET(avx512)},
#endif
#ifdef CVG_HAVE_AVX512BF16
    {"avx512bf16", has_slow_bf16, {[CVG_BF16] = F32(avx512bf16)}},
#endif
#ifdef CVG_HAVE_AVX2
    {"avx2", has_avx2, SET(avx2)},
#endif
#ifdef CVG_HAVE_FMA
    {"fma", has_fma, SET(fma)},
#endif
#ifdef CVG_HAVE_NEON
    {"neon", always, SET(neon)},
#endif
    {"portable", always, SET(portable)},
};

enum { SETS = sizeof sets / sizeof *sets };

/* " avx2 fma portable": those that this processor has. */
static const char *list_of(char text[80])
{
    size_t length = 0;
    text[0] = 0;
    for (int i = 0; cvg_isa_name(i); i++)
        length += (size_t)snprintf(text + length, 80 - length, " %s", cvg_isa_name(i));
    return text;
}

const struct cvg_kernels *cvg_cpu_kernels(cvg_type type, const char *isa, cvg_error *error)
{
    char list[80];
    if (!sets[SETS - 1].kernels[type]) {
        cvg_fail(error, CVG_INVALID_ARGUMENT, "type is %s; this build of the library is without it",
                 cvg_type_name(type));
        return NULL;
    }
    for (int i = 0; i < SETS; i++)
        if ((!isa || !*isa || !strcmp(isa, sets[i].name)) && sets[i].available()) {
            const int other = !sets[i].kernels[type]; /* by what is left of it, AVX-512 */
            return other ? cvg_cpu_kernels(type, "avx512", error) : sets[i].kernels[type];
        }
    cvg_fail(error, CVG_INVALID_ARGUMENT, "isa is \"%.40s\"; this processor has%s", isa, list_of(list));
    return NULL;
}

const char *cvg_isa_name(int index)
{
    for (int i = 0; i < SETS && index >= 0; i++)
        if (sets[i].available() && index-- == 0)
            return sets[i].name;
    return NULL;
}

const char *cvg_cpu_name(int index) { return index < SETS ? sets[index].name : NULL; }

const struct cvg_kernels *cvg_cpu_set(int index, cvg_type type)
{
    return sets[index].available() ? sets[index].kernels[type] : NULL;
}
