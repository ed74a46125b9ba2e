"""PyTorch loads the weights of convgrad train strictly, and computes the same probabilities; and the other way round.

    python3 tests/train_torch.py PROGRAM       needs PyTorch

The bound is derived: beside the network in double runs one of absolute values that carries, through each layer, the
largest error that sums in single precision can have (n + 2 roundings of 2^-24 for n terms; --exact, so that these are
the definition's sums).  Softmax of logits that are off by E is off by a factor of e^(2E) at most.
"""
import json
import random
import struct
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError:
    print("skipped: PyTorch is not there")
    sys.exit(77)

MODEL = """input 1x8x8 scale=1/255 mean=0.5 std=0.25
conv 4 3x3 padding=1
relu
maxpool 2
conv 6 3x3
batchnorm
relu
flatten
linear 5
cross_entropy
"""
UNIT = 2.0 ** -24


def network():
    nn = torch.nn
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6),
                         nn.ReLU(), nn.Flatten(), nn.Linear(24, 5)).double()


TYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, t in header.items():
        begin, end = (8 + length + at for at in t["data_offsets"])
        if end > begin:
            tensors[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=TYPES[t["dtype"]]).reshape(t["shape"])
    return tensors


def write(path, tensors):
    header, body = {}, b""
    for name, t in tensors.items():
        dtype = {v: k for k, v in TYPES.items()}[t.dtype]
        raw = bytes(t.contiguous().reshape(-1).numpy().tobytes()) if t.numel() else b""
        header[name] = {"dtype": dtype, "shape": list(t.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def bound(layers, x):
    """The largest error of each logit, from that of the input: scale, mean and std are three roundings."""
    a = x
    e = 4 * UNIT * (x.abs() + 2)
    for layer in layers:
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            n = layer.weight[0].numel()
            if isinstance(layer, torch.nn.Conv2d):
                def run(v, w, b):
                    return torch.nn.functional.conv2d(v, w, b, padding=layer.padding)
            else:
                def run(v, w, b):
                    return torch.nn.functional.linear(v, w, b)
            w, b = layer.weight.abs(), layer.bias.abs()
            e = run(e, w, None) + (n + 2) * UNIT * run(a.abs() + e, w, b)
        elif isinstance(layer, torch.nn.BatchNorm2d):
            factor = (layer.weight / (layer.running_var + layer.eps).sqrt()).abs().reshape(1, -1, 1, 1)
            mean, shift = (v.abs().reshape(1, -1, 1, 1) for v in (layer.running_mean, layer.bias))
            e = e * factor + 8 * UNIT * ((a.abs() + e + mean) * factor + shift)
        elif isinstance(layer, torch.nn.MaxPool2d):
            e = layer(e)
        elif isinstance(layer, torch.nn.Flatten):
            e = layer(e)
        a = layer(a)
    return a, e


def compare(program, weights, pixels, said, *other):
    net = network()
    tensors = {k: v.double() if v.is_floating_point() else v for k, v in read(weights).items()
               if not k.startswith("optimizer.")}
    net.load_state_dict(tensors, strict=True)
    net.eval()
    with torch.no_grad():
        logits, error = bound(net, (pixels.double() / 255 - 0.5) / 0.25)
        p = torch.softmax(logits, 1)
        most = p * (torch.exp(2 * error.max(1, keepdim=True)[0]) - 1 + 32 * UNIT) + 1e-9 * p + 2.0 ** -120
    out = subprocess.run([program, "predict", weights, "x.idx", "--top", "5", "--format", "json", *other], check=True,
                         stdout=subprocess.PIPE).stdout
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) == len(pixels)
    worst = 0
    for i, line in enumerate(lines):
        assert sorted(c["class"] for c in line["classes"]) == list(range(5))
        for c in line["classes"]:
            off = abs(c["probability"] - p[i, c["class"]].item())
            assert off <= most[i, c["class"]].item(), (said, i, c, off)
            worst = max(worst, off / most[i, c["class"]].item())
    print(f"{said}: {len(lines)} samples within the bound, at most {worst:.3f} of it (bound about {most.max().item():.1e})")


def main():
    import os
    program = os.path.abspath(sys.argv[1])
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        count = 96
        labels = [random.randrange(5) for _ in range(count)]
        values = [min(255, 40 * label + random.randrange(80)) for label in labels for _ in range(64)]
        open("x.idx", "wb").write(struct.pack(">IIII", 0x803, count, 8, 8) + bytes(values))
        open("y.idx", "wb").write(struct.pack(">II", 0x801, count) + bytes(labels))
        open("model.txt", "w").write(MODEL)
        pixels = torch.tensor(values).reshape(count, 1, 8, 8)
        train = [program, "train", "model.txt", "--data", "x.idx,y.idx", "--batch", "32", "--exact"]
        subprocess.run([*train, "--test", "x.idx,y.idx", "--epochs", "8", "-o", "ours"], check=True, stdout=subprocess.DEVNULL)
        compare(program, "ours/best.safetensors", pixels, "PyTorch loads ours")
        compare(program, "ours/checkpoint.safetensors", pixels, "and our checkpoint")

        # Theirs as a start: with a learning rate of 0 they come out again, but for statistics of batch norm.
        torch.manual_seed(2)
        state = network().state_dict()
        theirs = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        write("theirs.safetensors", theirs)
        subprocess.run([*train, "--init", "theirs.safetensors", "--learning-rate", "0", "--epochs", "1", "-o", "again"], check=True,
                       stdout=subprocess.DEVNULL)
        got = read("again/checkpoint.safetensors")
        for name, want in theirs.items():
            if "running" not in name and "num_batches" not in name:
                assert torch.equal(got[name], want), name
        print("we load PyTorch's")
        compare(program, "theirs.safetensors", pixels, "we predict from PyTorch's", "--model", "model.txt", "--exact")
        os.chdir("/")


main()
