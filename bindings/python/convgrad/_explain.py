"""Every intermediate array of both methods, computed by the program that comes with the library."""
import html
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any, List, Optional, Union

import numpy
from numpy.typing import ArrayLike

from ._geometry import Axes, Padding
from ._library import FOLDER, Error
from ._plan import Plan, array_of, read


def _program():
    name = os.environ.get("CONVGRAD_PROGRAM", str(FOLDER / ("convgrad.exe" if sys.platform == "win32" else "convgrad")))
    if not pathlib.Path(name).exists():
        raise FileNotFoundError(f"convgrad's program is not at {name}; install the package with pip")
    return name


def _run(arguments):
    done = subprocess.run([_program(), "explain", *arguments], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise Error(done.stderr.strip().replace("convgrad: ", "", 1).replace("--format json", "explain").replace("--crop", "crop=True"))
    return done.stdout


class Explanation(dict):
    """The arrays by the textbook's names (x, w, delta_in, col_x, col_w, y, dB, dW, dcol, delta_out, ...); in a notebook, the page.

    problem     what they are of, which crop may have cut
    difference  the largest between method 1, method 2 and the library
    html        the page, as text
    """

    def __init__(self, arguments: List[str], crop: bool):
        told = json.loads(_run([*arguments, "--format", "json", *["--crop"] * crop]))
        super().__init__((name, numpy.array([float(value) for value in array["values"]]).reshape(array["shape"]))
                         for name, array in told["arrays"].items())
        self.problem = told["problem"]
        self.difference = float(told["difference"])
        self.html = _run([*arguments, "--format", "html", "--crop"])

    def save(self, path: Union[str, "os.PathLike[str]"]) -> None:
        """Writes the page to a file."""
        pathlib.Path(path).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{html.escape(self.html)}" style="width: 100%; height: 45em; border: 0"></iframe>'


def _float64(name: str, array: Any) -> numpy.ndarray:
    if array is None:
        raise TypeError(f"{name} is None; give a problem's text, or input, weight and grad_output")
    array = array_of(name, array)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} has dtype {array.dtype}; must be real numbers")
    return numpy.ascontiguousarray(array, dtype=numpy.float64)


def explain(problem: Union[str, ArrayLike] = "complex", weight: Optional[ArrayLike] = None, grad_output: Optional[ArrayLike] = None,
            *, stride: Axes = 1, padding: Padding = 0, dilation: Axes = 1, groups: int = 1, crop: bool = False) -> Explanation:
    """Explains a convolution and its gradients.

    explain('simple'), explain('complex')  the textbook's examples
    explain('mb1ic1ih5oc1kh3ph1')          a problem whose tensors count 0, 1, 2, ...
    explain(input, weight, grad_output, stride=..., ...)   your own arrays

    crop  takes a part of what is too large to show (300,000 elements in all arrays), instead of refusing it

    >>> import convgrad
    >>> convgrad.explain('simple')['delta_out']
    array([[[[ 0.,  0.,  1.],
             [ 0.,  4.,  6.],
             [ 4., 12.,  9.]]]])
    """
    if isinstance(problem, str):
        if weight is not None or grad_output is not None or (stride, padding, dilation, groups) != (1, 0, 1, 1):
            raise TypeError(f"problem is {problem!r}, which says all; weight, grad_output, stride... go with an array")
        if problem.startswith("-") or "\0" in problem:  # not the program's options
            raise Error(f"problem {problem!r}: must be 'simple', 'complex' or like 'mb1ic1ih5oc1kh3ph1'")
        return Explanation([problem], crop)
    arrays = [_float64(*named) for named in (("input", problem), ("weight", weight), ("grad_output", grad_output))]
    plan = Plan(arrays[0].shape, arrays[1].shape, stride=stride, padding=padding, dilation=dilation, groups=groups, dtype=numpy.float64)
    read("grad_output", arrays[2], plan.output_shape, plan.dtype)  # refused here, by the name that it has here
    geometry = plan._geometry
    begin, end = zip(*geometry["padding"])
    words = lambda numbers: ",".join(map(str, numbers))
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--stride", words(geometry["stride"]), "--pad", words(begin + end), "--dilation", words(geometry["dilation"]),
                     "--groups", str(geometry["groups"])]
        for name, array in zip(("input", "weight", "grad-output"), arrays):
            numpy.save(f"{folder}/{name}.npy", array)
            arguments += [f"--{name}", f"{folder}/{name}.npy"]
        return Explanation(arguments, crop)
