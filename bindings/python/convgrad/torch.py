"""PyTorch: convolutions with autograd on convgrad's kernels, over the tensors' own memory.

    import convgrad.torch
    y = convgrad.torch.conv2d(x, weight, bias, padding=1)     # like torch.nn.functional.conv2d
    layer = convgrad.torch.Conv2d.from_torch(layer)           # shares a torch.nn.Conv2d's parameters
    with convgrad.torch.patch():                              # an unchanged model's convolutions
        model(x).sum().backward()

CPU tensors of float32 and float64.  Results have the same bits for every thread count; threads are
torch.get_num_threads().  Memory formats are PyTorch's: with an input or weight in channels_last the results and gradients are,
too, and nothing is copied; nor are slices whose last axis in memory is whole.  The two formats may differ in the last bits.
Gradients of gradients are made of the same three passes.  Autocast does not change types here; forward-mode
derivatives, functorch's transforms and the deferred kinds of tensors are refused (`patch` leaves them to PyTorch).
"""
import contextlib
import functools
import math
import os
import threading
from typing import Any, Dict, Iterator, List, Optional, Tuple, Type, TypeVar

import numpy
import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

from ._functional import plan_for
from ._geometry import (LAYOUTS, WEIGHT_LAYOUTS, Axes, Padding, bias_problem, channels_second, one, padding_of, per_axis, placed,
                        transposed, view_strides)
from ._plan import options_of

_DTYPES = {torch.float32: numpy.dtype(numpy.float32), torch.float64: numpy.dtype(numpy.float64)}


def _plan(input_shape, weight_shape, geometry, dtype, formats, strides):
    """A plan, and the shape of its output, for tensors whose formats (of images, of the weight) are channels_last or not."""
    (stride, padding, dilation, groups, exact), (last, weight_last) = geometry, formats
    options = options_of({"threads": torch.get_num_threads(), "exact": exact, "layout": LAYOUTS[last],
                          "weight_layout": WEIGHT_LAYOUTS[weight_last]})
    plan = plan_for(placed(input_shape, LAYOUTS[last]), placed(weight_shape, LAYOUTS[weight_last]), stride, padding, dilation, groups,
                    _DTYPES[dtype], options, *strides)
    return plan, tuple(channels_second(plan.output_shape, LAYOUTS[last]))


def _is_last(tensor):
    """Whether PyTorch takes a tensor's format as channels_last (its is_channels_last_strides_2d); not where that is ambiguous."""
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(2)  # as its convolutions do
    sizes, strides, least = tensor.shape, tensor.stride(), 0
    if strides[1] == 0:
        return False
    for axis in (1, *range(len(sizes) - 1, 1, -1), 0):
        if sizes[axis] == 0 or strides[axis] < least or (axis == 0 and least == strides[1]):
            return False
        least = strides[axis] * sizes[axis]
    return True


def _format(x, w):
    """Whether a convolution's results are channels_last; along one axis the weight alone says so."""
    return (x.dim() > 3 and _is_last(x)) or _is_last(w)


class _Memory:
    """Of large results, kept when they are gone for the next ones of the same size, while `patch()` is open.

    The kernel hands out memory page by page, zeroed: for the results of a whole network that takes as long as a fifth of its
    convolutions, each time again.  What is in use and kept is never more than twice what was in use at once.
    """

    LARGE = 1 << 20
    open = False
    used = most = kept = 0

    def __init__(self):
        self._lock = threading.RLock()  # the garbage collector may come back here at any time
        self._free: Dict[int, List[Tensor]] = {}

    def take(self, size):
        """A tensor of so many bytes."""
        with self._lock:
            free = self._free.get(size)
            if free:
                memory = free.pop()
                self.kept -= size
            else:
                memory = torch.empty(size, dtype=torch.uint8, device="cpu")
            self.used += size
            self.most = max(self.most, self.used)
        return memory

    def give(self, memory):
        """Takes it back."""
        size = memory.numel()
        with self._lock:
            self.used -= size
            if self.open:
                if self.used + self.kept + size > 2 * self.most:
                    self._free.clear()
                    self.kept = 0
                self._free.setdefault(size, []).append(memory)
                self.kept += size

    def close(self):
        """Frees what is kept, and keeps no more."""
        with self._lock:
            self.open = False
            self._free.clear()
            self.kept, self.most = 0, self.used

    def forked(self):
        """In a child: a thread that is not here may have held the lock."""
        self._lock = threading.RLock()


_memory = _Memory()


class _Lease:
    """Memory that goes back when the last tensor over it is gone."""

    def __init__(self, memory, shape, dtype):
        self._memory = memory
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype.str, "data": (memory.data_ptr(), False)}

    def __del__(self):
        _memory.give(self._memory)


def _channels_inside(tensor):
    """A tensor with its channels as the last axis."""
    return tensor.permute(0, *range(2, tensor.dim()), 1)


def _empty(like, shape, last):
    """Memory for a result, in channels_last or contiguous."""
    shape = placed(shape, LAYOUTS[last])
    size = math.prod(shape) * like.element_size()
    if not _memory.open or size < _memory.LARGE:
        made = like.new_empty(shape)
    else:
        made = torch.from_numpy(numpy.asarray(_Lease(_memory.take(size), shape, _DTYPES[like.dtype])))
    return made.permute(0, -1, *range(1, made.dim() - 1)) if last else made


def _images(tensor, last):
    """Images in a format, the same memory where that can be read, and the strides of a view with gaps, or None."""
    tensor = tensor.resolve_neg()
    seen = _channels_inside(tensor) if last else tensor
    if seen.is_contiguous():
        return seen, None
    size = seen.element_size()
    strides = view_strides(seen.shape, [stride * size for stride in seen.stride()], size) if seen.numel() else None
    return (seen, strides) if strides else (seen.contiguous(), None)


def _filters(tensor):
    """A weight in one of the two formats, and whether that is channels_last."""
    tensor = tensor.resolve_neg()
    inside = _channels_inside(tensor)
    last = inside.is_contiguous() and not tensor.is_contiguous()
    return (inside, True) if last else (tensor.contiguous(), False)


def _at(tensor):
    """Its address."""
    try:
        return tensor.data_ptr()
    except RuntimeError:
        raise RuntimeError("a tensor has no memory of its own: batched gradients and torch.func do not go through convgrad; "
                           "compute forward outside of patch(), or one gradient at a time") from None


def _fits(name, tensor, shape):
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; must be {shape}")


class _Forward(Function):
    @staticmethod
    def forward(ctx, x, w, b, geometry, last):
        ctx.save_for_backward(x, w)
        ctx.geometry, ctx.last = geometry, last
        shapes = x.shape, w.shape
        (from_x, strides), (from_w, w_last) = _images(x, last), _filters(w)
        plan, shape = _plan(*shapes, geometry, x.dtype, (last, w_last), (strides,))
        y = _empty(x, shape, last)
        b = None if b is None else b.resolve_neg().contiguous()
        plan.run_forward(_at(from_x), _at(from_w), None if b is None else _at(b), _at(y))
        return y

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        need_x, need_w, need_b, _, _ = ctx.needs_input_grad
        return (_GradInput.apply(g, w, x.shape, ctx.geometry, ctx.last) if need_x else None,
                _GradWeight.apply(x, g, w.shape, ctx.geometry, ctx.last) if need_w else None,
                _GradBias.apply(g, ctx.last) if need_b else None, None, None)


class _GradInput(Function):
    @staticmethod
    def forward(ctx, g, w, input_shape, geometry, last):
        ctx.save_for_backward(g, w)
        ctx.geometry, ctx.last = geometry, last
        (from_g, strides), (from_w, w_last) = _images(g, last), _filters(w)
        plan, shape = _plan(input_shape, w.shape, geometry, g.dtype, (last, w_last), (None, strides))
        _fits("grad_output", g, shape)
        dx = _empty(g, input_shape, last)
        plan.run_grad_input(_at(from_g), _at(from_w), _at(dx))
        return dx

    @staticmethod
    def backward(ctx, d):
        g, w = ctx.saved_tensors
        need_g, need_w, _, _, _ = ctx.needs_input_grad
        return (_Forward.apply(d, w, None, ctx.geometry, ctx.last) if need_g else None,
                _GradWeight.apply(d, g, w.shape, ctx.geometry, ctx.last) if need_w else None, None, None, None)


class _GradWeight(Function):
    @staticmethod
    def forward(ctx, x, g, weight_shape, geometry, last):
        ctx.save_for_backward(x, g)
        ctx.geometry, ctx.last = geometry, last
        (from_x, x_strides), (from_g, g_strides) = _images(x, last), _images(g, last)
        plan, shape = _plan(x.shape, weight_shape, geometry, x.dtype, (last, last), (x_strides, g_strides))
        _fits("grad_output", g, shape)
        dw = _empty(x, weight_shape, last)
        plan.run_grad_weight(_at(from_x), _at(from_g), _at(dw))
        return dw

    @staticmethod
    def backward(ctx, d):
        x, g = ctx.saved_tensors
        need_x, need_g, _, _, _ = ctx.needs_input_grad
        return (_GradInput.apply(g, d, x.shape, ctx.geometry, ctx.last) if need_x else None,
                _Forward.apply(x, d, None, ctx.geometry, ctx.last) if need_g else None, None, None, None)


class _GradBias(Function):
    @staticmethod
    def forward(ctx, g, last):
        ctx.shape = g.shape
        from_g, strides = _images(g, last)
        plan, _ = _plan(*bias_problem(g.shape), (1, 0, 1, 1, False), g.dtype, (last, False), (None, strides))
        db = g.new_empty(g.shape[1])
        plan.run_grad_bias(_at(from_g), _at(db))
        return db

    @staticmethod
    def backward(ctx, d):
        return d.reshape(1, -1, *[1] * (len(ctx.shape) - 2)).expand(ctx.shape), None


class _Transpose(Function):
    """The transposed convolution with its bias: the gradient of the input, as a layer of its own."""

    @staticmethod
    def forward(ctx, x, w, b, shape, geometry, last):
        ctx.save_for_backward(x, w)
        ctx.geometry, ctx.last = geometry, last
        (from_x, strides), (from_w, w_last) = _images(x, last), _filters(w)
        plan, x_shape = _plan(shape, w.shape, geometry, x.dtype, (last, w_last), (None, strides))
        _fits("input", x, x_shape)
        y = _empty(x, shape, last)
        b = None if b is None else b.resolve_neg().contiguous()
        plan.run_transpose(_at(from_x), _at(from_w), None if b is None else _at(b), _at(y))
        return y

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        need_x, need_w, need_b, _, _, _ = ctx.needs_input_grad
        return (_Forward.apply(g, w, None, ctx.geometry, ctx.last) if need_x else None,
                _GradWeight.apply(g, x, w.shape, ctx.geometry, ctx.last) if need_w else None,
                _GradBias.apply(g, ctx.last) if need_b else None, None, None, None)


# How many modes are on that see each operation below autograd.
_recorded = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 0)


def _checked(dims, x, w, b):
    """The input with its batch axis, and whether that was added."""
    if _recorded():
        raise RuntimeError("a dispatch mode of PyTorch is on (make_fx, FakeTensorMode...), which does not see what convgrad computes")
    for name, tensor in (("input", x), ("weight", w), ("bias", b)):
        if tensor is None and name == "bias":
            continue
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} is a {type(tensor).__name__}; must be a torch.Tensor")
        if tensor.device.type != "cpu" or tensor.dtype not in _DTYPES or tensor.layout != torch.strided:
            raise TypeError(f"{name} is {tensor.dtype}, {tensor.layout} on {tensor.device}; must be torch.float32 or torch.float64, "
                            "torch.strided on cpu")
        if tensor.dtype != x.dtype:
            raise TypeError(f"{name} has dtype {tensor.dtype}; input has {x.dtype}")
    single = x.dim() == dims + 1
    if single:
        x = x.unsqueeze(0)
    if x.dim() != dims + 2 or w.dim() != dims + 2:
        raise ValueError(f"input has shape {tuple(x.shape)} and weight {tuple(w.shape)}; must have {dims + 2} axes")
    return x, single


def _check_bias(bias, channels):
    if bias is not None and tuple(bias.shape) != (channels,):
        raise ValueError(f"bias has shape {tuple(bias.shape)}; must be ({channels},)")


def _conv(dims, x, w, b, stride, padding, dilation, groups, exact):
    x, single = _checked(dims, x, w, b)
    _check_bias(b, w.shape[0])
    stride, dilation, groups = per_axis("stride", stride, dims), per_axis("dilation", dilation, dims), one("groups", groups)
    pairs = tuple(zip(*padding_of(padding, x.shape[2:], w.shape[2:], stride, dilation)))
    y = _Forward.apply(x, w, b, (stride, pairs, dilation, groups, exact), _format(x, w))
    return y.squeeze(0) if single else y


def _conv_transpose(dims, x, w, b, stride, padding, output_padding, groups, dilation, exact):
    x, single = _checked(dims, x, w, b)
    groups = one("groups", groups)
    _check_bias(b, w.shape[1] * groups)
    stride, padding, dilation, shape, more = transposed(x.shape, w.shape, stride, padding, output_padding, groups, dilation)
    if any(more):
        x = torch.nn.functional.pad(x, [n for extra in reversed(more) for n in (0, extra)])
    y = _Transpose.apply(x, w, b, shape, (stride, padding, dilation, groups, exact), _format(x, w))
    return y.squeeze(0) if single else y


def conv1d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: Axes = 1, padding: Padding = 0,
           dilation: Axes = 1, groups: int = 1, *, exact: bool = False) -> Tensor:
    """torch.nn.functional.conv1d; see `conv2d`."""
    return _conv(1, input, weight, bias, stride, padding, dilation, groups, exact)


def conv2d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: Axes = 1, padding: Padding = 0,
           dilation: Axes = 1, groups: int = 1, *, exact: bool = False) -> Tensor:
    """torch.nn.functional.conv2d: (N, C, H, W) or (C, H, W) with (K, C / groups, R, S); padding as in `convgrad.conv2d`.

    exact, here and below: only algorithms that add the products of the definition, see `convgrad.Plan`; forward and gradients.

    Raises TypeError or ValueError with a sentence that names what is wrong.
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups, exact)


def conv3d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: Axes = 1, padding: Padding = 0,
           dilation: Axes = 1, groups: int = 1, *, exact: bool = False) -> Tensor:
    """torch.nn.functional.conv3d; see `conv2d`."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups, exact)


def conv_transpose1d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: Axes = 1, padding: Padding = 0,
                     output_padding: Axes = 0, groups: int = 1, dilation: Axes = 1, *, exact: bool = False) -> Tensor:
    """torch.nn.functional.conv_transpose1d."""
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation, exact)


def conv_transpose2d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: Axes = 1, padding: Padding = 0,
                     output_padding: Axes = 0, groups: int = 1, dilation: Axes = 1, *, exact: bool = False) -> Tensor:
    """torch.nn.functional.conv_transpose2d: (N, C, H, W) with (C, K / groups, R, S)."""
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation, exact)


def conv_transpose3d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: Axes = 1, padding: Padding = 0,
                     output_padding: Axes = 0, groups: int = 1, dilation: Axes = 1, *, exact: bool = False) -> Tensor:
    """torch.nn.functional.conv_transpose3d."""
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation, exact)


_L = TypeVar("_L", bound="_Layer")


class _Layer:
    """What turns a layer of torch.nn into one of ours."""

    _function: Any
    _theirs: Any
    exact = False

    def __init__(self, *arguments: Any, exact: bool = False, **named: Any):
        super().__init__(*arguments, **named)
        self.exact = exact

    @classmethod
    def from_torch(cls: Type[_L], layer: torch.nn.Module, exact: Optional[bool] = None) -> _L:
        """A layer that shares another one's parameters, with hooks of its own from then on; exact as that one is, if None.

        Raises TypeError if the other layer is of another class, computes in its own way, or has no weights yet.
        """
        theirs = cls._theirs
        if not isinstance(layer, theirs) or not {type(layer).forward, type(layer)._conv_forward} <= {
                theirs.forward, theirs._conv_forward, cls._conv_forward}:
            raise TypeError(f"layer is a {type(layer).__name__}; must be a torch.nn.{theirs.__name__} that computes as such")
        if {"forward", "_conv_forward"} & layer.__dict__.keys():
            raise TypeError("layer has a forward of its own, put there by other code; that would run instead of convgrad")
        if torch.nn.parameter.is_lazy(layer.weight):
            raise TypeError("layer has no weights yet; run it once")
        if hasattr(layer, "parametrizations"):
            raise TypeError("layer is parametrized, so its weights are computed; torch.nn.utils.parametrize.remove_parametrizations first")
        made = cls.__new__(cls)
        made.__dict__.update((name, value.copy() if isinstance(value, dict) else value) for name, value in layer.__dict__.items())
        made.__dict__.pop("_compiled_call_impl", None)
        made.exact = getattr(layer, "exact", False) if exact is None else exact
        return made

    def _conv_forward(self, input, weight, bias):
        padding = self.padding
        if self.padding_mode != "zeros":
            input = torch.nn.functional.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        return type(self)._function(input, weight, bias, self.stride, padding, self.dilation, self.groups, exact=self.exact)


class Conv1d(_Layer, torch.nn.Conv1d):
    """torch.nn.Conv1d on convgrad's kernels."""

    _function, _theirs = staticmethod(conv1d), torch.nn.Conv1d


class Conv2d(_Layer, torch.nn.Conv2d):
    """torch.nn.Conv2d on convgrad's kernels."""

    _function, _theirs = staticmethod(conv2d), torch.nn.Conv2d


class Conv3d(_Layer, torch.nn.Conv3d):
    """torch.nn.Conv3d on convgrad's kernels."""

    _function, _theirs = staticmethod(conv3d), torch.nn.Conv3d


_FUNCTIONS = {function.__name__: function
              for function in (conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d)}
_PLACES = tuple((place, name) for place in (torch.nn.functional, torch) for name in _FUNCTIONS)


def _autocast() -> bool:
    try:
        return torch.is_autocast_enabled("cpu")  # type: ignore[call-arg]
    except TypeError:  # PyTorch before 2.4
        return torch.is_autocast_cpu_enabled()


# Whether PyTorch is asked to do more than compute: to convert, to record, or to transform.
_MODES = (_autocast, _recorded, torch.jit.is_tracing, lambda: getattr(forward_ad, "_current_level", -1) >= 0,
          getattr(getattr(torch, "compiler", None), "is_compiling", lambda: False))  # the last of PyTorch 2


def _plain(tensor) -> bool:
    """Whether a tensor is what the kernels work on: no subclass, and memory of its own."""
    if type(tensor) not in (Tensor, torch.nn.Parameter) or tensor.device.type != "cpu" or tensor.layout != torch.strided:
        return False
    try:
        there = tensor.data_ptr() != 0 or tensor.numel() == 0  # zeros may be without memory
    except RuntimeError:  # a wrapper of functorch
        return False
    return there and tensor.dtype in _DTYPES


def _instead(ours, theirs):
    @functools.wraps(theirs)
    def function(input, weight, bias=None, *arguments, **named):
        operands = (input, weight) if bias is None else (input, weight, bias)
        takes = not any(mode() for mode in _MODES) and all(map(_plain, operands)) and input.dtype == weight.dtype and weight.numel() > 0
        if takes:
            with contextlib.suppress(TypeError, ValueError):  # a wrong call: PyTorch says so, by the exceptions that the model knows
                return ours(input, weight, bias, *arguments, exact=_Patched.exact > 0, **named)
        return theirs(input, weight, bias, *arguments, **named)
    return function


class _Patched:
    """How many `patch()` are open, and what stood there before the first."""

    lock = threading.RLock()  # an abandoned patch() may be collected, and left, at any time
    depth = 0
    exact = 0  # so many of them ask for it
    before: Dict[Tuple[Any, str], Any] = {}
    ours: Dict[Tuple[Any, str], Any] = {}


def _forked():
    _Patched.lock = threading.RLock()  # a thread that is not here may have held it
    _memory.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


@contextlib.contextmanager
def patch(exact: bool = False) -> Iterator[None]:
    """Within it, torch's convolutions of plain CPU tensors of float32 and float64 run on convgrad, and their gradients.

    All others stay as they were: other devices and types, subclasses of Tensor, what runs under autocast, tracing, functorch,
    dispatch modes or forward-mode derivatives, and what TorchScript or torch.compile has compiled.  Script and compile before:
    within it the one is refused, and the other's graphs break at convolutions.  Batched gradients (is_grads_batched) of
    what ran on convgrad are refused.  What convgrad refuses as wrong, PyTorch gets, so that errors are its own.  A name that
    was imported before (`from torch.nn.functional import conv2d`) and graphs of torch.fx call PyTorch; modes of
    __torch_function__ see what runs on convgrad no more.

    It holds for all threads of the process, until the last of the patch() that are open, nested or in several threads, is
    left.  Until then the memory of results of 1 MiB and more is kept for the next ones, so let it surround the loop that trains
    rather than a step; such results cannot be resized in place.

    exact    only algorithms that keep structure (see `convgrad.Plan`), as long as a patch() that asks for it is open
    """
    if not isinstance(exact, bool):
        raise TypeError(f"exact is {exact!r}; must be True or False")
    with _Patched.lock:
        if _Patched.depth == 0:
            _Patched.before = {(place, name): getattr(place, name) for place, name in _PLACES}
            _Patched.ours = {(place, name): _instead(_FUNCTIONS[name], theirs) for (place, name), theirs in _Patched.before.items()}
            for (place, name), ours in _Patched.ours.items():
                setattr(place, name, ours)
            _memory.open = True
        _Patched.depth += 1
        _Patched.exact += exact
    try:
        yield
    finally:
        with _Patched.lock:
            _Patched.depth -= 1
            _Patched.exact -= exact
            if _Patched.depth == 0:
                for (place, name), theirs in _Patched.before.items():
                    if getattr(place, name) is _Patched.ours[place, name]:  # else somebody put another one there
                        setattr(place, name, theirs)
                _memory.close()
