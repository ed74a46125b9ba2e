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

#ifdef CVG_HAVE_F32
#define F32(set) &cvg_kernels_##set##_f32
#else
#define F32(set) NULL
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
    const struct cvg_kernels *kernels[2]; /* by cvg_type; NULL for a type that this build lacks */
} sets[] = {
#ifdef CVG_HAVE_AVX512
    {"avx512", has_avx512, {F32(avx512), F64(avx512)}},
#endif
#ifdef CVG_HAVE_AVX2
    {"avx2", has_avx2, {F32(avx2), F64(avx2)}},
#endif
#ifdef CVG_HAVE_FMA
    {"fma", has_fma, {F32(fma), F64(fma)}},
#endif
#ifdef CVG_HAVE_NEON
    {"neon", always, {F32(neon), F64(neon)}},
#endif
    {"portable", always, {F32(portable), F64(portable)}},
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
                 type == CVG_F32 ? "CVG_F32" : "CVG_F64");
        return NULL;
    }
    for (int i = 0; i < SETS; i++)
        if ((!isa || !*isa || !strcmp(isa, sets[i].name)) && sets[i].available())
            return sets[i].kernels[type];
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
