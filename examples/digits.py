"""Trains a small network on handwritten digits, twice from the same seed: by PyTorch's convolutions and by convgrad's.

    python3 examples/digits.py FOLDER [--images 2048] [--epochs 3] [--bf16]

FOLDER has MNIST, or any IDX images and labels: train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz].  Prints the
loss of each epoch of both, their largest difference, and the times.  With --bf16 convgrad's run is under autocast: convolutions
of bfloat16, parameters and optimizer of float32.  Where FOLDER has test-images-idx3-ubyte[.gz] and its labels, too, it says how
many of these are read right.  Needs the package and PyTorch.
"""
import argparse
import contextlib
import gzip
import pathlib
import time

import numpy
import torch
from torch import nn

import convgrad.torch


def read_idx(folder, name):
    """An IDX file of unsigned bytes, plain or gzip."""
    plain, packed = pathlib.Path(folder, name), pathlib.Path(folder, name + ".gz")
    if not plain.exists() and not packed.exists():
        raise SystemExit(f"{plain}[.gz] is not there; the folder must hold MNIST's files, or others of that form")
    data = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    rank = data[3]
    shape = numpy.frombuffer(data, ">u4", rank, 4)
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * rank).reshape(shape)


def tensors(folder, name, count=None):
    """Images in [0, 1] and their labels, the first count of them."""
    images, labels = read_idx(folder, f"{name}-images-idx3-ubyte")[:count], read_idx(folder, f"{name}-labels-idx1-ubyte")[:count]
    return torch.tensor(images[:, None] / numpy.float32(255)), torch.tensor(labels.astype("int64"))


def train(images, labels, epochs, convolutions, tests=None, bf16=False):
    """The mean loss of every epoch, the seconds that all took, and the share of tests that are read right, if there are any."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
                          nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 7 * 7, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    curve, begin = [], time.perf_counter()
    with convolutions:
        for _ in range(epochs):
            losses = []
            for x, y in zip(images.split(64), labels.split(64)):
                optimizer.zero_grad()
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):  # each step: it keeps the weights that it has cast
                    loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            curve.append(sum(losses) / len(losses))
        spent = time.perf_counter() - begin
        with torch.no_grad():
            right = tests and (model(tests[0]).argmax(1) == tests[1]).float().mean().item()
    return curve, spent, right


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="with train-images-idx3-ubyte[.gz] and train-labels-idx1-ubyte[.gz]")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--bf16", action="store_true", help="convgrad's convolutions in bfloat16")
    args = parser.parse_args()
    if args.images < 1 or args.epochs < 1:
        parser.error(f"--images is {args.images} and --epochs {args.epochs}; both must be at least 1")
    images, labels = tensors(args.folder, "train", args.images)
    tests = tensors(args.folder, "test") if list(pathlib.Path(args.folder).glob("test-images-idx3-ubyte*")) else None
    theirs, their_time, their_right = train(images, labels, args.epochs, contextlib.nullcontext(), tests)
    ours, our_time, our_right = train(images, labels, args.epochs, convgrad.torch.patch(), tests, args.bf16)
    print(f"{'epoch':>5s} {'PyTorch':>10s} {'convgrad':>10s}")
    for epoch, (a, b) in enumerate(zip(theirs, ours), 1):
        print(f"{epoch:5d} {a:10.6f} {b:10.6f}")
    print(f"largest difference of the losses: {max(abs(a - b) for a, b in zip(theirs, ours)):.1e}")
    if tests:
        print(f"read right of {len(tests[0])}: PyTorch {100 * their_right:.2f} %, convgrad {100 * our_right:.2f} %")
    print(f"PyTorch {their_time:.2f} s, convgrad {our_time:.2f} s: {their_time / our_time:.2f} times as fast")


if __name__ == "__main__":
    main()
