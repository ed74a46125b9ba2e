"""The library of convgrad_train.h, through ctypes.  It lies beside convgrad's, and is loaded when first needed."""
import ctypes
import os
import pathlib
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint64, c_void_p
from typing import Any

from ._library import FOLDER

PREDICT, TRAIN = 0, 1
STORED = ("uint8", "float32", "float64")  # by cvg_stored
INITS = ("he", "xavier")  # by cvg_init
OPTIMIZERS = ("sgd", "adamw")  # by cvg_optimizer
SCHEDULES = ("constant", "step", "cosine")  # by cvg_schedule
_INT4, _INT5 = c_int64 * 4, c_int64 * 5


class Options(ctypes.Structure):
    """cvg_network_options."""

    _fields_ = [
        ("struct_size", c_size_t), ("type", c_int), ("shard", c_int64), ("workspace_limit", c_size_t),
        ("error_growth", c_double), ("threads", c_int), ("parallel_for", c_void_p), ("pool", c_void_p),
        ("isa", c_char_p), ("freeze", c_char_p), ("layout", c_int),
    ]


class Facts(ctypes.Structure):
    """cvg_network_facts."""

    _fields_ = [
        ("struct_size", c_size_t), ("type", c_int), ("layers", c_int), ("shard", c_int64), ("input", _INT4),
        ("output", _INT4), ("input_elements", c_int64), ("output_elements", c_int64), ("target_elements", c_int64),
        ("parameters", c_int64), ("trained", c_int64),
        ("classifies", c_int), ("fuses", c_int),
    ]


class Parameter(ctypes.Structure):
    """cvg_parameter."""

    _fields_ = [("name", c_char_p), ("layer", c_int), ("rank", c_int), ("shape", _INT5), ("offset", c_int64),
                ("count", c_int64), ("trained", c_int)]


class Shard(ctypes.Structure):
    """cvg_shard."""

    _fields_ = [("count", c_int64), ("batch", c_int64), ("input", c_void_p), ("target", c_void_p), ("index", c_void_p),
                ("epoch", c_int64), ("seed", c_uint64)]


class Loss(ctypes.Structure):
    """cvg_loss."""

    _fields_ = [("sum", c_double), ("count", c_int64), ("hits", c_int64), ("bad_layer", c_int),
                ("bad_elements", c_int64)]


class Note(ctypes.Structure):
    """cvg_note."""

    _fields_ = [("key", c_char_p), ("value", c_char_p)]


class Recipe(ctypes.Structure):
    """cvg_recipe."""

    _fields_ = [
        ("struct_size", c_size_t), ("samples", c_int64), ("batch", c_int64), ("epochs", c_int64), ("seed", c_uint64),
        ("init", c_int), ("optimizer", c_int), ("learning_rate", c_double), ("momentum", c_double), ("nesterov", c_int),
        *((name, c_double) for name in ("beta1", "beta2", "epsilon", "weight_decay")), ("schedule", c_int),
        ("warmup", c_int64), ("step_epochs", c_int64), ("step_factor", c_double), ("clip", c_double), ("flip", c_int),
        ("crop", c_int64),
    ]


class Arrays(ctypes.Structure):
    """cvg_arrays."""

    _fields_ = [("network", c_void_p), ("count", c_int64), ("input", c_void_p), ("target", c_void_p),
                ("input_stored", c_int), ("target_stored", c_int)]


READ = CFUNCTYPE(c_int, c_void_p, c_int64, c_void_p, c_void_p)
WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)


class Samples(ctypes.Structure):
    """cvg_samples."""

    _fields_ = [("count", c_int64), ("read", READ), ("context", c_void_p)]


class Progress(ctypes.Structure):
    """cvg_progress."""

    _fields_ = [*((name, c_int64) for name in ("step", "epoch", "count", "hits")),
                *((name, c_double) for name in ("loss", "learning_rate", "gradient_norm")),
                ("asked", c_int)]  # of many processes


_p = c_void_p
_FUNCTIONS = {
    "shard_default": (c_int64, c_int64),
    "network_create": (c_int, _p, c_char_p, c_size_t, _p, _p),
    "network_destroy": (None, _p),
    "network_describe": (c_size_t, _p, c_char_p, c_size_t),
    "network_get_facts": (c_int, _p, _p),
    "network_layer": (c_char_p, _p, c_int),
    "network_parameter": (c_int, _p, c_int, _p),
    "network_workspace_size": (c_size_t, _p, c_int),
    "network_init": (c_int, _p, c_int, c_uint64, _p),
    "predict": (c_int, _p, _p, _p, c_int64, _p, _p),
    "softmax": (c_int, _p, c_int64, _p),
    "loss_gradient": (c_int, *[_p] * 7),
    "network_save": (c_int, _p, _p, _p, c_int, WRITE, _p, _p),
    "network_load": (c_int, _p, _p, c_char_p, c_size_t, c_int, POINTER(c_int), _p),
    "file_note": (c_int, c_char_p, c_size_t, c_char_p, c_char_p, c_size_t, POINTER(c_size_t), _p),
    "samples_array": (Samples, _p),
    "trainer_create": (c_int, _p, _p, _p, c_int, _p, _p),
    "trainer_destroy": (None, _p),
    "trainer_state_size": (c_size_t, _p),
    "trainer_workspace_size": (c_size_t, _p),
    "trainer_steps": (c_int64, _p),
    "trainer_epoch_steps": (c_int64, _p),
    "trainer_start": (c_int, _p, _p, _p),
    "trainer_parameters": (_p, _p, _p),
    "trainer_steps_done": (c_int64, _p, _p),
    "trainer_step": (c_int, *[_p] * 6),
    "evaluate": (c_int, *[_p] * 7),
    "trainer_save": (c_int, _p, _p, _p, c_int, WRITE, _p, _p),
    "trainer_load": (c_int, _p, _p, c_char_p, c_size_t, _p),
    "recipe_write": (c_size_t, _p, c_char_p, c_size_t),
}


def _load():
    folder = pathlib.Path(os.environ.get("CONVGRAD_LIBRARY", FOLDER / "convgrad")).parent
    found = sorted(folder.glob("*convgrad-train.so*")) + sorted(folder.glob("*convgrad-train.dylib"))
    if not found:
        raise ImportError(f"the library that trains, convgrad-train, is not in {folder}; install the package with pip")
    return ctypes.CDLL(str(found[0]))


def __getattr__(name: str) -> Any:
    """A function of the library, without its cvg_: all are there from the first use on."""
    if name not in _FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    loaded = _load()
    for each, (result, *arguments) in _FUNCTIONS.items():
        function = loaded[f"cvg_{each}"]
        function.restype, function.argtypes = result, arguments
        globals()[each] = function
    return globals()[name]
