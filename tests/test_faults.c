/* Every allocation of the library fails, one at a time: the status and the sentence say so, and nothing is left. */
#include "check.h"
#include "faults.h"
#include "problem.h"

#include <string.h>

static char text[4096];
static size_t length;

static cvg_status create(cvg_plan **plan, const cvg_conv *conv, cvg_error *error)
{
    return cvg_plan_create(plan, conv, NULL, error);
}

static cvg_status measure(cvg_plan **plan, const cvg_conv *conv, cvg_error *error)
{
    return cvg_plan_measure(plan, conv, NULL, 0, error);
}

static cvg_status import(cvg_plan **plan, const cvg_conv *conv, cvg_error *error)
{
    return cvg_plan_import(plan, text, length, conv, NULL, error);
}

static cvg_status verify(cvg_plan **plan, const cvg_conv *conv, cvg_error *error)
{
    cvg_report report = {0};
    cvg_status status = cvg_plan_create(plan, conv, NULL, error);
    if (status)
        return status;
    status = cvg_verify(*plan, &report);
    if (status) {
        memcpy(error->text, report.text, sizeof error->text);
        cvg_plan_destroy(*plan);
        *plan = NULL;
    }
    return status;
}

static const struct {
    const char *name;
    cvg_status (*run)(cvg_plan **plan, const cvg_conv *conv, cvg_error *error);
    long least; /* requests that it makes */
} calls[] = {{"create", create, 1}, {"measure", measure, 5}, {"import", import, 2}, {"verify", verify, 17}};

int main(void)
{
    struct problem problem = {.conv = CVG_CONV_INIT};
    cvg_plan *plan;
    cvg_error error;
    fault_at(0);
    check(problem_parse(&problem, "mb2ic3ih6oc3kh3", &error), "%s", error.text);
    const cvg_conv conv = problem.conv;
    if (!check(cvg_plan_create(&plan, &conv, NULL, &error) == CVG_OK, "%s", error.text))
        return check_summary();
    length = cvg_plan_export(plan, text, sizeof text);
    cvg_plan_destroy(plan);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        long n = 1;
        for (;; n++) {
            memset(&error, 0, sizeof error);
            fault_at(n);
            const cvg_status status = calls[i].run(&plan, &conv, &error);
            const int happened = fault_happened();
            fault_at(0);
            if (!happened || status == CVG_OK) { /* measuring goes on without a candidate */
                check(status == CVG_OK && plan, "%s without a fault: %s", calls[i].name, error.text);
                cvg_plan_destroy(plan);
                if (!happened)
                    break;
                continue;
            }
            check(status == CVG_OUT_OF_MEMORY, "%s: status %d when request %ld fails", calls[i].name, (int)status, n);
            check(plan == NULL, "%s: a plan when request %ld fails", calls[i].name, n);
            check(strlen(error.text) > 10, "%s: no sentence when request %ld fails", calls[i].name, n);
        }
        check(n > calls[i].least, "%s makes only %ld requests", calls[i].name, n - 1);
    }
    return check_summary();
}
