"""A network of model text: its parameters, predictions and gradients."""
import ctypes
import numbers
import operator
import os
import pathlib
from ctypes import byref, c_int, c_size_t, c_void_p
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy
from numpy.typing import ArrayLike, DTypeLike

from . import _library as library
from . import _plan as plans
from . import _training as training
from ._geometry import LAYOUTS, whole

File = Union[str, "os.PathLike[str]", bytes]
_TYPES = {"f32": numpy.dtype(numpy.float32), "f64": numpy.dtype(numpy.float64)}
_STORED = tuple(numpy.dtype(name) for name in training.STORED)
_TRACKED = "num_batches_tracked"


class Facts(NamedTuple):
    """What a network is, in numbers; elements are those of one sample."""

    dtype: "numpy.dtype[Any]"
    layers: int  # the loss among them
    shard: int  # samples at most
    input_shape: Tuple[int, ...]
    output_shape: Tuple[int, ...]  # of the layer before the loss
    input_elements: int
    output_elements: int  # the classes, if it is flat
    parameters: int  # elements of all, the statistics of batch norm among them
    trained: int  # of these, those that are trained
    classifies: bool  # ends with cross_entropy, not with mse
    fuses: bool  # computes with fused multiply-add


class Loss(NamedTuple):
    """The loss of some samples."""

    sum: float  # of the samples' losses; of mse a sample's is the mean over its elements
    samples: int
    hits: int  # of cross_entropy, how many have the largest output where the target is
    bad_layer: int  # the first layer whose output is not finite, or -1
    bad_elements: int  # how many elements of it are not

    @property
    def mean(self) -> float:
        """The loss of a sample."""
        return self.sum / self.samples

    @property
    def accuracy(self) -> float:
        """hits / samples, from 0 to 1."""
        return self.hits / self.samples


class Loaded(NamedTuple):
    """What `Network.load` found."""

    fitted: int  # how many parameters did
    message: str  # which did not


class Keys(NamedTuple):
    """What `Network.load_state_dict` did not find, as in PyTorch."""

    missing_keys: List[str]
    unexpected_keys: List[str]


class Parameters(Mapping[str, numpy.ndarray]):
    """Arrays by PyTorch's names ("0.weight"), in the order of the state_dict; all of them are views into one array,
    `flat`, where the statistics of batch norm come last."""

    flat: numpy.ndarray

    def __init__(self, flat: numpy.ndarray, places: Dict[str, Tuple[Tuple[int, ...], int, int]]):
        self.flat = flat
        self._views = {name: flat[at:at + count].reshape(shape) for name, (shape, at, count) in places.items()}

    def __getitem__(self, name: str) -> numpy.ndarray:
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        return f"<{len(self)} arrays: {', '.join(f'{name} {view.shape}' for name, view in self.items())}>"


class Handle:
    """What the library made, destroyed with the last that needs it."""

    def __init__(self, value, destroy, needs=None):
        self.value, self.born = value, plans._forks
        self._destroy, self._needs = destroy, needs

    def __del__(self):
        self._destroy(self.value)


def number_of(name, value):
    """A number, as float."""
    if isinstance(value, (bool, numpy.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {value!r}; must be a number")
    return float(value)


def seed_of(value):
    """A seed."""
    try:
        seed = operator.index(value)
    except TypeError:
        raise TypeError(f"seed is {value!r}; must be a whole number") from None
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed is {seed}; must be 0 to 2**64 - 1")
    return seed


def word_of(name, value, words):
    """The number of one of some words."""
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{name} is {value!r}; must be {' or '.join(map(repr, words))}")
    return words.index(value)


def address(array):
    """Where an array's elements lie."""
    return array.__array_interface__["data"][0]


def bytes_of(file):
    """A file's bytes: of a path, or given."""
    if isinstance(file, (bytes, bytearray, memoryview)):
        return bytes(file)
    if not isinstance(file, (str, os.PathLike)):
        raise TypeError(f"file is a {type(file).__name__}; must be a path or bytes")
    return pathlib.Path(file).read_bytes()


def written(path, notes, save):
    """Lets save(notes, count, write, error) write a file beside its place, and puts it there when it is whole."""
    entries = []
    for key, value in (notes or {}).items():
        for each in (key, value):
            if not isinstance(each, str):
                raise TypeError(f"notes has a {type(each).__name__}; must be texts by texts")
            if "\0" in each:
                raise ValueError(f"notes has {each!r}; must have no NUL")
        entries.append(training.Note(key.encode(), value.encode()))
    path, failures, error = pathlib.Path(path), [], library.Text()
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            def write(_, at, size):
                try:
                    file.write(ctypes.string_at(at, size))
                except BaseException as why:  # goes on behind the library
                    failures.append(why)
                return len(failures)
            status = save((training.Note * len(entries))(*entries), len(entries), training.WRITE(write), byref(error))
            if failures:
                raise failures[0]
            library.refuse(status, error.text.decode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        if part.exists():
            part.unlink()
        raise


def _array(name, value):
    """An array of one that may be a tensor of PyTorch."""
    detach = getattr(value, "detach", None)
    return plans.array_of(name, detach().cpu() if detach else value)


def _again(text, options, flat):
    """A network from a pickle."""
    network = Network(text, **options)
    network.parameters.flat[...] = flat
    return network


class Network:
    """Layers, their parameters, and how a sample goes through them; `Trainer` trains it.

    text  the model, one layer a line in PyTorch's words, or a path (pathlib.Path) to it; convgrad_train.h and
          docs/training.md have the grammar

    type             float32 or float64, of parameters and results
    shard            samples that run together at most, 1 to 256: it decides bits.  `shard_default(batch)` is what the
                     program takes: 16 for a batch of 64
    workspace_limit  bytes of each layer's passes; 0: no limit
    error_growth     as in `Plan`; 1: exact algorithms alone
    threads          inside a layer; 0: as many as there are.  1 is for a `Trainer` with workers side by side
    isa              an instruction set, such as 'avx2'; None: what CVG_ISA says, or the best
    freeze           layers that are not trained, such as '0-5,7' or [0, 7]
    layout           of the arrays between layers: 'channels_first', or 'channels_last', which decides bits; samples,
                     predictions and parameters have channels first in any case

    `parameters` begins as `init(1)` draws it.  Raises convgrad.Error for a mistake in the text, with its line.

    A network may be used by several threads at once, each with a workspace of its own, as long as none writes
    parameters.  The interpreter's lock is released while the library runs.  Pickles hold text, options and parameters.

    >>> import numpy, convgrad
    >>> net = convgrad.Network('input 1x4x4\\nconv 2 3x3\\nrelu\\nflatten\\nlinear 3\\ncross_entropy\\n')
    >>> net.input_shape, net.output_shape, list(net.parameters)
    ((1, 4, 4), (3,), ['0.weight', '0.bias', '3.weight', '3.bias'])
    >>> net.predict(numpy.ones((5, 1, 4, 4), 'float32'), probabilities=True).shape
    (5, 3)
    """

    facts: Facts
    parameters: Parameters

    def __init__(self, text: Union[str, "os.PathLike[str]"], *, type: DTypeLike = "float32", shard: int = 16,
                 workspace_limit: int = 0, error_growth: float = 12.0, threads: int = 1, isa: Optional[str] = None,
                 freeze: Union[str, Sequence[int]] = "", layout: str = LAYOUTS[0]):
        if isinstance(text, os.PathLike):
            text = pathlib.Path(text).read_text(encoding="utf-8")
        if not isinstance(text, str):
            raise TypeError(f"text is a {text.__class__.__name__}; must be the model as str, or a pathlib.Path to it")
        if isinstance(freeze, str):
            layers = freeze
        else:
            layers = ",".join(str(whole("freeze", layer)) for layer in freeze)
        if isa is not None and not isinstance(isa, str):
            raise TypeError(f"isa is {isa!r}; must be a name such as 'avx2'")
        dtype = _TYPES.get(type) if isinstance(type, str) and type in _TYPES else plans.dtype_of("dtype", type, halves=False)
        if not isinstance(layout, str) or layout not in LAYOUTS:
            raise ValueError(f"layout is {layout!r}; must be {' or '.join(LAYOUTS)}")
        threads, limit = whole("threads", threads, 32), whole("workspace_limit", workspace_limit)
        if limit < 0:
            raise ValueError(f"workspace_limit is {limit}; must be at least 0 (no limit)")
        self._text = text
        self._options = {"type": dtype.name, "shard": whole("shard", shard), "workspace_limit": limit,
                         "error_growth": number_of("error_growth", error_growth), "threads": threads, "isa": isa,
                         "freeze": layers, "layout": layout}
        self._handle = self._make(threads)
        self.facts = self._facts()
        self._places = {}
        found = training.Parameter()
        while training.network_parameter(self._handle.value, len(self._places), byref(found)):
            self._places[found.name.decode()] = tuple(found.shape[:found.rank]), found.offset, found.count
        self.parameters = Parameters(numpy.zeros(self.facts.parameters, dtype), self._places)
        self.init()

    @classmethod
    def from_file(cls, file: File, **options: Any) -> "Network":
        """The network that `save`, `Trainer.save` or the program wrote, a path or bytes; options are those of
        `Network`, as files of weights hold none."""
        data, size, error = bytes_of(file), c_size_t(), library.Text()
        status = training.file_note(data, len(data), b"model", None, 0, byref(size), byref(error))
        library.refuse(status, error.text.decode())
        text = ctypes.create_string_buffer(size.value + 1)
        training.file_note(data, len(data), b"model", text, len(text), None, None)
        network = cls(text.value.decode(), **options)
        network.load(data)
        return network

    def _make(self, threads):
        told, made, error = self._options, c_void_p(), library.Text()
        isa = os.environ.get("CVG_ISA", "") if told["isa"] is None else told["isa"]
        kind, text = library.F64 if told["type"] == "float64" else library.F32, self._text.encode()
        options = training.Options(ctypes.sizeof(training.Options), kind, told["shard"], told["workspace_limit"],
                                   told["error_growth"], threads, isa=isa.encode(), freeze=told["freeze"].encode(),
                                   layout=LAYOUTS.index(told["layout"]))
        status = training.network_create(byref(made), text, len(text), byref(options), byref(error))
        library.refuse(status, error.text.decode())
        return Handle(made.value, training.network_destroy)

    def _live(self):
        """The handle; after a fork another one, without threads, which are gone."""
        handle = self._handle
        if handle.born != plans._forks:
            with plans._remaking:
                if self._handle.born != plans._forks:
                    self._handle = self._make(1)
                handle = self._handle
        return handle

    def _facts(self):
        found = training.Facts(ctypes.sizeof(training.Facts))
        training.network_get_facts(self._handle.value, byref(found))
        dtype = _TYPES["f64" if found.type == library.F64 else "f32"]
        shapes = (tuple(size for size in sizes if size) for sizes in (found.input, found.output))
        return Facts(dtype, found.layers, found.shard, *shapes, found.input_elements, found.output_elements,
                     found.parameters, found.trained, bool(found.classifies), bool(found.fuses))

    @property
    def input_shape(self) -> Tuple[int, ...]:
        """Of one sample: channels, then axes."""
        return self.facts.input_shape

    @property
    def output_shape(self) -> Tuple[int, ...]:
        """Of one sample, before the loss."""
        return self.facts.output_shape

    @property
    def dtype(self) -> "numpy.dtype[Any]":
        """float32 or float64."""
        return self.facts.dtype

    def __str__(self):
        """The table of layers: output, parameters, million multiplications a sample, algorithms."""
        handle = self._live()
        return library._text(training.network_describe, handle.value)

    def __repr__(self):
        return f"<convgrad.Network of {self.facts.layers} layers, {self.facts.parameters} parameters>"

    def __reduce__(self):
        return _again, (self._text, self._options, self.parameters.flat.copy())

    # What a caller gives.

    def stored(self, name, array):
        """Samples as the library reads them: N samples of uint8, float32 or float64, C-contiguous."""
        array, shape = plans.array_of(name, array), self.input_shape
        if array.dtype not in _STORED:
            raise TypeError(f"{name} has dtype {array.dtype}; must be uint8, float32 or float64")
        flat = shape[1:] if shape[0] == 1 and len(shape) > 1 else shape  # one channel may be left out
        if array.shape[1:] not in (shape, flat) or not array.ndim:
            raise ValueError(f"{name} has shape {array.shape}; must be (N, {', '.join(map(str, shape))})")
        return numpy.require(array, requirements=["C", "A"])

    def _read(self, name, array):
        return numpy.require(self.stored(name, array), self.dtype, ["C", "A"])

    def targets(self, name, array, count):
        """Classes, or of mse floats, of so many samples, C-contiguous."""
        array, facts = plans.array_of(name, array), self.facts
        if not facts.classifies:
            shapes = [(count, *facts.output_shape), (count, facts.output_elements)]
            if facts.output_elements == 1:
                shapes.append((count,))
            if array.dtype not in _STORED[1:]:
                raise TypeError(f"{name} has dtype {array.dtype}; must be float32 or float64, for mse")
            if array.shape not in shapes:
                raise ValueError(f"{name} has shape {array.shape}; must be {shapes[0]}")
            return numpy.require(array, requirements=["C", "A"])
        if array.dtype.kind not in "iu":
            raise TypeError(f"{name} has dtype {array.dtype}; must be whole numbers, the classes")
        if array.shape != (count,):
            raise ValueError(f"{name} has shape {array.shape}; must be ({count},), a class for each sample")
        wrong = numpy.flatnonzero((array < 0) | (array >= facts.output_elements))
        if wrong.size:
            first, most = wrong[0], facts.output_elements - 1
            raise ValueError(f"{name}[{first}] is {array[first]}; the model's classes are 0 to {most}")
        return numpy.require(array, numpy.int64, ["C", "A"])

    def _flat(self, parameters):
        if parameters is None:
            return self.parameters.flat
        if isinstance(parameters, Parameters):
            parameters = parameters.flat
        return plans.read("parameters", parameters, (self.facts.parameters,), self.dtype)[0]

    # What it does.

    def init(self, seed: int = 1, how: str = "he") -> None:
        """Draws weights ('he' or 'xavier', both uniform) and sets biases to 0; batch norm: weight 1, bias 0, mean 0,
        variance 1."""
        handle, kind, seed = self._live(), word_of("how", how, training.INITS), seed_of(seed)
        status = training.network_init(handle.value, kind, seed, address(self.parameters.flat))
        library.refuse(status, "the parameters could not be drawn")

    def predict(self, x: ArrayLike, parameters: Union[Parameters, numpy.ndarray, None] = None, *,
                probabilities: bool = False) -> numpy.ndarray:
        """The outputs before the loss, (N, *output_shape): logits of cross_entropy, or probabilities.

        x           (N, *input_shape), uint8, float32 or float64, as the input line takes it: before scale, mean and
                    std.  Read as the network's type
        parameters  others than the network's own: their flat array

        A sample's bits do not depend on those beside it.
        """
        x, flat, handle = self._read("x", x), self._flat(parameters), self._live()
        y = numpy.empty((len(x), *self.output_shape), self.dtype)
        if len(x):
            space = plans._space.of(training.network_workspace_size(handle.value, training.PREDICT))
            status = training.predict(handle.value, address(flat), address(x), len(x), address(y), space[0])
            library.refuse(status, "the network could not be run")
        return self._softmax(y) if probabilities else y

    def softmax(self, logits: ArrayLike) -> numpy.ndarray:
        """Probabilities of what `predict` gave, in a new array; by the library's own exp: the same bits everywhere."""
        logits = plans.array_of("logits", logits)
        given = plans.read("logits", logits, (*logits.shape[:1], *self.output_shape), self.dtype)[0]
        return self._softmax(given.copy())

    def _softmax(self, y):
        if not self.facts.classifies:
            raise ValueError("the model ends with mse, whose outputs are no probabilities")
        handle = self._live()
        library.refuse(training.softmax(handle.value, len(y), address(y)), "the probabilities could not be computed")
        return y

    def loss_gradient(self, x: ArrayLike, y: ArrayLike, parameters: Union[Parameters, numpy.ndarray, None] = None, *,
                      batch: Optional[int] = None, index: Optional[ArrayLike] = None, epoch: int = 0,
                      seed: int = 1) -> Tuple[Loss, Parameters]:
        """Loss and gradient of one shard in training mode, for whoever has an optimiser of his own.

        x       (n, *input_shape), as in `predict`; n is 1 to the network's shard
        y       (n,) classes, whole numbers; of mse (n, *output_shape), float32 or float64
        batch   samples of the whole batch, by which gradients are divided; None: n
        index   (n,) of each sample in the data set, epoch and seed: for dropout

        In the gradient, 0 stands for what is frozen, and sums for the statistics of batch norm (see convgrad_train.h),
        so that the gradients of shards are added, all alike.
        """
        x, flat, handle = self._read("x", x), self._flat(parameters), self._live()
        y = self.targets("y", y, len(x))
        y = y if self.facts.classifies else numpy.require(y, self.dtype, ["C", "A"])
        if index is not None:
            index = plans.array_of("index", index)
            if index.dtype.kind not in "iu" or index.shape != (len(x),):
                raise ValueError(f"index is {index.dtype} of shape {index.shape}; must be whole numbers of shape "
                                 f"({len(x)},)")
            index = numpy.require(index, numpy.int64, ["C", "A"])
        gradient, loss, error = numpy.empty(flat.shape, self.dtype), training.Loss(), library.Text()
        shard = training.Shard(len(x), len(x) if batch is None else whole("batch", batch), address(x), address(y),
                               None if index is None else address(index), whole("epoch", epoch), seed_of(seed))
        space = plans._space.of(training.network_workspace_size(handle.value, training.TRAIN))
        status = training.loss_gradient(handle.value, address(flat), byref(shard), address(gradient), byref(loss),
                                        space[0], byref(error))
        library.refuse(status, error.text.decode())
        return loss_of(loss), Parameters(gradient, self._places)

    # Files.

    def save(self, path: Union[str, "os.PathLike[str]"], notes: Optional[Dict[str, str]] = None) -> None:
        """Writes parameters and model text as safetensors, which PyTorch, NumPy and others read; notes are metadata of
        yours.  The file takes its place when it is whole."""
        handle = self._live()
        written(path, notes, lambda notes, count, write, error: training.network_save(
            handle.value, address(self.parameters.flat), notes, count, write, None, error))

    def load(self, file: File, strict: bool = True) -> Loaded:
        """Reads parameters from safetensors, a path or bytes, by name and shape; float32 and float64 are converted.

        With strict, all must be there.  Without, what does not fit keeps its value, and the result says which.
        Raises convgrad.Error for a damaged file and for values that are not finite; nothing is changed then.
        """
        data, fitted, error, handle = bytes_of(file), c_int(), library.Text(), self._live()
        status = training.network_load(handle.value, address(self.parameters.flat), data, len(data), bool(strict),
                                       byref(fitted), byref(error))
        library.refuse(status, error.text.decode())
        return Loaded(fitted.value, error.text.decode())

    def state_dict(self) -> Dict[str, numpy.ndarray]:
        """Copies by the keys of nn.Sequential's state_dict, in its order."""
        state = {}
        for name, view in self.parameters.items():
            state[name] = view.copy()
            layer, part = name.split(".")
            if part == "running_var":
                state[f"{layer}.{_TRACKED}"] = numpy.array(0, numpy.int64)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Keys:
        """Takes parameters by name, from arrays or PyTorch's tensors of float32 or float64: nn.Sequential's state_dict.

        With strict, names must be just the network's (num_batches_tracked may be there).  Raises convgrad.Error for
        names, and ValueError or TypeError for shapes and types; nothing is changed then.
        """
        own, taken = self.parameters, {}
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own and not str(name).endswith("." + _TRACKED)]
        if strict and (missing or unexpected):
            raise library.Error(f"state_dict lacks {missing[0]}" if missing else
                                f"state_dict has {unexpected[0]}, which the network has not")
        for name in own:
            if name not in state_dict:
                continue
            value = _array(name, state_dict[name])
            if value.dtype not in _STORED[1:]:
                raise TypeError(f"{name} has dtype {value.dtype}; must be float32 or float64")
            if value.shape != own[name].shape:
                raise ValueError(f"{name} has shape {value.shape}; must be {own[name].shape}")
            if not numpy.isfinite(value).all():
                raise ValueError(f"{name} has values that are not finite")
            taken[name] = value
        for name, value in taken.items():
            own[name][...] = value
        return Keys(missing, unexpected)


def loss_of(loss):
    """A Loss of the library's."""
    return Loss(loss.sum, loss.count, loss.hits, loss.bad_layer, loss.bad_elements)


def shard_default(batch: int) -> int:
    """The largest of 32, 16 and 8 that leaves at least 4 shards in a batch; 8 or the batch, if none does."""
    return training.shard_default(whole("batch", batch))
