"""Networks and their training: PyTorch's numbers, the program's files, the same bits for every number of workers."""
import copy
import ctypes
import doctest
import gc
import json
import os
import pathlib
import pickle
import signal
import struct
import subprocess
import threading

import numpy
import pytest

import convgrad
from convgrad import _explain, _training
from oracle import in_a_child

MODEL = """input 1x8x8 scale=1/255 mean=0.5 std=0.25
conv 4 3x3 padding=1
relu
maxpool 2
conv 6 3x3
batchnorm
relu
flatten
dropout 0.25
linear 5
cross_entropy
"""
PLAIN = "input 2x6x6\nconv 4 3x3 stride=1 padding=1 groups=2\nrelu\nmaxpool 2\nflatten\nlinear 4\nmse\n"
LINE = "input 3\nlinear 2\ncross_entropy\n"
UNIT = 2.0**-24
ROOT = pathlib.Path(__file__).resolve().parents[3]


def drawn(count=50, classes=5):
    """Bytes whose classes can be learned."""
    draw, labels = numpy.random.default_rng(1), numpy.arange(count) % classes
    return (draw.integers(0, 80, (count, 1, 8, 8)) + 40 * labels[:, None, None, None]).astype("u1"), labels


def trained(workers=1, images=None, labels=None, **recipe):
    """A network and its trainer after a short training."""
    x, y = drawn()
    net = convgrad.Network(MODEL, shard=8)
    given = (x, y) if images is None else (images, labels)
    words = {"epochs": 3, "batch": 20, "seed": 5, "init": "he", "flip": True, "crop": 1, **recipe}
    trainer = convgrad.Trainer(net, *given, workers=workers, **words)
    return net, trainer, list(trainer)


def bits(net):
    return net.parameters.flat.tobytes()


def header(path):
    """Of a safetensors file."""
    data = pathlib.Path(path).read_bytes()
    return json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])


# ---- the network ----


@pytest.mark.parametrize("public", ["Network", "Trainer", "Plan"])
def test_examples_of_the_classes(public):
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(getattr(convgrad, public), public, module=False, globs={}):
        runner.run(test)
    assert runner.tries and not runner.failures


def test_facts():
    net = convgrad.Network(MODEL, type="f64", shard=9, freeze=[0, 4])
    facts = net.facts
    assert facts.dtype == net.dtype == numpy.float64 and facts.shard == 9 and facts.classifies and facts.layers == 10
    assert net.input_shape == (1, 8, 8) and net.output_shape == (5,) and facts.output_elements == 5
    shapes = {name: view.shape for name, view in net.parameters.items()}
    assert shapes == {"0.weight": (4, 1, 3, 3), "0.bias": (4,), "3.weight": (6, 4, 3, 3), "3.bias": (6,), "4.weight": (6,),
                      "4.bias": (6,), "4.running_mean": (6,), "4.running_var": (6,), "8.weight": (5, 24), "8.bias": (5,)}
    assert facts.parameters == net.parameters.flat.size == sum(view.size for view in net.parameters.values())
    assert facts.trained == facts.parameters - 40 - 24
    assert "conv 6 3x3" in str(net) and "of 10 layers" in repr(net)
    assert not convgrad.Network(PLAIN).facts.classifies
    assert [convgrad.shard_default(batch) for batch in (4, 32, 64, 128, 1000)] == [4, 8, 16, 32, 32]


def test_text_from_a_path(tmp_path):
    path = tmp_path / "model.txt"
    path.write_text(MODEL)
    assert list(convgrad.Network(path).parameters) == list(convgrad.Network(MODEL).parameters)


def test_init():
    net = convgrad.Network(MODEL)
    first = bits(net)
    net.init(2)
    assert bits(net) != first and not net.parameters["0.bias"].any() and (net.parameters["4.running_var"] == 1).all()
    most = (6 / 9) ** 0.5
    assert 0.5 * most < abs(net.parameters["0.weight"]).max() <= most
    net.init(1)
    assert bits(net) == first
    net.init(1, "xavier")
    assert bits(net) != first


def test_views_keep_memory_alive():
    weight = convgrad.Network(MODEL).parameters["3.weight"]
    wanted = convgrad.Network(MODEL).parameters["3.weight"].copy()
    trainer = trained()[1]
    own = trainer.parameters["8.weight"]
    after = own.copy()
    del trainer
    gc.collect()
    numpy.zeros(1 << 20)
    assert (weight == wanted).all() and (own == after).all()
    net = convgrad.Network(MODEL)
    net.parameters["8.bias"][...] = [0, 0, 99, 0, 0]  # a view: the network has it
    assert net.parameters.flat.max() == 99
    assert (net.predict(drawn()[0]).argmax(1) == 2).all()


def test_predict():
    net = trained()[0]
    x = drawn()[0]
    y = net.predict(x)
    assert y.shape == (50, 5) and y.dtype == numpy.float32
    for some in (x[:1], x[7:30], x[::3], numpy.asfortranarray(x), x.astype("f"), x.astype("d"), x[:, 0]):
        at = {1: slice(0, 1), 23: slice(7, 30), 17: slice(0, 50, 3)}.get(len(some), slice(None))
        numpy.testing.assert_array_equal(net.predict(some), y[at])
    assert net.predict(x[:0]).shape == (0, 5)
    p = net.predict(x, probabilities=True)
    numpy.testing.assert_array_equal(p, net.softmax(y))
    assert abs(p.sum(1) - 1).max() < 8 * UNIT and (p.argmax(1) == y.argmax(1)).all()
    zero = numpy.zeros_like(net.parameters.flat)
    assert not net.predict(x, zero).any() and net.predict(x).any()
    numpy.testing.assert_array_equal(net.predict(x, net.parameters), y)


def test_gradients_of_shards():
    """As the loss's own definition says; shards add up."""
    net, x, y = convgrad.Network(MODEL, type="float64", shard=8), *drawn()
    x = x[:8]
    loss, gradient = net.loss_gradient(x, y[:8], index=range(8), epoch=2, seed=3)
    assert loss.samples == 8 and loss.bad_layer == -1 and loss.mean == loss.sum / 8 and loss.accuracy == loss.hits / 8
    assert gradient.flat.dtype == numpy.float64 and list(gradient) == list(net.parameters)
    again = net.loss_gradient(x, y[:8], net.parameters, index=numpy.arange(8), epoch=2, seed=3, batch=16)[1]
    for name in ("0.weight", "8.bias"):
        numpy.testing.assert_array_equal(again[name], gradient[name] / 2)
    other = net.loss_gradient(x, y[:8], index=range(1, 9), epoch=2, seed=3)[1]  # dropout
    assert other.flat.tobytes() != gradient.flat.tobytes()
    flat = convgrad.Network("input 4\nlinear 3\ncross_entropy\n")
    x, y = numpy.eye(4, dtype="f")[:3], numpy.array([0, 1, 1], "u1")
    loss, gradient = flat.loss_gradient(x, y)
    p = flat.predict(x, probabilities=True)
    off = abs(gradient["0.bias"] - (p - numpy.eye(3)[y]).sum(0) / 3)
    assert off.max() <= 5 * UNIT and abs(loss.sum + numpy.log(p[range(3), y]).sum()) < 3 * 4 * UNIT * 2
    flat.parameters["0.weight"][...] = 1e38
    assert flat.loss_gradient(9 * x, y)[0].bad_layer == 0


# ---- PyTorch ----


def sequential(torch):
    nn = torch.nn
    torch.manual_seed(4)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(),
                        nn.Flatten(), nn.Dropout(0.25), nn.Linear(24, 5))
    net[4].running_mean.uniform_(-1, 1)
    net[4].running_var.uniform_(0.5, 2)
    return net


def bound(torch, layers, x):
    """The largest error of each logit, carried through a network of absolute values: n + 2 roundings for n terms."""
    a, e = x, 4 * UNIT * (x.abs() + 2)  # scale, mean and std
    for layer in layers:
        if hasattr(layer, "weight") and layer.weight.ndim > 1:
            run = torch.nn.functional.linear if layer.weight.ndim == 2 else layer._conv_forward
            w, b = layer.weight.abs(), layer.bias.abs()
            e = run(e, w, None) + (layer.weight[0].numel() + 2) * UNIT * run(a.abs() + e, w, b)
        elif isinstance(layer, torch.nn.BatchNorm2d):
            factor = (layer.weight / (layer.running_var + layer.eps).sqrt()).abs().reshape(1, -1, 1, 1)
            mean, shift = (v.abs().reshape(1, -1, 1, 1) for v in (layer.running_mean, layer.bias))
            e = e * factor + 8 * UNIT * ((a.abs() + e + mean) * factor + shift)
        elif isinstance(layer, (torch.nn.MaxPool2d, torch.nn.Flatten)):
            e = layer(e)
        a = layer(a)
    return e


def test_state_dicts_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not here: its state_dict was not tested")
    theirs, ours = sequential(torch), convgrad.Network(MODEL, error_growth=1)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = drawn()[0]
    theirs.double().eval()
    with torch.no_grad():
        scaled = (torch.tensor(x).double() / 255 - 0.5) / 0.25
        wanted, most = theirs(scaled).numpy(), bound(torch, theirs, scaled).numpy()
    off = abs(ours.predict(x) - wanted) / most
    assert 0 < off.max() <= 1
    double = convgrad.Network(MODEL, type="float64", error_growth=1)
    double.load_state_dict(dict(theirs.named_parameters()), strict=False)
    double.load_state_dict(theirs.state_dict())
    off = abs(double.predict(x) - wanted) / (most * 2.0**-29)  # theirs is rounded, too
    assert off.max() <= 2
    back = sequential(torch)
    back.load_state_dict({name: torch.from_numpy(value) for name, value in ours.state_dict().items()}, strict=True)
    for name, value in back.named_parameters():
        assert (value.detach().numpy() == ours.parameters[name]).all()


def test_gradients_are_pytorchs():
    """Exactly, on whole numbers in float64."""
    torch = pytest.importorskip("torch", reason="PyTorch is not here: its gradients were not compared")
    nn, draw = torch.nn, numpy.random.default_rng(2)
    theirs = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 4)).double()
    ours = convgrad.Network(PLAIN, type="float64", error_growth=1)
    for view in ours.parameters.values():
        view[...] = draw.integers(-3, 4, view.shape)
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in ours.state_dict().items()})
    x, y = draw.integers(-3, 4, (8, 2, 6, 6)).astype("d"), draw.integers(-9, 10, (8, 4)).astype("d")
    wanted = nn.functional.mse_loss(theirs(torch.from_numpy(x)), torch.from_numpy(y))
    wanted.backward()
    loss, gradient = ours.loss_gradient(x, y)
    assert loss.mean == wanted.item()
    for name, value in theirs.named_parameters():
        numpy.testing.assert_array_equal(gradient[name], value.grad.numpy())


# ---- training ----


def test_bits_of_workers():
    net, trainer, steps = trained()
    wanted = bits(net)
    assert trainer.steps == len(steps) == 9 and trainer.epoch_steps == 3 and trainer.steps_done == 9
    assert [s.samples for s in steps[:3]] == [20, 20, 10] and [s.step for s in steps] == list(range(9))
    assert steps[-1].epoch == 2 and steps[-1].accuracy == steps[-1].hits / 10
    x, y = drawn()
    loss = trainer.evaluate(x, y)
    assert loss.samples == 50 and loss.hits == (net.predict(x).argmax(1) == y).sum()
    for workers in (2, 3, 0):
        other, again, same = trained(workers)
        assert bits(other) == wanted and same == steps and again.evaluate(x, y) == loss
        assert again.parameters.flat.tobytes() == wanted
    assert trained(2, epochs=30)[1].evaluate(x, y).accuracy > 0.9  # it learns
    inside = convgrad.Network(MODEL, shard=8, threads=2)
    trainer = convgrad.Trainer(inside, x, y, epochs=3, batch=20, seed=5, init="he", flip=True, crop=1)
    for _ in trainer:
        pass
    assert bits(inside) == wanted


def test_kinds_of_data(tmp_path):
    x, y = drawn()
    wanted = bits(trained()[0])
    numpy.save(tmp_path / "x.npy", x)
    mapped = numpy.load(tmp_path / "x.npy", mmap_mode="r")
    assert numpy.shares_memory(convgrad.Trainer(convgrad.Network(MODEL), mapped, y)._samples._input, mapped)
    for images in (x.astype("f"), x.astype("d"), numpy.asfortranarray(x), x[:, 0], mapped):
        assert bits(trained(2, images, y.astype("i4"))[0]) == wanted
    for labels in (y.astype("u1"), y.tolist(), y.astype(">i2")):
        assert bits(trained(2, x, labels)[0]) == wanted
    for workers in (1, 3):
        assert bits(trained(workers, lambda index: (x[index], y[index]), samples=50)[0]) == wanted
    net, trainer, _ = trained()
    assert trainer.evaluate(lambda index: (x[index], y[index]), samples=50) == trainer.evaluate(x, y)


def test_a_function_that_fails():
    x, y = drawn()

    def read(index):
        if index == 17:
            raise OSError("a disk is gone")
        return x[index], y[index]

    with pytest.raises(OSError, match="a disk is gone"):
        trained(2, read, samples=50)
    with pytest.raises(ValueError, match=r"sample \d+ has shape \(1, 3, 3\)"):
        trained(1, lambda index: (x[0, 0, :3, :3], 0), samples=50)
    with pytest.raises(ValueError, match=r"the target of sample \d+\[0\] is 5; the model's classes are 0 to 4"):
        trained(1, lambda index: (x[0], 5), samples=50)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_checkpoints(tmp_path, optimizer):
    x, y = drawn()
    net, trainer, _ = trained(2, optimizer=optimizer)
    trainer.save(tmp_path / "whole", {"who": "me", "哪": "里"})
    assert header(tmp_path / "whole")["__metadata__"]["哪"] == "里"
    words = {"epochs": 3, "batch": 20, "seed": 5, "flip": True, "crop": 1, "optimizer": optimizer}
    first = convgrad.Trainer(convgrad.Network(MODEL, shard=8), x, y, init="he", **words)
    for _ in range(4):
        first.step()
    first.save(tmp_path / "half")
    other = convgrad.Network(MODEL, shard=8)
    second = convgrad.Trainer(other, x, y, workers=3, **words)
    for file in (tmp_path / "half", (tmp_path / "half").read_bytes()):
        second.load(file)
        assert second.steps_done == 4 and bits(other) == first.parameters.flat.tobytes()
        for _ in second:
            pass
        second.save(tmp_path / "again", {"who": "me", "哪": "里"})
        assert (tmp_path / "again").read_bytes() == (tmp_path / "whole").read_bytes()
    with pytest.raises(convgrad.Error, match="the checkpoint's recipe has seed=5; this one has seed=6"):
        convgrad.Trainer(other, x, y, **{**words, "seed": 6}).load(tmp_path / "half")
    with pytest.raises(convgrad.Error, match="is done|are done|steps"):
        second.step()
    assert "seed=5\n" in second.recipe and "crop=1\n" in second.recipe


def test_start_from_the_network():
    x, y = drawn()
    net = convgrad.Network(MODEL)
    net.init(7)
    start = bits(net)
    trainer = convgrad.Trainer(net, x, y, seed=3)
    assert bits(net) == start == trainer.parameters.flat.tobytes()
    convgrad.Trainer(net, x, y, seed=3, init="xavier")
    assert bits(net) != start
    frozen = convgrad.Network(MODEL, freeze="0")
    before = frozen.parameters["0.weight"].copy(), frozen.parameters["3.weight"].copy()
    convgrad.Trainer(frozen, x, y).step()
    assert (frozen.parameters["0.weight"] == before[0]).all() and (frozen.parameters["3.weight"] != before[1]).any()


RECIPES = [
    (MODEL, "float32", {"epochs": 2, "batch": 20, "momentum": 0.5, "flip": True, "crop": 2, "seed": 9},
     ["--momentum", "0.5", "--augment", "flip,crop=2", "--seed", "9", "--batch", "20"]),
    (MODEL, "float32", {"epochs": 2, "optimizer": "adamw", "learning_rate": 0.003, "weight_decay": 0.1, "clip": 0.5, "warmup": 2,
                        "schedule": "step=2,0.5"},
     ["--optimizer", "adamw", "--learning-rate", "0.003", "--weight-decay", "0.1", "--clip", "0.5", "--warmup", "2", "--schedule", "step=2,0.5"]),
    ("input 1x8x8\nconv 3 3x3\nleaky_relu 0.1\nflatten\nlinear 2\nmse\n", "float64",
     {"epochs": 2, "batch": 16, "schedule": "constant", "nesterov": True, "init": "xavier", "learning_rate": 1e-9},
     ["--batch", "16", "--schedule", "constant", "--nesterov", "--init", "xavier", "--learning-rate", "1e-9", "--type", "f64"]),
]


@pytest.mark.parametrize("model, dtype, recipe, options", RECIPES, ids=["sgd", "adamw", "mse"])
def test_files_of_the_program(tmp_path, model, dtype, recipe, options):
    """The same bytes for the same model, recipe, data and notes; and each reads the other's."""
    x, y = drawn()
    if "mse" in model:
        x, y = x.astype("f") / 3, numpy.random.default_rng(3).normal(size=(50, 2))
    (tmp_path / "model.txt").write_text(model)
    numpy.save(tmp_path / "x.npy", x)
    numpy.save(tmp_path / "y.npy", y)
    program = _explain._program()
    told = subprocess.run([program, "train", "model.txt", "--data", "x.npy,y.npy", "--epochs", "2", "-o", "out", "--threads", "2", *options],
                          cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    theirs = tmp_path / "out/checkpoint.safetensors"
    notes = {key: header(theirs)["__metadata__"][key] for key in ("settings", "history")}
    batch = recipe.get("batch", 50)
    net = convgrad.Network(model, type=dtype, shard=convgrad.shard_default(batch))
    trainer = convgrad.Trainer(net, x, y, workers=3, **{"init": "he", **recipe})
    for _ in trainer:
        pass
    trainer.save(tmp_path / "ours", notes)
    assert (tmp_path / "ours").read_bytes() == theirs.read_bytes()
    read = convgrad.Network.from_file(theirs, type=dtype)
    numpy.testing.assert_array_equal(read.predict(x), net.predict(x))
    more = convgrad.Trainer(net, x, y, **{**recipe, "epochs": 3}) if recipe.get("schedule") == "constant" else trainer
    more.load(theirs)
    assert more.steps_done == trainer.steps
    net.save(tmp_path / "alone.safetensors")  # without notes of where the data lie
    words = ["--type", "f64"] if net.facts.dtype == numpy.float64 else []
    told = [subprocess.run([program, "predict", *file, "x.npy", "--format", "json"], cwd=tmp_path, capture_output=True, text=True)
            for file in ([*words, "alone.safetensors"], ["out/checkpoint.safetensors"])]
    assert told[0].returncode == 0, told[0].stderr
    assert told[0].stdout == told[1].stdout != ""


# ---- files ----


def test_files(tmp_path):
    net = trained()[0]
    path = tmp_path / "weights.safetensors"
    net.save(path, {"by": "a test"})
    assert header(path)["__metadata__"]["by"] == "a test" and os.listdir(tmp_path) == [path.name]
    other = convgrad.Network(MODEL, type="float64")
    assert other.load(path) == (10, "") and (other.parameters.flat == net.parameters.flat).all()
    read = convgrad.Network.from_file(path.read_bytes(), freeze="0")
    assert bits(read) == bits(net)
    wider = convgrad.Network(MODEL.replace("linear 5", "linear 7"))
    before = wider.parameters["8.weight"].copy()
    with pytest.raises(convgrad.Error, match="the shape of 8.weight in the file is not the model's"):
        wider.load(path)
    assert wider.load(path, strict=False) == (8, "not taken: 8.weight, 8.bias")
    assert (wider.parameters["8.weight"] == before).all() and (wider.parameters["3.weight"] == net.parameters["3.weight"]).all()
    kept = path.read_bytes()
    for notes, kind in (({"model": "no"}, convgrad.Error), ({"a": 1}, TypeError), ({"a": "\0"}, ValueError)):
        with pytest.raises(kind):
            net.save(path, notes)
        assert path.read_bytes() == kept and os.listdir(tmp_path) == [path.name]
    with pytest.raises(FileNotFoundError):
        net.save(tmp_path / "no" / "where")
    for damaged in (b"", kept[:-1], b"\xff" * 64):
        with pytest.raises(convgrad.Error):
            net.load(damaged)
    state = {name: value for name, value in net.state_dict().items() if name != "4.num_batches_tracked"}
    assert other.load_state_dict(state) == ([], [])
    net.init(3)
    assert all((value == other.parameters[name]).all() for name, value in state.items())  # copies


def test_pickles_and_copies():
    net, trainer, _ = trained()
    x = drawn()[0]
    for again in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net), copy.copy(net)):
        numpy.testing.assert_array_equal(again.predict(x), net.predict(x))
        again.parameters.flat[...] = 0
        assert net.parameters.flat.any() and again.facts == net.facts
    for refuse in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a Trainer cannot be pickled or copied; save"):
            refuse(trainer)


# ---- threads, forks, signals ----


def test_threads():
    net, trainer, _ = trained()
    x, y = drawn()
    wanted, loss = net.predict(x), trainer.evaluate(x, y)
    gradient = net.loss_gradient(x[:8], y[:8])[1].flat.tobytes()
    wrong = []

    def work():
        for _ in range(20):
            if net.predict(x).tobytes() != wanted.tobytes() or net.loss_gradient(x[:8], y[:8])[1].flat.tobytes() != gradient:
                wrong.append("a network")
            if trainer.evaluate(x, y) != loss:
                wrong.append("a trainer")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_two_threads_at_one_training():
    x, y = drawn()
    wanted = bits(trained()[0])
    net = convgrad.Network(MODEL, shard=8)
    trainer = convgrad.Trainer(net, x, y, epochs=3, batch=20, seed=5, init="he", flip=True, crop=1, workers=2)
    threads = [threading.Thread(target=lambda: [trainer.step() for _ in range(3)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bits(net) == wanted


def test_the_lock_is_released():
    net = convgrad.Network("input 16x64x64\nconv 64 5x5 padding=2\nglobal_avgpool\nflatten\nlinear 2\ncross_entropy\n")
    x, done, counted = numpy.zeros((8, 16, 64, 64), "f"), threading.Event(), []

    def count():
        while not done.is_set():
            counted.append(1)
            done.wait(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    before = len(counted)
    net.predict(x)
    during = len(counted) - before
    done.set()
    thread.join()
    assert during > 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork():
    x, y = drawn()
    wanted = bits(trained()[0])
    net = convgrad.Network(MODEL, shard=8, threads=2)
    trainer = convgrad.Trainer(net, x, y, epochs=3, batch=20, seed=5, init="he", flip=True, crop=1)
    side = convgrad.Network(MODEL, shard=8)
    other = convgrad.Trainer(side, x, y, epochs=3, batch=20, seed=5, init="he", flip=True, crop=1, workers=3)
    trainer.step(), other.step()
    p = net.predict(x).tobytes()

    def child():
        same = net.predict(x).tobytes() == p
        for each in (trainer, other):
            for _ in each:
                pass
        return same and bits(net) == wanted == bits(side)

    assert in_a_child(child)
    for _ in other:
        pass
    assert bits(side) == wanted


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_interrupts_come_between_steps():
    x, y = drawn()
    wanted = bits(trained(epochs=60)[0])
    net = convgrad.Network(MODEL, shard=8)
    trainer = convgrad.Trainer(net, x, y, epochs=60, batch=20, seed=5, init="he", flip=True, crop=1, workers=2)
    interrupts = 0
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs do not have
    while trainer.steps_done < trainer.steps:
        timer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            for _ in trainer:
                pass
            timer.join()
        except KeyboardInterrupt:
            interrupts += 1
            assert bits(net) == trainer.parameters.flat.tobytes()
    assert interrupts and bits(net) == wanted


def test_nothing_is_kept():
    """Networks and trainers give their memory back."""
    x, y = drawn()
    destroyed = []
    net = convgrad.Network(MODEL)
    trainer = convgrad.Trainer(net, x, y)
    for handle, name in ((net._handle, "network"), (trainer._made.handle, "trainer")):
        handle._destroy = lambda value, name=name, destroy=handle._destroy: (destroyed.append(name), destroy(value))
    del handle, net
    gc.collect()
    assert destroyed == []
    trainer.step()
    del trainer
    gc.collect()
    assert destroyed == ["trainer", "network"]


# ---- mistakes ----


def test_mistakes_of_networks():
    for words, kind, sentence in [
        (("input 1x8x8\nconv 3\n",), convgrad.Error, "line 2"),
        ((LINE, "float16"), TypeError, "dtype is float16; must be float32 or float64"),
        ((3,), TypeError, "text is a int; must be the model as str"),
    ]:
        with pytest.raises(kind, match=sentence):
            convgrad.Network(words[0], **({"type": words[1]} if len(words) > 1 else {}))
    for words, kind, sentence in [
        ({"shard": 0}, convgrad.Error, "shard is 0; must be 1 to 256"),
        ({"shard": 1.5}, TypeError, "shard is 1.5; must be a whole number"),
        ({"freeze": "9"}, convgrad.Error, "freeze"),
        ({"freeze": ["a"]}, TypeError, "freeze is 'a'; must be a whole number"),
        ({"error_growth": "large"}, TypeError, "error_growth is 'large'; must be a number"),
        ({"error_growth": 0.5}, convgrad.Error, "error_growth"),
        ({"workspace_limit": -1}, ValueError, "workspace_limit is -1; must be at least 0"),
        ({"threads": -1}, convgrad.Error, "threads is -1"),
        ({"isa": 4}, TypeError, "isa is 4; must be a name"),
        ({"isa": "mmx"}, convgrad.Error, "isa"),
    ]:
        with pytest.raises(kind, match=sentence):
            convgrad.Network(LINE, **words)


def test_mistakes_of_calls():
    net, (x, y) = convgrad.Network(MODEL), drawn()
    for call, kind, sentence in [
        (lambda: net.init(-1), ValueError, "seed is -1; must be 0 to"),
        (lambda: net.init(1, "kaiming"), ValueError, "how is 'kaiming'; must be 'he' or 'xavier'"),
        (lambda: net.predict(x.astype("i4")), TypeError, "x has dtype int32; must be uint8, float32 or float64"),
        (lambda: net.predict(x.astype(">f4")), TypeError, "x has dtype >f4"),
        (lambda: net.predict(x[0, 0]), ValueError, r"x has shape \(8, 8\); must be \(N, 1, 8, 8\)"),
        (lambda: net.predict(x, net.parameters.flat[1:]), ValueError, r"parameters has shape \(\d+,\); must be"),
        (lambda: net.predict(x, net.parameters.flat.astype("d")), TypeError, "parameters has dtype float64; must be float32"),
        (lambda: net.softmax(x), TypeError, "logits has dtype uint8; must be float32"),
        (lambda: net.softmax(x.astype("f")), ValueError, r"logits has shape \(50, 1, 8, 8\); must be \(50, 5\)"),
        (lambda: convgrad.Network(PLAIN).predict(numpy.zeros((1, 2, 6, 6)), probabilities=True), ValueError, "ends with mse"),
        (lambda: net.loss_gradient(x, y), convgrad.Error, "shard.count is 50; must be 1 to 16"),
        (lambda: net.loss_gradient(x[:0], y[:0]), convgrad.Error, "shard.count is 0; must be 1 to 16"),
        (lambda: net.loss_gradient(x[:4], y[:3]), ValueError, r"y has shape \(3,\); must be \(4,\)"),
        (lambda: net.loss_gradient(x[:4], y[:4] + 3), ValueError, r"y\[2\] is 5; the model's classes are 0 to 4"),
        (lambda: net.loss_gradient(x[:4], y[:4] - 1), ValueError, r"y\[0\] is -1; the model's classes are 0 to 4"),
        (lambda: net.loss_gradient(x[:4], y[:4] * 0.5), TypeError, "y has dtype float64; must be whole numbers"),
        (lambda: net.loss_gradient(x[:4], y[:4], batch=3), convgrad.Error, "shard.batch is 3; must be at least its count 4"),
        (lambda: net.loss_gradient(x[:4], y[:4], index=[1]), ValueError, "index is"),
        (lambda: net.load_state_dict({}), convgrad.Error, "state_dict lacks 0.weight"),
        (lambda: net.load_state_dict({**net.state_dict(), "9.bias": y}), convgrad.Error, "state_dict has 9.bias"),
        (lambda: net.load_state_dict({"0.bias": numpy.zeros(3, "f")}, strict=False), ValueError, r"0.bias has shape \(3,\)"),
        (lambda: net.load_state_dict({"0.bias": numpy.zeros(4, "i8")}, strict=False), TypeError, "0.bias has dtype int64"),
        (lambda: net.load_state_dict({"0.weight": numpy.ones((4, 1, 3, 3)), "0.bias": y}, strict=False), TypeError, "0.bias has dtype"),
        (lambda: net.load_state_dict({"0.bias": numpy.full(4, numpy.nan)}, strict=False), ValueError, "0.bias has values that"),
        (lambda: net.load(7), TypeError, "file is a int; must be a path or bytes"),
        (lambda: convgrad.Network.from_file(b"abc"), convgrad.Error, "has 3 bytes"),
    ]:
        before = bits(net)
        with pytest.raises(kind, match=sentence):
            call()
        assert bits(net) == before
    with pytest.raises(KeyError):
        net.parameters["9.weight"]


def test_mistakes_of_trainers():
    net, (x, y) = convgrad.Network(MODEL), drawn()
    before = bits(net)
    for words, kind, sentence in [
        ({"labels": y[:49]}, ValueError, r"labels has shape \(49,\); must be \(50,\), a class for each sample"),
        ({"labels": y + 1}, ValueError, r"labels\[4\] is 5; the model's classes are 0 to 4"),
        ({"labels": y > 1}, TypeError, "labels has dtype bool; must be whole numbers"),
        ({"labels": None}, TypeError, "labels is None; must be an array"),
        ({"images": x.astype("i2")}, TypeError, "images has dtype int16; must be uint8, float32 or float64"),
        ({"images": x[:, :, 1:]}, ValueError, r"images has shape \(50, 1, 7, 8\); must be \(N, 1, 8, 8\)"),
        ({"images": x[:0], "labels": y[:0]}, convgrad.Error, "samples is 0; must be 1 to"),
        ({"samples": 49}, ValueError, "samples is 49; images has 50"),
        ({"images": lambda i: i, "labels": None}, TypeError, "samples is None; must be how many"),
        ({"images": lambda i: i, "samples": 9}, TypeError, "labels is given beside a function"),
        ({"epochs": 0}, convgrad.Error, "epochs is 0; must be 1 to"),
        ({"epochs": 1.5}, TypeError, "epochs is 1.5; must be a whole number"),
        ({"batch": 51}, convgrad.Error, "batch is 51; there are 50 samples"),
        ({"learning_rate": float("nan")}, convgrad.Error, "learning_rate is nan"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate is 'fast'; must be a number"),
        ({"momentum": 1}, convgrad.Error, "momentum is 1; must be at least 0 and less than 1"),
        ({"optimizer": "adam"}, ValueError, "optimizer is 'adam'; must be 'sgd' or 'adamw'"),
        ({"schedule": "step=0,1"}, ValueError, "schedule is 'step=0,1'; must be 'constant', 'cosine'"),
        ({"schedule": 3}, ValueError, "schedule is 3; must be"),
        ({"init": "zeros"}, ValueError, "init is 'zeros'; must be 'he' or 'xavier'"),
        ({"seed": 2**64}, ValueError, "seed is 18446744073709551616"),
        ({"workers": -1}, convgrad.Error, "workers is -1; must be 0 to 4096"),
        ({"crop": -1}, convgrad.Error, "crop is -1"),
        ({"warmup": 1000}, convgrad.Error, "warmup is 1000; there are 10 steps"),
    ]:
        with pytest.raises(kind, match=sentence):
            convgrad.Trainer(net, **{"images": x, "labels": y, **words})
        assert bits(net) == before
    with pytest.raises(TypeError, match="network is a str; must be a convgrad.Network"):
        convgrad.Trainer(MODEL, x, y)
    trainer = convgrad.Trainer(net, x, y)
    for call, kind, sentence in [
        (lambda: trainer.evaluate(x, y[:4]), ValueError, r"y has shape \(4,\); must be \(50,\)"),
        (lambda: trainer.evaluate(x[:0], y[:0]), convgrad.Error, "samples.count is 0; must be at least 1"),
        (lambda: trainer.load(b"abc"), convgrad.Error, "has 3 bytes"),
    ]:
        with pytest.raises(kind, match=sentence):
            call()
    wild = convgrad.Trainer(net, x.astype("f") * 1e30, y, learning_rate=1e30)
    with pytest.raises(convgrad.Error, match="not finite in step"):
        for _ in wild:
            pass


def test_channels_last_inside():
    """Samples and parameters stay as they are; only roundings of convolutions differ (f64: 1e-12 of the largest)."""
    first, last = (convgrad.Network(MODEL, type="float64", layout=layout) for layout in ("channels_first", "channels_last"))
    x = numpy.random.default_rng(3).normal(size=(6, *first.input_shape))
    assert list(first.parameters) == list(last.parameters) and (first.parameters.flat == last.parameters.flat).all()
    a, b = first.predict(x), last.predict(x)
    assert a.shape == b.shape and abs(a - b).max() <= 1e-12 * abs(a).max()
    again = pickle.loads(pickle.dumps(last))
    assert (again.predict(x) == b).all() and str(again) == str(last)
    with pytest.raises(ValueError, match="layout is 'last'; must be channels_first or channels_last"):
        convgrad.Network(MODEL, layout="last")


def test_example_of_the_readme(tmp_path, monkeypatch):
    blocks = [block.split("```")[0] for block in (ROOT / "bindings/python/README.md").read_text().split("```python\n")[1:]]
    example, = (block for block in blocks if "convgrad.Trainer" in block)
    monkeypatch.chdir(tmp_path)
    numpy.random.seed(1)
    names = {}
    exec(example, names)
    assert names["trainer"].evaluate(names["images"], names["labels"]).accuracy > 0.9 and names["p"].shape == (3, 8)


def test_structures():
    """As large as the library's: it would refuse the others."""
    sizes = {name: ctypes.sizeof(getattr(_training, name)) for name in ("Options", "Facts", "Recipe")}
    assert sizes == {"Options": 88, "Facts": 136, "Recipe": 160} or ctypes.sizeof(ctypes.c_void_p) != 8
