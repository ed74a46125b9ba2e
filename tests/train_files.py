"""Reads what tests/train_files.c wrote, by a reader of its own and, if it is there, by the safetensors package.

    python3 tests/train_files.py PROGRAM
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

WANT = {
    "0.weight": ("F32", [2, 3], struct.pack("<6f", 1, -2, 3.5, 0, 1e-40, -0.0)),
    "empty": ("F32", [0, 3], b""),
    'optimizer.sum "1"': ("F64", [2], struct.pack("<2d", 0.1, 1e300)),
    "step": ("I64", [], struct.pack("<q", 412)),
}
NOTES = {"model": 'input 1x28x28\nconv 16 5x5 "quoted" \\ tab\t end \x01 café', "epoch": "3"}


def read(data):
    """The format as its page defines it: name -> (type, shape, bytes), and the metadata."""
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length].decode("utf-8"))
    body = data[8 + length:]
    notes = header.pop("__metadata__", {})
    assert sum(t["data_offsets"][1] - t["data_offsets"][0] for t in header.values()) == len(body)
    return {name: (t["dtype"], t["shape"], body[slice(*t["data_offsets"])]) for name, t in header.items()}, notes


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "made.safetensors")
    subprocess.run([sys.argv[1], path], check=True)
    with open(path, "rb") as file:
        tensors, notes = read(file.read())
    assert tensors == WANT, tensors
    assert notes == NOTES, notes
    try:
        from safetensors import deserialize
    except ImportError:
        print("left out: the safetensors package is not there")
    else:
        with open(path, "rb") as file:
            theirs = {name: (t["dtype"], list(t["shape"]), bytes(t["data"])) for name, t in deserialize(file.read())}
        assert theirs == WANT, theirs
print("read as it was written")
