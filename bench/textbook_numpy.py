#!/usr/bin/env python3
"""The textbook's method 2 in NumPy on its own test: what `convgrad demo` is compared with.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python3 bench/textbook_numpy.py

Batch 64, 3x28x28, four 3x3 filters, padding 1, stride 1, float64, delta_in all ones; one iteration is
forward + backward.  Prints the least and the median time of 100 iterations after 5 that do not count.
"""
import statistics
import time

import numpy as np

N, C, H, W, K, R = 64, 3, 28, 28, 4, 3
PAD, P = 1, 28


def img2col(x):
    padded = np.pad(x, [(0, 0), (0, 0), (PAD, PAD), (PAD, PAD)])
    col = np.zeros((N, C, R, R, P, P))
    for r in range(R):
        for s in range(R):
            col[:, :, r, s] = padded[:, :, r:r + P, s:s + P]
    return col.transpose(0, 4, 5, 1, 2, 3).reshape(N * P * P, -1)


def col2img(col):
    col = col.reshape(N, P, P, C, R, R).transpose(0, 3, 4, 5, 1, 2)
    padded = np.zeros((N, C, H + 2 * PAD, W + 2 * PAD))
    for r in range(R):
        for s in range(R):
            padded[:, :, r:r + P, s:s + P] += col[:, :, r, s]
    return padded[:, :, PAD:PAD + H, PAD:PAD + W]


def iteration(x, w, b, delta_in):
    col_x, col_w = img2col(x), w.reshape(K, -1).T
    y = (np.dot(col_x, col_w) + b).reshape(N, P, P, K).transpose(0, 3, 1, 2)
    delta_2d = delta_in.transpose(0, 2, 3, 1).reshape(-1, K)
    db = delta_2d.sum(axis=0) / N
    dw = (np.dot(col_x.T, delta_2d) / N).T.reshape(w.shape)
    return y, db, dw, col2img(np.dot(delta_2d, col_w.T))


def main():
    random = np.random.default_rng(1)
    x, w = random.standard_normal((N, C, H, W)), random.standard_normal((K, C, R, R))
    b, delta_in = np.zeros(K), np.ones((N, K, P, P))
    times = []
    for _ in range(105):
        begin = time.perf_counter()
        iteration(x, w, b, delta_in)
        times.append(time.perf_counter() - begin)
    times = times[5:]
    print(f"NumPy method 2: min {min(times) * 1e3:.2f} ms, median {statistics.median(times) * 1e3:.2f} ms per iteration")


if __name__ == "__main__":
    main()
