"""What `convgrad train` writes is what PyTorch reads: the names of nn.Sequential, strictly, and the same probabilities."""
import json
import os
import pathlib
import struct
import subprocess

import numpy
import pytest

import convgrad

torch = pytest.importorskip("torch")
from torch import nn

PROGRAM = os.environ.get("CONVGRAD_PROGRAM", str(pathlib.Path(convgrad.__file__).with_name("convgrad")))
MODEL = """input 1x12x12 scale=1/255 mean=0.25 std=0.5
conv 6 3x3 padding=1
batchnorm
relu
maxpool 2
flatten
linear 3
cross_entropy
"""


def safetensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    notes = header.pop("__metadata__")
    types = {"F32": numpy.float32, "F64": numpy.float64, "I64": numpy.int64}
    return notes, {
        name: numpy.frombuffer(data[8 + size:][slice(*entry["data_offsets"])], types[entry["dtype"]]).reshape(entry["shape"]).copy()
        for name, entry in header.items()
    }


def bounded(layer, x, error, u):
    """A layer's output in double, and how far the same layer in float may be from it, if its operand is off by error."""
    y = layer(x)
    if not isinstance(layer, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)):
        return y, nn.functional.max_pool2d(error, 2) if isinstance(layer, nn.MaxPool2d) else layer(error)
    with torch.no_grad():
        size = x.abs() + error
        if isinstance(layer, nn.BatchNorm2d):  # x * factor + shift, in some order: at most 8 roundings of values of this size
            factor = (layer.weight.abs() / torch.sqrt(layer.running_var + layer.eps))[:, None, None]
            about = (size + layer.running_mean.abs()[:, None, None]) * factor + layer.bias.abs()[:, None, None]
            return y, error * factor + 8 * u / (1 - 8 * u) * about
        terms = layer.weight[0].numel() + 1  # products and the bias
        run = lambda x, bias: (nn.functional.conv2d(x, layer.weight.abs(), bias, padding=1) if isinstance(layer, nn.Conv2d)
                               else nn.functional.linear(x, layer.weight.abs(), bias))
        return y, run(error, None) + terms * u / (1 - terms * u) * run(size, layer.bias.abs())


def test_pytorch_reads_what_train_writes(tmp_path):
    random = numpy.random.default_rng(1)
    labels = random.integers(0, 3, 90)
    images = random.integers(0, 60, (90, 1, 12, 12)).astype(numpy.uint8)
    for image, label in zip(images, labels):  # a bright band
        image[0, 4 * label:4 * label + 4] += 150
    numpy.save(tmp_path / "images.npy", images)
    numpy.save(tmp_path / "labels.npy", labels)
    (tmp_path / "model").write_text(MODEL)
    run = lambda *words: subprocess.run([PROGRAM, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    try:
        run("train", "model", "--data", "images.npy,labels.npy", "--test", "images.npy,labels.npy", "-o", "out", "--epochs", "3",
            "--batch", "30", "--exact")
    except subprocess.CalledProcessError as failed:
        if "without training" in failed.stderr:
            pytest.skip("the program was built without training")
        raise AssertionError(failed.stderr) from None

    notes, tensors = safetensors(tmp_path / "out" / "best.safetensors")
    assert notes["model"] == MODEL
    net = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(216, 3)).double().eval()
    net.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, strict=True)

    u = 2.0 ** -24
    x = (torch.from_numpy(images).double() / 255 - 0.25) / 0.5
    error = 4 * u * (x.abs() + 0.5)
    for layer in net:
        x, error = bounded(layer, x, error, u)
    with torch.no_grad():
        wanted = torch.softmax(x, 1).numpy()
    off = 2 * error.max(1).values.detach().numpy() + 8 * u  # of a logarithm; exp, sum and quotient of softmax
    lines = [json.loads(line) for line in run("predict", "out", "images.npy", "--top", "3", "--format", "json").splitlines()]
    assert len(lines) == 90
    hits = 0
    for line, want, bound, label in zip(lines, wanted, off, labels):
        hits += line["classes"][0]["class"] == label
        for entry in line["classes"]:
            probability = want[entry["class"]]
            assert abs(entry["probability"] - probability) <= probability * numpy.expm1(bound) + 1e-9
    assert numpy.max(off) < 1e-3 and hits >= 80
