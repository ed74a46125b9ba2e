#!/usr/bin/env python3
"""Writes golden.txt: convolutions and gradients computed by PyTorch in float64.

    python3 tests/golden/make_golden.py > tests/golden/golden.txt      (Debian: python3-torch)

Operands follow formulas that test_golden.c repeats; their values are small multiples of 1/8
(bias: 1/64), so every result is an exact multiple of 1/64 in any summation order, and
the file holds results times 64 as integers.
"""
import torch
import torch.nn.functional as F

# problem string, N, C, in, K, filter, stride, padding (both sides alike), dilation, groups
CASES = [
    ("mb2ic3ih5iw7oc4kh3kw2ph2pw1", 2, 3, (5, 7), 4, (3, 2), (1, 1), (2, 1), (1, 1), 1),
    ("mb1ic1ih5iw5oc1kh3kw3ph1pw1", 1, 1, (5, 5), 1, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    ("mb1ic2ih8iw8oc2kh3kw3sh3sw3ph0pw0", 1, 2, (8, 8), 2, (3, 3), (3, 3), (0, 0), (1, 1), 1),
    ("mb1ic2ih9iw9oc2kh3kw3dh1dw1ph2pw2", 1, 2, (9, 9), 2, (3, 3), (1, 1), (2, 2), (2, 2), 1),
    ("mb1ic2ih4iw4oc2kh3kw3ph5pw5", 1, 2, (4, 4), 2, (3, 3), (1, 1), (5, 5), (1, 1), 1),
    ("g2mb1ic4ih6iw6oc6kh3kw3ph1pw1", 1, 4, (6, 6), 6, (3, 3), (1, 1), (1, 1), (1, 1), 2),
    ("g4mb1ic4ih7iw6oc8kh3kw3sh2sw1ph1pw1", 1, 4, (7, 6), 8, (3, 3), (2, 1), (1, 1), (1, 1), 4),
    ("mb2ic2ih11iw10oc3kh5kw4sh3sw2ph1pw2", 2, 2, (11, 10), 3, (5, 4), (3, 2), (1, 2), (1, 1), 1),
    ("mb1ic2ih13iw13oc2kh4kw4sh4sw6dh1dw3ph2pw5", 1, 2, (13, 13), 2, (4, 4), (4, 6), (2, 5), (2, 4), 1),
    ("mb1ic1ih3iw3oc1kh7kw7ph3pw3", 1, 1, (3, 3), 1, (7, 7), (1, 1), (3, 3), (1, 1), 1),
    ("mb1ic5ih4iw4oc9kh1kw1ph0pw0", 1, 5, (4, 4), 9, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ("mb2ic3iw17oc4kw3sw2dw1pw2", 2, 3, (17,), 4, (3,), (2,), (2,), (2,), 1),
    ("mb1ic2iw12oc2kw4pw0", 1, 2, (12,), 2, (4,), (1,), (0,), (1,), 1),
    ("g2mb1ic4id4ih5iw6oc4kd2kh3kw2sd1sh2sw1pd1ph1pw0", 1, 4, (4, 5, 6), 4, (2, 3, 2), (1, 2, 1), (1, 1, 0), (1, 1, 1), 2),
    ("mb1ic2id5ih4iw5oc2kd3kh2kw3sd2sh1sw2dd0dh1dw0pd1ph1pw2", 1, 2, (5, 4, 5), 2, (3, 2, 3), (2, 1, 2), (1, 1, 2), (1, 2, 1), 1),
]


def tensor(shape, multiplier, offset, modulus, shift, unit):
    """Element i is ((i*multiplier + offset) % modulus - shift) / unit."""
    count = 1
    for extent in shape:
        count *= extent
    values = [((i * multiplier + offset) % modulus - shift) / unit for i in range(count)]
    return torch.tensor(values, dtype=torch.float64).reshape(shape).requires_grad_()


def show(name, value):
    numbers = (value.detach() * 64).reshape(-1).tolist()
    assert all(number == int(number) for number in numbers), name
    print(name, len(numbers), *[int(number) for number in numbers])


for problem, n, c, size, k, taps, stride, padding, dilation, groups in CASES:
    x = tensor((n, c) + size, 37, 11, 17, 8, 8)
    w = tensor((k, c // groups) + taps, 29, 5, 13, 6, 8)
    b = tensor((k,), 7, 0, 5, 2, 64)
    convolution = [None, F.conv1d, F.conv2d, F.conv3d][len(size)]
    y = convolution(x, w, b, stride, padding, dilation, groups)
    g = tensor(tuple(y.shape), 23, 3, 11, 5, 8).detach()
    y.backward(g)
    print("case", problem)
    show("output", y)
    show("grad_input", x.grad)
    show("grad_weight", w.grad)
    show("grad_bias", b.grad)
