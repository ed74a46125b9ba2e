"""PyTorch: convolutions with autograd on convgrad's kernels, over the tensors' own memory.

    import convgrad
    y = convgrad.torch.conv2d(x, weight, bias, padding=1)     # like torch.nn.functional.conv2d
    layer = convgrad.torch.Conv2d.from_torch(layer)           # shares a torch.nn.Conv2d's parameters
    with convgrad.torch.patch():                              # an unchanged model's convolutions
        model(x).sum().backward()

CPU tensors of float32, float64, bfloat16 and float16.  Results have the same bits for every thread count; threads are
torch.get_num_threads().  Memory formats are PyTorch's: with an input or weight in channels_last the results and gradients are,
too, and nothing is copied; nor are slices whose last axis in memory is whole.  The two formats may differ in the last bits.

The functions are registered operators (torch.ops.convgrad) from PyTorch 2.4 on: torch.compile, torch.export, make_fx, vmap,
gradients of gradients and batched ones go through them.  Autocast gives them its type, bfloat16.  Forward-mode derivatives are refused
by them; `patch` has these, too.
"""
import contextlib
import functools
import inspect
import math
import os
import threading
from typing import Any, Dict, List, Optional, Type, TypeVar

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

from . import _torch as passes
from ._geometry import LAYOUTS, Axes, Padding, one, padding_of, per_axis, transposed
from ._plan import Plan, options_of
from ._torch import Counts, counting

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Counts", "conv1d", "conv2d",
           "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "counting", "patch"]

# ---- operators: an operand or two, shapes, and a geometry in plain numbers

_GEOMETRY = "int[] stride, int[] padding, int[] dilation, int groups, bool exact, bool last"


def _numbers(geometry, last):
    """A geometry as the arguments of an operator."""
    stride, padding, dilation, groups, exact = geometry
    return list(stride), [n for pair in padding for n in pair], list(dilation), groups, exact, last


def _geometry(numbers):
    """And back: the geometry, and last."""
    stride, padding, dilation, groups, exact, last = numbers
    return (tuple(stride), tuple(zip(padding[::2], padding[1::2])), tuple(dilation), groups, exact), last


class _Tied(Function):
    """Marks a gradient as one that requires gradients where an operand does, though it does not depend on it; so does PyTorch."""

    @staticmethod
    def forward(ctx, gradient, *operands):
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx, g):
        return g, None, None


def _tied(gradients, operands):
    """Gradients as they are recorded, if they are, with what does not depend on all operands."""
    if not torch.is_grad_enabled() or _transforms():
        return gradients
    return [g if g is None or g.requires_grad else _Tied.apply(g, *operands) for g in gradients]


# Whether torch.func transforms what runs.
_transforms = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)


class _Operator:
    """What registration needs of one: its function in `passes`, its schema, and rules."""

    operands = 2  # which gradients need
    fold: Any = None  # the arguments of a whole batch, where only the first operand has one
    products: Any = None  # by shapes

    @classmethod
    def compute(cls, *arguments):
        return getattr(passes, cls.name)(*arguments[:-6], *_geometry(arguments[-6:]))


class _Shaped(_Operator):
    """One whose result has the shape that stands before the geometry."""

    @staticmethod
    def fake(like, *arguments):
        *_, shape = arguments[:-6]
        return passes.empty(like, shape, arguments[-1])

    @staticmethod
    def fold(batch, first, *arguments):
        *others, shape = arguments[:-6]
        return (first.flatten(0, 1), *others, [batch * shape[0], *shape[1:]], *arguments[-6:])


class _Forward(_Operator):
    name = "forward"
    schema = f"(Tensor input, Tensor weight, Tensor? bias, {_GEOMETRY}) -> Tensor"

    @staticmethod
    def fake(x, w, b, stride, padding, dilation, groups, exact, last):
        size = [(n + begin + end - d * (f - 1) - 1) // s + 1 for n, f, s, d, begin, end in
                zip(x.shape[2:], w.shape[2:], stride, dilation, padding[::2], padding[1::2])]
        if x.shape[1] != w.shape[1] * groups or any(n < 1 for n in size):
            raise ValueError(f"input has shape {tuple(x.shape)} and weight {tuple(w.shape)}, groups {groups}; they do not fit")
        return passes.empty(x, (x.shape[0], w.shape[0], *size), last)

    @staticmethod
    def gradient(ctx, g):
        (x, w), numbers, need = ctx.saved_tensors, ctx.numbers, ctx.needs_input_grad
        gradients = (_grad_input(g, w, x.shape, *numbers) if need[0] else None,
                     _grad_weight(x, g, w.shape, *numbers) if need[1] else None, _grad_bias(g, numbers[-1]) if need[2] else None)
        return (*_tied(gradients, (x, w)), *[None] * 6)

    @staticmethod
    def fold(batch, x, w, b, *numbers):
        return (x.flatten(0, 1), w, b, *numbers)

    @staticmethod
    def products(x, w, b, stride, padding, dilation, groups, exact, last, out):
        return math.prod(out) * math.prod(w[1:])


class _GradInput(_Shaped):
    name = "grad_input"
    schema = f"(Tensor grad_output, Tensor weight, SymInt[] shape, {_GEOMETRY}) -> Tensor"

    @staticmethod
    def gradient(ctx, d):
        (g, w), numbers, need = ctx.saved_tensors, ctx.numbers, ctx.needs_input_grad
        return (_forward(d, w, None, *numbers) if need[0] else None, _grad_weight(d, g, w.shape, *numbers) if need[1] else None,
                *[None] * 7)

    @staticmethod
    def products(g, w, shape, *rest, **_):
        return math.prod(g) * math.prod(w[1:])


class _GradWeight(_Shaped):
    name = "grad_weight"
    schema = f"(Tensor input, Tensor grad_output, SymInt[] shape, {_GEOMETRY}) -> Tensor"
    fold = None  # a batch of images is summed over

    @staticmethod
    def gradient(ctx, d):
        (x, g), numbers, need = ctx.saved_tensors, ctx.numbers, ctx.needs_input_grad
        return (_grad_input(g, d, x.shape, *numbers) if need[0] else None, _forward(x, d, None, *numbers) if need[1] else None,
                *[None] * 7)

    @staticmethod
    def products(x, g, shape, *rest, **_):
        return math.prod(g) * math.prod(shape[1:])


class _GradBias(_Operator):
    name = "grad_bias"
    schema = "(Tensor grad_output, bool last) -> Tensor"
    operands = 0

    @staticmethod
    def compute(g, last):
        return passes.grad_bias(g, last)

    @staticmethod
    def fake(g, last):
        return g.new_empty(g.shape[1])

    @staticmethod
    def gradient(ctx, d):
        return d.reshape(1, -1, *[1] * (len(ctx.shape) - 2)).expand(ctx.shape), None


class _Transpose(_Shaped):
    """The transposed convolution with its bias: the gradient of the input, as a layer of its own."""

    name = "transpose"
    schema = f"(Tensor input, Tensor weight, Tensor? bias, SymInt[] shape, {_GEOMETRY}) -> Tensor"

    @staticmethod
    def gradient(ctx, g):
        (x, w), numbers, need = ctx.saved_tensors, ctx.numbers, ctx.needs_input_grad
        gradients = (_forward(g, w, None, *numbers) if need[0] else None, _grad_weight(g, x, w.shape, *numbers) if need[1] else None,
                     _grad_bias(g, numbers[-1]) if need[2] else None)
        return (*_tied(gradients, (x, w)), *[None] * 7)

    @staticmethod
    def products(x, w, *rest, **_):
        return math.prod(x) * math.prod(w[1:])


_REGISTERS = hasattr(torch.library, "custom_op")  # PyTorch 2.4 and later


def _save(operator, ctx, arguments):
    ctx.shape = arguments[0].shape
    ctx.numbers = arguments[-6:] if operator.operands else ()
    ctx.save_for_backward(*arguments[:operator.operands])


def _in_memory(tensor):
    """A tensor whose memory holds its elements."""
    return torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor._is_zerotensor() else tensor.resolve_neg()


def _as_function(operator):
    """An operator as a function of autograd alone, before PyTorch 2.4."""

    class Operator(Function):
        @staticmethod
        def forward(ctx, *arguments):
            _save(operator, ctx, arguments)
            return operator.compute(*(_in_memory(a) if isinstance(a, Tensor) else a for a in arguments))

        @staticmethod
        def backward(ctx, g):
            return operator.gradient(ctx, g)

    return Operator.apply


def _as_transformed(operator, called, call):
    """A registered operator as torch.func's derivatives want it; call takes one of both."""

    class Operator(Function):
        @staticmethod
        def forward(*arguments):
            return called(*arguments)

        @staticmethod
        def setup_context(ctx, arguments, output):
            _save(operator, ctx, arguments)

        @staticmethod
        def backward(ctx, g):
            return operator.gradient(ctx, g)

        @staticmethod
        def vmap(info, axes, *arguments):
            return _over_a_batch(operator, call, info, axes, *arguments)

    return Operator.apply


def _over_a_batch(operator, called, info, axes, *arguments):
    """The rule of vmap: along one more axis of some operands."""
    axes = [axis if isinstance(axis, int) else None for axis in axes]  # shapes have none
    first, *others = axes
    if operator.fold and first is not None and all(axis is None for axis in others):
        images = arguments[0].movedim(first, 0)
        return called(*operator.fold(info.batch_size, images, *arguments[1:])).unflatten(0, images.shape[:2]), 0
    if info.batch_size == 0:
        one_of_them = called(*(a if axis is None else torch.zeros_like(a.movedim(axis, 0).sum(0)) for a, axis in zip(arguments, axes)))
        return one_of_them.new_empty(0, *one_of_them.shape), 0
    each = [called(*(a if axis is None else a.select(axis, i) for a, axis in zip(arguments, axes))) for i in range(info.batch_size)]
    return torch.stack(each), 0


def _as_registered(operator):
    """An operator as PyTorch's dispatcher knows it."""
    name = operator.name
    made = torch.library.custom_op(f"convgrad::{name}", operator.compute, mutates_args=(), device_types="cpu", schema=operator.schema)
    called = getattr(torch.ops.convgrad, name).default

    def call(*arguments):
        return (transformed if _transforms() else called)(*arguments)

    transformed = _as_transformed(operator, called, call)
    made.register_fake(operator.fake)
    made.register_autograd(operator.gradient, setup_context=lambda ctx, inputs, output: _save(operator, ctx, inputs))
    torch.library.register_vmap(made, functools.partial(_over_a_batch, operator, call))
    if operator.products:
        from torch.utils.flop_counter import register_flop_formula
        register_flop_formula(getattr(torch.ops.convgrad, name))(lambda *shapes, out_shape=None, **_: 2 * operator.products(
            *shapes, **({"out": out_shape} if operator is _Forward else {})))
    return call


_forward, _grad_input, _grad_weight, _grad_bias, _transpose = (
    (_as_registered if _REGISTERS else _as_function)(operator)
    for operator in (_Forward, _GradInput, _GradWeight, _GradBias, _Transpose))

# How many modes are on that see each operation below autograd.
_recorded = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 0)


def _at_least_plain(tensor):
    """Refuses, before PyTorch 2.4, what has no memory of its own."""
    try:
        tensor.data_ptr()
    except RuntimeError:
        raise RuntimeError("a tensor has no memory of its own: batched gradients and torch.func do not go through convgrad before "
                           "PyTorch 2.4; compute forward within patch(), or one gradient at a time") from None


def _autocast() -> bool:
    try:
        return torch.is_autocast_enabled("cpu")  # type: ignore[call-arg]
    except TypeError:  # PyTorch before 2.4
        return torch.is_autocast_cpu_enabled()


def _autocast_type() -> torch.dtype:
    try:
        return torch.get_autocast_dtype("cpu")
    except AttributeError:  # PyTorch before 2.4
        return torch.get_autocast_cpu_dtype()


def _checked(dims, x, w, b):
    """The operands, the input with its batch axis, and whether that was added."""
    if _autocast():
        x, w, b = (t.to(_autocast_type()) if isinstance(t, Tensor) and t.is_floating_point() else t for t in (x, w, b))
    for name, tensor in (("input", x), ("weight", w), ("bias", b)):
        if tensor is None and name == "bias":
            continue
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} is a {type(tensor).__name__}; must be a torch.Tensor")
        if tensor.device.type != "cpu" or tensor.dtype not in passes.DTYPES or tensor.layout != torch.strided:
            raise TypeError(f"{name} is {tensor.dtype}, {tensor.layout} on {tensor.device}; must be {', '.join(map(str, passes.DTYPES))}, "
                            "torch.strided on cpu")
        if tensor.dtype != x.dtype:
            raise TypeError(f"{name} has dtype {tensor.dtype}; input has {x.dtype}")
        if not _REGISTERS:
            _at_least_plain(tensor)
    if not _REGISTERS and _recorded():
        raise RuntimeError("a dispatch mode of PyTorch is on (make_fx, FakeTensorMode...), which does not see what convgrad computes "
                           "before PyTorch 2.4")
    if getattr(forward_ad, "_current_level", -1) >= 0:
        raise RuntimeError("forward-mode derivatives do not go through convgrad's functions; torch's own within patch() have them")
    single = x.dim() == dims + 1
    if single:
        x = x.unsqueeze(0)
    if x.dim() != dims + 2 or w.dim() != dims + 2:
        raise ValueError(f"input has shape {tuple(x.shape)} and weight {tuple(w.shape)}; must have {dims + 2} axes")
    return x, w, b, single


def _check_bias(bias, channels):
    if bias is not None and tuple(bias.shape) != (channels,):
        raise ValueError(f"bias has shape {tuple(bias.shape)}; must be ({channels},)")


def _flag(exact):
    if not isinstance(exact, bool):
        raise TypeError(f"exact is {exact!r}; must be True or False")
    return exact


def _conv(dims, x, w, b, stride, padding, dilation, groups, exact):
    x, w, b, single = _checked(dims, x, w, b)
    _check_bias(b, w.shape[0])
    stride, dilation, groups = per_axis("stride", stride, dims), per_axis("dilation", dilation, dims), one("groups", groups)
    pairs = tuple(zip(*padding_of(padding, x.shape[2:], w.shape[2:], stride, dilation)))
    y = _forward(x, w, b, *_numbers((stride, pairs, dilation, groups, _flag(exact)), passes.format_of(x, w)))
    return y.squeeze(0) if single else y


def _conv_transpose(dims, x, w, b, stride, padding, output_padding, groups, dilation, exact):
    x, w, b, single = _checked(dims, x, w, b)
    groups = one("groups", groups)
    _check_bias(b, w.shape[1] * groups)
    stride, padding, dilation, shape, more = transposed(x.shape, w.shape, stride, padding, output_padding, groups, dilation)
    if any(more):
        x = torch.nn.functional.pad(x, [n for extra in reversed(more) for n in (0, extra)])
    y = _transpose(x, w, b, shape, *_numbers((stride, padding, dilation, groups, _flag(exact)), passes.format_of(x, w)))
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
        if not isinstance(layer, theirs) or any(getattr(type(layer), name, None) not in (getattr(theirs, name, None), getattr(cls, name))
                                                for name in ("forward", "_conv_forward")):
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


class _Transposed(_Layer):
    """The same of a transposed layer, which has no function between its forward and torch's."""

    def forward(self, input: Tensor, output_size: Optional[List[int]] = None) -> Tensor:
        if self.padding_mode != "zeros":
            raise ValueError(f"padding_mode is {self.padding_mode!r}; must be 'zeros'")
        dims = self.weight.dim() - 2
        extra = self._output_padding(input, output_size, self.stride, self.padding, self.kernel_size, dims, self.dilation)
        return type(self)._function(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation,
                                    exact=self.exact)


class ConvTranspose1d(_Transposed, torch.nn.ConvTranspose1d):
    """torch.nn.ConvTranspose1d on convgrad's kernels."""

    _function, _theirs = staticmethod(conv_transpose1d), torch.nn.ConvTranspose1d


class ConvTranspose2d(_Transposed, torch.nn.ConvTranspose2d):
    """torch.nn.ConvTranspose2d on convgrad's kernels."""

    _function, _theirs = staticmethod(conv_transpose2d), torch.nn.ConvTranspose2d


class ConvTranspose3d(_Transposed, torch.nn.ConvTranspose3d):
    """torch.nn.ConvTranspose3d on convgrad's kernels."""

    _function, _theirs = staticmethod(conv_transpose3d), torch.nn.ConvTranspose3d


# ---- patch()

# The operators of PyTorch that compute; from the redispatch of 2.x on, the one that traced graphs call, too.
_REDISPATCHES = hasattr(torch.ops.aten.convolution.default, "redispatch")
_CONVOLUTION = "_convolution" if _REDISPATCHES else "convolution"
_PATCHED = {_CONVOLUTION: ("forward", lambda *arguments: passes.convolution(*arguments[:9])),
            "convolution_backward": ("gradients", passes.convolution_backward)}


def _theirs(name, arguments):
    """What PyTorch itself makes of a call that came to us."""
    if _REDISPATCHES:  # its code for every device that has none of its own, as is the case for the CPU
        return getattr(torch.ops.aten, name).default.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.PrivateUse3), *arguments)
    if name == _CONVOLUTION:
        return torch.ops.aten._convolution.default(*arguments, False, False, True, True)
    kind = arguments[1].dtype  # an old PyTorch does not let us call the gradient that it had
    operands = (tensor if tensor.dtype in passes.DTYPES else tensor.float() for tensor in arguments[:3])
    results = passes.convolution_backward(*operands, *arguments[3:], wanted=passes.Asked())
    return tuple(None if result is None else result.to(kind) for result in results)


def _instead(name, label, ours):
    """The code for the CPU of one of PyTorch's operators."""

    def run(*arguments):
        if not _Patched.open or (not _REDISPATCHES and torch.jit.is_tracing()):  # an old tracer records what we call
            return _theirs(name, arguments)
        try:
            return ours(*arguments)
        except (TypeError, ValueError) as error:  # of a wrong call PyTorch says so, by the exceptions that the model knows
            passes.count(label, str(error))
        return _theirs(name, arguments)

    return run


class _Patched:
    """The patch() that are open, and what they have put into PyTorch."""

    open: List["patch"] = []
    library: Any = None

    @classmethod
    def settle(cls, now):
        """Settles what is asked for, and puts ours in place.

        There it stays, and passes on what comes while no patch() is open: PyTorch looks its operators up without a lock, so another
        thread may be in them.  An old PyTorch, whose gradient we cannot call, gets it back.
        """
        if now and cls.library is None:
            library = torch.library.Library("aten", "IMPL")
            for name, (label, ours) in _PATCHED.items():
                library.impl(name, _instead(name, label, ours), "CPU")
            cls.library = library
        options: Dict[str, Any] = {}
        last = None
        for one_open in now:
            options.update(one_open.options)
            last = one_open.last if one_open.last is not None else last
        passes.asked = passes.Asked(tuple(sorted(options.items())), last)
        cls.open = now
        if not now and not _REDISPATCHES:
            cls.library = None


def _forked():
    passes.lock = threading.RLock()  # a thread that is not here may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class patch(contextlib.ContextDecorator):
    """Within it, all convolutions of CPU tensors run on convgrad, and their gradients.

    A context, which may be entered again, or a decorator of a function.  It takes the place of PyTorch's own operators
    aten::_convolution and aten::convolution_backward on the CPU, so models, torch.compile, torch.func, TorchScript and what else
    calls them need not know.  Other types, and what convgrad refuses, go to PyTorch as before; errors are PyTorch's own.  See
    `counting` for what ran where.

    It holds for all threads of the process, until the last of the patch() that are open, nested or in several threads, is left.
    Of several, exact=True of any counts; of what else they ask for, the last one's.  Enter the first one while no other thread
    convolves (before PyTorch 2.1: each).  From then on, a convolution outside passes through Python, for a few microseconds.

    error_growth  how much more than direct sums an algorithm may err, see `convgrad.Plan`
    exact         only algorithms that keep structure, see there
    algo          one algorithm, or a dict of them by pass, see there; what it does not do goes to PyTorch
    threads       instead of torch.get_num_threads()
    layout        'channels_last' or 'channels_first': the memory format of all results, instead of PyTorch's rules
    """

    def __init__(self, exact: bool = False, error_growth: Optional[float] = None, algo: Any = None, threads: Optional[int] = None,
                 layout: Optional[str] = None):
        asked = {"exact": _flag(exact) or None, "error_growth": error_growth, "algorithm": algo, "threads": threads}
        words = {name: value for name, value in asked.items() if value is not None}
        options = options_of({**words, **({} if layout is None else {"layout": layout})})  # or says what is wrong
        values = {name: words[name] for name in ("error_growth", "threads") if name in words}
        Plan((1, 1, 1), (1, 1, 1), **values)  # or this does
        self.options = {name: getattr(options, name) for name in words}
        self.last = None if layout is None else layout == LAYOUTS[True]

    def __enter__(self) -> None:
        with passes.lock:
            _Patched.settle([*_Patched.open, self])

    def __exit__(self, *_: Any) -> None:
        with passes.lock:
            mine = [i for i, one_open in enumerate(_Patched.open) if one_open is self]
            if not mine:
                raise RuntimeError("a patch() is left that is not open")
            _Patched.settle([one_open for i, one_open in enumerate(_Patched.open) if i != mine[-1]])

    def __call__(self, function: Any) -> Any:
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__name__} returns before it has run; enter patch() within it instead")
        return super().__call__(function)
