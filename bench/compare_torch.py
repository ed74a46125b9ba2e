"""Times convgrad beside PyTorch, in one process and in turn: layers of a table, or whole networks.

    python3 bench/compare_torch.py SHAPES.csv [--threads N]          each pass of each layer
    python3 bench/compare_torch.py resnet50 vgg16 [--threads N]      forward + backward, through convgrad.torch.patch()

A network is one of ours (resnet50, vgg16) or, where torchvision is, any of its classifiers by name; contiguous and
channels_last, in PyTorch and through patch().  Needs the Python package (pip install .) and PyTorch (Debian:
python3-torch).  Layers NCHW in and out; f32; weight packing included.  Prints milliseconds (least of repeated runs; for
networks the median, too) and ratios, then geometric means.
"""
import argparse
import contextlib
import copy
import csv
import math
import statistics
import time

import torch

import convgrad
import convgrad.torch
import networks

PASSES = ("forward", "grad_input", "grad_weight")


def convgrad_passes(row, x, w, y, g, threads):
    """Functions that run each pass, and the results that they fill."""
    pair = lambda a, b: (int(row[a]), int(row[b]))
    plan = convgrad.Plan(tuple(x.shape), tuple(w.shape), stride=pair("stride_h", "stride_w"),
                         padding=(pair("pad_top", "pad_bottom"), pair("pad_left", "pad_right")),
                         dilation=pair("dilation_h", "dilation_w"), groups=int(row["groups"]), threads=threads)
    results = torch.empty_like(y), torch.empty_like(x), torch.empty_like(w)
    at = lambda tensor: tensor.data_ptr()
    calls = (
        lambda: plan.run_forward(at(x), at(w), None, at(results[0])),
        lambda: plan.run_grad_input(at(g), at(w), at(results[1])),
        lambda: plan.run_grad_weight(at(x), at(g), at(results[2])),
    )
    return calls, results


def torch_passes(row, x, w, g, padding):
    stride = (int(row["stride_h"]), int(row["stride_w"]))
    dilation = (int(row["dilation_h"]), int(row["dilation_w"]))
    groups = int(row["groups"])

    def backward(mask):
        return torch.ops.aten.convolution_backward(
            g, x, w, None, stride, padding, dilation, False, (0, 0), groups, mask
        )

    return (
        lambda: torch.conv2d(x, w, None, stride, padding, dilation, groups),
        lambda: backward((True, False, False))[0],
        lambda: backward((False, True, False))[1],
    )


def least_times(calls, seconds):
    """The least time of each call, all in turn until the time is spent."""
    least, end = [math.inf] * len(calls), time.perf_counter() + seconds
    for call in calls:
        call()
    runs = 0
    while runs < 3 or time.perf_counter() < end:
        for i, call in enumerate(calls):
            begin = time.perf_counter()
            call()
            least[i] = min(least[i], time.perf_counter() - begin)
        runs += 1
    return least


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="+", help=f"tables of shapes (.csv), {', '.join(networks.NETWORKS)}, or networks of torchvision")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each layer and pass")
    parser.add_argument("--batch", type=int, default=4, help="images of a network")
    parser.add_argument("--rounds", type=int, default=5, help="of a network")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    for what in args.what:
        if what.endswith(".csv"):
            compare_layers(what, args)
            continue
        model = network(what)
        if model is None:
            parser.error(f"{what} is no table (.csv), none of {', '.join(networks.NETWORKS)} and no network of torchvision")
        compare_network(what, model, args)


def network(name):
    """A network by its name; None: there is none."""
    if name in networks.NETWORKS:
        return networks.NETWORKS[name]()
    try:
        import torchvision
    except ImportError:
        return None
    make = getattr(torchvision.models, name, None) if name.islower() else None
    return make(weights=None) if callable(make) else None


def compare_network(name, model, args):
    """Forward and backward of a whole network, both memory formats, ours and PyTorch's convolutions in turn."""
    models = {torch.contiguous_format: model.train()}
    models[torch.channels_last] = copy.deepcopy(model).to(memory_format=torch.channels_last)
    images = torch.rand(args.batch, 3, 224, 224) - 0.5
    formats = {"": torch.contiguous_format, " channels_last": torch.channels_last}

    def iteration(memory_format):
        model, x = models[memory_format], images.contiguous(memory_format=memory_format)
        model.zero_grad()
        begin = time.perf_counter()
        y = model(x)
        (y if isinstance(y, torch.Tensor) else y[0]).square().mean().backward()
        return time.perf_counter() - begin

    times = {who + memory: [] for who in ("PyTorch", "patch()") for memory in formats}
    for _ in range(args.rounds):
        for who, convolutions in (("PyTorch", contextlib.nullcontext), ("patch()", convgrad.torch.patch)):
            for memory, memory_format in formats.items():
                with convolutions():
                    iteration(memory_format)  # as the one before in a loop that trains
                    times[who + memory].append(iteration(memory_format))
    print(f"{name}, batch {args.batch}, {args.threads} threads, forward + backward, ms, least (median):")
    for mode, seconds in times.items():
        print(f"  {mode:24s} {min(seconds) * 1e3:8.0f} ({statistics.median(seconds) * 1e3:.0f})")
    best = [min(min(seconds) for mode, seconds in times.items() if mode.startswith(who)) for who in ("PyTorch", "patch()")]
    print(f"  {best[0] / best[1]:.2f} times as fast as PyTorch {torch.__version__} in its better format", flush=True)


def compare_layers(path, args):
    """Each pass of each layer of a table."""
    ratios = {name: [] for name in PASSES}
    with open(path, newline="") as file, torch.no_grad():
        for row in csv.DictReader(file):
            padding = (int(row["pad_top"]), int(row["pad_left"]))
            if padding != (int(row["pad_bottom"]), int(row["pad_right"])):
                print(f"{row['name']:28s} left out: PyTorch pads both sides alike")
                continue
            x = torch.rand(int(row["n"]), int(row["c"]), int(row["h"]), int(row["w"])) - 0.5
            w = torch.rand(int(row["k"]), int(row["c"]) // int(row["groups"]), int(row["r"]), int(row["s"])) - 0.5
            y = torch.conv2d(x, w, None, (int(row["stride_h"]), int(row["stride_w"])), padding,
                             (int(row["dilation_h"]), int(row["dilation_w"])), int(row["groups"]))
            g = torch.rand_like(y) - 0.5
            theirs = torch_passes(row, x, w, g, padding)
            ours, results = convgrad_passes(row, x, w, y, g, args.threads)
            line = f"{row['name']:28s}"
            for i, name in enumerate(PASSES):
                our, their = least_times((ours[i], theirs[i]), args.seconds)
                want = theirs[i]()
                if not torch.allclose(results[i], want, rtol=1e-3, atol=1e-4 * float(want.abs().max())):
                    raise SystemExit(f"{row['name']} {name}: the results differ")
                ratios[name].append((their / our, row["name"]))
                line += f"  {name} {our * 1e3:8.3f} and {their * 1e3:8.3f} ms, {their / our:5.2f}"
            print(line, flush=True)
    for name in PASSES:
        mean = math.exp(sum(math.log(ratio) for ratio, _ in ratios[name]) / len(ratios[name]))
        worst, where = min(ratios[name])
        print(f"{name}: {mean:.2f} times as fast as PyTorch {torch.__version__}, at worst {worst:.2f} ({where})")


if __name__ == "__main__":
    main()
