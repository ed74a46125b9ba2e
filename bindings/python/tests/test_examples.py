"""The examples, each where the packages that it needs are there; on data made here."""
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys

import numpy
import pytest

import convgrad

EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "examples"
FOLDER = str(pathlib.Path(convgrad.__file__).resolve().parents[1])


def started(*command, **environment):
    """A program, with this package."""
    path = os.pathsep.join(filter(None, (FOLDER, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "PYTHONPATH": path, **environment})


def ended(*programs):
    """What the first of some programs prints; all have to end well."""
    printed = [program.communicate(timeout=300) for program in programs]
    for program, (_, complaints) in zip(programs, printed):
        assert program.returncode == 0, complaints
        assert "strides" not in complaints  # of DistributedDataParallel
    return printed[0][0]


def run(*command):
    return ended(started(*command))


def digits(folder, count=96):
    """Images whose labels can be learned, as IDX files."""
    draw, labels = numpy.random.default_rng(1), numpy.arange(count) % 10
    images = draw.integers(0, 60, (count, 28, 28))
    for image, label in zip(images, labels):
        image[2 * label:2 * label + 6] += 150
    (folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.astype("u1").tobytes())
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, count) + labels.astype("u1").tobytes())
    return folder


def needs(*packages):
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not here: an example was not tested")


def differences(text):
    return [float(number) for number in re.findall(r"difference (\S+)", text)]


def free_port():
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return str(some.getsockname()[1])


@pytest.mark.parametrize("processes, layout", [(2, "channels_first"), (2, "channels_last"), (3, "channels_last")])
def test_distributed(tmp_path, processes, layout):
    """Processes keep the same weights, in every run, as torchrun starts them; nothing goes to PyTorch."""
    needs("torch")
    import torch
    if not hasattr(torch, "compile"):
        pytest.skip("gloo of PyTorch 1.13 may hang when a process ends, without convgrad, too")
    command = EXAMPLES / "distributed.py", digits(tmp_path), "--images", 96, "--epochs", 3, "--layout", layout
    runs = []
    for _ in range(2):
        port = free_port()
        printed = ended(*(started(*command, RANK=str(rank), WORLD_SIZE=str(processes), MASTER_ADDR="127.0.0.1", MASTER_PORT=port,
                                  OMP_NUM_THREADS="1") for rank in range(processes)))
        assert "in PyTorch" not in printed
        runs.append((re.findall(r"loss (\S+)", printed), re.findall(r"\b[0-9a-f]{16}\b", printed)))
    losses, sums = runs[0]
    assert runs[0] == runs[1] and len(sums) == processes and len(set(sums)) == 1
    assert len(losses) == 3 and float(losses[2]) < float(losses[0])


def test_digits(tmp_path):
    needs("torch")
    printed = run(EXAMPLES / "digits.py", digits(tmp_path), "--images", 96, "--epochs", 1)
    assert "loss" in printed
    printed = run(EXAMPLES / "digits.py", digits(tmp_path), "--images", 96, "--epochs", 1, "--bf16")
    assert float(re.search(r"losses: (\S+)", printed)[1]) < 0.1


def test_jax():
    needs("jax")
    found = differences(run(EXAMPLES / "jax_convolution.py"))
    assert len(found) == 3 and max(found) < 1e-4


def test_keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # Keras cannot be imported without a backend: TensorFlow, if none is named
    needs("torch", "keras")
    found = differences(run(EXAMPLES / "keras_layer.py"))
    assert len(found) == 1 and found[0] < 1e-4


def test_numpy_layer():
    found = re.findall(r"largest number: (\S+)", run(EXAMPLES / "numpy_layer.py"))
    assert len(found) == 1 and float(found[0]) < 1e-12


def test_train_mnist(tmp_path):
    """Drawn images, and files of MNIST's form; the same weights for all workers."""
    commands = [(EXAMPLES / "train_mnist.py", "--epochs", 2, "--workers", workers, "-o", tmp_path / str(workers)) for workers in (1, 2)]
    first, second = (run(*command) for command in commands)
    hits, = re.findall(r"epoch 2: loss \S+, (\d+) of 200 test digits right", first)
    assert first == second and int(hits) > 150
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    digits(tmp_path)
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        (tmp_path / f"t10k-{kind}").write_bytes((tmp_path / f"train-{kind}").read_bytes())
    assert "of 96 test digits right" in run(EXAMPLES / "train_mnist.py", tmp_path, "--epochs", 1)
