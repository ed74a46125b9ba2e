"""What convgrad train reads, keeps and says, to the value: networks whose weights are the identity show it.

    python3 tests/train_exact.py PROGRAM

Every kind of file, as `predict` and `evaluate` read it; history and the best epoch against their definitions; what --resume
refuses; a training that was stopped within an epoch.
"""
import fcntl
import json
import math
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(sys.argv[1])
counts = {"passed": 0, "failed": 0}


def check(good, what):
    counts["passed" if good else "failed"] += 1
    if not good:
        print("FAIL", what)


def run(*words, status=0):
    done = subprocess.run([PROGRAM, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    check(done.returncode == status, f"convgrad {' '.join(map(str, words))}: status {done.returncode}, {done.stderr}")
    return done.stdout if status == 0 else done.stderr


# ---- files ----


def idx(path, shape, values):
    pathlib.Path(path).write_bytes(struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape) + bytes(values))


CODES = {"u1": "B", "u2": "H", "u4": "I", "u8": "Q", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "f4": "f", "f8": "d"}


def npy(path, shape, values, dtype):
    order = "|" if dtype[1] == "1" else "<"
    head = f"{{'descr': '{order}{dtype}', 'fortran_order': False, 'shape': ({', '.join(map(str, shape))},), }}"
    head += " " * (118 - len(head) - 1) + "\n"
    pathlib.Path(path).write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode() +
                                   struct.pack(f"<{len(values)}{CODES[dtype]}", *values))


def weights(path, name, rows, factor=1.0):
    """A linear layer that passes its inputs on, as safetensors."""
    data = struct.pack(f"<{rows * rows + rows}f", *(factor * (i == j) for i in range(rows) for j in range(rows)), *[0.0] * rows)
    head = json.dumps({f"{name}.weight": {"dtype": "F32", "shape": [rows, rows], "data_offsets": [0, 4 * rows * rows]},
                       f"{name}.bias": {"dtype": "F32", "shape": [rows], "data_offsets": [4 * rows * rows, len(data)]}}).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(head)) + head + data)


def notes(path):
    data = pathlib.Path(path).read_bytes()
    return json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])["__metadata__"]


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)


def history(folder):
    lines = pathlib.Path(folder, "history.csv").read_text().splitlines()
    return [[float(field) if field else None for field in line.split(",")] for line in lines[1:]]


def identity(folder, model, data, layer, rows, *options):
    """A folder whose network passes on what it is given."""
    pathlib.Path("model.txt").write_text(model)
    weights("identity", layer, rows)
    run("train", "model.txt", "--data", data, "--init", "identity", "--learning-rate", "0", "--epochs", "1", "-o", folder, *options)


def predicted(folder, images):
    return [json.loads(line)["outputs"] for line in run("predict", folder, images, "--format", "json").splitlines()]


# ---- images ----


def test_values():
    count, shape = 5, (2, 3)
    byte = [(37 * i + 200) % 256 for i in range(count * 6)]
    real = [0.1 * i - 1 for i in range(count * 6)]
    npy("t.npy", (count, 6), real, "f4")
    idx("x.idx", (count, *shape), byte)
    idx("channel.idx", (count, 1, *shape), byte)
    npy("u1.npy", (count, 1, *shape), byte, "u1")
    npy("f4.npy", (count, *shape), real, "f4")
    npy("f8.npy", (count, 1, *shape), real, "f8")
    for scale in (1.0, 0.5):
        identity(f"v{scale}", f"input 1x2x3 scale={scale}\nflatten\nlinear 6\nmse\n", "x.idx,t.npy", 1, 6)
        for file, values in (("x.idx", byte), ("channel.idx", byte), ("u1.npy", byte), ("f4.npy", real), ("f8.npy", real)):
            got = [value for row in predicted(f"v{scale}", file) for value in row]
            single = [struct.unpack("f", struct.pack("f", value))[0] for value in values]
            wanted = [float(f"{scale * value:.9g}") for value in single]
            check(got == wanted, f"{file}, scale {scale}: {got} instead of {wanted}")
        loss = float(re.search(r"loss (\S+)", run("evaluate", f"v{scale}", "--data", "f4.npy,t.npy")).group(1))
        wanted = sum((scale - 1) ** 2 * v * v for v in real) / len(real)
        check(math.isclose(loss, wanted, rel_tol=1e-5, abs_tol=1e-12), f"targets, scale {scale}: {loss}, not {wanted}")


# ---- labels ----


def one_hot(labels, classes):
    return [float(label == c) for label in labels for c in range(classes)]


def test_labels():
    classes = 300
    labels = [0, 1, 2, 100, 127, 99, 3, 101]
    wide = [200, 255, 128, 299, 256, 7, 130, 254]
    npy("x.npy", (8, classes), one_hot(labels, classes), "f4")
    npy("y.npy", (8,), labels, "u1")
    identity("labels", f"input {classes}\nlinear {classes}\ncross_entropy\n", "x.npy,y.npy", 0, classes)
    for dtype in (dtype for dtype in CODES if dtype[0] in "ui"):
        for some in (labels, wide):
            if some is wide and (dtype in ("i1",) or dtype == "u1" and max(some) > 255):
                some = [label if dtype == "u1" and label < 256 else 5 for label in some]
            npy("x.npy", (8, classes), one_hot(some, classes), "f4")
            npy("y.npy", (8,), some, dtype)
            said = run("evaluate", "labels", "--data", "x.npy,y.npy")
            check("8 samples" in said and " 8 right" in said, f"labels of {dtype}: {said}")
    npy("x.npy", (8, classes), one_hot(labels, classes), "f4")
    for dtype in ("i1", "i2", "i4", "i8"):
        npy("y.npy", (8,), [*labels[:7], -1], dtype)
        said = run("evaluate", "labels", "--data", "x.npy,y.npy", status=2)
        check("label -1 of sample 7" in said, f"a label of -1, {dtype}: {said}")
    idx("y.idx", (8,), [*labels[:7], 200])
    said = run("evaluate", "labels", "--data", "x.npy,y.idx")
    check(" 7 right" in said, f"labels of IDX: {said}")
    run("predict", "labels", "x.npy", "--top", "2")
    best = [json.loads(line)["classes"][0]["class"] for line in run("predict", "labels", "x.npy", "--format", "json").splitlines()]
    check(best == labels, f"classes: {best}")


def test_cifar():
    """Of CIFAR-100 the second label counts; planes are red, green, blue."""
    body = b"".join(bytes([9, label]) + b"".join(bytes([200 if c == label else 10]) * 1024 for c in range(3)) for label in (0, 1, 2, 1))
    pathlib.Path("c.bin").write_bytes(body)
    identity("cifar", "input 3x32x32\nglobal_avgpool\nflatten\nlinear 3\ncross_entropy\n", "c.bin", 2, 3)
    said = run("evaluate", "cifar", "--data", "c.bin")
    check(" 4 right" in said and re.search(r"1 +0 +2 +0\n", said), f"CIFAR-100: {said}")


# ---- history, the best epoch, resuming ----


def best_of(rows):
    accuracy = [row[6] for row in rows]
    if accuracy[0] is None:
        return [row[5] for row in rows].index(min(row[5] for row in rows))
    return accuracy.index(max(accuracy))


def draw(count, classes, seed):
    values = []
    for i in range(count):
        for k in range(6):
            seed = (seed * 1103515245 + 12345) % 2**31
            values.append(seed / 2**31 + 0.6 * (k == i % classes))
    return values


def test_history():
    npy("x.npy", (60, 6), draw(60, 3, 1), "f4")
    npy("t.npy", (12, 6), draw(12, 3, 2), "f4")
    idx("y.idx", (60,), [i % 3 for i in range(60)])
    idx("ty.idx", (12,), [i % 3 for i in range(12)])
    npy("z.npy", (60,), draw(10, 3, 3), "f8")
    npy("tz.npy", (12,), draw(2, 3, 4), "f8")
    pathlib.Path("class.txt").write_text("input 6\nlinear 8\nrelu\nlinear 3\ncross_entropy\n")
    pathlib.Path("number.txt").write_text("input 6\nlinear 8\nrelu\nlinear 1\nmse\n")
    for model, data, test in (("class", "x.npy,y.idx", "t.npy,ty.idx"), ("number", "x.npy,z.npy", "t.npy,tz.npy")):
        for rate in (0.8, 0.3, 0.7, 0.9, 0.2, 0.5, 0.6):  # until two epochs are the best, within the training
            whole = ["--batch", "16", "--schedule", "constant", "--learning-rate", rate]
            remove(model)
            run("train", f"{model}.txt", "--data", data, "--test", test, *whole, "--epochs", "12", "-o", model)
            rows = history(model)
            best, values = best_of(rows), [row[6 if model == "class" else 5] for row in rows]
            if 0 < best < 11 and (model == "number" or values.count(values[best]) > 1):
                break
        else:
            check(False, f"{model}: no training has its best where it shows something")
        check([row[:2] for row in rows] == [[e + 1, 4 * (e + 1)] for e in range(12)], f"{model}: epochs and steps {rows}")
        kept = notes(f"{model}/best.safetensors")["history"].splitlines()
        check(len(kept) == best + 2, f"{model}: best.safetensors is of epoch {len(kept) - 1}, not of {best + 1}: {values}")
        told = json.loads(re.search(r'id="data">\n(.*?)\n</script>', pathlib.Path(model, "report.html").read_text(), re.S).group(1))
        check(told["best"] == best + 1 and len(told["epochs"]) == 12, f"{model}: the report's best is {told['best']}")
        said = run("evaluate", f"{model}/checkpoint.safetensors", "--data", test)
        check(math.isclose(float(re.search(r"loss ([^,\s]+)", said).group(1)), rows[-1][5], rel_tol=1e-5), f"{model}: {said}")
        if model == "class":
            classes = [told["confusion"][3 * i:3 * i + 3] for i in range(3)]
            check([sum(row) for row in classes] == [4, 4, 4], f"{model}: rows of the confusion: {classes}")
            check(all(re.search(f"{i} +" + " +".join(map(str, row)) + r"\n", said) for i, row in enumerate(classes)), f"{said}{classes}")
            check(sum(classes[i][i] for i in range(3)) == round(12 * rows[-1][6]), f"{model}: right answers: {classes}")
        run("train", f"{model}.txt", "--data", data, "--test", test, *whole, "--epochs", "5", "-o", "two")
        run("train", "--resume", "two", "--epochs", "12")
        check(history("two") == rows, f"{model}: after a resume: {history('two')} instead of {rows}")
        for file in os.listdir(model):
            check(pathlib.Path(model, file).read_bytes() == pathlib.Path("two", file).read_bytes(), f"{model}: {file} after a resume")
        remove("two")
    # Weights that move in the first epoch alone: the others have the loss and the accuracy of an evaluation.
    run("train", "class.txt", "--data", "x.npy,y.idx", "--batch", "16", "--schedule", "step=1,1e-30", "--epochs", "3", "-o", "still")
    said = re.search(r"loss (\S+), (\d+) right", run("evaluate", "still", "--data", "x.npy,y.idx")).groups()
    rows = history("still")
    check(not math.isclose(rows[0][3], rows[1][3], rel_tol=1e-2), f"nothing was learned: {rows}")
    for row in rows[1:]:
        check(math.isclose(row[3], float(said[0]), rel_tol=1e-5) and round(60 * row[4]) == int(said[1]), f"{row} beside {said}")


def test_refusals():
    idx("other.idx", (60,), [(i + 1) % 3 for i in range(60)])
    npy("other.npy", (60, 6), draw(60, 3, 9), "f4")
    npy("turned.npy", (60, 6, 1), draw(60, 3, 1), "f4")
    run("train", "class.txt", "--data", "x.npy,y.idx", "--schedule", "constant", "--test", "t.npy,ty.idx", "--epochs", "1", "-o", "r")
    before = {file: pathlib.Path("r", file).read_bytes() for file in os.listdir("r")}
    for option, data in (("--data", "x.npy,other.idx"), ("--data", "other.npy,y.idx"), ("--test", "x.npy,y.idx")):
        said = run("train", "--resume", "r", "--epochs", "2", option, data, status=2)
        check("is not what this training began with" in said, f"{option} {data}: {said}")
    with open("r/.lock", "w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        said = run("train", "--resume", "r", "--epochs", "2", status=2)
        check("another training is writing there" in said, f"a lock that is held: {said}")
    os.remove("r/.lock")
    check({file: pathlib.Path("r", file).read_bytes() for file in os.listdir("r")} == before, "what was refused wrote something")


def test_stopped_within_an_epoch():
    count = steps = 6000
    npy("long.npy", (count, 6), draw(count, 3, 5), "f4")
    idx("long.idx", (count,), [i % 3 for i in range(count)])
    words = ["class.txt", "--data", "long.npy,long.idx", "--batch", "1", "--epochs", "4", "--threads", "1"]
    run("train", *words, "-o", "never")
    for attempt in range(10):
        process = subprocess.Popen([PROGRAM, "train", *words, "-o", f"stop{attempt}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        path, end = pathlib.Path(f"stop{attempt}/history.csv"), time.monotonic() + 20
        while time.monotonic() < end and not (path.exists() and len(path.read_text().splitlines()) > 1):
            time.sleep(0.002)
        time.sleep(0.003 * attempt)  # past the writing of files
        process.send_signal(signal.SIGTERM)
        process.communicate()
        if process.returncode == 128 + signal.SIGTERM and int(notes(f"stop{attempt}/checkpoint.safetensors")["step"]) % steps:
            break
    else:
        check(False, "no training could be stopped within an epoch")
        return
    run("train", "--resume", f"stop{attempt}", "--threads", "2")
    for file in os.listdir("never"):
        same = pathlib.Path("never", file).read_bytes() == pathlib.Path(f"stop{attempt}", file).read_bytes()
        check(same, f"stopped within an epoch and resumed: {file}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["OMP_WAIT_POLICY"] = "passive"
        test_values()
        test_labels()
        test_cifar()
        test_history()
        test_refusals()
        test_stopped_within_an_epoch()
        os.chdir("/")
    print(f"{counts['passed']} checks passed, {counts['failed']} failed")
    return counts["failed"] > 0


if __name__ == "__main__":
    sys.exit(main())
