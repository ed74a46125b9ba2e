"""A convolution layer of a framework in pure NumPy, as the textbook has one, and convgrad put in its place.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python3 examples/numpy_layer.py

Batch 64, 3x28x28, four 3x3 filters, padding 1: the textbook's own test.  Both layers give the same numbers; prints their
largest difference and the time of forward + backward (least of repeated runs).
"""
import time

import numpy

import convgrad


class NumpyConv:
    """Method 2: img2col, a matrix product, col2img."""

    def __init__(self, weight, bias, padding):
        self.weight, self.bias, self.padding = weight, bias, padding

    def forward(self, x):
        self.x_shape, p = x.shape, self.padding
        (N, C, H, W), (K, _, R, S) = x.shape, self.weight.shape
        self.P, self.Q = H + 2 * p - R + 1, W + 2 * p - S + 1
        padded = numpy.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
        windows = numpy.lib.stride_tricks.sliding_window_view(padded, (R, S), axis=(2, 3))
        self.col_x = windows.transpose(0, 2, 3, 1, 4, 5).reshape(N * self.P * self.Q, C * R * S)
        y = self.col_x @ self.weight.reshape(K, -1).T + self.bias
        return y.reshape(N, self.P, self.Q, K).transpose(0, 3, 1, 2)

    def backward(self, delta_in):
        (N, C, H, W), (K, _, R, S), p = self.x_shape, self.weight.shape, self.padding
        delta_2d = delta_in.transpose(0, 2, 3, 1).reshape(-1, K)
        self.dB = delta_2d.sum(axis=0) / N
        self.dW = (self.col_x.T @ delta_2d).T.reshape(self.weight.shape) / N
        dcol = (delta_2d @ self.weight.reshape(K, -1)).reshape(N, self.P, self.Q, C, R, S).transpose(0, 3, 4, 5, 1, 2)
        padded = numpy.zeros((N, C, H + 2 * p, W + 2 * p))
        for r in range(R):
            for s in range(S):
                padded[:, :, r:r + self.P, s:s + self.Q] += dcol[:, :, r, s]
        return padded[:, :, p:p + H, p:p + W]


class ConvgradConv:
    """The same layer: one plan."""

    def __init__(self, weight, bias, padding):
        self.weight, self.bias, self.padding, self.plan = weight, bias, padding, None

    def forward(self, x):
        if self.plan is None or self.plan.input_shape != x.shape:
            self.plan = convgrad.Plan(x.shape, self.weight.shape, padding=self.padding, dtype=x.dtype)
        self.x = x
        return self.plan.forward(x, self.weight, self.bias)

    def backward(self, delta_in):
        dx, dw, db = self.plan.backward(self.x, self.weight, delta_in)
        self.dW, self.dB = dw / len(self.x), db / len(self.x)
        return dx


def iteration(layer, x, delta_in):
    begin = time.perf_counter()
    y = layer.forward(x)
    dx = layer.backward(delta_in)
    return (y, dx, layer.dW, layer.dB), time.perf_counter() - begin


def main():
    draw = numpy.random.default_rng(1).standard_normal
    x, weight, bias, delta_in = draw((64, 3, 28, 28)), draw((4, 3, 3, 3)), draw(4), draw((64, 4, 28, 28))
    layers = NumpyConv(weight, bias, 1), ConvgradConv(weight, bias, 1)
    results = [iteration(layer, x, delta_in)[0] for layer in layers]
    difference = max(numpy.abs(a - b).max() / numpy.abs(a).max() for a, b in zip(*results))
    times = [min(iteration(layer, x, delta_in)[1] for _ in range(30)) for layer in layers]
    print(f"largest difference, in parts of the largest number: {difference:.1e}")
    print(f"NumPy {times[0] * 1e3:.2f} ms, convgrad {times[1] * 1e3:.2f} ms: {times[0] / times[1]:.1f} times as fast")


if __name__ == "__main__":
    main()
