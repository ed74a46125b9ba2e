"""convgrad export, and predict and evaluate of weights without a model in them, on random networks of all layers.

    python3 tests/train_export.py PROGRAM [CC WORD...]      CC WORD...: compiles and links a program of libconvgrad-train

Each network is computed here from its definition, in double, beside the largest error that sums in the network's type
can have: (n + 2) roundings for n terms (--exact, so that these are the definition's sums).  predict, and the ONNX file
in onnxruntime, must keep within that bound; the C file must give predict's bits.  What Python
lacks is left out with a line.
"""
import itertools
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnx
    import onnx.checker
    import onnx.numpy_helper
    import onnxruntime
except ImportError:
    onnxruntime = None

COUNT = 3  # samples
NETWORKS = 40


# ---- files ----

def packed(kind, values):
    return struct.pack(f"<{len(values)}{'f' if kind == 'f32' else 'd'}", *values)


def rounded(kind, values):
    return list(struct.unpack(f"<{len(values)}f", packed("f32", values))) if kind == "f32" else list(values)


def write_safetensors(path, kind, tensors):
    """name -> (shape, values), as PyTorch writes them: no metadata."""
    header, body = {}, b""
    for name, (shape, values) in tensors.items():
        raw = packed(kind, values)
        header[name] = {"dtype": kind.upper(), "shape": list(shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def write_npy(path, descr, shape, raw):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)}, }}".ljust(117) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", 118) + header.encode() + raw)


def read_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    size, = struct.unpack("<H", data[8:10])
    header = eval(data[10:10 + size])
    assert not header["fortran_order"] and (10 + size) % 64 == 0
    return header["descr"], header["shape"], data[10 + size:]


def fields(data):
    """A protobuf message: (field, number or bytes), in order."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if data[at - 1] < 128:
                return value
    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
            continue
        size = {2: varint, 5: lambda: 4}[tag & 7]()
        yield tag >> 3, data[at:at + size]
        at += size
    assert at == len(data)


# ---- networks ----

class Layer:
    def __init__(self, text, shape, run, parameters=()):
        self.text, self.shape, self.run, self.parameters = text, shape, run, list(parameters)


def product(values):
    return math.prod(values)


def positions(sizes):
    return itertools.product(*map(range, sizes))


def offset(shape, channel, at):
    place = channel
    for size, i in zip(shape[1:], at):
        place = place * size + i
    return place


def text_of(values):
    return "x".join(map(str, values))


def weighted(terms, bias, unit):
    """A layer of sums: for each output its (weight, input) pairs."""
    def run(x, e, _):
        y, f = [], []
        for pairs, b in zip(terms, bias):
            y.append(math.fsum(w * x[i] for w, i in pairs) + b)
            f.append(sum(abs(w) * e[i] for w, i in pairs) +
                     (len(pairs) + 2) * unit * (sum(abs(w) * (abs(x[i]) + e[i]) for w, i in pairs) + abs(b)))
        return y, f
    return run


class Maker:
    """Draws a network, its parameters, and its definition."""

    def __init__(self, number):
        self.random = random.Random(number)
        self.kind = "f64" if number % 4 == 3 else "f32"
        self.unit = 2.0 ** -53 if self.kind == "f64" else 2.0 ** -24
        self.rank = number % 3 + 1
        self.layers, self.names = [], {}
        self.input = [self.random.randint(1, 4)] + [self.random.randint(4, 8 - 2 * (self.rank == 3)) for _ in range(self.rank)]
        self.shape = self.input
        self.scale, self.mean, self.std = 1 / 255, 0.4375, 0.25
        self.plain = number % 5 == 0

    def numbers(self, count, scale=1.0):
        return rounded(self.kind, [self.random.uniform(-scale, scale) for _ in range(count)])

    def axes(self, low, high):
        return [self.random.randint(low, high) for _ in range(self.rank)]

    def add(self, text, shape, run, parameters=()):
        self.layers.append(Layer(text, shape, run, parameters))
        self.shape = list(shape)

    def conv(self):
        channels, sizes = self.shape[0], self.shape[1:]
        groups = self.random.choice([g for g in (1, 2, 3, 4) if channels % g == 0])
        outputs, window, stride, padding, dilation = groups * self.random.randint(1, 3), self.axes(1, 3), self.axes(1, 2), \
            self.axes(0, 2), self.axes(1, 2)
        out = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(sizes, window, stride, padding, dilation)]
        if min(n + 2 * p - d * (k - 1) for n, k, p, d in zip(sizes, window, padding, dilation)) < 1:
            return False
        each, bias = channels // groups, self.random.randint(0, 1)
        weight = self.numbers(outputs * each * product(window))
        b = self.numbers(outputs) if bias else [0.0] * outputs
        terms = []
        for k in range(outputs):
            for at in positions(out):
                pairs = []
                for c in range(each):
                    for tap in positions(window):
                        place = [i * s + t * d - p for i, s, t, d, p in zip(at, stride, tap, dilation, padding)]
                        if all(0 <= i < n for i, n in zip(place, sizes)):
                            pairs.append((weight[offset([0] + window, k * each + c, tap)],
                                          offset(self.shape, k // (outputs // groups) * each + c, place)))
                terms.append(pairs)
        self.add(f"conv {outputs} {text_of(window)} stride={text_of(stride)} padding={text_of(padding)} "
                 f"dilation={text_of(dilation)} groups={groups} bias={bias}", [outputs] + out,
                 weighted(terms, [b[i // product(out)] for i in range(len(terms))], self.unit),
                 [("weight", [outputs, each] + window, weight)] + [("bias", [outputs], b)] * bias)
        return True

    def conv_transpose(self):
        channels, sizes = self.shape[0], self.shape[1:]
        if product(sizes) > 100:
            return False
        groups = self.random.choice([g for g in (1, 2, 3, 4) if channels % g == 0])
        each, window, stride, dilation = self.random.randint(1, 2), self.axes(1, 3), self.axes(1, 2), self.axes(1, 2)
        padding, extra = self.axes(0, 1), [self.random.randrange(s) for s in stride]
        out = [(n - 1) * s - 2 * p + d * (k - 1) + x + 1
               for n, k, s, p, d, x in zip(sizes, window, stride, padding, dilation, extra)]
        if min(out) < 1:
            return False
        outputs, bias = groups * each, self.random.randint(0, 1)
        weight = self.numbers(channels * each * product(window))
        b = self.numbers(outputs) if bias else [0.0] * outputs
        shape = [outputs] + out
        terms = [[] for _ in range(product(shape))]
        for c in range(channels):
            for at in positions(sizes):
                for k in range(each):
                    for tap in positions(window):
                        place = [i * s + t * d - p for i, s, t, d, p in zip(at, stride, tap, dilation, padding)]
                        if all(0 <= i < n for i, n in zip(place, out)):
                            terms[offset(shape, c // (channels // groups) * each + k, place)].append(
                                (weight[offset([0] + window, c * each + k, tap)], offset(self.shape, c, at)))
        self.add(f"conv_transpose {outputs} {text_of(window)} stride={text_of(stride)} padding={text_of(padding)} "
                 f"output_padding={text_of(extra)} dilation={text_of(dilation)} groups={groups} bias={bias}", shape,
                 weighted(terms, [b[i // product(out)] for i in range(len(terms))], self.unit),
                 [("weight", [channels, each] + window, weight)] + [("bias", [outputs], b)] * bias)
        return True

    def linear(self):
        inputs, outputs, bias = self.shape[0], self.random.randint(2, 6), self.random.randint(0, 1)
        weight, b = self.numbers(inputs * outputs), self.numbers(outputs) if bias else [0.0] * outputs
        self.add(f"linear {outputs} bias={bias}", [outputs],
                 weighted([[(weight[k * inputs + i], i) for i in range(inputs)] for k in range(outputs)], b, self.unit),
                 [("weight", [outputs, inputs], weight)] + [("bias", [outputs], b)] * bias)
        return True

    def pool(self, word):
        sizes, window, stride = self.shape[1:], self.axes(1, 3), self.axes(1, 3)
        padding = [self.random.randint(0, k // 2) for k in window]
        if word == "global_avgpool":
            window, stride, padding = sizes, sizes, [0] * self.rank
        out = [(n + 2 * p - k) // s + 1 for n, k, s, p in zip(sizes, window, stride, padding)]
        if min(n + 2 * p - k for n, k, p in zip(sizes, window, padding)) < 0:
            return False
        shape, cells = [self.shape[0]] + out, []
        for c in range(shape[0]):
            for at in positions(out):
                places = ([i * s + t - p for i, s, t, p in zip(at, stride, tap, padding)] for tap in positions(window))
                cells.append([offset(self.shape, c, place) for place in places
                              if all(0 <= i < n for i, n in zip(place, sizes))])
        if word == "maxpool":
            def run(x, e, _):
                return [max(x[i] for i in cell) for cell in cells], [max(e[i] for i in cell) for cell in cells]
        else:
            run = weighted([[(1 / product(window), i) for i in cell] for cell in cells], [0.0] * len(cells), 2 * self.unit)
        self.add(word if word == "global_avgpool" else
                 f"{word} {text_of(window)} stride={text_of(stride)} padding={text_of(padding)}", shape, run)
        return True

    def pointwise(self, word):
        unit, low, slope = self.unit, 0.0, 0.0
        if word == "leaky_relu":
            slope = self.random.choice([0.1, 0.01, 1.5])
        single = 2.0 ** -24  # a slope is in single precision in ONNX

        def run(x, e, _):
            y = [v if v > 0 else v * slope if slope else low for v in x]
            if word == "relu6":
                y = [min(v, 6.0) for v in y]
            return y, [f * max(1, slope) + slope * (abs(v) + f) * (2 * unit + single) for v, f in zip(x, e)]
        self.add(f"{word} {slope}" if slope else word, self.shape, run)
        return True

    def batchnorm(self):
        channels, pixels, eps = self.shape[0], product(self.shape[1:]), self.random.choice([1e-5, 0.01])
        w, b, mean = (self.numbers(channels) for _ in range(3))
        variance = rounded(self.kind, [self.random.uniform(0.25, 2) for _ in range(channels)])
        off = abs(rounded("f32", [eps])[0] - eps)  # so is eps

        def run(x, e, _):
            y, f = [], []
            for i, (v, r) in enumerate(zip(x, e)):
                c = i // pixels
                factor = w[c] / math.sqrt(variance[c] + eps)
                y.append((v - mean[c]) * factor + b[c])
                f.append(abs(factor) * r + (8 * self.unit + off / (variance[c] + eps)) *
                         ((abs(v) + r + abs(mean[c])) * abs(factor) + abs(b[c])))
            return y, f
        self.add(f"batchnorm eps={eps}", self.shape, run,
                 [("weight", [channels], w), ("bias", [channels], b), ("running_mean", [channels], mean),
                  ("running_var", [channels], variance)])
        return True

    def sum(self):
        for i in reversed(range(len(self.layers) - 1)):
            if self.layers[i].shape == self.shape:
                name = self.names.setdefault(i, f"name{i}")

                def run(x, e, before, other=i):
                    y, f = before[other]
                    return [a + b for a, b in zip(x, y)], \
                        [a + b + self.unit * (abs(u) + abs(v) + a + b) for a, b, u, v in zip(e, f, x, y)]
                self.add(f"add {name}", self.shape, run)
                return True
        return False

    def passing(self, word):
        self.add(word, [product(self.shape)] if word == "flatten" else self.shape, lambda x, e, _: (x, e))
        return True

    def draw(self):
        image = [self.conv, self.conv, self.conv_transpose, lambda: self.pool("maxpool"), lambda: self.pool("avgpool"),
                 self.batchnorm, self.sum, lambda: self.passing("dropout 0.25")] + \
                [lambda word=word: self.pointwise(word) for word in ("relu", "leaky_relu", "relu6")]
        flat = [self.linear, self.batchnorm, self.sum, lambda: self.passing("dropout"), lambda: self.pointwise("relu")]
        steps = self.random.randint(3, 8)
        while len(self.layers) < steps:
            if self.random.choice(image)() and self.random.random() < 0.5:
                self.pointwise("leaky_relu")
                self.sum()
        if self.random.random() < 0.3:
            self.pool("global_avgpool")
        if self.random.random() < 0.7:
            self.passing("flatten")
            self.linear()
            for _ in range(self.random.randint(0, 3)):
                self.random.choice(flat)()
        return self

    def text(self):
        lines = [f"input {text_of(self.input)}" + ("" if self.plain else f" scale=1/255 mean={self.mean} std={self.std}")]
        lines += [(f"{self.names[i]} = " if i in self.names else "") + layer.text for i, layer in enumerate(self.layers)]
        return "\n".join(lines + ["mse", ""])

    def tensors(self):
        return {f"{i}.{part}": (shape, values) for i, layer in enumerate(self.layers)
                for part, shape, values in layer.parameters}

    def define(self, x):
        """What one sample gives, and the bound of each value's error."""
        if not self.plain:
            x = [(v * self.scale - self.mean) / self.std for v in x]
        e = [0.0 if self.plain else 4 * self.unit * (abs(v) + 2 * self.mean / self.std) for v in x]
        before = []
        for layer in self.layers:
            x, e = layer.run(x, e, before)
            before.append((x, e))
        return x, e


# ---- what is checked ----

def predicted(program, *command):
    out = subprocess.run([program, "predict", *command, "--format", "json"], check=True, stdout=subprocess.PIPE).stdout
    return [json.loads(line)["outputs"] for line in out.splitlines()]


def within(what, got, want, kind):
    """The largest part of the bound that was used."""
    worst = 0
    for sample, (values, errors) in zip(got, want):
        assert len(sample) == len(values), (what, len(sample), len(values))
        for a, b, e in zip(sample, values, errors):
            most = e * (2 if kind == "f64" else 1.001) + 1e-40  # the definition rounds in f64, too
            assert abs(a - b) <= most, (what, a, b, most)
            worst = max(worst, abs(a - b) / most)
    return worst


def check_onnx_file(maker, path):
    """Initialisers have the names, shapes and bits of the parameters; dropout is left out."""
    with open(path, "rb") as file:
        whole = list(fields(file.read()))
    graph = list(fields(dict(whole)[7]))
    got = {}
    for tensor in (list(fields(value)) for number, value in graph if number == 5):
        got[dict(tensor)[8].decode()] = ([v for n, v in tensor if n == 1], dict(tensor)[2], dict(tensor)[9])
    assert got == {name: (list(shape), 1 if maker.kind == "f32" else 11, packed(maker.kind, values))
                   for name, (shape, values) in maker.tensors().items()}, path
    nodes = [list(fields(value)) for number, value in graph if number == 1]
    nodes = [node for node in nodes if dict(node)[4] != b"Constant"]
    layers = [(i, layer) for i, layer in enumerate(maker.layers) if not layer.text.startswith("dropout")]
    assert len(nodes) == max(3, 2 + len(layers)), nodes
    for node, (i, layer) in zip(nodes[2:], layers):
        inputs = [value.decode() for number, value in node if number == 1]
        assert [name for name in inputs if name in got] == [f"{i}.{part}" for part, _, _ in layer.parameters], inputs
        words = dict(word.split("=") for word in layer.text.split() if "=" in word)
        lists = [list(fields(value)) for number, value in node if number == 5]
        lists = {dict(a)[1].decode(): [value for number, value in a if number == 8] for a in lists}
        for word, name, times in (("stride", "strides", 1), ("padding", "pads", 2), ("dilation", "dilations", 1)):
            assert word not in words or lists[name] == list(map(int, words[word].split("x"))) * times, (layer.text, lists)
    assert dict(fields(dict(whole)[8])) == {2: 13}
    assert dict(fields(dict(whole)[14])) == {1: b"model", 2: maker.text().encode()}


def single(model):
    """A network of doubles as one of floats: onnxruntime has few operators for doubles."""
    def convert(tensor):
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype("<f4"), tensor.name))
    for tensor in model.graph.initializer:
        convert(tensor)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                convert(attribute.t)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return model


def run_onnx(maker, path, raw, want):
    """Runs the file, of doubles once more as floats; the largest part of the bound."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    x = numpy.frombuffer(raw, dtype="<f4" if maker.kind == "f32" else "<f8").reshape([COUNT] + maker.input)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # else it folds batchnorm
    options.log_severity_level = 4

    def run(model, x):
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        assert session.run(None, {"input": x[:1]})[0].shape[0] == 1
        return session.run(None, {"input": x})[0].reshape(COUNT, -1).tolist()
    if maker.kind == "f32":
        return within("onnxruntime", run(model, x), want, "f32")
    try:
        within("onnxruntime", run(model, x), want, "f64")
    except Exception as error:  # its classes have no stable names
        if "NOT_IMPLEMENTED" not in str(error):
            raise
    # Weights are rounded, too: one more rounding for each of the bound's, of which no term has less than two.
    wide = [(values, [e * 2.0 ** 30 for e in errors]) for values, errors in want]
    return within("onnxruntime, as floats", run(single(model), x.astype("<f4")), wide, "f32")


MAIN = """#include <convgrad_train.h>
#include <stdio.h>
#include <stdlib.h>

cvg_network *%(name)s_create(cvg_error *error);
cvg_status %(name)s_predict(const cvg_network *network, const %(type)s *input, int64_t count, %(type)s *output,
                            void *workspace);

int main(void)
{
    static %(type)s input[%(input)d], output[%(output)d];
    cvg_error error;
    cvg_network *network = %(name)s_create(&error);
    if (!network || fread(input, sizeof *input, %(input)d, stdin) != %(input)d)
        return 1;
    void *workspace = malloc(cvg_network_workspace_size(network, CVG_PREDICT));
    if (!workspace || %(name)s_predict(network, input, %(count)d, output, workspace))
        return 1;
    fwrite(output, sizeof *output, %(output)d, stdout);
    free(workspace);
    cvg_network_destroy(network);
    return 0;
}
"""


def check_c(maker, compiler, name, raw, want):
    """The compiled file gives predict's bits."""
    outputs = sum(map(len, want))
    with open("main.c", "w") as file:
        file.write(MAIN % {"name": name, "type": "float" if maker.kind == "f32" else "double", "count": COUNT,
                           "input": COUNT * product(maker.input), "output": outputs})
    # The libraries stand last, behind what needs them.
    first = next((i for i, word in enumerate(compiler) if word.endswith((".a", ".so"))), len(compiler))
    subprocess.run([*compiler[:first], "-std=c11", "-Wall", "-Wextra", "-Werror", "main.c", "my-net.2.c", "-o", "main", *compiler[first:]],
                   check=True)
    got = subprocess.run(["./main"], input=raw, check=True, stdout=subprocess.PIPE).stdout
    assert got == packed(maker.kind, [v for sample in want for v in sample]), "the C file gives other bits"


def check_network(program, compiler, number, sums):
    maker = Maker(number).draw()
    tensors = maker.tensors()
    with open("model.txt", "w") as file:
        file.write(maker.text())
    write_safetensors("w.safetensors", maker.kind, tensors)
    x = rounded(maker.kind, [maker.random.uniform(-1, 1) if maker.plain else maker.random.uniform(0, 255)
                             for _ in range(COUNT * product(maker.input))])
    raw = packed(maker.kind, x)
    write_npy("x.npy", "<f4" if maker.kind == "f32" else "<f8", [COUNT] + maker.input, raw)
    each = product(maker.input)
    want = [maker.define(x[i * each:(i + 1) * each]) for i in range(COUNT)]
    other = ["--model", "model.txt", "--type", maker.kind, "--exact"]
    ours = predicted(program, "w.safetensors", "x.npy", *other)
    try:
        sums["predict"] = max(sums["predict"], within("predict", ours, want, maker.kind))
        subprocess.run([program, "export", "w.safetensors", "-o", "w.onnx", *other], check=True)
        check_onnx_file(maker, "w.onnx")
        if onnxruntime:
            sums["onnxruntime"] = max(sums.get("onnxruntime", 0), run_onnx(maker, "w.onnx", raw, want))
        subprocess.run([program, "export", "w.safetensors", "-o", "arrays", "--format", "npy", *other], check=True)
        assert sorted(os.listdir("arrays")) == sorted(name + ".npy" for name in tensors)
        for name, (shape, values) in tensors.items():
            assert read_npy(f"arrays/{name}.npy") == ("<f4" if maker.kind == "f32" else "<f8", tuple(shape),
                                                      packed(maker.kind, values)), name
            os.unlink(f"arrays/{name}.npy")
        os.rmdir("arrays")
        if compiler and number < 6:
            subprocess.run([program, "export", "w.safetensors", "-o", "my-net.2.c", *other], check=True)
            check_c(maker, compiler, "my_net", raw, ours)
    except BaseException:
        print(f"network {number} ({maker.kind}):\n{maker.text()}")
        raise
    return {layer.text.split()[0] for layer in maker.layers}


def refused(program, words, *command, status=2):
    before = sorted(os.listdir())
    run = subprocess.run([program, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert run.returncode == status and run.stderr.count("\n") == 1 and run.stderr.startswith("convgrad: ") and \
        words in run.stderr and sorted(os.listdir()) == before, (command, run.returncode, run.stderr, words)


def check_trained(program):
    """Files of train, and the same weights without their model: all commands say the same."""
    labels = [i % 3 for i in range(30)]
    with open("x.idx", "wb") as file:
        file.write(struct.pack(">IIII", 0x803, 30, 4, 4) + bytes((i * 37 + 80 * label) % 256 for label in labels for i in range(16)))
    with open("y.idx", "wb") as file:
        file.write(struct.pack(">II", 0x801, 30) + bytes(labels))
    model = 'input 1x4x4 scale=1/255 # "a comment" \\ with a ??/ in it\nconv 3 3x3\nbatchnorm\nrelu\nflatten\nlinear 3\ncross_entropy\n'
    with open("model.txt", "w") as file:
        file.write(model)
    data = ["--data", "x.idx,y.idx"]
    subprocess.run([program, "train", "model.txt", *data, "--test", "x.idx,y.idx", "-o", "trained", "--epochs", "2"], check=True,
                   stdout=subprocess.DEVNULL)
    with open("trained/best.safetensors", "rb") as file:
        best = file.read()
    size, = struct.unpack("<Q", best[:8])
    header = json.loads(best[8:8 + size])
    header.pop("__metadata__")
    text = json.dumps(header).encode()
    with open("plain.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + best[8 + size:])

    def out(*command):
        return subprocess.run([program, *command], check=True, stdout=subprocess.PIPE).stdout
    other = ["--model", "model.txt"]
    assert out("predict", "trained", "x.idx", "--format", "json") == out("predict", "plain.safetensors", "x.idx", "--format", "json", *other)
    assert out("evaluate", "trained", *data) == out("evaluate", "plain.safetensors", *data, *other)
    for name in ("n.onnx", "n.c"):
        made = []
        for command in (["trained"], ["plain.safetensors", *other]):
            out("export", *command, "-o", name)
            with open(name, "rb") as file:
                made.append(file.read())
        assert made[0] == made[1] and len(made[0]) > 500, name
    out("export", "trained/checkpoint.safetensors", "--format", "npy", "-o", "n")
    assert "1.running_var.npy" in os.listdir("n") and len(os.listdir("n")) == 8, os.listdir("n")

    refused(program, "has no model (--model MODEL.txt tells", "predict", "plain.safetensors", "x.idx")
    refused(program, "--model is given; trained/best.safetensors says itself", "predict", "trained", "x.idx", *other)
    refused(program, "--type is given; trained/best.safetensors says itself", "export", "trained", "-o", "new.onnx", "--type", "f64")
    refused(program, "none.txt: No such file", "export", "plain.safetensors", "--model", "none.txt", "-o", "new.c")
    with open("bad.txt", "w") as file:
        file.write(model.replace("conv 3", "conv 4"))
    refused(program, "plain.safetensors: ", "export", "plain.safetensors", "--model", "bad.txt", "-o", "new.c")
    refused(program, "--type is", "evaluate", "plain.safetensors", *data, *other, "--type", "f16")
    refused(program, "export takes weights", "export", "-o", "new.c")
    refused(program, "-o is missing", "export", "trained")
    refused(program, "--format is missing, and -o new does not end in .onnx or .c", "export", "trained", "-o", "new")
    refused(program, '--format is "png"', "export", "trained", "-o", "new.c", "--format", "png")
    refused(program, "no/new.c: No such file", "export", "trained", "-o", "no/new.c", status=1)
    refused(program, "-o: x.idx: is a file; must be a folder", "export", "trained", "-o", "x.idx", "--format", "npy")
    refused(program, "none: No such file", "export", "none", "-o", "new.onnx")


def main():
    program, compiler = os.path.abspath(sys.argv[1]), sys.argv[2:]
    sums, words = {"predict": 0}, set()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            check_trained(program)
            for number in range(NETWORKS):
                words |= check_network(program, compiler, number, sums)
        finally:
            os.chdir("/")
    assert len(words) == 13, words
    if not onnxruntime:
        print("left out: running the ONNX files (needs Python's onnx and onnxruntime)")
    if not compiler:
        print("left out: compiling the C files (no compiler was named)")
    print(f"{NETWORKS} networks of {len(words)} kinds of layers; the largest part of the bound: "
          + ", ".join(f"{name} {value:.3g}" for name, value in sums.items()))


main()
