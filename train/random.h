/*
 * Random numbers without a state: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
 * A number is a function of the seed, of what it is for, and of three counters, such as epoch, sample and element.
 * So it does not matter who asks for it, and when.
 */
#ifndef CVG_TRAIN_RANDOM_H
#define CVG_TRAIN_RANDOM_H

#include <stdint.h>

/* What numbers are for: each purpose, and each layer of it, has numbers of its own. */
enum cvg_purpose { CVG_RANDOM_INIT, CVG_RANDOM_ORDER, CVG_RANDOM_AUGMENT, CVG_RANDOM_DROPOUT };

struct cvg_random_key {
    uint32_t word[2];
};

struct cvg_random_key cvg_random_key(uint64_t seed, enum cvg_purpose purpose, uint32_t layer);

/* Four numbers of 32 bits.  Blocks are counted from 0: numbers 4 block to 4 block + 3 of an epoch's sample. */
void cvg_random(struct cvg_random_key key, uint32_t epoch, uint64_t sample, uint32_t block, uint32_t out[4]);

/* The numbers of some blocks from first on, as cvg_random() has them; side by side, for the compiler's vectors. */
enum { CVG_RANDOM_SOME = 128 };
void cvg_random_some(struct cvg_random_key key, uint32_t epoch, uint64_t sample, uint32_t first,
                     uint32_t out[CVG_RANDOM_SOME]);

/* From numbers: in [0, 1), a multiple of 2^-32; a whole number in [0, count), count up to 2^32, by multiply and shift
 * (the share of one differs from that of another by less than count / 2^64). */
double cvg_random_uniform(uint32_t number);
uint32_t cvg_random_below(uint32_t high, uint32_t low, uint64_t count);

/* order = the numbers 0 to count - 1 as an epoch has them: Fisher and Yates' shuffle. */
void cvg_random_order(struct cvg_random_key key, uint32_t epoch, uint32_t count, uint32_t *order);

/* The generator itself: ten rounds. */
void cvg_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
