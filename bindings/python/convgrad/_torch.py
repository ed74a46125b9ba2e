"""What convgrad computes of PyTorch's tensors: plans for their formats, and the passes over their memory.

Tensors here are on the CPU, strided, of the types in DTYPES.  A geometry is (stride, padding, dilation, groups, exact), the first
three with a number or a pair for each axis of space; `last` says whether images and results are in channels_last.
"""
import collections
import contextlib
import ctypes
import functools
import mmap
import threading
from typing import Any, Counter, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy
import torch

from ._functional import CACHED_PLANS, plan_for
from ._geometry import LAYOUTS, WEIGHT_LAYOUTS, bias_problem, channels_second, placed, transposed, view_strides
from ._plan import BF16, HUGE, options_of

DTYPES = {torch.float32: numpy.dtype(numpy.float32), torch.float64: numpy.dtype(numpy.float64),
          torch.float16: numpy.dtype(numpy.float16), torch.bfloat16: BF16}


# ---- memory formats


def _is_last(tensor):
    """Whether PyTorch takes a tensor's format as channels_last (its is_channels_last_strides_2d); not where that is ambiguous."""
    sizes, strides, least = tuple(tensor.shape), tensor.stride(), 0
    if len(sizes) == 3:
        sizes, strides = (*sizes[:2], 1, sizes[2]), (*strides[:2], sizes[2] * strides[2], strides[2])  # as its convolutions do
    if strides[1] == 0:
        return False
    for axis in (1, *range(len(sizes) - 1, 1, -1), 0):
        if sizes[axis] == 0 or strides[axis] < least or (axis == 0 and least == strides[1]):
            return False
        least = strides[axis] * sizes[axis]
    return True


def format_of(x, w):
    """Whether a convolution's results are channels_last; along one axis the weight alone says so."""
    return (x.dim() > 3 and _is_last(x)) or _is_last(w)


_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}  # by number of axes; these need no views of tensors


def empty(like, shape, last):
    """Memory for a result, in channels_last or contiguous."""
    if not last:
        return like.new_empty(shape)
    if len(shape) in _FORMATS:
        return torch.empty(tuple(shape), dtype=like.dtype, device=like.device, memory_format=_FORMATS[len(shape)])
    made = like.new_empty(placed(shape, LAYOUTS[last]))
    return made.permute(tuple(channels_second(range(made.dim()), LAYOUTS[last])))


_STORAGE = "untyped_storage" if hasattr(torch.Tensor, "untyped_storage") else "storage"  # before PyTorch 2
_advise = getattr(ctypes.CDLL(None), "madvise", None) if hasattr(mmap, "MADV_HUGEPAGE") else None
if _advise:
    _advise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


def _result(like, shape, last):
    """Memory for a result that is written now.  As NumPy does, large ones ask the system for huge pages: to make 77 MB of small
    ones takes longer than many a convolution.  It is advice; a system that does not follow it loses nothing.
    """
    made = empty(like, shape, last)
    size = getattr(made, _STORAGE)().nbytes()  # a number, traced or not
    if _advise and size >= HUGE:
        begin = made.data_ptr() & -mmap.PAGESIZE
        _advise(begin, (made.data_ptr() + size & -mmap.PAGESIZE) - begin, mmap.MADV_HUGEPAGE)
    return made


class _Heads(threading.local):
    """Storages of no elements, whose heads (some 100 bytes of malloc's) become those of parameters' gradients.

    These live until the optimizer has stepped.  A head made among the results of a backward pass lies between two of them, and cuts
    the gap in two that they leave: the largest memory of a step grows by 3 to 10 % with glibc's malloc.  It gives out first what was
    freed last, so some of these are freed where heads are wanted: that of a convolution's parameter, and of the layer's before it.
    """

    kept: List[Any] = []
    given = True  # since they were made

    def keep(self):
        """Called before a result of the forward pass, when the gradients of the last step have just been freed."""
        if self.given:
            self.kept = self.kept + _storages(1024 - len(self.kept))
            self.given = False

    def make(self, tensor, *of, gradient=True):
        """A tensor, made by this function of these arguments, whose head is one of them."""
        self.given = self.given or gradient
        first = _storages(4)  # what malloc would have given out first; until the tensor is made
        del self.kept[-4:]
        made = tensor(*of)
        del first
        return made


_heads = _Heads()


def _storages(n):
    return [torch.UntypedStorage(0) for _ in range(n)]  # which no operator makes, that a profiler would see


def images(tensor, last):
    """Images in a format, the same memory where that can be read, and the strides of a view with gaps, or None."""
    if last and tensor.dim() in _FORMATS and tensor.is_contiguous(memory_format=_FORMATS[tensor.dim()]):
        return tensor, None
    seen = tensor.permute(tuple(placed(range(tensor.dim()), LAYOUTS[last]))) if last else tensor
    if seen.is_contiguous():
        return seen, None
    size = seen.element_size()
    strides = view_strides(seen.shape, [stride * size for stride in seen.stride()], size) if seen.numel() else None
    return (seen, strides) if strides else (seen.contiguous(), None)


@functools.lru_cache(maxsize=None)
def _filter_axes(layout, dims):
    """Of a weight K, C / groups and space, the axes in the order of a layout."""
    space = range(2, dims)
    return {"kcrs": (0, 1, *space), "krsc": (0, *space, 1), "rsck": (*space, 1, 0)}[layout]


def filters(tensor):
    """A weight as it lies in memory, or a copy, and its layout."""
    if tensor.is_contiguous():
        return tensor, WEIGHT_LAYOUTS[0]
    for layout in WEIGHT_LAYOUTS[1:]:
        seen = tensor.permute(_filter_axes(layout, tensor.dim()))
        if seen.is_contiguous():
            return seen, layout
    return tensor.contiguous(), WEIGHT_LAYOUTS[0]


# ---- settings and counts of patch()


class Asked(NamedTuple):
    """What the patch() that are open ask for: words of options_of, and the format of results, or None; never half of two."""

    options: Tuple[Tuple[str, Any], ...] = ()
    last: Optional[bool] = None


asked = Asked()
lock = threading.RLock()  # an abandoned patch() may be collected, and left, at any time


class Counts:
    """What ran on convgrad, by pass, and what went to PyTorch, by pass and reason."""

    def __init__(self):
        self.here: Counter[str] = collections.Counter()
        self.elsewhere: Counter[Tuple[str, str]] = collections.Counter()

    def __str__(self):
        lines = [f"{n} {name} on convgrad" for name, n in sorted(self.here.items())]
        lines += [f"{n} {name} in PyTorch: {why}" for (name, why), n in sorted(self.elsewhere.items())]
        return "\n".join(lines) or "no convolutions"


_counting: List[Counts] = []


@contextlib.contextmanager
def counting() -> Iterator[Counts]:
    """Counts the passes of convolutions of CPU tensors while it is open, in all threads: on convgrad, and in PyTorch within `patch()`.

    >>> with convgrad.torch.patch(), convgrad.torch.counting() as counts:   # doctest: +SKIP
    ...     model(x).sum().backward()
    >>> print(counts)                                                       # doctest: +SKIP
    2 forward on convgrad
    1 forward in PyTorch: input is torch.complex64, torch.strided on cpu
    """
    counts = Counts()
    with lock:
        _counting.append(counts)
    try:
        yield counts
    finally:
        with lock:
            _counting[:] = [other for other in _counting if other is not counts]


def count(name, why=None):
    """Counts one pass, here or, with a reason, elsewhere."""
    if _counting:
        with lock:
            for counts in _counting:
                if why is None:
                    counts.here[name] += 1
                else:
                    counts.elsewhere[name, why] += 1


# ---- the passes


@functools.lru_cache(maxsize=CACHED_PLANS, typed=True)
def _cached(input_shape, weight_shape, geometry, dtype, last, weight_layout, threads, options, *strides):
    stride, padding, dilation, groups, exact = geometry
    words: Dict[str, Any] = {"threads": threads, "layout": LAYOUTS[last], "weight_layout": weight_layout, **dict(options)}
    if exact or "exact" in words:  # stricter than any growth
        words["exact"] = True
        words.pop("error_growth", None)
    plan = plan_for(placed(input_shape, LAYOUTS[last]), [weight_shape[axis] for axis in _filter_axes(weight_layout, len(weight_shape))],
                    stride, padding, dilation, groups, DTYPES[dtype], options_of(words), *strides)
    return plan, tuple(channels_second(plan.output_shape, LAYOUTS[last]))


def _plan(input_shape, weight_shape, geometry, dtype, last, weight_layout, options, *strides):
    """A plan, and the shape of its output, for images in channels_last or not; options of `Asked`, or None: those of now."""
    return _cached(input_shape, weight_shape, geometry, dtype, last, weight_layout, torch.get_num_threads(),
                   asked.options if options is None else options, *strides)


def _fits(name, tensor, shape):
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; must be {shape}")


def _address(bias):
    return None if bias is None else bias.data_ptr()


def forward(x, w, b, geometry, last, options=None):
    """The output of a convolution."""
    (from_x, strides), (from_w, layout) = images(x, last), filters(w)
    plan, shape = _plan(x.shape, w.shape, geometry, x.dtype, last, layout, options, strides)
    _heads.keep()
    if x.dim() == 3:  # WaveNet's results are as large as each other: its gaps could be filled
        y = _heads.make(_result, x, shape, last, gradient=False)
    else:
        y = _result(x, shape, last)
    b = None if b is None else b.contiguous()
    plan.run_forward(from_x.data_ptr(), from_w.data_ptr(), _address(b), y.data_ptr())
    count("forward")
    return y


def grad_input(g, w, input_shape, geometry, last, options=None):
    """The gradient of its input."""
    (from_g, strides), (from_w, layout) = images(g, last), filters(w)
    plan, shape = _plan(tuple(input_shape), w.shape, geometry, g.dtype, last, layout, options, None, strides)
    _fits("grad_output", g, shape)
    dx = _result(g, input_shape, last)
    plan.run_grad_input(from_g.data_ptr(), from_w.data_ptr(), dx.data_ptr())
    count("grad_input")
    return dx


def grad_weight(x, g, weight_shape, geometry, last, options=None):
    """The gradient of its weight."""
    (from_x, x_strides), (from_g, g_strides) = images(x, last), images(g, last)
    plan, shape = _plan(x.shape, tuple(weight_shape), geometry, x.dtype, last, WEIGHT_LAYOUTS[last], options, x_strides, g_strides)
    _fits("grad_output", g, shape)
    dw = _heads.make(_result, x, weight_shape, last)
    plan.run_grad_weight(from_x.data_ptr(), from_g.data_ptr(), dw.data_ptr())
    count("grad_weight")
    return dw


def grad_bias(g, last):
    """The gradient of its bias."""
    from_g, strides = images(g, last)
    threads = tuple(word for word in asked.options if word[0] == "threads")  # algorithms are for the others
    plan, _ = _plan(*bias_problem(g.shape), (1, 0, 1, 1, False), g.dtype, last, WEIGHT_LAYOUTS[0], threads, None, strides)
    db = _heads.make(g.new_empty, g.shape[1])
    plan.run_grad_bias(from_g.data_ptr(), db.data_ptr())
    count("grad_bias")
    return db


def transpose(x, w, b, shape, geometry, last, options=None):
    """The output, of this shape, of the transposed convolution: the gradient of the input, as a layer of its own."""
    (from_x, strides), (from_w, layout) = images(x, last), filters(w)
    plan, x_shape = _plan(tuple(shape), w.shape, geometry, x.dtype, last, layout, options, None, strides)
    _fits("input", x, x_shape)
    y = _result(x, shape, last)
    b = None if b is None else b.contiguous()
    plan.run_transpose(from_x.data_ptr(), from_w.data_ptr(), _address(b), y.data_ptr())
    count("transpose")
    return y


# ---- PyTorch's own operators, aten::convolution and its gradient


def _refused(*named):
    """Why tensors are not for convgrad; None: they are."""
    kind = named[0][1].dtype
    for name, tensor in named:
        if tensor is None:
            continue
        if tensor.dtype not in DTYPES or tensor.layout != torch.strided or tensor.device.type != "cpu":
            return f"{name} is {tensor.dtype}, {tensor.layout} on {tensor.device}"
        if tensor.dtype != kind or not 1 <= tensor.dim() <= 5:
            return f"{name} has dtype {tensor.dtype} and {tensor.dim()} axes"
    return None if named[1][1].numel() else "weight is empty"


def _geometry(x, w, stride, padding, dilation, is_transposed, output_padding, groups):
    """The geometry of a convolution, whose numbers may be one for all axes, and the shape of a transposed one's output."""
    dims = x.dim() - 2
    stride, padding, dilation, output_padding = (tuple(n) * dims if len(n) == 1 else tuple(n)
                                                 for n in (stride, padding, dilation, output_padding))
    if not is_transposed:
        return (stride, tuple((p, p) for p in padding), dilation, groups, False), None
    stride, padding, dilation, shape, more = transposed(x.shape, w.shape, stride, padding, output_padding, groups, dilation)
    if any(more):
        raise ValueError(f"output_padding is {output_padding}, past the stride")
    return (stride, padding, dilation, groups, False), shape


def convolution(x, w, b, stride, padding, dilation, is_transposed, output_padding, groups):
    """aten::convolution; raises TypeError or ValueError with the reason where it is not for convgrad."""
    why = _refused(("input", x), ("weight", w), ("bias", b))
    if why:
        raise TypeError(why)
    if x.dim() != w.dim() or x.dim() < 3 or (b is not None and tuple(b.shape) != (w.shape[1] * groups if is_transposed else w.shape[0],)):
        raise ValueError("shapes do not fit")
    geometry, shape = _geometry(x, w, stride, padding, dilation, is_transposed, output_padding, groups)
    options, last = asked
    last = format_of(x, w) if last is None else last
    return transpose(x, w, b, shape, geometry, last, options) if is_transposed else forward(x, w, b, geometry, last, options)


def convolution_backward(g, x, w, bias_sizes, stride, padding, dilation, is_transposed, output_padding, groups, mask, wanted=None):
    """aten::convolution_backward; raises as `convolution` does.  wanted: what is asked for, if not what the patch() do."""
    why = _refused(("input", x), ("weight", w), ("grad_output", g))
    if why:
        raise TypeError(why)
    if not x.dim() == w.dim() == g.dim() >= 3:
        raise ValueError("shapes do not fit")
    geometry, shape = _geometry(x, w, stride, padding, dilation, is_transposed, output_padding, groups)
    options, last = asked if wanted is None else wanted
    last = format_of(x, w) if last is None else last
    need_x, need_w, need_b = mask
    if is_transposed:
        _fits("grad_output", g, shape)
    # What stays longest is made first: a weight's gradient made after its input's would keep malloc from giving that back.
    dw = grad_weight(*((g, x) if is_transposed else (x, g)), w.shape, geometry, last, options) if need_w else None
    dx = None
    if need_x:
        dx = forward(g, w, None, geometry, last, options) if is_transposed else grad_input(g, w, x.shape, geometry, last, options)
    return dx, dw, grad_bias(g, last) if need_b else None
