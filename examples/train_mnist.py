"""Trains a small network on MNIST by convgrad.Trainer, and says how many test digits it reads right.

    python3 examples/train_mnist.py [FOLDER] [--epochs 12] [--workers 0] [-o weights.safetensors]

FOLDER has MNIST: train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz], and the same of t10k or test.  Without it,
bars are drawn at ten heights, with noise.  The weights are the same to the bit for every number of workers.  Needs the
package.
"""
import argparse
import gzip
import pathlib

import numpy

import convgrad

MODEL = """input 1x28x28 scale=1/255 mean=0.1307 std=0.3081
conv 16 5x5 padding=2
relu
maxpool 2
conv 32 5x5 padding=2
relu
maxpool 2
flatten
linear 128
relu
linear 10
cross_entropy
"""


def read_idx(folder, kind, names):
    """An IDX file of unsigned bytes, plain or gzip, of the first name that is there."""
    for path in (pathlib.Path(folder, f"{name}-{kind}-ubyte{end}") for name in names for end in ("", ".gz")):
        if path.exists():
            data = path.read_bytes() if not path.name.endswith(".gz") else gzip.decompress(path.read_bytes())
            shape = numpy.frombuffer(data, ">u4", data[3], 4)
            return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).reshape(shape)
    raise SystemExit(f"{folder} has no {names[0]}-{kind}-ubyte[.gz]; it must hold MNIST's files")


def draw(count, seed):
    """Bars at ten heights, dim and with noise."""
    noise, labels = numpy.random.default_rng(seed), numpy.arange(count) % 10
    images = noise.integers(0, 120, (count, 28, 28))
    for image, label in zip(images, labels):
        image[2 * label + 3:2 * label + 6, 4:24] += noise.integers(60, 130)
    return images.astype(numpy.uint8), labels


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="with MNIST's four files; without it images are drawn")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--workers", type=int, default=0, help="shards side by side; 0: as many as there are threads")
    parser.add_argument("-o", dest="output", help="a file for the weights, which PyTorch reads, too")
    args = parser.parse_args()
    if args.folder:
        names = {"train": ["train"], "test": ["t10k", "test"]}
        (x, y), (test_x, test_y) = (
            [read_idx(args.folder, kind, names[part]) for kind in ("images-idx3", "labels-idx1")] for part in names)
    else:
        (x, y), (test_x, test_y) = draw(1000, 1), draw(200, 2)
    net = convgrad.Network(MODEL)
    trainer = convgrad.Trainer(net, x, y, epochs=args.epochs, crop=2, workers=args.workers)
    print(f"{net}{trainer.steps} steps")
    loss = 0.0
    for progress in trainer:
        loss += progress.loss * progress.samples / len(x)
        if (progress.step + 1) % trainer.epoch_steps == 0:
            tested = trainer.evaluate(test_x, test_y)
            right = f"{tested.hits} of {tested.samples} test digits right"
            print(f"epoch {progress.epoch + 1}: loss {loss:.4f}, {right}", flush=True)
            loss = 0.0
    if args.output:
        net.save(args.output)


if __name__ == "__main__":
    main()
