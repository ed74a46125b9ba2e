"""Convolution and its gradients as functions, named and shaped as in PyTorch."""
import functools
from typing import Any, Sequence, Union

import numpy
from numpy.typing import ArrayLike

from ._geometry import (Axes, Out, Padding, bias_problem, channels_second, filters_first, one, padding_of, per_axis, placed, sizes,
                        transposed, view_strides)
from ._plan import DTYPES, Plan, array_of, is_real, options_of, read

CACHED_PLANS = 512  # of un-planned calls; a plan takes about 3 KiB


_FORWARD_OPTIONS = ("threads", "algorithm", "error_growth", "workspace_limit", "exact", "layout", "weight_layout")
_GRADIENT_OPTIONS = (*_FORWARD_OPTIONS, "gradient_scale")


@functools.lru_cache(maxsize=CACHED_PLANS)
def _cached(input_shape, weight_shape, stride, padding, dilation, groups, dtype, options, input_strides, output_strides):
    return Plan(input_shape, weight_shape, stride=stride, padding=padding, dilation=dilation, groups=groups, dtype=dtype,
                input_strides=input_strides, output_strides=output_strides, **options._asdict())


def plan_for(input_shape, weight_shape, stride, padding, dilation, groups, dtype, options, input_strides=None, output_strides=None):
    """The plan of a call, from the cache of the last CACHED_PLANS different ones.

    Shapes of arrays; options of options_of; strides of views, or None.  What is looked up is what the words mean, so that 2.0 is
    refused where 2 is known.
    """
    dims = len(input_shape) - 2
    if len(weight_shape) != dims + 2:  # the plan says so
        return Plan(input_shape, weight_shape)
    stride, dilation = per_axis("stride", stride, dims), per_axis("dilation", dilation, dims)
    begin, end = padding_of(padding, channels_second(input_shape, options.layout)[2:],
                            filters_first(weight_shape, options.weight_layout)[2:], stride, dilation)
    return _cached(tuple(input_shape), tuple(weight_shape), stride, tuple(zip(begin, end)), dilation, one("groups", groups), dtype,
                   options, input_strides, output_strides)


def _gaps(array, shape=None):
    """The strides of a view with gaps, of this shape, that is taken where it lies; None: it is contiguous, or copied, or refused."""
    if not isinstance(array, numpy.ndarray) or array.flags.c_contiguous or (shape is not None and array.shape != shape):
        return None
    return view_strides(array.shape, array.strides, array.itemsize)


def _operand(name, array, dims):
    array = array_of(name, array)
    if not is_real(array.dtype):
        raise TypeError(f"{name} has dtype {array.dtype}; must be {DTYPES}")
    if array.ndim != dims + 2:
        raise ValueError(f"{name} has {array.ndim} axes; must have {dims + 2} (batch or filters, channels, and {dims} of space)")
    return array


def _batched(array, dims):
    """An input with its batch axis, and whether that was added."""
    array = array_of("input", array)
    single = array.ndim == dims + 1
    return _operand("input", array[None] if single else array, dims), single


def _out(out, shape, single):
    """out with its batch axis."""
    if not single or not isinstance(out, numpy.ndarray):
        return out
    if out.shape != shape[1:]:
        raise ValueError(f"out has shape {out.shape}; must be {shape[1:]}")
    return out[None]


def _result(y, out, single):
    return out if out is not None else y[0] if single else y


def _conv(dims, input, weight, bias, stride, padding, dilation, groups, out, options):
    (x, single), w = _batched(input, dims), _operand("weight", weight, dims)
    call = x.shape, w.shape, stride, padding, dilation, groups, x.dtype, options_of(options, _FORWARD_OPTIONS), _gaps(x)
    plan = plan_for(*call)
    to = _out(out, plan.output_shape, single)
    gaps = _gaps(to, plan.output_shape)
    if gaps:
        plan = plan_for(*call, gaps)
    return _result(plan.forward(x, w, bias, out=to), out, single)


def _conv_transpose(dims, input, weight, bias, stride, padding, output_padding, groups, dilation, out, options):
    (x, single), w = _batched(input, dims), _operand("weight", weight, dims)
    groups, options = one("groups", groups), options_of(options, _FORWARD_OPTIONS)
    stride, padding, dilation, shape, more = transposed(channels_second(x.shape, options.layout),
                                                        filters_first(w.shape, options.weight_layout), stride, padding,
                                                        output_padding, groups, dilation)
    if bias is not None:
        bias = read("bias", bias, shape[1:2], x.dtype)[0].copy()  # which out may overlap
    if any(more):
        x = numpy.pad(x, placed([(0, 0), (0, 0), *((0, extra) for extra in more)], options.layout))
    shape = placed(shape, options.layout)
    to = _out(out, shape, single)
    plan = plan_for(shape, w.shape, stride, padding, dilation, groups, x.dtype, options, _gaps(to, shape), _gaps(x))
    return _result(plan.transpose_forward(x, w, bias, out=to), out, single)


def conv1d(input: ArrayLike, weight: ArrayLike, bias: Union[ArrayLike, None] = None, stride: Axes = 1,
           padding: Padding = 0, dilation: Axes = 1, groups: int = 1, *, out: Out = None,
           **options: Any) -> numpy.ndarray:
    """Convolution of (N, C, W) or (C, W) with (K, C / groups, S); see `conv2d`.

    >>> import numpy, convgrad
    >>> convgrad.conv1d(numpy.ones((1, 1, 4)), numpy.ones((1, 1, 3)), padding=1)
    array([[[2., 3., 3., 2.]]])
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups, out, options)


def conv2d(input: ArrayLike, weight: ArrayLike, bias: Union[ArrayLike, None] = None, stride: Axes = 1,
           padding: Padding = 0, dilation: Axes = 1, groups: int = 1, *, out: Out = None,
           **options: Any) -> numpy.ndarray:
    """Convolution (cross-correlation, as in every framework) of images with filters.

    input    (N, C, H, W) or (C, H, W); float32, float64, float16 or ml_dtypes.bfloat16
    weight   (K, C / groups, R, S), of input's type
    bias     None or (K,)
    stride, dilation   a number, or one for each axis
    padding  zeros around the input: a number, one for each axis, a pair of begin and end for each axis,
             'valid' (none), 'same' as PyTorch means it (stride 1; output as large as the input), or
             'same_tensorflow' (output ceil(input / stride)).  Where 'same' is odd, the end gets one more.
    out      where to write, of the result's type and shape; C-contiguous, or a view as below
    options  threads, algorithm, error_growth, exact, workspace_limit, layout, weight_layout: see `Plan`

    Returns (N, K, P, Q), or (K, P, Q) for an input without batch.

    C-contiguous arrays are not copied, nor are views whose last axis has no gaps and whose axes stand in order: a slice of
    channels (of channels last, too), a crop, a part of a concatenated array.  Plans are made once: the last 512 different
    problems are kept.
    Raises TypeError or ValueError with a sentence that names what is wrong.

    >>> import numpy, convgrad
    >>> x = numpy.arange(9, dtype='float32').reshape(1, 1, 3, 3)
    >>> w = numpy.arange(4, dtype='float32').reshape(1, 1, 2, 2)
    >>> convgrad.conv2d(x, w)
    array([[[[19., 25.],
             [37., 43.]]]], dtype=float32)
    >>> convgrad.conv2d(x, w, stride=0)
    Traceback (most recent call last):
        ...
    convgrad.Error: stride[0] is 0; must be at least 1
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups, out, options)


def conv3d(input: ArrayLike, weight: ArrayLike, bias: Union[ArrayLike, None] = None, stride: Axes = 1,
           padding: Padding = 0, dilation: Axes = 1, groups: int = 1, *, out: Out = None,
           **options: Any) -> numpy.ndarray:
    """Convolution of (N, C, D, H, W) or (C, D, H, W) with (K, C / groups, T, R, S); see `conv2d`.

    >>> import numpy, convgrad
    >>> convgrad.conv3d(numpy.ones((1, 2, 3, 3, 3)), numpy.ones((1, 2, 3, 3, 3))).item()
    54.0
    """
    return _conv(3, input, weight, bias, stride, padding, dilation, groups, out, options)


def conv_transpose1d(input: ArrayLike, weight: ArrayLike, bias: Union[ArrayLike, None] = None, stride: Axes = 1,
                     padding: Padding = 0, output_padding: Axes = 0, groups: int = 1, dilation: Axes = 1, *,
                     out: Out = None, **options: Any) -> numpy.ndarray:
    """Transposed convolution of (N, C, W) with (C, K / groups, S); see `conv_transpose2d`.

    >>> import numpy, convgrad
    >>> convgrad.conv_transpose1d(numpy.ones((1, 1, 3)), numpy.ones((1, 1, 2)), stride=2)
    array([[[1., 1., 1., 1., 1., 1.]]])
    """
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation, out, options)


def conv_transpose2d(input: ArrayLike, weight: ArrayLike, bias: Union[ArrayLike, None] = None, stride: Axes = 1,
                     padding: Padding = 0, output_padding: Axes = 0, groups: int = 1, dilation: Axes = 1, *,
                     out: Out = None, **options: Any) -> numpy.ndarray:
    """Transposed convolution: what `conv2d` of the same weight, stride and padding has as gradient of its input.

    input    (N, C, H, W) or (C, H, W)
    weight   (C, K / groups, R, S)
    padding  of that `conv2d`, so rows and columns to leave out here; 'same_tensorflow' makes H * stride, W * stride
    output_padding   rows and columns more at the end: which of the sizes with the same convolution is meant

    Returns (N, K, (H - 1) * stride - 2 * padding + dilation * (R - 1) + output_padding + 1, ...).

    >>> import numpy, convgrad
    >>> w = numpy.arange(4.).reshape(1, 1, 2, 2)
    >>> convgrad.conv_transpose2d(w, w)
    array([[[[ 0.,  0.,  1.],
             [ 0.,  4.,  6.],
             [ 4., 12.,  9.]]]])
    """
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation, out, options)


def conv_transpose3d(input: ArrayLike, weight: ArrayLike, bias: Union[ArrayLike, None] = None, stride: Axes = 1,
                     padding: Padding = 0, output_padding: Axes = 0, groups: int = 1, dilation: Axes = 1, *,
                     out: Out = None, **options: Any) -> numpy.ndarray:
    """Transposed convolution of (N, C, D, H, W) with (C, K / groups, T, R, S); see `conv_transpose2d`.

    >>> import numpy, convgrad
    >>> convgrad.conv_transpose3d(numpy.ones((1, 1, 2, 2, 2)), numpy.ones((1, 1, 2, 2, 2))).max().item()
    8.0
    """
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation, out, options)


def _plan_of_gradient(input_shape, weight_shape, grad_output, stride, padding, dilation, groups, options, input=None):
    """input: an array of that shape, which may be a view."""
    g = array_of("grad_output", grad_output)
    if not is_real(g.dtype):
        raise TypeError(f"grad_output has dtype {g.dtype}; must be {DTYPES}")
    shape = sizes("input", input_shape)
    call = (shape, sizes("weight", weight_shape), stride, padding, dilation, groups, g.dtype,
            options_of(options, _GRADIENT_OPTIONS), _gaps(input, shape))
    plan = plan_for(*call)
    gaps = _gaps(g, plan.output_shape)
    return plan_for(*call, gaps) if gaps else plan, g


def conv_input(input_size: Sequence[int], weight: ArrayLike, grad_output: ArrayLike, stride: Axes = 1,
               padding: Padding = 0, dilation: Axes = 1, groups: int = 1, *, out: Out = None,
               accumulate: bool = False, **options: Any) -> numpy.ndarray:
    """The gradient of a convolution's input, of shape input_size; rank 1, 2 or 3.

    With accumulate it is added to what out holds.  Options are those of `conv2d`, and gradient_scale.

    >>> import numpy, convgrad
    >>> w = numpy.arange(4.).reshape(1, 1, 2, 2)
    >>> convgrad.conv_input((1, 1, 3, 3), w, w)  # the textbook's delta_out
    array([[[[ 0.,  0.,  1.],
             [ 0.,  4.,  6.],
             [ 4., 12.,  9.]]]])
    """
    w = array_of("weight", weight)
    plan, g = _plan_of_gradient(input_size, w.shape, grad_output, stride, padding, dilation, groups, options, out)
    return plan.grad_input(g, w, out=out, accumulate=accumulate)


def conv_weight(input: ArrayLike, weight_size: Sequence[int], grad_output: ArrayLike, stride: Axes = 1,
                padding: Padding = 0, dilation: Axes = 1, groups: int = 1, *, out: Out = None,
                accumulate: bool = False, **options: Any) -> numpy.ndarray:
    """The gradient of a convolution's weight, of shape weight_size; summed over the batch.

    >>> import numpy, convgrad
    >>> x, g = numpy.arange(9.).reshape(1, 1, 3, 3), numpy.arange(4.).reshape(1, 1, 2, 2)
    >>> convgrad.conv_weight(x, (1, 1, 2, 2), g)  # the textbook's dW
    array([[[[19., 25.],
             [37., 43.]]]])
    """
    x = array_of("input", input)
    plan, g = _plan_of_gradient(x.shape, weight_size, grad_output, stride, padding, dilation, groups, options, x)
    return plan.grad_weight(x, g, out=out, accumulate=accumulate)


def conv_bias(grad_output: ArrayLike, *, out: Out = None, accumulate: bool = False, **options: Any) -> numpy.ndarray:
    """The gradient of a convolution's bias: the sum of grad_output over batch and space.

    >>> import numpy, convgrad
    >>> convgrad.conv_bias(numpy.arange(16.).reshape(2, 2, 2, 2))
    array([44., 76.])
    """
    g = array_of("grad_output", grad_output)
    if not 3 <= g.ndim <= 5:
        raise ValueError(f"grad_output has {g.ndim} axes; must have 3 to 5 (batch, channels, then space)")
    layout = options_of(options, _GRADIENT_OPTIONS).layout
    x_shape, w_shape = bias_problem(channels_second(g.shape, layout))
    x_shape, options = placed(x_shape, layout), {**options, "weight_layout": "kcrs"}
    plan, g = _plan_of_gradient(x_shape, w_shape, g, 1, 0, 1, 1, options)
    return plan.grad_bias(g, out=out, accumulate=accumulate)
