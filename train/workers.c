/* Workers side by side: on the host's pool, on OpenMP, or one after the other. */
#include "trainer.h"

#ifdef _OPENMP
#include <omp.h>
#endif

int cvt_workers(const cvg_network *n, int asked)
{
#ifdef _OPENMP
    if (asked == 0 && !n->options.parallel_for)
        return omp_get_max_threads();
#endif
    (void)n;
    return asked == 0 ? 1 : asked;
}

void cvt_side_by_side(const cvg_network *n, int workers, void (*run)(void *context, int worker), void *context)
{
    if (workers == 1) {
        run(context, 0);
    } else if (n->options.parallel_for) {
        n->options.parallel_for(n->options.pool, workers, run, context);
    } else {
#ifdef _OPENMP
#pragma omp parallel for num_threads(workers) schedule(static, 1)
#endif
        for (int worker = 0; worker < workers; worker++)
            run(context, worker);
    }
}
