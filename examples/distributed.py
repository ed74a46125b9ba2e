"""Trains a small network on handwritten digits in several processes: DistributedDataParallel, convolutions by convgrad.

    torchrun --nproc_per_node 2 examples/distributed.py FOLDER [--images 2048] [--epochs 2] [--layout channels_last]

FOLDER has MNIST, or any IDX images and labels (see digits.py).  Each process takes every second image (third, with three...),
and gloo adds their gradients up.  Prints the loss of each epoch and, at the end, a check sum of each process's weights: all are
the same.  Needs the package and PyTorch.

What is promised about bits: a process's gradients are the same for any number of its threads.  gloo adds up those of all
processes once for each element and sends the sum to all, so they keep the same weights; but another number of processes is
another order of the sum, and other last bits.
"""
import argparse
import hashlib
import time

import torch
from digits import read_idx
from torch import nn
from torch import distributed

import convgrad.torch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="with train-images-idx3-ubyte[.gz] and train-labels-idx1-ubyte[.gz]")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--layout", choices=("channels_first", "channels_last"), default="channels_first")
    args = parser.parse_args()
    if args.images < 1 or args.epochs < 1:
        parser.error(f"--images is {args.images} and --epochs {args.epochs}; both must be at least 1")
    memory_format = torch.channels_last if args.layout == "channels_last" else torch.contiguous_format

    distributed.init_process_group("gloo")
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    if args.images < processes:
        parser.error(f"--images is {args.images}; must be at least one for each of {processes} processes")
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
                          nn.Conv2d(32, 32, 1), nn.ReLU(), nn.Conv2d(32, 10, 14), nn.Flatten()).to(memory_format=memory_format)
    parallel = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.05, momentum=0.9)
    images = torch.tensor(read_idx(args.folder, "train-images-idx3-ubyte")[:args.images, None] / 255, dtype=torch.float32)
    labels = torch.tensor(read_idx(args.folder, "train-labels-idx1-ubyte")[:args.images], dtype=torch.int64)
    even = len(images) // processes * processes  # processes take as many steps
    mine, its = images[rank:even:processes].to(memory_format=memory_format), labels[rank:even:processes]

    with convgrad.torch.patch(), convgrad.torch.counting() as counts:
        for epoch in range(args.epochs):
            total = torch.zeros(1)
            for x, y in zip(mine.split(32), its.split(32)):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(parallel(x), y)
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(x) / len(mine)
            distributed.all_reduce(total)
            if rank == 0:
                print(f"epoch {epoch + 1}: loss {total.item() / processes:.6f}", flush=True)
    weights = b"".join(p.detach().contiguous().numpy().tobytes() for p in model.parameters())
    sums = [None] * processes
    distributed.all_gather_object(sums, hashlib.sha256(weights).hexdigest()[:16])
    if rank == 0:
        print(f"weights of {processes} processes: {' '.join(sums)}")
        print(counts)
    distributed.destroy_process_group()
    time.sleep(0.5)  # PyTorch 2.15 may abort a process that ends while gloo's threads do; without convgrad, too


if __name__ == "__main__":
    main()
