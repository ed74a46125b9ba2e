"""Trains one network by convgrad train and by PyTorch: the same data, recipe and rule for first weights.

    python3 bench/compare_train.py PROGRAM MODEL.txt --data IMAGES[,LABELS] [--test IMAGES[,LABELS]] [the recipe's options]
        learn:  --epochs N --seeds 1,2 -o DIR     PyTorch's history of each seed, as history.csv has convgrad's
        time:   --rounds N --threads 1,2          seconds of an epoch of each in turn, least and median

Takes the options of convgrad train that are named below.  Random numbers are others, so that weights start elsewhere
and samples come in another order.  PyTorch's data are in memory; its optimiser is the fused one.  Reads IDX and CIFAR-10
files.  Needs PyTorch.
"""
import argparse
import csv
import gzip
import math
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

import torch
from torch import nn


def file_bytes(path):
    return (gzip.open if path.endswith(".gz") else open)(path, "rb").read()


def read_data(text):
    """Images N x C x H x W as bytes, and labels."""
    files = [file_bytes(path) for path in text.split(",")]
    if re.search(r"\.bin(\.gz)?$", text):
        records = torch.frombuffer(bytearray(b"".join(files)), dtype=torch.uint8).reshape(-1, 3073)
        return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].long()
    sizes = [int.from_bytes(files[0][at:at + 4], "big") for at in (4, 8, 12)]
    return (torch.frombuffer(bytearray(files[0][16:]), dtype=torch.uint8).reshape(-1, 1, *sizes[1:]),
            torch.frombuffer(bytearray(files[1][8:]), dtype=torch.uint8).long())


class Input(nn.Module):
    def __init__(self, words):
        super().__init__()
        value = {key: [float(v) for v in text.split(",")] for key, text in
                 (word.replace("1/255", str(1 / 255)).split("=") for word in words[1:])}
        self.scale, = value.get("scale", [1])
        self.mean, self.std = (torch.tensor(value.get(key, [default])).reshape(-1, 1, 1) for key, default in
                               (("mean", 0.0), ("std", 1.0)))

    def forward(self, x):
        return (x * self.scale - self.mean) / self.std


def network(text):
    """The layers of a model's text that these benchmarks have."""
    layers, shape = [], None
    for line in text.splitlines():
        words = line.split("#")[0].split()
        options = {key: int(value) for key, value in (w.split("=") for w in words if re.fullmatch(r"\w+=\d+", w))}
        if not words or words[0] == "cross_entropy":
            continue
        if words[0] == "input":
            shape = torch.zeros(1, *map(int, words[1].split("x")))
            layers.append(Input(words[1:]))
            continue
        layers.append({
            "conv": lambda: nn.Conv2d(shape.shape[1], int(words[1]), tuple(map(int, words[2].split("x"))),
                                      stride=options.get("stride", 1), padding=options.get("padding", 0)),
            "linear": lambda: nn.Linear(shape.shape[1], int(words[1])),
            "batchnorm": lambda: (nn.BatchNorm1d if shape.dim() == 2 else nn.BatchNorm2d)(shape.shape[1]),
            "maxpool": lambda: nn.MaxPool2d(int(words[1]), options.get("stride"), options.get("padding", 0)),
            "dropout": lambda: nn.Dropout(float(words[1])), "relu": nn.ReLU, "flatten": nn.Flatten,
        }[words[0]]())
        shape = layers[-1].eval()(shape)
    return nn.Sequential(*layers)


def start(net, rule):
    """convgrad's rules: uniform weights, biases 0."""
    for layer in net:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            (nn.init.xavier_uniform_ if rule == "xavier" else nn.init.kaiming_uniform_)(
                layer.weight, **({} if rule == "xavier" else {"nonlinearity": "relu"}))
            nn.init.zeros_(layer.bias)


def augment(x, flip, crop):
    """Each sample is reversed along its rows or not, and shifted, with zeros around it."""
    n, _, height, width = x.shape
    if crop:
        x = nn.functional.pad(x, (crop,) * 4)
    rows = torch.arange(height) + torch.randint(2 * crop + 1, (n, 1))
    columns = torch.arange(width) + torch.randint(2 * crop + 1, (n, 1))
    if flip:
        columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    return x[torch.arange(n)[:, None, None, None], torch.arange(x.shape[1])[:, None, None], rows[:, None, :, None],
             columns[:, None, None, :]]


class Training:
    def __init__(self, options, seed):
        torch.manual_seed(seed)
        self.o = options
        self.net = network(pathlib.Path(options.model).read_text())
        start(self.net, options.init)
        self.x, self.y = read_data(options.data)
        if options.samples:
            self.x, self.y = self.x[:options.samples], self.y[:options.samples]
        self.x = self.x.float()
        self.test = [t for t in read_data(options.test)] if options.test else None
        self.steps = options.epochs * math.ceil(len(self.x) / options.batch)
        self.done = 0
        kind = {"sgd": lambda p: torch.optim.SGD(p, options.learning_rate, options.momentum,
                                                 weight_decay=options.weight_decay, fused=True),
                "adamw": lambda p: torch.optim.AdamW(p, options.learning_rate, weight_decay=options.weight_decay,
                                                     fused=True)}
        self.optimizer = kind[options.optimizer](self.net.parameters())

    def epoch(self):
        """Mean loss, and the share that was right."""
        self.net.train()
        total, hits = 0.0, 0
        words = self.o.augment.split(",") if self.o.augment else []
        crop = next((int(w[5:]) for w in words if w.startswith("crop=")), 0)
        for at in torch.randperm(len(self.x)).split(self.o.batch):
            for group in self.optimizer.param_groups:
                if self.o.schedule == "cosine":
                    group["lr"] = self.o.learning_rate * 0.5 * (1 + math.cos(math.pi * self.done / self.steps))
            x, y = self.x[at], self.y[at]
            out = self.net(augment(x, "flip" in words, crop) if words else x)
            loss = nn.functional.cross_entropy(out, y)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.done += 1
            total += loss.item() * len(y)
            hits += (out.argmax(1) == y).sum().item()
        return total / len(self.x), hits / len(self.x)

    def evaluate(self):
        self.net.eval()
        total, hits = 0.0, 0
        with torch.no_grad():
            for x, y in zip(self.test[0].split(500), self.test[1].split(500)):
                out = self.net(x.float())
                total += nn.functional.cross_entropy(out, y, reduction="sum").item()
                hits += (out.argmax(1) == y).sum().item()
        return total / len(self.test[1]), hits / len(self.test[1])


def learn(options):
    for seed in map(int, options.seeds.split(",")):
        training = Training(options, seed)
        path = pathlib.Path(options.output) / f"torch-{seed}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds"])
            for epoch in range(1, options.epochs + 1):
                begin = time.perf_counter()
                row = [epoch, *training.epoch(), *(training.evaluate() if options.test else ("", ""))]
                rows.writerow([*row, round(time.perf_counter() - begin, 2)])
                file.flush()
                print("seed", seed, *row, flush=True)


def some_data(options, folder):
    """The first samples as files of their own; for convgrad, which has no option for it."""
    if not options.samples:
        return options.data
    paths = []
    for path in options.data.split(","):
        body = file_bytes(path)
        if re.search(r"\.bin(\.gz)?$", path):
            body = body[:3073 * options.samples]
        else:
            axes, count = body[3], int.from_bytes(body[4:8], "big")
            head, each = 4 + 4 * axes, (len(body) - 4 - 4 * axes) // count
            body = body[:4] + options.samples.to_bytes(4, "big") + body[8:head + each * options.samples]
        paths.append(str(pathlib.Path(folder) / pathlib.Path(path).name.replace(".gz", "")))
        pathlib.Path(paths[-1]).write_bytes(body)
    return ",".join(paths)


def ours(options, data, threads, folder):
    words = [options.program, "train", options.model, "--data", data, "-o", f"{folder}/{time.monotonic_ns()}", "--threads",
             str(threads), "--epochs", "1"]
    for name in ("batch", "optimizer", "learning_rate", "momentum", "weight_decay", "schedule", "init", "shard", "augment"):
        value = getattr(options, name)
        if value not in (None, ""):
            words += ["--" + name.replace("_", "-"), str(value)]
    out = subprocess.run(words, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
    return float(re.findall(r"; ([0-9.]+) s\n", out)[-1])


def take_times(options):
    options.epochs = options.rounds + 1
    with tempfile.TemporaryDirectory() as folder:
        data = some_data(options, folder)
        for threads in map(int, options.threads.split(",")):
            torch.set_num_threads(threads)
            training = Training(options, 1)
            seconds = {"convgrad": [], "PyTorch": []}
            training.epoch()
            for _ in range(options.rounds):
                seconds["convgrad"].append(ours(options, data, threads, folder))
                begin = time.perf_counter()
                training.epoch()
                seconds["PyTorch"].append(time.perf_counter() - begin)
            for name, all_of in seconds.items():
                print(f"{threads} threads, {name}: {min(all_of):.2f} s least, {statistics.median(all_of):.2f} s median, "
                      f"{1000 * min(all_of) / len(training.x):.3f} ms a sample", flush=True)
            print(f"{threads} threads: {min(seconds['PyTorch']) / min(seconds['convgrad']):.2f} times as fast by the least, "
                  f"{statistics.median(t / c for c, t in zip(*seconds.values())):.2f} by the median of pairs", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--test")
    parser.add_argument("-o", dest="output", default=".")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--samples", type=int, default=0, help="of the data, the first so many")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--optimizer", choices=("sgd", "adamw"), default="sgd")
    parser.add_argument("--learning-rate", type=float, default=0.02)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=0)
    parser.add_argument("--schedule", choices=("cosine", "constant"), default="cosine")
    parser.add_argument("--init", choices=("he", "xavier"), default="he")
    parser.add_argument("--shard", type=int)
    parser.add_argument("--augment", default="")
    options = parser.parse_args()
    if options.rounds:
        take_times(options)
    else:
        torch.set_num_threads(int(options.threads))
        learn(options)


if __name__ == "__main__":
    main()
