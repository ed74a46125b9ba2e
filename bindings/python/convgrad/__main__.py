"""The program that comes with the library: `python -m convgrad`, or `convgrad`."""
import os
import sys

from ._explain import _program


def main():
    os.execv(_program(), ["convgrad", *sys.argv[1:]])


if __name__ == "__main__":
    main()
