"""examples/train_mnist.c learns ten patterns in files of MNIST's format, and refuses files that are cut short.

    python3 tests/train_examples.py TRAIN_MNIST
"""
import os
import random
import re
import struct
import subprocess
import sys
import tempfile


def pattern(digit):
    """A bright block whose place is the digit's, shifted, in noise."""
    top, left = 4 + digit // 5 * 12 + random.randrange(3), 2 + digit % 5 * 5 + random.randrange(2)
    return bytes(min(255, 220 * (top <= y < top + 6 and left <= x < left + 4) + random.randrange(30))
                 for y in range(28) for x in range(28))


def write(name, count):
    labels = [random.randrange(10) for _ in range(count)]
    with open(name + ".images", "wb") as file:
        file.write(struct.pack(">IIII", 0x803, count, 28, 28) + b"".join(map(pattern, labels)))
    with open(name + ".labels", "wb") as file:
        file.write(struct.pack(">II", 0x801, count) + bytes(labels))


program = os.path.abspath(sys.argv[1])
random.seed(1)
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    write("train", 600)
    write("test", 100)
    files = ["train.images", "train.labels", "test.images", "test.labels"]
    outs = [subprocess.run([program, *files, "3"], check=True, stdout=subprocess.PIPE, universal_newlines=True,
                           env={**os.environ, "OMP_NUM_THREADS": threads}).stdout for threads in "12"]
    assert outs[0] == outs[1], outs
    last = outs[0].splitlines()[-1]
    right, = re.findall(r"epoch 3: loss [0-9.]+, (\d+) of 100 test digits right", last)
    assert int(right) >= 95, last
    os.truncate("test.labels", 50)
    cut = subprocess.run([program, *files, "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert cut.returncode == 1 and b"test.labels" in cut.stderr and not cut.stdout, cut
    os.chdir("/")
print(last)
