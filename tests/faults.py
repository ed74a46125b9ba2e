"""Takes resources from the program, one at a time: what does not finish says why, and leaves nothing half-written.

    python3 tests/faults.py [--quick] PROGRAM PROGRAM_WITH_FAULTS [WRAPPER...]

PROGRAM_WITH_FAULTS is the same program linked with tests/faults.c, in which the nth request for
memory, a file, a folder or a thread fails.  Each command runs for every n; then with files that may
not grow past some bytes, as on a full disk; with a closed pipe as its output; and interrupted.
--quick leaves out verify, bench, info, demo and train.  WRAPPER, such as valgrind with options, runs before each command of the first kind.
"""
import gzip
import os
import pathlib
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

failures = []
checks = 0


def check(good, what):
    global checks
    checks += 1
    if not good:
        failures.append(what)
        if len(failures) <= 20:
            print("FAIL", what, flush=True)


def npy(path, shape):
    elements = 1
    for size in shape:
        elements *= size
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.encode() +
                     struct.pack(f"<{elements}f", *(i % 5 - 2 for i in range(elements))))


def prepare(program):
    """The files that the commands read, in the folder that they run in."""
    here = pathlib.Path(".")
    npy(here / "x.npy", (2, 3, 5, 5))
    npy(here / "w.npy", (4, 3, 3, 3))
    npy(here / "b.npy", (4,))
    npy(here / "g.npy", (2, 4, 3, 3))
    (here / "x.npy.gz").write_bytes(gzip.compress((here / "x.npy").read_bytes()))
    (here / "images.idx").write_bytes(b"\0\0\x08\3" + struct.pack(">III", 2, 5, 5) + bytes(range(50)))
    npy(here / "w1.npy", (1, 1, 3, 3))
    (here / "shapes.csv").write_text(
        "name,n,c,h,w,k,r,s,stride_h,stride_w,pad_top,pad_left,pad_bottom,pad_right,dilation_h,dilation_w,groups\n"
        "one,1,2,5,5,4,3,3,2,1,1,1,0,1,1,1,2\ntwo,1,2,5,6,4,3,3,2,1,1,1,0,1,1,1,1\n")
    subprocess.run([program, "info", "mb1ic2ih5oc3kh3ph1", "--export", "plan.txt"], check=True, stdout=subprocess.DEVNULL)
    if not trains(program):
        return
    (here / "model.txt").write_text("input 1x5x5 scale=1/255\nconv 2 3x3\nbatchnorm\nrelu\nmaxpool 2\nflatten\nlinear 2\ncross_entropy\n")
    (here / "labels.idx").write_bytes(b"\0\0\x08\1" + struct.pack(">I", 2) + b"\0\1")
    for name, value in (("a", b"1234"), ("b", b"5678")):
        (here / "in" / name).mkdir(parents=True)
        (here / "in" / name / "1.pgm").write_bytes(b"P5 2 2 255\n" + value)
    subprocess.run([program, *TRAIN.split(), "--test", "images.idx,labels.idx", "-o", "trained"], check=True, stdout=subprocess.DEVNULL)


def trains(program):
    """Whether it was built with training."""
    return b"CVG_TRAIN=OFF" not in subprocess.run([program, "pack"], capture_output=True).stderr


# Commands, and the file or folder that each makes, if any; what has "times" in its name is compared by its name only.
COMMANDS = [
    ("explain simple --format json -o made.json", "made.json"),
    ("explain simple --format html -o made.html", "made.html"),
    ("explain --input x.npy --weight w.npy --grad-output g.npy --format svg --crop -o made.svg", "made.svg"),
    ("explain --input x.npy --weight w.npy --grad-output g.npy", None),
    ("run forward --input x.npy --weight w.npy --bias b.npy --type f64 -o made", "made"),
    ("run backward --input x.npy.gz --weight w.npy --grad-output g.npy --threads 3 --mean -o made", "made"),
    ("run transpose --input g.npy --weight w.npy -o made", "made"),
    ("run forward --input images.idx --weight w1.npy --take 0:1 -o made", "made"),
    ("verify mb1ic2ih5oc3kh3ph1 --threads 1,3 --type f32 --algo im2col,winograd4", None),
    ("verify --shapes shapes.csv --threads 1 --algo direct,winograd4", None),
    ("verify --random 1 --seed 4 --threads 2 --type f64", None),
    ("bench mb1ic2ih5oc3kh3ph1 --min-time 0 --algo direct,winograd4 --json times.json --threads 3", "times.json"),
    ("bench --shapes shapes.csv --min-time 0 --pass forward --check-planner", None),
    ("info mb1ic2ih5oc3kh3ph1 --measure 0 --export times.txt", "times.txt"),
    ("info mb1ic2ih5oc3kh3ph1 --import plan.txt", None),
    ("demo", None),
]
TRAIN = "train model.txt --data images.idx,labels.idx --epochs 2 --batch 2 --shard 1 --threads 2 --schedule constant"
# Those of training; files of train are looked at by trainings().
TRAINING_COMMANDS = [
    ("predict trained images.idx --top 2", None),
    ("evaluate trained --data images.idx,labels.idx --threads 2", None),
    ("export trained -o made.onnx", "made.onnx"),
    ("export trained -o made.c", "made.c"),
    ("export trained --format npy -o made", "made"),
    ("pack in -o made.npy --size 3x3", ("made.npy", "made.labels.npy", "made.classes.txt")),
]
MOST_OF_DEMO = 3  # its requests take seconds each, and are like those of the others


def paths_of(made):
    return [pathlib.Path(name) for name in (made if isinstance(made, tuple) else (made,)) if name]


def made_files(made):
    """What a command made, by name; what holds times only by name."""
    files = []
    for path in paths_of(made):
        files += sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    return {str(file): b"" if "times" in file.name else file.read_bytes() for file in files}


def clean(made):
    for path in paths_of(made):
        if path.is_dir():
            for file in path.iterdir():
                file.unlink()
            path.rmdir()
        path.unlink(missing_ok=True)


def judge(run, what, made, wanted, before):
    """A run did all, or says in one line why not and left nothing."""
    lines = run.stderr.decode(errors="replace").splitlines()
    told = len(lines) == 1 and lines[0].startswith("convgrad: ") and len(lines[0]) > 20
    check(run.returncode == 0 or (run.returncode in (1, 2) and told), f"{what}: status {run.returncode}, {lines[:3]}")
    left = made_files(made)
    check(left == wanted if run.returncode == 0 else not left, f"{what}: status {run.returncode} and left {sorted(left)}")
    clean(made)
    check(sorted(os.listdir()) == before, f"{what}: left {set(os.listdir()) - set(before)}")


def without_fault(program, command, made):
    run = subprocess.run([program, *command.split()], capture_output=True)
    wanted = made_files(made)
    clean(made)
    return run.returncode, wanted


def each_request_fails(program, faulty, wrapper, command, made):
    status, wanted = without_fault(program, command, made)
    check(status == 0, f"{command} undisturbed: status {status}")
    before = sorted(os.listdir())
    happened = 0
    for n in range(1, 100000):
        if command == "demo" and n > MOST_OF_DEMO:
            break
        note = pathlib.Path("note")
        run = subprocess.run([*wrapper, faulty, *command.split()], capture_output=True,
                             env={**os.environ, "CVG_FAIL_AT": str(n), "CVG_FAIL_NOTE": "note"})
        reached = note.exists()
        note.unlink(missing_ok=True)
        if not reached:
            check(run.returncode == status, f"{command} without a fault: status {run.returncode}")
            clean(made)
            break
        happened += 1
        judge(run, f"{command}: request {n} fails", made, wanted, before)
    check(happened > 0, f"{command}: no request failed")
    return happened


def limit_files(most):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def full_disk(program, command, made):
    _, wanted = without_fault(program, command, made)
    before = sorted(os.listdir())
    for most in (0, 1, 64, 127, 128, 300, 500, 1000, 1 << 16):
        run = subprocess.run([program, *command.split()], capture_output=True, preexec_fn=lambda: limit_files(most))
        if most == 0:
            check(run.returncode == 1, f"{command} on a full disk: status {run.returncode}")
        judge(run, f"{command}: files of at most {most} bytes", made, wanted, before)


def checkpoint_is_whole(program, what):
    """The checkpoint loads and goes on, to the file of a training that was never disturbed."""
    before = pathlib.Path("made/checkpoint.safetensors").read_bytes()
    run = subprocess.run([program, "train", "--resume", "made", "--epochs", "4"], capture_output=True)
    check(run.returncode == 0, f"{what}: the checkpoint does not load: {run.stderr[-200:]!r}")
    wanted = pathlib.Path("four/checkpoint.safetensors").read_bytes()
    check(pathlib.Path("made/checkpoint.safetensors").read_bytes() == wanted, f"{what}: it goes on to another checkpoint")
    return before


def trainings(program, faulty, wrapper):
    """train and train --resume: a failure says why, leaves no half file, and the checkpoint that was there loads."""
    for name, epochs in (("two", 2), ("four", 4)):
        subprocess.run([program, *TRAIN.replace("--epochs 2", f"--epochs {epochs}").split(), "-o", name], check=True,
                       stdout=subprocess.DEVNULL)
    names = sorted(os.listdir("two"))
    before = sorted(os.listdir())

    def judge_training(run, what, resumed):
        lines = run.stderr.decode(errors="replace").splitlines()
        told = len(lines) == 1 and lines[0].startswith("convgrad: ") and len(lines[0]) > 20
        check(run.returncode == 0 or (run.returncode in (1, 2) and told), f"{what}: status {run.returncode}, {lines[:3]}")
        left = sorted(os.listdir("made")) if os.path.isdir("made") else []
        check(set(left) <= set(names), f"{what}: left {left}")
        check(run.returncode or left == names, f"{what}: made only {left}")
        check("checkpoint.safetensors" in left or not resumed, f"{what}: the checkpoint is gone")
        if "checkpoint.safetensors" in left:
            checkpoint_is_whole(program, what)
        shutil.rmtree("made", ignore_errors=True)
        check(sorted(os.listdir()) == before, f"{what}: left {set(os.listdir()) - set(before)}")

    commands = [(TRAIN.split() + ["-o", "made"], False), (["train", "--resume", "made", "--epochs", "4", "--threads", "1"], True)]
    happened = 0
    for command, resumed in commands:
        for n in range(1, 100000):
            if resumed:
                shutil.copytree("two", "made")
            run = subprocess.run([*wrapper, faulty, *command], capture_output=True,
                                 env={**os.environ, "CVG_FAIL_AT": str(n), "CVG_FAIL_NOTE": "note"})
            reached = os.path.exists("note")
            if reached:
                os.unlink("note")
            what = f"{' '.join(command)}: request {n} fails" if reached else f"{' '.join(command)} undisturbed"
            check(reached or run.returncode == 0, f"{what}: status {run.returncode}, {run.stderr[-200:]!r}")
            judge_training(run, what, resumed)
            happened += reached
            if not reached:
                check(n > 50, f"{what}: only {n - 1} requests")
                break
        for most in (0, 1, 64, 300, 1000, 3000, 10000):
            if resumed:
                shutil.copytree("two", "made")
            run = subprocess.run([program, *command], capture_output=True, preexec_fn=lambda: limit_files(most))
            check(run.returncode == 1 or most > 1000, f"{' '.join(command)} on a full disk: status {run.returncode}")
            judge_training(run, f"{' '.join(command)}: files of at most {most} bytes", resumed)
    return happened


def closed_pipe(program, command, made):
    out, into = os.pipe()
    os.close(out)
    run = subprocess.run([program, *command.split()], stdout=into, stderr=subprocess.PIPE)
    os.close(into)
    check(run.returncode == 1 and not run.stderr, f"{command} into a closed pipe: status {run.returncode}, {run.stderr[-300:]!r}")
    clean(made)


def interrupted(program, command, number, wait_for, says):
    """Sends a signal after a line that contains wait_for; the program says what it had."""
    process = subprocess.Popen([program, *command.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if wait_for in line:
            break
    process.send_signal(number)
    rest, _ = process.communicate(timeout=120)
    check(process.returncode == 1 and re.search(says, "".join(lines) + rest),
          f"{command} interrupted: status {process.returncode}, {rest[-300:]!r}")


def main():
    quick = sys.argv[1] == "--quick"
    program, faulty, *wrapper = sys.argv[1 + quick:]
    program, faulty = os.path.abspath(program), os.path.abspath(faulty)
    requests = 0
    os.environ["OMP_WAIT_POLICY"] = "passive"
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare(program)
        zipped = subprocess.run([program, *"run forward --input x.npy.gz --weight w.npy -o zipped".split()], capture_output=True)
        clean("zipped")
        training = trains(program)
        for command, made in COMMANDS + TRAINING_COMMANDS * training:
            if zipped.returncode:  # built without zlib
                command = command.replace(".gz", "")
            if quick and not command.startswith(("explain", "run", "export", "pack")):
                continue
            begin, count = time.time(), each_request_fails(program, faulty, wrapper, command, made)
            requests += count
            print(f"{time.time() - begin:5.1f} s, {count:4} requests: {command}", flush=True)
            if made:
                full_disk(program, command, made)
            elif command != "demo":
                closed_pipe(program, command, made)
        if training and not quick:
            begin, count = time.time(), trainings(program, faulty, wrapper)
            requests += count
            print(f"{time.time() - begin:5.1f} s, {count:4} requests: train, train --resume", flush=True)
        interrupted(program, "bench mb4ic32ih56oc64kh3ph1 --min-time 600 --json times.json --algo direct "
                    "--pass forward", signal.SIGINT, "FMA peak", "bench: interrupted")
        check(not list(pathlib.Path(".").glob("times.json*")), "bench interrupted: its --json")
        interrupted(program, "bench mb1ic2ih5oc3kh3ph1 mb4ic32ih56oc64kh3ph1 --min-time 60 --pass forward,grad_weight",
                    signal.SIGTERM, "grad_weight", "bench: interrupted")
        interrupted(program, "verify mb1ic2ih5oc3kh3ph1 mb1ic64ih56oc64kh3ph1", signal.SIGINT, "checks passed",
                    "verify: 1 problem, .*; interrupted")
        interrupted(program, "verify --random 100000 g2mb1ic2ih5oc2kh3", signal.SIGTERM, "checks passed", "; interrupted")
        os.chdir("/")
    print(f"{time.time() - start:.0f} s, {requests} requests failed; {checks} checks, {len(failures)} failed")
    return len(failures) > 0


if __name__ == "__main__":
    sys.exit(main())
