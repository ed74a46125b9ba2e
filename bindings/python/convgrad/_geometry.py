"""From the words of Python callers to the library's numbers for each axis."""
import operator
from typing import Sequence, Tuple, Union

import numpy

Axes = Union[int, Sequence[int]]
Padding = Union[str, int, Sequence[int], Sequence[Tuple[int, int]]]
Out = Union[numpy.ndarray, None]

NAMES = {1: "W", 2: "H, W", 3: "D, H, W"}


LAYOUTS = ("channels_first", "channels_last")  # by cvg_layout; Keras calls them data_format
WEIGHT_LAYOUTS = ("kcrs", "krsc", "rsck")  # by cvg_weight_layout


def channels_second(shape, layout):
    """A shape of images in the order N, C, space, and back by `placed`."""
    return shape if layout == LAYOUTS[0] else (shape[0], shape[-1], *shape[1:-1])


def placed(shape, layout):
    """A shape in the order of its array."""
    return tuple(shape) if layout == LAYOUTS[0] else (shape[0], *shape[2:], shape[1])


def filters_first(shape, weight_layout):
    """A weight's shape in the order K, C / groups, filter."""
    if weight_layout == "rsck":
        return (shape[-1], shape[-2], *shape[:-2])
    return shape if weight_layout == "kcrs" else (shape[0], shape[-1], *shape[1:-1])


def view_strides(shape, strides, itemsize):
    """Strides of an array that the library takes where it lies: its last axis without gaps, each other stepping over all that
    the axes after it take.  Those of axes of one element are as if there were no gaps.  None for other arrays."""
    taken, dense = [], itemsize
    for n, stride in zip(reversed(shape), reversed(strides)):
        step = dense if n == 1 else stride
        if step < dense or step % itemsize or (not taken and step != itemsize):
            return None
        taken.append(step)
        dense = step * n
    return tuple(reversed(taken))


def whole(name, value, bits=64):
    """A signed number of so many bits; ctypes would drop the rest."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; must be a whole number") from None
    if not -2**(bits - 1) <= number < 2**(bits - 1):
        raise ValueError(f"{name} is {value!r}; must fit {bits} bits")
    return number


def sizes(name, shape, axes=(3, 4, 5)):
    """A shape of so many axes, as whole numbers."""
    if getattr(shape, "ndim", 1) != 1:
        raise TypeError(f"the shape of {name} is a {type(shape).__name__} of {shape.ndim} axes; give its shape")
    try:
        given = tuple(shape)
    except TypeError:
        raise TypeError(f"the shape of {name} is {shape!r}; must be a sequence of whole numbers") from None
    if len(given) not in axes:
        wanted = "3 to 5 axes" if len(axes) > 1 else f"{axes[0]} axes, as many as input"
        raise ValueError(f"{name} has shape {given}; must have {wanted} (batch or filters, channels, then space)")
    return tuple(whole(f"the shape of {name}", size) for size in given)


def per_axis(name, value, dims):
    """A number for each axis, from one for all or a sequence."""
    if isinstance(value, numpy.ndarray):
        value = value.tolist()
    if not isinstance(value, (tuple, list)):
        return (whole(name, value),) * dims
    if len(value) not in (1, dims):
        raise ValueError(f"{name} is {value!r}; must be one number, or {dims} ({NAMES[dims]})")
    numbers = tuple(whole(name, number) for number in value)
    return numbers if len(numbers) == dims else numbers * dims


def one(name, value):
    """A single number, like groups."""
    if isinstance(value, (tuple, list, numpy.ndarray)):
        raise TypeError(f"{name} is {value!r}; must be a whole number")
    return whole(name, value)


def _at_least_one(name, numbers):
    if min(numbers) < 1:
        raise ValueError(f"{name} is {numbers if len(numbers) > 1 else numbers[0]}; must be at least 1")


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
            _at_least_one("stride", stride)
            total = tuple(max((-(-n // s) - 1) * s + e - n, 0) for n, s, e in zip(size, stride, extent))
        else:
            raise ValueError(f"padding is {padding!r}; must be numbers, 'valid', 'same' or 'same_tensorflow'")
        begin = tuple(t // 2 for t in total)
        return begin, tuple(t - b for t, b in zip(total, begin))
    if isinstance(padding, numpy.ndarray):
        padding = padding.tolist()
    if isinstance(padding, (tuple, list)) and padding and all(isinstance(pair, (tuple, list)) for pair in padding):
        if len(padding) != dims or any(len(pair) != 2 for pair in padding):
            raise ValueError(f"padding is {padding!r}; must be {dims} pairs of begin and end ({NAMES[dims]})")
        return tuple(zip(*((whole("padding", begin), whole("padding", end)) for begin, end in padding)))
    both = per_axis("padding", padding, dims)
    return both, both


def layouts(x, w, groups):
    """Of shapes whose channels do not fit: what is expected, and the layout that they look like.  The commonest mistake."""
    space, filters = ("W", "H, W", "D, H, W")[len(x) - 3], ("S", "R, S", "T, R, S")[len(x) - 3]
    guess = ""
    if x[-1] == w[1] * groups:
        guess = f"; input looks like channels last (N, {space}, C)"
    elif x[-1] == w[-1] * groups:
        guess = f"; both look like channels last (N, {space}, C and K, {filters}, C / groups)"
    elif x[-1] == w[-2] * groups:
        guess = f"; both look like channels last (N, {space}, C and {filters}, C / groups, K)"
    elif x[1] == w[-1] * groups:
        guess = f"; weight looks like channels last (K, {filters}, C / groups)"
    elif x[1] == w[-2] * groups:
        guess = f"; weight looks like channels last ({filters}, C / groups, K)"
    return f"input is {tuple(x)}, expected (N, C, {space}); weight is {tuple(w)}, expected (K, C / groups, {filters}){guess}"


def transposed(x_shape, weight_shape, stride, padding, output_padding, groups, dilation):
    """Of a transposed convolution: its stride, pairs of padding and dilation by axis, its output's shape, and how many zeros x
    needs after each axis: with output_padding past the stride the convolution back has more outputs, which were zero."""
    dims, filters = len(x_shape) - 2, weight_shape[2:]
    _at_least_one("groups", (groups,))
    if x_shape[1] != weight_shape[0]:
        guess = "; input looks like channels last" if x_shape[-1] == weight_shape[0] else ""
        raise ValueError(f"input has {x_shape[1]} channels; weight has {weight_shape[0]}; input is {tuple(x_shape)}, expected N, C and "
                         f"space; weight is {tuple(weight_shape)}, expected C, K / groups and filter{guess}")
    if x_shape[1] % groups:
        raise ValueError(f"input has {x_shape[1]} channels; must be a multiple of groups {groups}")
    stride, dilation = per_axis("stride", stride, dims), per_axis("dilation", dilation, dims)
    output_padding = per_axis("output_padding", output_padding, dims)
    _at_least_one("stride", stride)
    for extra, step, gap in zip(output_padding, stride, dilation):
        if not 0 <= extra < max(step, gap):
            raise ValueError(f"output_padding is {output_padding}; must be less than stride {stride} or dilation {dilation}")
    whole_size = [(n - 1) * s + d * (f - 1) + 1 + extra
                  for n, s, d, f, extra in zip(x_shape[2:], stride, dilation, filters, output_padding)]
    if isinstance(padding, str) and padding == "same_tensorflow":
        size = [n * s for n, s in zip(x_shape[2:], stride)]
        if any(output_padding):
            raise ValueError(f"output_padding is {output_padding} and padding 'same_tensorflow', whose output has size {tuple(size)}")
        begin, end = padding_of(padding, size, filters, stride, dilation)
    else:
        begin, end = padding_of(padding, whole_size, filters, stride, dilation)
        size = [n - b - e for n, b, e in zip(whole_size, begin, end)]
        if min(size, default=1) < 1 <= min(whole_size, default=1):
            raise ValueError(f"padding is {padding}; the output before it has size {tuple(whole_size)}, of which nothing is left")
    shape = (x_shape[0], weight_shape[1] * groups, *size)
    pairs = tuple(zip(begin, end))
    return stride, pairs, dilation, shape, [extra // step for extra, step in zip(output_padding, stride)]


def bias_problem(shape):
    """Shapes of an input and a weight of 1x1 filters whose output has this shape: grad_bias is the same for any convolution."""
    return (shape[0], 1, *shape[2:]), (shape[1], 1, *[1] * (len(shape) - 2))
