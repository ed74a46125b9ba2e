"""Where data comes from: convgrad pack, by pixels that are known; and CIFAR's binary files, beside the same data as .npy.

    python3 tests/train_data.py PROGRAM
"""
import base64
import fractions
import gzip
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

JPEG = base64.b64decode(  # 8 x 8 gray pixels of 200
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxlZ2P/"
    "wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAABv/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8ASP/Z")


def run(*command):
    return subprocess.run([program, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)


def works(*command):
    done = run(*command)
    assert done.returncode == 0 and not done.stderr, (command, done.returncode, done.stderr)
    return done.stdout


def everything():
    return {path: path.read_bytes() if path.is_file() and not path.is_fifo() else b"" for path in sorted(pathlib.Path(".").rglob("*"))}


def refused(words, *command, status=2):
    """One sentence with these words, and no file is made or changed."""
    before = everything()
    done = run(*command)
    assert done.returncode == status and done.stderr.count("\n") == 1 and done.stderr.startswith("convgrad: ") and \
        words in done.stderr, (command, done.returncode, done.stderr, words)
    assert everything() == before, (command, set(everything()) ^ set(before))


def read_npy(path):
    data = pathlib.Path(path).read_bytes()
    size, = struct.unpack("<H", data[8:10])
    header = eval(data[10:10 + size])
    assert data[:8] == b"\x93NUMPY\1\0" and not header["fortran_order"] and (10 + size) % 64 == 0
    return header["descr"], header["shape"], data[10 + size:]


def write_npy(path, descr, shape, raw):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)}, }}".ljust(117) + "\n"
    pathlib.Path(path).write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", 118) + header.encode() + raw)


def pnm(height, width, channels, pixels, comment=b""):
    return b"P%d%s\n%d %d\n255\n" % (5 if channels == 1 else 6, comment, width, height) + bytes(pixels)


def png(height, width, kind, bits, rows, *more):
    """kind: 0 gray, 2 RGB, 3 palette, 4 and 6 with alpha."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)) + \
        b"".join(chunk(*one) for one in more) + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))) + chunk(b"IEND", b"")


def folder(**classes):
    """A new folder with these classes, as dictionaries of files."""
    shutil.rmtree("in", ignore_errors=True)
    for name, files in classes.items():
        os.makedirs(f"in/{name}")
        for file, data in files.items():
            pathlib.Path("in", name, file).write_bytes(data)


def planes(pixels, channels):
    return b"".join(bytes(pixels[c::channels]) for c in range(channels))


def gray(pixels):
    return bytes((19595 * r + 38470 * g + 7471 * b + 32768) >> 16 for r, g, b in zip(pixels[0::3], pixels[1::3], pixels[2::3]))


def fit(pixels, height, width, channels, new_height, new_width):
    """The definition: the middle part of the new proportions, and exact averages of what each new pixel covers."""
    h, w = height, width
    if width * new_height > height * new_width:
        w = max(1, height * new_width // new_height)
    else:
        h = max(1, width * new_height // new_width)
    top, left = (height - h) // 2, (width - w) // 2

    def shares(i, size, count):
        begin, end = fractions.Fraction(i * size, count), fractions.Fraction((i + 1) * size, count)
        return [(j, min(end, j + 1) - max(begin, j)) for j in range(size) if min(end, j + 1) > max(begin, j)]
    out = []
    for y in range(new_height):
        for x in range(new_width):
            for c in range(channels):
                whole = sum(a * b * pixels[((top + i) * width + left + j) * channels + c]
                            for i, a in shares(y, h, new_height) for j, b in shares(x, w, new_width))
                out.append(int(whole * new_height * new_width / (h * w) + fractions.Fraction(1, 2)))
    return bytes(out)


# ---- what pack makes ----

def check_values():
    """Classes and files in the order of bytes, channels first, labels, names."""
    one, two, three = (bytes(random.randrange(256) for _ in range(4 * 5 * 3)) for _ in range(3))
    folder(b={"x10.ppm": pnm(4, 5, 3, one), "x9.PPM": pnm(4, 5, 3, two, b"# made by hand\n#")}, B={"y.pnm": pnm(4, 5, 3, three)},
           a_class={"z.ppm": pnm(4, 5, 3, one)})
    pathlib.Path("in/README").write_text("no picture")
    pathlib.Path("in/b/.hidden.ppm").write_text("no picture")
    pathlib.Path("in/b/list.txt").write_text("no picture")
    said = works("pack", "in", "-o", "data.npy")
    assert said.startswith("4 pictures of 3x4x5 in 3 classes: data.npy, data.labels.npy, data.classes.txt\nskipped: 2 "), said
    assert read_npy("data.npy") == ("|u1", (4, 3, 4, 5), b"".join(planes(p, 3) for p in (three, one, one, two)))
    assert read_npy("data.labels.npy") == ("<i8", (4,), struct.pack("<4q", 0, 1, 2, 2))
    assert pathlib.Path("data.classes.txt").read_text() == "B\na_class\nb\n"
    works("pack", "in", "-o", "data.npy", "--gray")
    assert read_npy("data.npy") == ("|u1", (4, 1, 4, 5), b"".join(map(gray, (three, one, one, two))))
    # A class may be a link, and a picture.
    os.rename("in/B", "B")
    os.symlink("../B", "in/B")
    os.rename("in/a_class/z.ppm", "z.ppm")
    os.symlink("../../z.ppm", "in/a_class/z.ppm")
    before = pathlib.Path("data.npy").read_bytes()
    works("pack", "in", "-o", "data.npy", "--gray")
    assert before == pathlib.Path("data.npy").read_bytes()
    for name in ("B/y.pnm", "z.ppm"):
        os.unlink(name)
    os.rmdir("B")


def check_sizes():
    for _ in range(60):
        channels = random.choice((1, 3))
        new = [random.randint(1, 7), random.randint(1, 7)]
        pictures = []
        for _ in range(2):
            height, width = random.randint(1, 12), random.randint(1, 12)
            pictures.append((height, width, bytes(random.choice((0, 255, random.randrange(256))) for _ in range(height * width * channels))))
        folder(a={"1.ppm": pnm(*pictures[0][:2], channels, pictures[0][2])}, b={"1.ppm": pnm(*pictures[1][:2], channels, pictures[1][2])})
        works("pack", "in", "-o", "data.npy", "--size", f"{new[0]}x{new[1]}")
        want = [planes(fit(pixels, height, width, channels, *new), channels) for height, width, pixels in pictures]
        assert read_npy("data.npy") == ("|u1", (2, channels, *new), b"".join(want)), (pictures, new)


def check_png():
    pixels = bytes(random.randrange(256) for _ in range(2 * 3 * 3))
    rows = [pixels[:9], pixels[9:]]
    alpha = [b"".join(row[i:i + 3] + b"\x80" for i in (0, 3, 6)) for row in rows]
    wide = [b"".join(bytes((v, 77)) for v in row) for row in rows]
    palette = bytes(random.randrange(256) for _ in range(12))
    folder(a={"1.png": png(2, 3, 2, 8, rows), "2.png": png(2, 3, 6, 8, alpha), "3.PNG": png(2, 3, 2, 16, wide)},
           b={"1.png": png(2, 3, 3, 8, [b"\0\1\2", b"\3\2\1"], (b"PLTE", palette))})
    done = run("pack", "in", "-o", "data.npy")
    if "built without stb_image (Debian: libstb-dev)" in done.stderr:
        refused("in/a/1.png: is a PNG file; this program was built without stb_image", "pack", "in", "-o", "new.npy")
        print("left out: PNG and JPEG (built without stb_image)")
        return
    assert done.returncode == 0, done.stderr
    of_palette = b"".join(palette[3 * i:3 * i + 3] for i in (0, 1, 2, 3, 2, 1))
    assert read_npy("data.npy") == ("|u1", (4, 3, 2, 3), planes(pixels, 3) * 3 + planes(of_palette, 3))
    good = png(2, 3, 2, 8, rows)
    for cut in range(8, len(good)):
        if cut % 7 == 0 or cut > len(good) - 13:
            folder(a={"1.png": good[:cut]}, b={"1.png": good})
            refused("in/a/1.png: is truncated or damaged", "pack", "in", "-o", "new.npy")
    folder(a={"1.png": good}, b={"2.png": good[:45] + bytes([good[45] ^ 1]) + good[46:]})
    refused("in/b/2.png: is truncated or damaged", "pack", "in", "-o", "new.npy")
    folder(a={"1.png": good}, b={"2.png": png(2, 3, 2, 8, rows[:1])})
    refused("in/b/2.png: cannot be read: ", "pack", "in", "-o", "new.npy")
    folder(a={"1.png": png(1 << 30, 1 << 30, 2, 8, rows)}, b={"2.png": good})
    refused("in/a/1.png: cannot be read: ", "pack", "in", "-o", "new.npy")
    folder(a={"1.jpg": JPEG}, b={"1.jpeg": JPEG, "2.pgm": pnm(8, 8, 1, [7] * 64)})
    works("pack", "in", "-o", "data.npy")
    assert read_npy("data.npy") == ("|u1", (3, 1, 8, 8), bytes([200] * 128 + [7] * 64))
    for cut in (3, 20, len(JPEG) // 2, len(JPEG) - 1):
        folder(a={"1.jpg": JPEG[:cut]}, b={"1.jpg": JPEG})
        refused("in/a/1.jpg: is truncated or damaged", "pack", "in", "-o", "new.npy")


def check_refused():
    good = pnm(2, 2, 1, b"1234")

    def bad(words, data, name="1.pgm"):
        folder(a={"0.pgm": good}, b={name: data})
        refused(f"in/b/{name}: " + words, "pack", "in", "-o", "data.npy")
    bad("is truncated: has 3 of 4 bytes of pixels", good[:-1])
    bad("has more than one picture: has 5 of 4 bytes of pixels", good + b"\n")
    bad("its header is cut short or damaged", b"P5 2 2 255")
    bad("its header is cut short or damaged", b"P5 2 x 255\n1234")
    bad("its header is cut short or damaged", b"P5 # 2 2 255\n1234")
    bad("its header is cut short or damaged", b"P5 -2 2 255\n1234")
    bad("its header is cut short or damaged", b"P5 99999999999999999999 2 255\n1234")
    bad("has 65536x65536 pixels; must be 1 to 32768", b"P5 65536 65536 255\n1234")
    bad("has 0x2 pixels", b"P5 2 0 255\n")
    bad("is truncated: has 4 of 3221225472 bytes", b"P6 32768 32768 255\n1234")
    bad("its largest value is 65535; must be 255", b"P5 2 2 65535\n12345678")
    bad("is of kind P2; must be binary PGM (P5) or PPM (P6)", b"P2 2 2 255\n1 2 3 4\n")
    bad("is no PGM, PPM, PNG or JPEG file", b"P")
    bad("is no PGM or PPM file", b"Pictures")
    bad("is no PGM, PPM, PNG or JPEG file, or is damaged", b"GIF89a", "1.png")
    bad("is no PGM, PPM, PNG or JPEG file, or is damaged", b"")
    bad("is 1x2x3, in/a/0.pgm 1x2x2 (channels, height, width): all must be alike; --size", pnm(2, 3, 1, b"123456"))
    bad("is 3x2x2, in/a/0.pgm 1x2x2", pnm(2, 2, 3, b"123456789012"))
    pack = ["pack", "in", "-o", "new.npy"]
    folder()
    refused("in: No such file", *pack)
    os.mkdir("in")
    refused("in: has no folder; must have a folder for each of 2 classes or more", *pack)
    pathlib.Path("in/1.pgm").write_bytes(good)
    refused("in: has no folder", *pack)
    folder(a={"1.pgm": good})
    refused("in: has one folder; must have a folder for each of 2 classes", *pack)
    folder(a={"1.pgm": good}, b={"x.txt": b""})
    refused("in/b: has no picture", *pack)
    folder(a={"1.pgm": good}, b={"1.pgm": good})
    os.mkdir("in/a/more")
    refused("in/a/more: is a folder; a class's folder must hold pictures alone", *pack)
    os.rmdir("in/a/more")
    os.symlink("nowhere.pgm", "in/b/2.pgm")
    refused("in/b/2.pgm: No such file", *pack)
    os.unlink("in/b/2.pgm")
    os.mkfifo("in/b/2.pgm")
    refused("in/b/2.pgm: is no file", *pack)
    os.unlink("in/b/2.pgm")
    if os.geteuid():
        os.chmod("in/b/1.pgm", 0)
        refused("in/b/1.pgm: Permission denied", *pack)
        os.chmod("in/b/1.pgm", 0o600)
    os.mkdir("in/c\nd")
    refused("the name of a class has two lines", *pack)
    os.rmdir("in/c\nd")
    for size in ("3", "3x", "x3", "0x3", "3x4097", "-1x3", "3x3x3", "3 x 3", "99999999999999999999x1"):
        refused(f'--size is "{size}"; must be HEIGHTxWIDTH', *pack, "--size", size)
    refused("-o is missing", "pack", "in")
    refused('-o is "data.bin"; must end in .npy', "pack", "in", "-o", "data.bin")
    refused("pack takes one folder; has 0 arguments", "pack", "-o", "new.npy")
    refused("no/new.npy: No such file", "pack", "in", "-o", "no/new.npy", status=1)
    pathlib.Path("file").write_bytes(b"")
    refused("file: Not a directory", "pack", "file", "-o", "new.npy")
    # If one of the files cannot take its place, none does.
    os.mkdir("new.classes.txt")
    refused("new.classes.txt: ", *pack, status=1)
    os.rmdir("new.classes.txt")


# ---- data that train takes ----

MODEL = "input 3x32x32 scale=1/255\navgpool 8\nflatten\nlinear 4\ncross_entropy\n"


def tensors(path):
    data = pathlib.Path(path).read_bytes()
    size, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    notes = header.pop("__metadata__")
    prints = re.findall("data_fingerprint=.*", notes["settings"])
    return {name: data[8 + size:][slice(*t["data_offsets"])] for name, t in header.items()}, notes["history"], prints


def check_cifar():
    """Records of one label, of two (the fine one counts), in two files and compressed: the same training as of .npy."""
    pathlib.Path("model.txt").write_text(MODEL)
    labels = [i % 4 for i in range(22)]
    pictures = [bytes(random.randrange(60) + 45 * label * (i % 2) for i in range(3072)) for label in labels]
    write_npy("x.npy", "|u1", (22, 3, 32, 32), b"".join(pictures))
    write_npy("y.npy", "<i4", (22,), struct.pack("<22i", *labels))
    ten = [bytes([label]) + picture for label, picture in zip(labels, pictures)]
    pathlib.Path("ten.bin").write_bytes(b"".join(ten))
    pathlib.Path("first.bin").write_bytes(b"".join(ten[:9]))
    pathlib.Path("second.bin.gz").write_bytes(gzip.compress(b"".join(ten[9:])))
    pathlib.Path("hundred.bin").write_bytes(b"".join(bytes([label ^ 1]) + record for label, record in zip(labels, ten)))
    made = {}
    sets = ["x.npy,y.npy", "ten.bin", "hundred.bin"]
    if "has no zlib" not in run("predict", "none", "first.bin").stderr:
        gz = run("train", "model.txt", "--data", "first.bin,second.bin.gz", "--epochs", "1", "-o", "try")
        if gz.returncode == 0:
            sets.append("first.bin,second.bin.gz")
        else:
            assert "has no zlib" in gz.stderr, gz.stderr
    for data in sets:
        shutil.rmtree("trained", ignore_errors=True)
        works("train", "model.txt", "--data", data, "--test", data, "--batch", "8", "--epochs", "3", "-o", "trained")
        made[data] = tensors("trained/checkpoint.safetensors"), works("evaluate", "trained", "--data", data), \
            works("predict", "trained", data if data.endswith(".bin") or ".gz" in data else "x.npy", "--format", "json")
    for data in sets[1:]:
        assert made[data] == made["x.npy,y.npy"], data
    assert "22 samples" in made["ten.bin"][1] and len(made["ten.bin"][2].splitlines()) == 22
    pathlib.Path("bad.bin").write_bytes(b"".join(bytes([label + 1]) + picture for label, picture in zip(labels, pictures)))
    refused("bad.bin: label 4 of sample 3; the model's classes are 0 to 3", "train", "model.txt", "--data", "bad.bin", "--batch", "8",
            "-o", "new")


def check_training():
    """What pack made can be learnt."""
    folder(dark={f"{i}.pgm": pnm(8, 8, 1, [random.randrange(100) for _ in range(64)]) for i in range(20)},
           light={f"{i}.ppm": pnm(9, 10, 3, [100 + random.randrange(100) for _ in range(270)]) for i in range(20)})
    works("pack", "in", "-o", "data.npy", "--size", "8x8", "--gray")
    pathlib.Path("small.txt").write_text("input 1x8x8 scale=1/255 mean=0.4 std=0.2\nflatten\nlinear 2\ncross_entropy\n")
    works("train", "small.txt", "--data", "data.npy,data.labels.npy", "--test", "data.npy,data.labels.npy", "--batch", "8", "-o", "light")
    said = works("evaluate", "light", "--data", "data.npy,data.labels.npy")
    assert "40 right: accuracy 100.00 %" in said, said
    os.rename("in/light", "in/bright")  # labels 0 and 1 change their places
    works("pack", "in", "-o", "other.npy", "--size", "8x8", "--gray")
    refused("data.classes.txt and other.classes.txt name other classes", "train", "small.txt", "--data", "data.npy,data.labels.npy",
            "--test", "other.npy,other.labels.npy", "--batch", "8", "-o", "new")


program = os.path.abspath(sys.argv[1])
random.seed(1)
with tempfile.TemporaryDirectory() as place:
    os.chdir(place)
    try:
        check_cifar()
        check_values()
        check_sizes()
        check_png()
        check_refused()
        check_training()
    finally:
        os.chdir("/")
print("pack's pictures and CIFAR's files are as they must be")
