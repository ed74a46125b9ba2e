"""Times convgrad beside PyTorch, in one process and in turn: layers of a table, or whole networks.

    python3 bench/compare_torch.py SHAPES.csv [--threads N]          each pass of each layer
    python3 bench/compare_torch.py resnet50 vgg16 [--threads N]      forward + backward, through convgrad.torch.patch()

Needs the Python package (pip install .) and PyTorch (Debian: python3-torch).  NCHW in and out, f32; weight packing
included.  Prints milliseconds (least of repeated runs; for networks the median, too) and ratios, then geometric means.
"""
import argparse
import contextlib
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
    parser.add_argument("what", nargs="+", help=f"tables of shapes, or {', '.join(networks.NETWORKS)}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each layer and pass")
    parser.add_argument("--batch", type=int, default=4, help="images of a network")
    parser.add_argument("--rounds", type=int, default=5, help="of a network")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    for what in args.what:
        if what in networks.NETWORKS:
            compare_network(what, args)
        else:
            compare_layers(what, args)


def compare_network(name, args):
    """Forward and backward of a whole network, ours and PyTorch's convolutions in turn."""
    model = networks.NETWORKS[name]().train()
    x = torch.rand(args.batch, 3, 224, 224) - 0.5

    def iteration():
        model.zero_grad()
        begin = time.perf_counter()
        model(x).square().mean().backward()
        return time.perf_counter() - begin

    times = {"ours": [], "PyTorch": []}
    for _ in range(args.rounds):
        for who, convolutions in (("ours", convgrad.torch.patch), ("PyTorch", contextlib.nullcontext)):
            with convolutions():
                iteration()  # as the one before in a loop that trains
                times[who].append(iteration())
    (our, our_median), (their, their_median) = ((min(t), statistics.median(t)) for t in times.values())
    print(f"{name}, batch {args.batch}, {args.threads} threads, forward + backward: {our * 1e3:.0f} ms (median {our_median * 1e3:.0f}); "
          f"PyTorch {torch.__version__} {their * 1e3:.0f} ms ({their_median * 1e3:.0f}); {their / our:.2f} times as fast", flush=True)


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
