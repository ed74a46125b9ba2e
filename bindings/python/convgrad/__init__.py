"""Convolution with training on the CPU: forward and all gradients, with the same bits for every thread count.

`conv1d`, `conv2d`, `conv3d`, `conv_transpose1d` ... as in PyTorch, on NumPy arrays; `conv_input`, `conv_weight` and
`conv_bias` are their gradients.  `Plan` is for repeated use, `verify` checks a problem on this machine, `explain` shows
how it works.  `convgrad.torch` has the same for PyTorch's tensors, with autograd.  `Network` and `Trainer` train whole
networks.
"""
from ._explain import Explanation, explain
from ._functional import (CACHED_PLANS, conv1d, conv2d, conv3d, conv_bias, conv_input, conv_transpose1d, conv_transpose2d,
                          conv_transpose3d, conv_weight)
from ._library import Error, WrongResult, version
from ._network import Facts, Keys, Loaded, Loss, Network, Parameters, shard_default
from ._plan import Plan, Verified, verify
from ._trainer import Progress, Trainer


def __getattr__(name):
    """convgrad.torch, where PyTorch is."""
    if name == "torch":
        import importlib
        try:
            return importlib.import_module(".torch", __name__)
        except ImportError as error:
            raise AttributeError(f"convgrad.torch needs PyTorch: {error}") from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


for _public in (Error, WrongResult, Plan, Verified, Explanation, Facts, Keys, Loaded, Loss, Network, Parameters,
                Progress, Trainer):
    _public.__module__ = __name__

__version__ = version().decode()
__all__ = ["CACHED_PLANS", "Error", "Explanation", "Facts", "Keys", "Loaded", "Loss", "Network", "Parameters", "Plan", "Progress",
           "Trainer", "Verified", "WrongResult", "conv1d", "conv2d", "conv3d", "conv_bias", "conv_input", "conv_transpose1d",
           "conv_transpose2d", "conv_transpose3d", "conv_weight", "explain", "shard_default", "verify"]
