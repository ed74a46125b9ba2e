"""Training of a network, step by step."""
import ctypes
import os
import threading
from ctypes import byref, c_void_p
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple, Union

import numpy
from numpy.typing import ArrayLike

from . import _library as library
from . import _plan as plans
from . import _training as training
from ._geometry import whole
from ._network import (File, Handle, Loss, Network, Parameters, address, bytes_of, loss_of, number_of, seed_of, word_of,
                       written)

Images = Union[ArrayLike, Callable[[int], Tuple[ArrayLike, ArrayLike]]]


class Progress(NamedTuple):
    """What a step did."""

    step: int  # that was done, from 0
    epoch: int  # from 0
    samples: int  # of its batch
    hits: int  # of cross_entropy, how many have the largest output where the target is
    loss: float  # the mean of its samples
    learning_rate: float  # that was used
    gradient_norm: float  # of what is trained, before clipping

    @property
    def accuracy(self) -> float:
        """hits / samples, from 0 to 1."""
        return self.hits / self.samples


class _Arrays:
    """Samples that lie in memory: the library reads them where they are."""

    def __init__(self, network, images, labels, names):
        if labels is None:
            raise TypeError(f"{names[1]} is None; must be an array, a class for each sample or, for mse, its outputs")
        self._input = network.stored(names[0], images)
        self._target = network.targets(names[1], labels, len(self._input))
        self.count = len(self._input)
        target = 0 if network.facts.classifies else training.STORED.index(self._target.dtype.name)
        self._told = training.Arrays(None, self.count, address(self._input), address(self._target),
                                     training.STORED.index(self._input.dtype.name), target)

    def run(self, handle, call):
        told = training.Arrays.from_buffer_copy(self._told)
        told.network = handle.value
        return call(training.samples_array(byref(told)))


class _Function:
    """Samples that a Python function gives, one at a time and with the interpreter's lock."""

    def __init__(self, network, function, count):
        if count is None:
            raise TypeError("samples is None; must be how many samples the function has")
        self._network, self._function, self.count = network, function, whole("samples", count)

    def _give(self, index, input_at, target_at):
        facts = self._network.facts
        x, y = self._function(index)
        values = self._network.stored(f"sample {index}", numpy.asarray(x)[None])
        target = self._network.targets(f"the target of sample {index}", numpy.asarray(y)[None], 1)
        for at, value in ((input_at, values), (target_at, target)):
            kind = numpy.int64 if facts.classifies and value is target else facts.dtype
            value = numpy.require(value, kind, ["C", "A"])
            ctypes.memmove(at, address(value), value.nbytes)

    def run(self, handle, call):
        failures = []

        def read(_, index, input_at, target_at):
            try:
                if not failures:
                    self._give(index, input_at, target_at)
            except BaseException as why:  # goes on behind the library
                failures.append(why)
            return bool(failures)

        try:
            return call(training.Samples(self.count, training.READ(read), None))
        except library.Error:
            if failures:
                raise failures[0] from None
            raise


def _samples_of(network, images, labels, count, names=("images", "labels")):
    if callable(images) and not hasattr(images, "__array__"):
        if labels is not None:
            raise TypeError(f"{names[1]} is given beside a function, which has to return (x, y)")
        return _Function(network, images, count)
    samples = _Arrays(network, images, labels, names)
    if count is not None and count != samples.count:
        raise ValueError(f"samples is {count}; {names[0]} has {samples.count}")
    return samples


def _schedule_of(text):
    """(schedule, step_epochs, step_factor) of 'constant', 'cosine' or 'step=EPOCHS,FACTOR'."""
    if text in ("constant", "cosine"):
        return training.SCHEDULES.index(text), 1, 0.1
    try:
        word, numbers = text.split("=")
        epochs, factor = numbers.split(",")
        told = 1, int(epochs), float(factor)
    except (AttributeError, ValueError):
        told = None
    if not told or word != "step" or told[1] < 1 or not 0 < told[2] <= 1:
        raise ValueError(f"schedule is {text!r}; must be 'constant', 'cosine', or 'step=EPOCHS,FACTOR', such as "
                         "'step=10,0.1'")
    return told


class _Made:
    """A trainer's handle, and what one step at a time may use."""

    def __init__(self, network, recipe, workers):
        made, error = c_void_p(), library.Text()
        needs = network._live()
        status = training.trainer_create(byref(made), needs.value, byref(recipe), workers, None, byref(error))
        library.refuse(status, error.text.decode())
        self.handle, self.network = Handle(made.value, training.trainer_destroy, needs), needs
        self.workspace = numpy.empty(training.trainer_workspace_size(made.value), numpy.uint8)
        self.lock = threading.Lock()


class Trainer:
    """Trains a network: for progress in trainer: ...

    images  (N, *input_shape), uint8, float32 or float64, as the input line takes them: before scale, mean and std.
            They are read where they lie (also from a file, by numpy.load(..., mmap_mode='r')), and must not be changed
    labels  (N,) classes, whole numbers; for mse (N, *output_shape), float32 or float64
            Or a function: images(index) returns (x, y), and samples says how many there are.  That is slow: it runs in
            Python, one sample at a time

    epochs         how often all samples are used
    batch          samples of a step; None: 64, or all if there are fewer.  An epoch's last batch has what is left
    seed           of order, augmentation and dropout
    init           'he' or 'xavier' draws parameters from seed first, as the program does.  None goes on from those that
                   the network has
    optimizer      'sgd', as torch.optim.SGD (momentum, nesterov, weight_decay added to the gradient), or 'adamw'
                   (beta1, beta2, epsilon, weight_decay apart from the gradient)
    schedule       of learning_rate: 'cosine' down towards 0 at the end, 'constant', or 'step=EPOCHS,FACTOR'
    warmup         steps in which learning_rate rises evenly
    clip           most that the norm of the whole gradient may be; 0: no limit
    flip, crop     True: every other sample, at random, is reversed along its last axis; so many zeros around samples,
                   which are cut at random places
    workers        shards side by side; 0: as many as there are threads; None: 0, or 1 if the network has threads
                   inside its layers

    For one model, recipe and data, all is bit-identical for every number of workers, every run, and in the program
    `convgrad train`.  Each step writes the network's parameters.  The interpreter's lock is released while a step runs;
    Ctrl-C ends between steps, and the training may go on from there.  After a fork the child has one worker.

    Raises convgrad.Error for what the library refuses, with its sentence.

    >>> import numpy, convgrad
    >>> net = convgrad.Network('input 4\\nlinear 2\\ncross_entropy\\n')
    >>> x, y = numpy.eye(4, dtype='float32'), numpy.array([0, 1, 0, 1])
    >>> trainer = convgrad.Trainer(net, x, y, epochs=50, learning_rate=1.0)
    >>> for progress in trainer:
    ...     pass
    >>> progress.step + 1, trainer.steps_done, trainer.evaluate(x, y).accuracy
    (50, 50, 1.0)
    """

    network: Network
    parameters: Parameters

    def __init__(self, network: Network, images: Images, labels: Optional[ArrayLike] = None, *,
                 samples: Optional[int] = None, epochs: int = 10, batch: Optional[int] = None, seed: int = 1,
                 init: Optional[str] = None, optimizer: str = "sgd", learning_rate: float = 0.02, momentum: float = 0.9,
                 nesterov: bool = False, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8,
                 weight_decay: float = 0.0, schedule: str = "cosine", warmup: int = 0, clip: float = 0.0,
                 flip: bool = False, crop: int = 0, workers: Optional[int] = None):
        if not isinstance(network, Network):
            raise TypeError(f"network is a {type(network).__name__}; must be a convgrad.Network")
        self.network = network
        self._samples = _samples_of(network, images, labels, samples)
        count = self._samples.count
        plan, step_epochs, step_factor = _schedule_of(schedule)
        numbers = {"learning_rate": learning_rate, "momentum": momentum, "beta1": beta1, "beta2": beta2,
                   "epsilon": epsilon, "weight_decay": weight_decay, "clip": clip}
        self._recipe = training.Recipe(
            ctypes.sizeof(training.Recipe), count, min(64, count) if batch is None else whole("batch", batch),
            whole("epochs", epochs), seed_of(seed), init=0 if init is None else word_of("init", init, training.INITS),
            optimizer=word_of("optimizer", optimizer, training.OPTIMIZERS), nesterov=bool(nesterov), schedule=plan,
            step_epochs=step_epochs, step_factor=step_factor, warmup=whole("warmup", warmup), flip=bool(flip),
            crop=whole("crop", crop), **{name: number_of(name, value) for name, value in numbers.items()})
        if workers is None:
            workers = 0 if network._options["threads"] == 1 else 1
        self._made = _Made(network, self._recipe, whole("workers", workers, 32))
        handle = self._made.handle.value
        self._state = numpy.zeros((training.trainer_state_size(handle) + 7) // 8, numpy.uint64)
        at = training.trainer_parameters(handle, address(self._state)) - address(self._state)
        flat = self._state.view(numpy.uint8)[at:at + network.parameters.flat.nbytes].view(network.dtype)
        self.parameters = Parameters(flat, network._places)
        start = None if init else address(network.parameters.flat)
        library.refuse(training.trainer_start(handle, start, address(self._state)), "the training cannot be started")
        self._tell()

    def _tell(self):
        self.network.parameters.flat[...] = self.parameters.flat

    def _live(self):
        """The handle, which a fork makes old."""
        made = self._made
        if made.handle.born != plans._forks:
            made = self._made = _Made(self.network, self._recipe, 1)
        return made

    def __reduce__(self):
        raise TypeError("a Trainer cannot be pickled or copied; save() writes all but its samples")

    def __repr__(self):
        return f"<convgrad.Trainer of {self.network!r} after step {self.steps_done} of {self.steps}>"

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return training.trainer_steps(self._live().handle.value)

    @property
    def epoch_steps(self) -> int:
        """Of one epoch."""
        return training.trainer_epoch_steps(self._live().handle.value)

    @property
    def steps_done(self) -> int:
        """Of the whole training, so far."""
        return training.trainer_steps_done(self._live().handle.value, address(self._state))

    @property
    def recipe(self) -> str:
        """All that decides the training besides model, options and data, as checkpoints hold it: "key=value" a line."""
        size = training.recipe_write(byref(self._recipe), None, 0) + 1
        text = ctypes.create_string_buffer(size)
        training.recipe_write(byref(self._recipe), text, size)
        return text.value.decode()

    def step(self) -> Progress:
        """Takes the next batch, and moves parameters on.

        Raises convgrad.Error, with the training as it was, if it is done, or if loss or gradient are not finite: the
        sentence names the step and the layer.
        """
        made, progress, error = self._live(), training.Progress(), library.Text()

        def call(samples):
            status = training.trainer_step(made.handle.value, address(self._state), byref(samples), byref(progress),
                                           address(made.workspace), byref(error))
            library.refuse(status, error.text.decode())

        with made.lock:
            try:
                self._samples.run(made.network, call)
            finally:  # also if Ctrl-C comes between the step and this line
                self._tell()
        return Progress(*(getattr(progress, name) for name, _ in progress._fields_ if name != "asked"))

    def __iter__(self) -> Iterator[Progress]:
        while self.steps_done < self.steps:
            yield self.step()

    def evaluate(self, x: Images, y: Optional[ArrayLike] = None, *, samples: Optional[int] = None) -> Loss:
        """The loss of other samples, given as `images` and `labels` are, with the parameters as they are."""
        given = _samples_of(self.network, x, y, samples, ("x", "y"))
        made, loss, error = self._live(), training.Loss(), library.Text()

        def call(samples):
            status = training.evaluate(made.handle.value, address(self.parameters.flat), byref(samples), byref(loss),
                                       None, address(made.workspace), byref(error))
            library.refuse(status, error.text.decode())

        with made.lock:
            given.run(made.network, call)
        return loss_of(loss)

    def save(self, path: Union[str, "os.PathLike[str]"], notes: Optional[Dict[str, str]] = None) -> None:
        """Writes a checkpoint as safetensors: parameters, moments, the steps done, the recipe; notes are metadata of
        yours.

        Equal trainings write equal files.  Those of `convgrad train` have two notes more, settings and history, which
        its --resume needs; `load` does not.  The file takes its place when it is whole.
        """
        made = self._live()
        with made.lock:
            written(path, notes, lambda notes, count, write, error: training.trainer_save(
                made.handle.value, address(self._state), notes, count, write, None, error))

    def load(self, file: File) -> None:
        """Goes on from a checkpoint, a path or bytes, of `save` or of `convgrad train`, as if it had never stopped.

        Model, options, recipe (but epochs, which may grow) and version must be those of this trainer, or convgrad.Error
        says which is not; nothing is changed then.  Samples must be the same: nothing here checks them.
        """
        data, made, error = bytes_of(file), self._live(), library.Text()
        with made.lock:
            status = training.trainer_load(made.handle.value, address(self._state), data, len(data), byref(error))
            library.refuse(status, error.text.decode())
            self._tell()
