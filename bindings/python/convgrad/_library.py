"""The library of convgrad.h, through ctypes."""
import ctypes
import os
import pathlib
from ctypes import byref, c_char, c_char_p, c_double, c_int, c_int64, c_size_t, c_void_p
from typing import Dict

FOLDER = pathlib.Path(__file__).parent
F32, F64, BF16, F16 = range(4)
_SAME_TYPE = -1
FORWARD, GRAD_INPUT, GRAD_WEIGHT = PASSES = range(3)
PASS_NAMES = ("forward", "grad_input", "grad_weight")
OVERWRITE, ACCUMULATE = 0, 1
_OUT_OF_MEMORY, _WRONG_RESULT = 3, 4
_INT3 = c_int64 * 3


class Error(ValueError):
    """What the library refuses; the message is its sentence, with the name of what is wrong and its value."""


class WrongResult(ArithmeticError):
    """`verify` found a result that is not what the definition says."""


class Steps(ctypes.Structure):
    """cvg_steps."""

    _fields_ = [("image", c_int64), ("channel", c_int64), ("axis", _INT3)]


class Conv(ctypes.Structure):
    """cvg_conv."""

    _fields_ = [
        ("struct_size", c_size_t), ("type", c_int), ("spatial_dims", c_int),
        *((name, c_int64) for name in ("batch", "in_channels", "out_channels", "groups")),
        *((name, _INT3) for name in ("in_", "filter", "stride", "dilation", "pad_begin", "pad_end")),
        ("layout", c_int), ("weight_layout", c_int), ("in_steps", Steps), ("out_steps", Steps),
        ("grad_type", c_int), ("bias_type", c_int),
    ]


class Options(ctypes.Structure):
    """cvg_options."""

    _fields_ = [
        ("struct_size", c_size_t), ("algo", c_int * 3), ("error_growth", c_double), ("gradient_scale", c_double),
        ("workspace_limit", c_size_t), ("threads", c_int), ("parallel_for", c_void_p), ("pool", c_void_p),
        ("isa", c_char_p),
    ]


class Text(ctypes.Structure):
    """cvg_error."""

    _fields_ = [("text", c_char * 240)]


class Report(ctypes.Structure):
    """cvg_report."""

    _fields_ = [("checks", c_int64), ("failures", c_int64), ("text", c_char * 240)]


def _load():
    name = os.environ.get("CONVGRAD_LIBRARY")
    found = [pathlib.Path(name)] if name else sorted(FOLDER.glob("*convgrad.so*")) + sorted(FOLDER.glob("*convgrad.dylib"))
    if not found:
        raise ImportError(f"convgrad's library is not in {FOLDER}; install the package with pip")
    return ctypes.CDLL(str(found[0]))


_library = _load()


def _function(name, result, *arguments):
    function = _library[name]
    function.restype, function.argtypes = result, arguments
    return function


_p = c_void_p
version = _function("cvg_version", c_char_p)
algo_name = _function("cvg_algo_name", c_char_p, c_int)
output_size = _function("cvg_output_size", c_int, _p, _p, _p)
plan_create = _function("cvg_plan_create", c_int, _p, _p, _p, _p)
plan_measure = _function("cvg_plan_measure", c_int, _p, _p, _p, c_double, _p)
plan_export = _function("cvg_plan_export", c_size_t, _p, c_char_p, c_size_t)
plan_import = _function("cvg_plan_import", c_int, _p, c_char_p, c_size_t, _p, _p, _p)
plan_destroy = _function("cvg_plan_destroy", None, _p)
plan_workspace_size = _function("cvg_plan_workspace_size", c_size_t, _p, c_int)
plan_algo = _function("cvg_plan_algo", c_int, _p, c_int)
plan_threads = _function("cvg_plan_threads", c_int, _p, c_int)
plan_error_bound = _function("cvg_plan_error_bound", c_double, _p, c_int)
plan_error_growth = _function("cvg_plan_error_growth", c_double, _p, c_int)
plan_describe = _function("cvg_plan_describe", c_size_t, _p, c_char_p, c_size_t)
forward = _function("cvg_forward", c_int, *[_p] * 6)
grad_input = _function("cvg_grad_input", c_int, _p, _p, _p, _p, c_int, _p)
grad_weight = _function("cvg_grad_weight", c_int, _p, _p, _p, _p, c_int, _p)
grad_bias = _function("cvg_grad_bias", c_int, _p, _p, _p, c_int)
backward = _function("cvg_backward", c_int, *[_p] * 7, c_int, _p)
transpose_forward = _function("cvg_transpose_forward", c_int, *[_p] * 6)
transpose_backward = _function("cvg_transpose_backward", c_int, *[_p] * 7, c_int, _p)
verify = _function("cvg_verify", c_int, _p, _p)

ALGORITHMS: Dict[str, int] = {}
while algo_name(len(ALGORITHMS)):
    ALGORITHMS[algo_name(len(ALGORITHMS)).decode()] = len(ALGORITHMS)


def refuse(status, text):
    """Raises what a status means, if it is not 0."""
    if not status:
        return
    if status == _OUT_OF_MEMORY:
        raise MemoryError(text)
    if status == _WRONG_RESULT:
        raise WrongResult(text)
    raise Error(text)


def type_of(dtype):
    """The cvg_type of a NumPy dtype; that of bfloat16, which NumPy does not know, has kind V."""
    return BF16 if dtype.kind == "V" else {2: F16, 4: F32, 8: F64}[dtype.itemsize]


def conv_of(dtype, batch, in_channels, out_channels, groups, *axes):
    """A cvg_conv; axes are in, filter, stride, dilation, pad_begin, pad_end."""
    return Conv(ctypes.sizeof(Conv), type_of(dtype), len(axes[0]), batch, in_channels, out_channels, groups,
                *(_INT3(*numbers) for numbers in axes), grad_type=_SAME_TYPE, bias_type=_SAME_TYPE)


def output_size_of(conv):
    """The output's size along each axis."""
    out, error = _INT3(), Text()
    refuse(output_size(byref(conv), out, byref(error)), error.text.decode())
    return tuple(out[:conv.spatial_dims])


def _told(options):
    """A cvg_options."""
    algorithms = (c_int * 3)(*(ALGORITHMS[name] for name in options.algorithm))
    return Options(ctypes.sizeof(Options), algorithms, options.error_growth, options.gradient_scale, options.workspace_limit,
                   options.threads, isa=os.environ.get("CVG_ISA", "").encode())


def plan_of(conv, options, measure=None, text=None):
    """A plan's handle; its algorithms timed for so many seconds, or those of an exported text."""
    handle, error, told = c_void_p(), Text(), _told(options)
    if text is not None:
        status = plan_import(byref(handle), text, len(text), byref(conv), byref(told), byref(error))
    elif measure is not None:
        status = plan_measure(byref(handle), byref(conv), byref(told), measure, byref(error))
    else:
        status = plan_create(byref(handle), byref(conv), byref(told), byref(error))
    refuse(status, error.text.decode())
    return handle.value


def _text(function, handle):
    """What a function like snprintf writes of a plan."""
    size = function(handle, None, 0) + 1
    text = ctypes.create_string_buffer(size)
    function(handle, text, size)
    return text.value.decode()


def describe(handle):
    """A plan's description."""
    return _text(plan_describe, handle)


def exported(handle):
    """A plan's choices."""
    return _text(plan_export, handle)
