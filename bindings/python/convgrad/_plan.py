"""A plan: one problem, all that is decided about it once."""
import contextlib
import mmap
import numbers
import os
import threading
from ctypes import addressof, byref, c_char
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple, Union

import numpy
from numpy.typing import ArrayLike, DTypeLike

from . import _library as library
from ._geometry import (LAYOUTS, WEIGHT_LAYOUTS, Axes, Out, Padding, channels_second, filters_first, layouts, one, padding_of,
                        per_axis, placed, sizes, view_strides, whole)

_F32, _F64 = numpy.dtype(numpy.float32), numpy.dtype(numpy.float64)
_F16, BF16 = numpy.dtype(numpy.float16), numpy.dtype("V2")  # bfloat16's as plain bytes: ml_dtypes names them
DTYPES = "float32, float64, float16 or bfloat16 (of ml_dtypes)"
_ndarray, _empty = numpy.ndarray, numpy.empty
_buffer = c_char.from_buffer
_NULL = "an operand is NULL"

# OpenMP's threads do not survive a fork: plans of the parent are made again in the child, with one thread.
_forks = 0
_remaking = threading.Lock()


def _forked():
    global _forks, _remaking
    _forks += 1
    _remaking = threading.Lock()  # a thread that is not here may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


HUGE = 4 << 20  # bytes, from which memory asks for huge pages; NumPy's number


def _pages(size):
    """Memory that is not malloc's: for each large block that is freed, glibc's keeps more of what comes after it."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return _empty(size, numpy.uint8)
    try:
        pages = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError):
        return _empty(size, numpy.uint8)  # which has the words for it
    if size >= HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without
            pages.madvise(mmap.MADV_HUGEPAGE)
    return numpy.frombuffer(pages, numpy.uint8)


class _Space(threading.local):
    """The workspace of a thread: one for all plans, as large as the largest that it ran."""

    held: Tuple[int, Any, int] = (0, None, 0)

    def of(self, size):
        """(address, memory, size): the memory must be kept while the address is used, as the garbage collector may run another
        plan here at any time."""
        held = self.held
        if size > held[2]:
            memory = _pages(size)
            held = self.held = memory.ctypes.data, memory, size
        return held


_space = _Space()


class Verified(NamedTuple):
    """What `verify` did."""

    checks: int


class Options(NamedTuple):
    """What a plan may decide, in words that a cache can look up; see `Plan`."""

    algorithm: Tuple[str, ...] = ("auto",) * len(library.PASS_NAMES)
    error_growth: float = 12.0
    gradient_scale: float = 1.0
    workspace_limit: int = 0
    threads: int = 0
    exact: bool = False
    layout: str = LAYOUTS[0]
    weight_layout: str = WEIGHT_LAYOUTS[0]


_BY_DEFAULT = Options()


def options_of(given, allowed=Options._fields):
    """Options of a caller's words, each with its sentence if it is wrong."""
    if not given:
        return _BY_DEFAULT
    for name in given:
        if name not in allowed:
            raise TypeError(f"there is no option {name} here; there are {', '.join(allowed)}")
    checked = dict(given)
    algorithm = given.get("algorithm", "auto")
    if isinstance(algorithm, (tuple, list)) and len(algorithm) == len(library.PASS_NAMES):
        named = dict(zip(library.PASS_NAMES, algorithm))
    else:
        named = algorithm if isinstance(algorithm, dict) else dict.fromkeys(library.PASS_NAMES, algorithm)
    if not all(name in library.PASS_NAMES and isinstance(chosen, str) and chosen in library.ALGORITHMS
               for name, chosen in named.items()):
        raise ValueError(f"algorithm is {algorithm!r}; must be one of {', '.join(library.ALGORITHMS)}, or three of them, or a dict by pass")
    checked["algorithm"] = tuple(named.get(name, "auto") for name in library.PASS_NAMES)
    for name in ("error_growth", "gradient_scale"):
        value = given.get(name, getattr(_BY_DEFAULT, name))
        if not isinstance(value, numbers.Real):
            raise TypeError(f"{name} is {value!r}; must be a number")
        checked[name] = float(value)
    if not isinstance(given.get("exact", False), (bool, numpy.bool_)):
        raise TypeError(f"exact is {given['exact']!r}; must be True or False")
    if given.get("exact"):
        if checked["error_growth"] not in (1, _BY_DEFAULT.error_growth):
            raise ValueError(f"error_growth is {checked['error_growth']:g} and exact True, which means 1")
        checked["exact"], checked["error_growth"] = True, 1.0
    layout = checked["layout"] = given.get("layout", LAYOUTS[0])
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; must be {' or '.join(LAYOUTS)}")
    weight_layout = given.get("weight_layout")
    if weight_layout is None:  # frameworks whose images have channels last keep weights so, too
        weight_layout = WEIGHT_LAYOUTS[LAYOUTS.index(layout)]
    if not isinstance(weight_layout, str) or weight_layout not in WEIGHT_LAYOUTS:
        raise ValueError(f"weight_layout is {weight_layout!r}; must be {', '.join(WEIGHT_LAYOUTS)}")
    checked["weight_layout"] = weight_layout
    checked["threads"] = whole("threads", given.get("threads", 0), 32)
    checked["workspace_limit"] = whole("workspace_limit", given.get("workspace_limit", 0))
    if checked["workspace_limit"] < 0:
        raise ValueError(f"workspace_limit is {checked['workspace_limit']}; must be at least 0 (no limit)")
    return Options(**checked)


def is_real(dtype):
    """Whether convolutions have such elements."""
    return dtype in (_F32, _F64, _F16) or dtype.name == "bfloat16"


def dtype_of(name, dtype, halves=True):
    """A dtype, with its sentence if it is none of DTYPES; halves: those of 16 bits, too."""
    known = DTYPES if halves else "float32 or float64"
    if dtype is None:  # which is float64 to NumPy
        raise TypeError(f"{name} is None; must be {known}")
    dtype = numpy.dtype(dtype)
    if dtype not in (_F32, _F64) and not (halves and (is_real(dtype) or dtype == BF16)):
        raise TypeError(f"{name} is {dtype}; must be {known}")
    return dtype if dtype.itemsize == 2 else _F32 if dtype == _F32 else _F64


def array_of(name, array):
    """As numpy.asarray; a mask is not dropped silently."""
    if type(array) is _ndarray:
        return array
    if array is None:
        raise TypeError(f"{name} is None; must be an array")
    if isinstance(array, numpy.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; must be a plain one (numpy.ma.filled)")
    try:
        return numpy.asarray(array)
    except (RuntimeError, ValueError) as why:  # a ragged list; a tensor that requires grad
        raise TypeError(f"{name} is a {type(array).__name__} that NumPy cannot take as an array: {why}") from None


def _address(array):
    """Where an array begins: its buffer says so in a fifth of the time, if it may be written, is not empty and has no gaps."""
    try:
        return addressof(_buffer(array))
    except (TypeError, ValueError, BufferError):
        return array.__array_interface__["data"][0]


def _laid_out(shape, dtype, strides):
    """An empty array; strides None: C-contiguous."""
    if strides is None or 0 in shape:
        return _empty(shape, dtype)
    size = sum((n - 1) * stride for n, stride in zip(shape, strides)) + dtype.itemsize
    return _ndarray(shape, dtype, _empty(size, numpy.uint8), strides=strides)


def _lies(array, strides):
    """Whether an array is C-contiguous (strides None), or a view of these strides; and aligned."""
    flags = array.flags
    if strides is None:
        return flags.c_contiguous and flags.aligned
    return flags.aligned and (array.strides == strides or not array.size or
                              view_strides(array.shape, array.strides, array.itemsize) == strides)


def read(name, array, shape, dtype, strides=None):
    """An operand as it must lie, C-contiguous or with strides, and its address."""
    array = array_of(name, array)
    if array.dtype is not dtype and array.dtype != dtype:
        raise TypeError(f"{name} has dtype {array.dtype}; must be {dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; must be {shape}")
    flags = array.flags
    if (strides is not None or not flags.c_contiguous or not flags.aligned) and not _lies(array, strides):
        held = _laid_out(shape, dtype, strides)
        held[...] = array
        array = held
    return array, _address(array)


def _three(name, three):
    if not isinstance(three, (tuple, list)) or len(three) != 3:
        given = f"has {len(three)}" if isinstance(three, (tuple, list)) else f"is a {type(three).__name__}"
        raise ValueError(f"{name} {given}; must be a tuple of three: of grad_input, grad_weight and grad_bias")
    return three


def _again(input_shape, weight_shape, geometry):
    """A plan from a pickle."""
    return Plan(input_shape, weight_shape, **geometry)


class Plan:
    """Convolution and its gradients for one problem; thread-safe, and as cheap to call as Python allows.

    input_shape is (N, C, [D, [H,]] W), weight_shape (K, C / groups, [T, [R,]] S).  stride, padding, dilation and
    groups are those of `conv2d`.

    threads          0: as many as OpenMP offers; in a process that was forked, always 1
    algorithm        a name for all passes ('direct', 'im2col', 'winograd6', ...), a dict by pass
                     ('forward', 'grad_input', 'grad_weight') or three names; 'auto' lets the library choose
    error_growth     how much larger than that of direct sums the error may be
    exact            only algorithms that add the products of the definition (error_growth 1).  They keep structure:
                     an element outside a sum adds exactly nothing to it, sums of non-negative products are never
                     negative, an infinity or NaN reaches only results that read it (zeros of padding count as
                     elements: an infinite weight or grad_output times such a zero may be NaN).  Otherwise Winograd's algorithms,
                     which mix neighbours, are taken where they are much faster, never in rank 1.
    gradient_scale   multiplies every gradient
    workspace_limit  bytes for a pass; 0: no limit
    layout           'channels_first', or 'channels_last': then images are (N, [D, [H,]] W, C), as in Keras, TensorFlow and JAX
    weight_layout    'kcrs'; 'krsc', (K, [T, [R,]] S, C / groups), the standard with channels last; or 'rsck',
                     ([T, [R,]] S, C / groups, K), which is TensorFlow's

    dtype            of all arrays: float32, float64, float16 or ml_dtypes.bfloat16, whose sums are made in float32
    grad_dtype       of gradients: dtype, or float32 beside a dtype of 16 bits, to be added up over steps

    measure          so many seconds to time algorithms, where algorithm is 'auto', and take the fastest; None: choose by a model.
                     The choice depends on the moment: keep it with `export`

    input_strides, output_strides   of arrays like the input and like the output, as numpy.ndarray.strides (bytes), where they
                     are views with gaps: a slice of channels, a crop, a part of a concatenated array.  The last axis must
                     have none.  None: C-contiguous

    Arrays are taken as they are, without a copy, if they lie so; other inputs are copied, other `out` refused.  Types must
    be those of the plan.  The workspace belongs to the calling thread and is shared by all its
    plans.  The interpreter's lock is released while a pass runs.

    >>> import numpy, convgrad
    >>> plan = convgrad.Plan((1, 1, 3, 3), (1, 1, 2, 2), dtype='float64')
    >>> x, w = numpy.arange(9.).reshape(1, 1, 3, 3), numpy.arange(4.).reshape(1, 1, 2, 2)
    >>> plan.forward(x, w)
    array([[[[19., 25.],
             [37., 43.]]]])
    >>> plan.grad_input(w, w)  # of the textbook's example: grad_output is 0, 1, 2, 3 too
    array([[[[ 0.,  0.,  1.],
             [ 0.,  4.,  6.],
             [ 4., 12.,  9.]]]])
    """

    input_shape: Tuple[int, ...]
    weight_shape: Tuple[int, ...]
    output_shape: Tuple[int, ...]
    bias_shape: Tuple[int, ...]
    input_strides: Optional[Tuple[int, ...]]
    output_strides: Optional[Tuple[int, ...]]
    dtype: "numpy.dtype[Any]"
    grad_dtype: "numpy.dtype[Any]"

    def __init__(self, input_shape: Sequence[int], weight_shape: Sequence[int], *, stride: Axes = 1, padding: Padding = 0,
                 dilation: Axes = 1, groups: int = 1, dtype: DTypeLike = _F32, threads: int = 0,
                 algorithm: Union[str, Dict[str, str], Tuple[str, ...]] = "auto", error_growth: float = 12.0,
                 gradient_scale: float = 1.0, workspace_limit: int = 0, exact: bool = False,
                 layout: str = LAYOUTS[0], weight_layout: Optional[str] = None, input_strides: Optional[Sequence[int]] = None,
                 output_strides: Optional[Sequence[int]] = None, measure: Optional[float] = None,
                 grad_dtype: Optional[DTypeLike] = None):
        self._handle = None
        own = self.__dict__  # public attributes are only set here
        own["input_shape"] = sizes("input", input_shape)
        dims = len(self.input_shape) - 2
        own["weight_shape"] = sizes("weight", weight_shape, (dims + 2,))
        own["dtype"] = dtype_of("dtype", dtype)
        own["grad_dtype"] = self.dtype if grad_dtype is None else dtype_of("grad_dtype", grad_dtype)
        if self.grad_dtype != self.dtype and (self.dtype.itemsize > 2 or self.grad_dtype != _F32):
            raise TypeError(f"grad_dtype is {self.grad_dtype}; must be {self.dtype}{' or float32' * (self.dtype.itemsize == 2)}")
        self._options = options_of({"algorithm": algorithm, "error_growth": error_growth, "gradient_scale": gradient_scale,
                                    "workspace_limit": workspace_limit, "threads": threads, "exact": exact, "layout": layout,
                                    "weight_layout": weight_layout})
        layout, weight_layout = self._options.layout, self._options.weight_layout
        images, filters = channels_second(self.input_shape, layout), filters_first(self.weight_shape, weight_layout)
        size, filter_size = images[2:], filters[2:]
        stride, dilation = per_axis("stride", stride, dims), per_axis("dilation", dilation, dims)
        groups = one("groups", groups)
        begin, end = padding_of(padding, size, filter_size, stride, dilation)
        channels = images[1]
        if groups > 0 and channels != filters[1] * groups:
            raise library.Error(f"weight has {filters[1]} channels a group; input has {channels} channels in {groups} "
                                f"group{'s' * (groups != 1)}; {layouts(images, filters, groups)}")
        self._conv = library.conv_of(self.dtype, images[0], channels, filters[0], groups, size, filter_size, stride, dilation,
                                     begin, end)
        self._conv.grad_type = library.type_of(self.grad_dtype)
        self._conv.layout, self._conv.weight_layout = LAYOUTS.index(layout), WEIGHT_LAYOUTS.index(weight_layout)
        own["output_shape"] = placed((images[0], filters[0], *library.output_size_of(self._conv)), layout)
        own["bias_shape"] = (filters[0],)
        own["input_strides"] = self._strided("input", input_strides)
        own["output_strides"] = self._strided("output", output_strides)
        self._channels = (channels,)
        self._geometry = {"stride": stride, "padding": tuple(zip(begin, end)), "dilation": dilation, "groups": groups,
                          "dtype": self.dtype, "grad_dtype": self.grad_dtype}
        self._make()
        if measure is not None:
            if isinstance(measure, bool) or not isinstance(measure, numbers.Real):
                raise TypeError(f"measure is {measure!r}; must be a number of seconds")
            if not measure >= 0:
                raise ValueError(f"measure is {measure!r}; must be at least 0 seconds")
            self._choose(measure=float(measure))
        mixing = [name for name, growth in self.error_growths.items() if exact and growth > 1]
        if mixing:
            raise ValueError(f"algorithm of {mixing[0]} is {self.algorithms[mixing[0]]} and exact True; it mixes neighbours")

    def _strided(self, name, strides):
        """Tells the problem about the gaps of a view; its strides, or None."""
        if strides is None:
            return None
        shape, layout = getattr(self, f"{name}_shape"), self._options.layout
        given = tuple(whole(f"{name}_strides", stride) for stride in strides)
        taken = view_strides(shape, given, self.dtype.itemsize) if len(given) == len(shape) else None
        if taken is None:
            raise ValueError(f"{name}_strides is {given}; must be {len(shape)} numbers of bytes, the last {self.dtype.itemsize}, each "
                             f"other at least what the axes after it take of shape {shape}")
        image, channel, *space = channels_second([stride // self.dtype.itemsize for stride in taken], layout)
        steps = self._conv.in_steps if name == "input" else self._conv.out_steps
        steps.image, steps.channel, steps.axis[:len(space)] = image, channel, space
        return taken

    def __setattr__(self, name, value):
        if not name.startswith("_"):
            raise AttributeError(f"{name} of a plan cannot be set; a plan never changes")
        object.__setattr__(self, name, value)

    def _choose(self, **how):
        """Takes the algorithms that were timed, or exported; from then on they are those of the options."""
        chosen = library.plan_of(self._conv, self._options, **how)
        self._options = self._options._replace(algorithm=tuple(library.algo_name(library.plan_algo(chosen, p)).decode() for p in library.PASSES))
        library.plan_destroy(chosen)
        self._make()

    def export(self) -> str:
        """The plan's choices as readable text, for `import_`; see cvg_plan_export() in convgrad.h."""
        return library.exported(self._live())

    @classmethod
    def import_(cls, text: str, input_shape: Sequence[int], weight_shape: Sequence[int], **words: Any) -> "Plan":
        """A plan with the choices of an exported text, so with the same bits; words are those of `Plan`.

        Raises convgrad.Error for the text of another problem, type, limit or version of the library, and for a damaged one.

        >>> import convgrad
        >>> plan = convgrad.Plan((1, 64, 28, 28), (64, 64, 3, 3), padding=1, measure=0.01)
        >>> again = convgrad.Plan.import_(plan.export(), (1, 64, 28, 28), (64, 64, 3, 3), padding=1)
        >>> again.algorithms == plan.algorithms
        True
        """
        if not isinstance(text, str):
            raise TypeError(f"text is a {type(text).__name__}; must be what export() returned")
        if words.get("measure") is not None:
            raise ValueError("measure and an exported text are two ways to choose; give one")
        plan = cls(input_shape, weight_shape, **words)
        plan._choose(text=text.encode())
        return plan

    def _make(self):
        born, old = _forks, self._handle
        handle = library.plan_of(self._conv, self._options._replace(threads=1) if born else self._options)
        sizes = [library.plan_workspace_size(handle, p) for p in library.PASSES]
        self._forward_space, self._input_space, self._weight_space = sizes
        self._backward_space = max(sizes)
        self._handle = handle
        self._born = born  # last: another thread takes the new handle only when all of it is there
        if old:
            library.plan_destroy(old)

    def _free(self, destroy=library.plan_destroy):
        if self._handle:
            destroy(self._handle)
            self._handle = None

    def __del__(self):
        if getattr(self, "_handle", None):
            self._free()

    def __copy__(self):
        return self  # a plan never changes

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return _again, (self.input_shape, self.weight_shape, {**self._geometry, **self._options._asdict(),
                                                           "input_strides": self.input_strides, "output_strides": self.output_strides})

    def _live(self):
        """The handle, which a fork makes old."""
        if self._born != _forks:
            with _remaking:
                if self._born != _forks:
                    self._make()
        return self._handle

    def _read(self, name, array, shape, strides=None):
        return read(name, array, shape, self.dtype, strides)

    def _write(self, out, accumulate, shape, strides=None, gradient=False):
        """A result, and its address."""
        dtype = self.grad_dtype if gradient else self.dtype
        if strides and dtype.itemsize != self.dtype.itemsize:
            strides = tuple(stride // self.dtype.itemsize * dtype.itemsize for stride in strides)
        if out is None:
            if accumulate:
                raise ValueError("accumulate is True and out is None; there is nothing to add to")
            out = _laid_out(shape, dtype, strides)
            return out, _address(out)
        if not isinstance(out, _ndarray) or isinstance(out, numpy.ma.MaskedArray):
            raise TypeError(f"out is a {type(out).__name__}; must be a numpy.ndarray")
        if out.dtype != dtype:
            raise TypeError(f"out has dtype {out.dtype}; must be {dtype}")
        if out.shape != shape:
            raise ValueError(f"out has shape {out.shape}; must be {shape}")
        if not out.flags.writeable or not _lies(out, strides):
            lies = "a C-contiguous" if strides is None else f"of strides {strides}, an"
            raise ValueError(f"out is not {lies}, aligned array that can be written")
        return out, _address(out)

    @staticmethod
    def _apart(out, *operands):
        """Results may share no element with operands."""
        for array in operands:
            if array is not None and numpy.may_share_memory(out, array) and numpy.shares_memory(out, array):
                raise ValueError("out overlaps an operand or another result; the library writes it while it reads them")

    def forward(self, input: ArrayLike, weight: ArrayLike, bias: Union[ArrayLike, None] = None, *, out: Out = None) -> numpy.ndarray:
        """output, (N, K, [O, [P,]] Q); bias is None or of shape (K,)."""
        x, x_at = self._read("input", input, self.input_shape, self.input_strides)
        w, w_at = self._read("weight", weight, self.weight_shape)
        b, b_at = (None, None) if bias is None else self._read("bias", bias, self.bias_shape)
        y, y_at = self._write(out, False, self.output_shape, self.output_strides)
        if out is not None:
            self._apart(y, x, w, b)
        self.run_forward(x_at, w_at, b_at, y_at)
        return y

    def grad_input(self, grad_output: ArrayLike, weight: ArrayLike, *, out: Out = None, accumulate: bool = False) -> numpy.ndarray:
        """The gradient of input, of its shape; with accumulate it is added to what out holds."""
        g, g_at = self._read("grad_output", grad_output, self.output_shape, self.output_strides)
        w, w_at = self._read("weight", weight, self.weight_shape)
        dx, dx_at = self._write(out, accumulate, self.input_shape, self.input_strides, True)
        if out is not None:
            self._apart(dx, g, w)
        self.run_grad_input(g_at, w_at, dx_at, accumulate)
        return dx

    def grad_weight(self, input: ArrayLike, grad_output: ArrayLike, *, out: Out = None, accumulate: bool = False) -> numpy.ndarray:
        """The gradient of weight, of its shape."""
        x, x_at = self._read("input", input, self.input_shape, self.input_strides)
        g, g_at = self._read("grad_output", grad_output, self.output_shape, self.output_strides)
        dw, dw_at = self._write(out, accumulate, self.weight_shape, None, True)
        if out is not None:
            self._apart(dw, x, g)
        self.run_grad_weight(x_at, g_at, dw_at, accumulate)
        return dw

    def grad_bias(self, grad_output: ArrayLike, *, out: Out = None, accumulate: bool = False) -> numpy.ndarray:
        """The gradient of bias, (K,)."""
        g, g_at = self._read("grad_output", grad_output, self.output_shape, self.output_strides)
        db, db_at = self._write(out, accumulate, self.bias_shape, None, True)
        if out is not None:
            self._apart(db, g)
        self.run_grad_bias(g_at, db_at, accumulate)
        return db

    def backward(self, input: Optional[ArrayLike], weight: Optional[ArrayLike], grad_output: ArrayLike, *,
                 need: Tuple[bool, bool, bool] = (True, True, True), out: Tuple[Out, Out, Out] = (None, None, None),
                 accumulate: bool = False) -> Tuple[Out, Out, Out]:
        """(grad_input, grad_weight, grad_bias) in one call; None for each that is not needed.

        input may be None if grad_weight is not needed, weight if grad_input is not.  out holds an array, or None, for
        each; with accumulate the gradients are added to what out holds.
        """
        nothing: Tuple[Any, Any] = None, None
        x = self._read("input", input, self.input_shape, self.input_strides) if _three("need", need)[1] else nothing
        w = self._read("weight", weight, self.weight_shape) if need[0] else nothing
        g = self._read("grad_output", grad_output, self.output_shape, self.output_strides)
        return self._gradients(library.backward, (x, w, g),
                               ((self.input_shape, self.input_strides), (self.weight_shape,), (self.bias_shape,)), need, out, accumulate)

    def _gradients(self, run, operands, likes, need, out, accumulate):
        """The gradients that are needed, by a call of the library; operands and results with their addresses."""
        _three("out", out)
        results, taken = [], [array for array, _ in operands]
        for like, wanted, where in zip(likes, need, out):
            if not wanted and where is not None:
                raise ValueError("out has an array for a gradient that is not needed")
            result, at = self._write(where, accumulate, *like, gradient=True) if wanted else (None, None)
            if where is not None:
                self._apart(result, *taken)
                taken.append(result)
            results.append((result, at))
        space, *_held = _space.of(self._backward_space)
        addresses = [at for _, at in (*operands, *results)]
        library.refuse(run(self._live(), *addresses, bool(accumulate), space), _NULL)
        return results[0][0], results[1][0], results[2][0]

    # The transposed convolution: the gradient of the input, as a layer of its own.

    def transpose_forward(self, input: ArrayLike, weight: ArrayLike, bias: Union[ArrayLike, None] = None, *,
                          out: Out = None) -> numpy.ndarray:
        """The transposed convolution of input, which has output_shape: of input_shape; bias is None or of shape (C,)."""
        x, x_at = self._read("input", input, self.output_shape, self.output_strides)
        w, w_at = self._read("weight", weight, self.weight_shape)
        b, b_at = (None, None) if bias is None else self._read("bias", bias, self._channels)
        y, y_at = self._write(out, False, self.input_shape, self.input_strides)
        if out is not None:
            self._apart(y, x, w, b)
        self.run_transpose(x_at, w_at, b_at, y_at)
        return y

    def transpose_backward(self, input: Optional[ArrayLike], weight: Optional[ArrayLike], grad_output: ArrayLike, *,
                           need: Tuple[bool, bool, bool] = (True, True, True), out: Tuple[Out, Out, Out] = (None, None, None),
                           accumulate: bool = False) -> Tuple[Out, Out, Out]:
        """(grad_input, grad_weight, grad_bias) of the transposed convolution; input and grad_input have output_shape,
        grad_output has input_shape, grad_bias (C,).  Else as `backward`."""
        nothing: Tuple[Any, Any] = None, None
        x = self._read("input", input, self.output_shape, self.output_strides) if _three("need", need)[1] else nothing
        w = self._read("weight", weight, self.weight_shape) if need[0] else nothing
        g = self._read("grad_output", grad_output, self.input_shape, self.input_strides)
        return self._gradients(library.transpose_backward, (x, w, g),
                               ((self.output_shape, self.output_strides), (self.weight_shape,), (self._channels,)), need, out, accumulate)

    # The same on addresses: what the arrays are was checked by the caller.

    def run_forward(self, x, w, b, y):
        """forward on addresses of C-contiguous memory of the plan's type."""
        at, *_held = _space.of(self._forward_space)
        library.refuse(library.forward(self._live(), x, w, b, y, at), _NULL)

    def run_grad_input(self, g, w, dx, accumulate=False):
        """grad_input on addresses."""
        at, *_held = _space.of(self._input_space)
        library.refuse(library.grad_input(self._live(), g, w, dx, bool(accumulate), at), _NULL)

    def run_grad_weight(self, x, g, dw, accumulate=False):
        """grad_weight on addresses."""
        at, *_held = _space.of(self._weight_space)
        library.refuse(library.grad_weight(self._live(), x, g, dw, bool(accumulate), at), _NULL)

    def run_grad_bias(self, g, db, accumulate=False):
        """grad_bias on addresses."""
        library.refuse(library.grad_bias(self._live(), g, db, bool(accumulate)), _NULL)

    def run_transpose(self, x, w, b, y):
        """transpose_forward on addresses."""
        at, *_held = _space.of(self._input_space)
        library.refuse(library.transpose_forward(self._live(), x, w, b, y, at), _NULL)

    # What was decided.

    def _by_pass(self, told):
        return {name: told(self._live(), p) for p, name in enumerate(library.PASS_NAMES)}

    @property
    def algorithms(self) -> Dict[str, str]:
        """The algorithm of each pass."""
        return self._by_pass(lambda handle, p: library.algo_name(library.plan_algo(handle, p)).decode())

    @property
    def error_bounds(self) -> Dict[str, float]:
        """For each pass, the most that an element is from the exact one, times the largest values of both operands."""
        return self._by_pass(library.plan_error_bound)

    @property
    def error_growths(self) -> Dict[str, float]:
        """For each pass, how much larger than that of direct sums the error is likely to be."""
        return self._by_pass(library.plan_error_growth)

    @property
    def workspace_sizes(self) -> Dict[str, int]:
        """Bytes of workspace of each pass."""
        return self._by_pass(library.plan_workspace_size)

    @property
    def threads(self) -> Dict[str, int]:
        """Threads of each pass."""
        return self._by_pass(library.plan_threads)

    def describe(self) -> str:
        """The problem, the kernels, and for each pass the algorithm and why no other was taken."""
        return library.describe(self._live())

    def verify(self) -> Verified:
        """Holds all passes, on operands of its own, to the definition; raises WrongResult if one is wrong."""
        report = library.Report()
        status = library.verify(self._live(), byref(report))
        library.refuse(status, report.text.decode())
        return Verified(report.checks)

    def __repr__(self):
        return f"<convgrad.Plan {self.input_shape} * {self.weight_shape} -> {self.output_shape}, {self.dtype}>"


def verify(input_shape: Sequence[int], weight_shape: Sequence[int], **options: Any) -> Verified:
    """Checks a problem on this machine: `Plan(input_shape, weight_shape, **options).verify()`.

    >>> import convgrad
    >>> convgrad.verify((2, 4, 9, 9), (6, 4, 3, 3), padding=1).checks > 0
    True
    """
    return Plan(input_shape, weight_shape, **options).verify()
