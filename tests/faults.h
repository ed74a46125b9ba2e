#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

/* From now on the nth request for a resource fails, and those after it succeed; 0: none. */
void fault_at(long n);

/* Whether it has. */
int fault_happened(void);

#endif
