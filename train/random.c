#include "random.h"

void cvg_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t p = (uint64_t)0xD2511F53 * c0, q = (uint64_t)0xCD9E8D57 * c2;
        c0 = (uint32_t)(q >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)q;
        c2 = (uint32_t)(p >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p;
        k0 += 0x9E3779B9; /* the golden ratio */
        k1 += 0xBB67AE85; /* sqrt 3 - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

struct cvg_random_key cvg_random_key(uint64_t seed, enum cvg_purpose purpose, uint32_t layer)
{
    const uint32_t counter[4] = {(uint32_t)purpose, layer, 0, 0}, key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    cvg_philox(counter, key, out);
    return (struct cvg_random_key){{out[0], out[1]}};
}

void cvg_random(struct cvg_random_key key, uint32_t epoch, uint64_t sample, uint32_t block, uint32_t out[4])
{
    const uint32_t counter[4] = {block, (uint32_t)sample, (uint32_t)(sample >> 32), epoch};
    cvg_philox(counter, key.word, out);
}

void cvg_random_some(struct cvg_random_key key, uint32_t epoch, uint64_t sample, uint32_t first,
                     uint32_t out[CVG_RANDOM_SOME])
{
    enum { BLOCKS = CVG_RANDOM_SOME / 4 };
    uint32_t c0[BLOCKS], c1[BLOCKS], c2[BLOCKS], c3[BLOCKS], k0 = key.word[0], k1 = key.word[1];
    for (uint32_t i = 0; i < BLOCKS; i++) {
        c0[i] = first + i;
        c1[i] = (uint32_t)sample;
        c2[i] = (uint32_t)(sample >> 32);
        c3[i] = epoch;
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            const uint64_t p = (uint64_t)0xD2511F53 * c0[i], q = (uint64_t)0xCD9E8D57 * c2[i];
            c0[i] = (uint32_t)(q >> 32) ^ c1[i] ^ k0;
            c1[i] = (uint32_t)q;
            c2[i] = (uint32_t)(p >> 32) ^ c3[i] ^ k1;
            c3[i] = (uint32_t)p;
        }
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    for (int i = 0; i < BLOCKS; i++) {
        out[4 * i] = c0[i];
        out[4 * i + 1] = c1[i];
        out[4 * i + 2] = c2[i];
        out[4 * i + 3] = c3[i];
    }
}

double cvg_random_uniform(uint32_t number) { return number * 0x1p-32; }

uint32_t cvg_random_below(uint32_t high, uint32_t low, uint64_t count)
{
    /* The upper 64 of the 96 bits of (high, low) count, then the upper 32 of these; no sum overflows. */
    return (uint32_t)((high * count + (low * count >> 32)) >> 32);
}

void cvg_random_order(struct cvg_random_key key, uint32_t epoch, uint32_t count, uint32_t *order)
{
    uint32_t numbers[4];
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = 0; i + 1 < count; i++) { /* place i: one of those that are not placed; a block is for two */
        if (i % 2 == 0)
            cvg_random(key, epoch, 0, i / 2, numbers);
        const uint32_t j = i + cvg_random_below(numbers[i % 2 * 2], numbers[i % 2 * 2 + 1], count - i);
        const uint32_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
