"""Times convgrad beside PyTorch, in one process and in turn: layers of a table, or whole networks.

    python3 bench/compare_torch.py SHAPES.csv [--threads N]              each pass of each layer
    python3 bench/compare_torch.py resnet50 unet [--batch N]             forward + backward, through convgrad.torch.patch()
    python3 bench/compare_torch.py resnet50 --layers                     its convolutions, layer by layer and pass by pass

A network is one of ours (bench/networks.py) or, where torchvision is, any of its classifiers by name (r3d_18 for three
dimensions).  Contiguous and channels_last, in PyTorch and through patch(); with --compile, torch.compile of PyTorch's better
format, too.  With --apart each mode has processes of its own, in turn, so that none works in memory that another has made
ready, as a user has it who trains in one mode; each of them times --steps, after one that is not timed.  With --autocast
forward runs in bfloat16, where PyTorch's rules say so, and single layers are of bfloat16.  For each: seconds, least and median
of the steps; the largest memory of the process meanwhile (Linux); the share of convolutions in the step.  --json FILE adds a
record for each mode, --chart FILE.svg draws them (matplotlib).

Needs the Python package (pip install .) and PyTorch (Debian: python3-torch).  f32 but for that; weight packing included.
"""
import argparse
import contextlib
import copy
import csv
import json
import math
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import torch

import convgrad
import convgrad.torch
import networks

PASSES = ("forward", "grad_input", "grad_weight")
MODES = {f"{who}{' channels_last' if last else ''}": (door, last)
         for last in (False, True) for who, door in (("PyTorch", contextlib.nullcontext), ("patch()", convgrad.torch.patch))}


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
    parser.add_argument("--steps", type=int, help="of a network's mode, one after another; with --apart 4, else 1")
    parser.add_argument("--layers", action="store_true", help="of networks: each convolution, in channels_last")
    parser.add_argument("--compile", action="store_true", help="torch.compile, too; needs a C++ compiler")
    parser.add_argument("--apart", action="store_true", help="each mode of a network in a process of its own, in turn")
    parser.add_argument("--autocast", action="store_true", help="networks in bfloat16 (torch.autocast)")
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)  # what such a process does
    parser.add_argument("--json", help="a file to which records of networks are added, one a line")
    parser.add_argument("--chart", help="a file for a chart of networks (.svg, .png); needs matplotlib")
    args = parser.parse_args()
    if args.steps is None:
        args.steps = 4 if args.apart else 1
    for name in ("threads", "batch", "rounds", "steps"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} is {getattr(args, name)}; must be at least 1")
    if args.apart and args.compile:
        parser.error("--apart does not go with --compile")
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    if args.mode:
        model, shape = networks.network(args.what[0])
        print(json.dumps(steps(*in_mode(args.mode, model, shape, args), args.steps, share=True)))
        return
    records, ratios = [], []
    print(f"PyTorch {torch.__version__}, convgrad {convgrad.__version__}, {processor()}, {args.threads} threads")
    for what in args.what:
        if what.endswith(".csv"):
            compare_layers(what, args)
            continue
        found = networks.network(what)
        if found is None:
            parser.error(f"{what} is no table (.csv), none of {', '.join(networks.NETWORKS)} and no network of torchvision")
        if args.layers:
            network_layers(what, *found, args)
        else:
            made = compare_network(what, *found, args)
            records += made
            ratios.append(made[0]["ratio"])
    if len(ratios) > 1:
        print(f"{len(ratios)} networks: {statistics.geometric_mean(ratios):.2f} in the geometric mean, at worst {min(ratios):.2f}")
    if args.json:
        with open(args.json, "a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
    if args.chart and records:
        chart(records, args.chart)


def processor():
    """The processor's name."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def forget_peak():
    """Begins to look for the process's largest memory anew; whether that can be done here."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        return True
    except OSError:
        return False


def peak_memory():
    """The process's largest memory since then, MiB."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def in_format(tensor, last):
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return tensor.contiguous(memory_format=formats.get(tensor.dim(), torch.contiguous_format) if last else torch.contiguous_format)


def in_formats(model, last):
    """A copy of a model whose filters are in a format."""
    made = copy.deepcopy(model)
    for parameter in made.parameters():
        parameter.data = in_format(parameter.data, last)
    return made


def step(model, images):
    """Seconds of forward and backward."""
    model.zero_grad()
    begin = time.perf_counter()
    y = model(images)
    (y if isinstance(y, torch.Tensor) else y[0]).square().mean().backward()
    return time.perf_counter() - begin


def convolutions_share(model, images):
    """The part of a step that convolutions take."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        seconds = step(model, images)
    names = "aten::convolution", "aten::convolution_backward"
    return sum(event.cpu_time_total for event in profile.key_averages() if event.key in names) / 1e6 / seconds


def in_mode(mode, model, shape, args):
    """The door of a mode, a model and images in its format."""
    door, last = MODES[mode]
    made = in_formats(model.train(), last)
    if args.autocast:
        made.forward = torch.autocast("cpu", torch.bfloat16)(made.forward)
    return door, made, in_format(torch.rand(args.batch, *shape) - 0.5, last)


def steps(door, model, images, count, share):
    """Seconds of steps after another, as in a loop that trains, the largest memory and, if asked, the share of convolutions."""
    with door():
        step(model, images)
        known = forget_peak()
        seconds = [step(model, images) for _ in range(count)]
        peak = peak_memory() if known else None
        made = seconds, peak, convolutions_share(model, images) if share else None
        model.zero_grad()  # so that the next mode has as much memory left
    return made


def steps_apart(name, mode, args):
    """The same in a process of its own."""
    command = [sys.executable, __file__, name, "--mode", mode, "--batch", str(args.batch), "--threads", str(args.threads)]
    command += ["--steps", str(args.steps)] + ["--autocast"] * args.autocast
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def compare_network(name, model, shape, args):
    """Forward and backward of a whole network, all modes in turn; their records."""
    if args.apart:
        modes = {mode: lambda share, mode=mode: steps_apart(name, mode, args) for mode in MODES}
    else:
        made = {mode: in_mode(mode, model, shape, args) for mode in MODES}
        if args.compile:
            best = min((mode for mode in made if mode.startswith("PyTorch")), key=lambda mode: [step(*made[mode][1:]) for _ in range(2)][1])
            made[f"{best}, compiled"] = (contextlib.nullcontext, torch.compile(made[best][1]), made[best][2])
        modes = {mode: lambda share, mode=mode: steps(*made[mode], args.steps, share) for mode in made}
    times, peaks, shares = {mode: [] for mode in modes}, {}, {}
    for n in range(args.rounds):
        for mode, run in modes.items():
            seconds, peaks[mode], shares[mode] = run(n + 1 == args.rounds)
            times[mode] += seconds
    kind = ", autocast to bfloat16" * args.autocast
    print(f"{name}, batch {args.batch}, {args.threads} threads{kind}, forward + backward, ms: least (median), MiB at most, % in convolutions")
    for mode, seconds in times.items():
        memory = "" if peaks[mode] is None else f"{peaks[mode]:.0f}"
        print(f"  {mode:32s} {min(seconds) * 1e3:8.0f} ({statistics.median(seconds) * 1e3:.0f}) {memory:>8s} {100 * shares[mode]:5.0f}")
    best = [min(min(seconds) for mode, seconds in times.items() if mode in (who, f"{who} channels_last")) for who in ("PyTorch", "patch()")]
    print(f"  {best[0] / best[1]:.2f} times as fast as PyTorch {torch.__version__} in its better format", flush=True)
    return [{"network": name, "batch": args.batch, "threads": args.threads, "autocast": args.autocast, "mode": mode, "seconds_min": min(seconds),
             "seconds_median": statistics.median(seconds), "peak_mib": peaks[mode], "convolutions": shares[mode],
             "ratio": best[0] / best[1], "torch": torch.__version__, "convgrad": convgrad.__version__, "processor": processor()}
            for mode, seconds in times.items()]


def chart(records, path):
    """Bars of the least seconds of each mode."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SystemExit("--chart needs matplotlib, which is not here") from None
    figure = Figure(figsize=(8, 1 + 0.3 * len(records)), layout="constrained")
    axes = figure.subplots()
    labels = [f"{r['network']}, {r['mode']}" for r in records]
    axes.barh(labels, [r["seconds_min"] for r in records], color=["C1" if "patch" in label else "C0" for label in labels])
    axes.invert_yaxis()
    axes.set_xlabel(f"seconds a step, batch {records[0]['batch']}, {records[0]['threads']} threads, {records[0]['processor']}")
    figure.savefig(path)


def network_layers(name, model, shape, args):
    """Each convolution of a network (not the transposed) by itself, channels_last, ours and PyTorch's in turn, from memory; first those that cost the most."""
    found = {}

    def seen(layer, inputs, _):
        key = tuple(inputs[0].shape), tuple(layer.weight.shape), layer.stride, layer.padding, layer.dilation, layer.groups
        found[key] = found.get(key, 0) + 1

    for layer in model.train().modules():
        if isinstance(layer, (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)):
            layer.register_forward_hook(seen)
    with torch.no_grad():
        model(torch.rand(args.batch, *shape))
    lines, totals = [], [0.0, 0.0]
    others = torch.zeros(64 << 20)  # 256 MiB: of a whole network, a layer finds little of its tensors in the caches
    for (x_shape, w_shape, stride, padding, dilation, groups), times in found.items():
        kind = torch.bfloat16 if args.autocast else torch.float32
        x, w = (in_format(torch.rand(s).to(kind) - 0.5, True) for s in (x_shape, w_shape))
        zeros = [0] * len(stride)
        y = torch.convolution(x, w, None, stride, padding, dilation, False, zeros, groups)
        backward = lambda mask: torch.ops.aten.convolution_backward(  # noqa: E731
            y, x, w, None, stride, padding, dilation, False, zeros, groups, mask)  # noqa: B023
        calls = {"forward": lambda: torch.convolution(x, w, None, stride, padding, dilation, False, zeros, groups),  # noqa: B023
                 "grad_input": lambda: backward((True, False, False)), "grad_weight": lambda: backward((False, True, False))}  # noqa: B023
        if x_shape[1:] == shape:
            del calls["grad_input"]  # of the images, which nobody asks for

        def timed(door, call):
            others.add_(1)
            with door():
                begin = time.perf_counter()
                call()
                return time.perf_counter() - begin

        with torch.no_grad():
            for pass_name, call in calls.items():
                least, end, runs = [math.inf, math.inf], time.perf_counter() + args.seconds, 0
                while runs < 3 or time.perf_counter() < end:
                    least = [min(a, timed(door, call)) for a, door in zip(least, (convgrad.torch.patch, contextlib.nullcontext))]
                    runs += 1
                totals = [total + times * seconds for total, seconds in zip(totals, least)]
                text = f"{pass_name:11s} {x_shape} with {w_shape}, stride {stride}, groups {groups}"
                lines.append((times * (least[0] - least[1]), f"{least[1] / least[0]:5.2f} {times:3d} x {least[0] * 1e3:8.3f} ms  {text}"))
    print(f"{name}, batch {args.batch}, {args.threads} threads, channels_last: convolutions {totals[0] * 1e3:.0f} ms, PyTorch's "
          f"{totals[1] * 1e3:.0f} ms.  PyTorch's time over ours, where most is lost first:")
    for _, line in sorted(lines, reverse=True):
        print(f"  {line}", flush=True)


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
