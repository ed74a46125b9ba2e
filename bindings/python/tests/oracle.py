"""The definition in plain NumPy, and problems drawn for it."""
import itertools
import os

import numpy
import pytest

try:
    from hypothesis import given, settings, strategies
except ImportError:  # what it would draw is skipped, and says so

    def given(*_):
        return pytest.mark.skip(reason="hypothesis is not here: pip install '.[test]'")

    def settings(**_):
        return lambda test: test

    class strategies:
        composite = staticmethod(lambda function: lambda **_: None)


def convolution(x, w, stride, padding, dilation, groups, g):
    """(output, grad_input, grad_weight) of one problem; padding as pairs; g(output_shape) gives grad_output."""
    dims = x.ndim - 2
    padded = numpy.pad(x, [(0, 0), (0, 0), *padding])
    K, Cg = w.shape[:2]
    extent = [(f - 1) * d + 1 for f, d in zip(w.shape[2:], dilation)]
    out = [(n - e) // s + 1 for n, e, s in zip(padded.shape[2:], extent, stride)]
    y = numpy.zeros((x.shape[0], K, *out))
    g = g(y.shape)
    dx, dw, space = numpy.zeros(padded.shape), numpy.zeros(w.shape), range(2, 2 + dims)
    for tap in itertools.product(*map(range, w.shape[2:])):
        window = (slice(None), slice(None), *(slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in zip(tap, dilation, out, stride)))
        for group in range(groups):
            k, c = slice(group * K // groups, (group + 1) * K // groups), slice(group * Cg, (group + 1) * Cg)
            taken, weight = padded[window][:, c], w[(k, slice(None), *tap)]
            y[:, k] += numpy.einsum("nc...,kc->nk...", taken, weight)
            dx[window][:, c] += numpy.einsum("nk...,kc->nc...", g[:, k], weight)
            dw[(k, slice(None), *tap)] += numpy.tensordot(g[:, k], taken, axes=([0, *space], [0, *space]))
    inside = (slice(None), slice(None), *(slice(b, b + n) for (b, _), n in zip(padding, x.shape[2:])))
    return y, dx[inside], dw, g


@strategies.composite
def problems(draw, most_padding=3, symmetric=False):
    """Shapes and geometry of a small problem."""
    dims = draw(strategies.integers(1, 3))
    whole = lambda low, high: draw(strategies.integers(low, high))
    groups = whole(1, 3)
    filters = [whole(1, 3) for _ in range(dims)]
    dilation = tuple(whole(1, 2) for _ in range(dims))
    size = [whole((f - 1) * d + 1, (f - 1) * d + 6) for f, d in zip(filters, dilation)]
    stride = tuple(whole(1, 3) for _ in range(dims))
    padding = tuple((p, p) if symmetric else (p, whole(0, most_padding)) for p in (whole(0, most_padding) for _ in range(dims)))
    Cg, Kg = whole(1, 3), whole(1, 3)
    return ((whole(0, 3), groups * Cg, *size), (groups * Kg, Cg, *filters), stride, padding, dilation, groups)


def integers(shape, dtype, seed):
    """Small integers, whose sums are exact."""
    return numpy.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def in_a_child(work):
    """Whether work() is true in a process that is forked from this one."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        right = b"n"
        try:
            right = b"y" if work() else b"n"
        finally:
            os.write(writer, right)
            os._exit(0)
    told = os.read(reader, 1)
    os.waitpid(child, 0)
    return told == b"y"
