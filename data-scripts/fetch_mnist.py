#!/usr/bin/env python3
"""Fetch the four files of MNIST into data/mnist of this checkout.

What is there and right is kept. A file is fetched from the first mirror that has it, its SHA-256 is checked, and only
then does it get its name, so that an interrupted run leaves nothing half done.
"""

import argparse
import gzip
import hashlib
import http.client
import io
import os
import pathlib
import sys
import tempfile
import urllib.request
import zlib

MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
]

# Size and SHA-256 of the unpacked file: mirrors pack differently.
FILES = {
    "train-images-idx3-ubyte": (47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": (60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": (7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": (10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}

SECONDS_OF_SILENCE = 30


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    checkout = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("--folder", type=pathlib.Path, default=checkout / "data" / "mnist", help="default: %(default)s")
    mirrors = "ask here instead, in the order given; default: " + ", ".join(MIRRORS)
    parser.add_argument("--mirror", action="append", metavar="URL", help=mirrors)
    args = parser.parse_args()

    args.folder.mkdir(parents=True, exist_ok=True)
    complete = True
    for name in FILES:
        complete &= obtain(args.folder / f"{name}.gz", name, args.mirror or MIRRORS)
    return 0 if complete else 1


def obtain(path, name, mirrors):
    """Whether the file is there and right, in the end."""
    if path.exists():
        try:
            check(path.read_bytes(), name)
            print(f"{path}: kept")
            return True
        except ValueError as error:
            print(f"{path}: {error}; fetching it again", file=sys.stderr)
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}.gz"
        try:
            packed = download(url, name)
            check(packed, name)
        except (OSError, http.client.HTTPException, ValueError) as error:
            print(f"{url}: {error}", file=sys.stderr)
            continue
        replace(path, packed)
        print(f"{path}: fetched from {url}")
        return True
    print(f"{path}: no mirror has it", file=sys.stderr)
    return False


def download(url, name):
    size, _ = FILES[name]
    with urllib.request.urlopen(url, timeout=SECONDS_OF_SILENCE) as response:
        # What is packed is smaller. A longer answer is cut here and fails the check.
        return response.read(size)


def check(packed, name):
    """Raises ValueError if this is not the file, packed with gzip."""
    size, expected = FILES[name]
    try:
        with gzip.open(io.BytesIO(packed)) as file:
            unpacked = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"damaged: {error}") from error
    if len(unpacked) > size:
        raise ValueError(f"unpacks to more than the expected {size} bytes")
    actual = hashlib.sha256(unpacked).hexdigest()
    if actual != expected:
        raise ValueError(f"SHA-256 of the {len(unpacked)} unpacked bytes is {actual}, expected {expected}")


def replace(path, content):
    descriptor, temporary = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


if __name__ == "__main__":
    sys.exit(main())
