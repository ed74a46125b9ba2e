#include "cpu.h"

#include "error.h"

#include <stdio.h>
#include <string.h>

static int always(void)
{
    return 1;
}

#ifdef CVG_HAVE_X86
static int has_fma(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("fma");
}

static int has_avx2(void)
{
    return has_fma() && __builtin_cpu_supports("avx2");
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}
#endif

/* Every instruction set, best first. */
static const struct {
    const char *name;
    int (*available)(void);
    const struct cvg_kernels *kernels[2]; /* by cvg_type */
} sets[] = {
#ifdef CVG_HAVE_X86
    {"avx512", has_avx512, {&cvg_kernels_avx512_f32, &cvg_kernels_avx512_f64}},
    {"avx2", has_avx2, {&cvg_kernels_avx2_f32, &cvg_kernels_avx2_f64}},
    {"fma", has_fma, {&cvg_kernels_fma_f32, &cvg_kernels_fma_f64}},
#endif
#ifdef CVG_HAVE_NEON
    {"neon", always, {&cvg_kernels_neon_f32, &cvg_kernels_neon_f64}},
#endif
    {"portable", always, {&cvg_kernels_portable_f32, &cvg_kernels_portable_f64}},
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

const char *cvg_cpu_name(int index)
{
    return index < SETS ? sets[index].name : NULL;
}

const struct cvg_kernels *cvg_cpu_set(int index, cvg_type type)
{
    return sets[index].available() ? sets[index].kernels[type] : NULL;
}
