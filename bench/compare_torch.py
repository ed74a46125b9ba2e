"""Times convgrad's passes beside PyTorch's on a table of shapes, in one process and in turn.

    python3 bench/compare_torch.py SHAPES.csv [--threads N] [--library build/libconvgrad.so]

Needs PyTorch (Debian: python3-torch) and a built library.  NCHW in and out, f32; weight packing
included.  Prints milliseconds (least of repeated runs) and ratios, then geometric means.
"""
import argparse
import csv
import ctypes
import math
import time

import torch

PASSES = ("forward", "grad_input", "grad_weight")
INT3 = ctypes.c_int64 * 3


class Conv(ctypes.Structure):
    """cvg_conv of convgrad.h."""

    _fields_ = (
        [("struct_size", ctypes.c_size_t), ("type", ctypes.c_int), ("spatial_dims", ctypes.c_int)]
        + [(name, ctypes.c_int64) for name in ("batch", "in_channels", "out_channels", "groups")]
        + [(name, INT3) for name in ("in_", "filter", "stride", "dilation", "pad_begin", "pad_end")]
    )


class Options(ctypes.Structure):
    """cvg_options of convgrad.h."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("algo", ctypes.c_int * 3),
        ("error_growth", ctypes.c_double),
        ("gradient_scale", ctypes.c_double),
        ("workspace_limit", ctypes.c_size_t),
        ("threads", ctypes.c_int),
        ("parallel_for", ctypes.c_void_p),
        ("pool", ctypes.c_void_p),
    ]


def pointer(tensor):
    return ctypes.c_void_p(tensor.data_ptr())


def convgrad_passes(library, row, x, w, y, g, threads):
    """Functions that run each pass, and the results that they fill."""
    pair = lambda a, b: INT3(int(row[a]), int(row[b]), 0)
    conv = Conv(
        ctypes.sizeof(Conv), 0, 2, int(row["n"]), int(row["c"]), int(row["k"]), int(row["groups"]),
        pair("h", "w"), pair("r", "s"), pair("stride_h", "stride_w"), pair("dilation_h", "dilation_w"),
        pair("pad_top", "pad_left"), pair("pad_bottom", "pad_right"),
    )
    options = Options(ctypes.sizeof(Options), (ctypes.c_int * 3)(0, 0, 0), 12.0, 1.0, 0, threads, None, None)
    plan, error = ctypes.c_void_p(), ctypes.create_string_buffer(240)
    if library.cvg_plan_create(ctypes.byref(plan), ctypes.byref(conv), ctypes.byref(options), error):
        raise SystemExit(error.value.decode())
    size = max(library.cvg_plan_workspace_size(plan, p) for p in range(3))
    space = ctypes.create_string_buffer(max(size, 1))
    results = torch.empty_like(y), torch.empty_like(x), torch.empty_like(w)
    calls = (
        lambda: library.cvg_forward(plan, pointer(x), pointer(w), None, pointer(results[0]), space),
        lambda: library.cvg_grad_input(plan, pointer(g), pointer(w), pointer(results[1]), 0, space),
        lambda: library.cvg_grad_weight(plan, pointer(x), pointer(g), pointer(results[2]), 0, space),
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
    parser.add_argument("shapes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--library", default="build/libconvgrad.so")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each layer and pass")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    library = ctypes.CDLL(args.library)
    library.cvg_plan_workspace_size.restype = ctypes.c_size_t
    ratios = {name: [] for name in PASSES}
    with open(args.shapes, newline="") as file, torch.no_grad():
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
            ours, results = convgrad_passes(library, row, x, w, y, g, args.threads)
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
