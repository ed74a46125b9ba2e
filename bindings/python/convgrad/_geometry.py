"""From the words of Python callers to the library's numbers for each axis."""
import operator
from typing import Sequence, Tuple, Union

import numpy

Axes = Union[int, Sequence[int]]
Padding = Union[str, int, Sequence[int], Sequence[Tuple[int, int]]]
Out = Union[numpy.ndarray, None]

NAMES = {1: "W", 2: "H, W", 3: "D, H, W"}


def _whole(name, value):
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; must be a whole number, or a tuple of them") from None


def per_axis(name, value, dims):
    """A number for each axis, from one for all or a sequence."""
    if not isinstance(value, (tuple, list)):
        return (_whole(name, value),) * dims
    if len(value) not in (1, dims):
        raise ValueError(f"{name} is {value!r}; must be one number, or {dims} ({NAMES[dims]})")
    numbers = tuple(_whole(name, number) for number in value)
    return numbers if len(numbers) == dims else numbers * dims


def padding_of(padding, size, filter_size, stride, dilation):
    """Padding before and after each axis; see convgrad.conv2d for what it may be."""
    dims = len(size)
    extent = tuple((f - 1) * d + 1 for f, d in zip(filter_size, dilation))
    if isinstance(padding, str):
        if padding == "valid":
            return (0,) * dims, (0,) * dims
        if padding == "same":
            if any(s != 1 for s in stride):
                raise ValueError(f"padding is 'same' and stride {stride}; as in PyTorch 'same' needs stride 1 ('same_tensorflow' does not)")
            total = tuple(e - 1 for e in extent)
        elif padding == "same_tensorflow":
            total = tuple(max((-(-n // s) - 1) * s + e - n, 0) for n, s, e in zip(size, stride, extent))
        else:
            raise ValueError(f"padding is {padding!r}; must be numbers, 'valid', 'same' or 'same_tensorflow'")
        begin = tuple(t // 2 for t in total)
        return begin, tuple(t - b for t, b in zip(total, begin))
    if isinstance(padding, (tuple, list)) and padding and all(isinstance(pair, (tuple, list)) for pair in padding):
        if len(padding) != dims or any(len(pair) != 2 for pair in padding):
            raise ValueError(f"padding is {padding!r}; must be {dims} pairs of begin and end ({NAMES[dims]})")
        return tuple(zip(*((_whole("padding", begin), _whole("padding", end)) for begin, end in padding)))
    both = per_axis("padding", padding, dims)
    return both, both
