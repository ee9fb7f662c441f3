#!/usr/bin/env python3
"""Compares cornu with Keras on TensorFlow, PyTorch, burn and candle on this machine; README.md tells what is measured.

    python3 benches/peers/run.py            # installs the peers into target/peers, measures, prints the table
    python3 benches/peers/run.py --write    # writes it to RESULTS.md, too
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
ALL = 60_000


@dataclass(frozen=True)
class Peer:
    """A program to measure. It is written in Rust, or it has `packages` of Python."""

    title: str
    crate: str = ""
    packages: tuple[str, ...] = ()
    rustflags: str = "-C target-cpu=native"
    slow: bool = False


PEERS = {
    "cornu": Peer("cornu", crate="cornu", rustflags=""),
    "keras": Peer("Keras on TensorFlow", packages=("keras", "tensorflow-cpu")),
    "torch": Peer("PyTorch", packages=("torch",)),
    "burn": Peer("burn", crate="burn"),
    "candle": Peer("candle", crate="candle-core", slow=True),
}


def main() -> None:
    args = parse()
    folder = args.dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    commands = install(args.peers, folder)
    runs: dict[str, list[dict]] = {name: [] for name in args.peers}
    for seed in range(args.rounds):
        for name in args.peers:
            if PEERS[name].slow and seed >= args.slow_rounds:
                continue
            result = measure(commands[name], args.limit, seed, folder / f"{name}.log")
            runs[name].append(result)
            figures = ", ".join(f"{key} {value:.4g}" for key, value in result.items() if key != "setting")
            say(f"round {seed + 1} of {args.rounds}, {name}: {figures}")
    report = markdown(runs, args.limit)
    print(report, end="")
    if args.write:
        (HERE / "RESULTS.md").write_text(report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=positive, default=5, help="how often each program runs [5]")
    parser.add_argument("--slow-rounds", type=positive, default=2, help="how often candle runs, which is slow [2]")
    parser.add_argument("--dir", type=Path, default=REPOSITORY / "target/peers", help="where all is installed and built")
    parser.add_argument("--peers", type=chosen, default=list(PEERS), help=f"which programs run [{','.join(PEERS)}]")
    parser.add_argument("--limit", type=positive, default=ALL, help="take the first N images of each part, for a trial")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md")
    args = parser.parse_args()
    if args.write and (args.limit < ALL or args.peers != list(PEERS)):
        parser.error("--write is for the whole comparison: without --limit and --peers")
    return args


def positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


def chosen(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(PEERS):
        raise argparse.ArgumentTypeError(f"no such program: {', '.join(sorted(unknown))}")
    return [name for name in PEERS if name in names]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def install(names: Iterable[str], folder: Path) -> dict[str, list[str]]:
    """Installs and builds what these programs need, and returns how to start each."""
    python = folder / "venv/bin/python"
    if any(PEERS[name].packages for name in names):
        if not (folder / "venv/bin/pip").exists():
            say("making the venv")
            venv.create(folder / "venv", with_pip=True, clear=True)
        say("installing requirements.txt")
        run([python, "-m", "pip", "install", "--quiet", "--requirement", HERE / "requirements.txt"])
    return {
        name: build(name, folder) if PEERS[name].crate else [str(python), str(HERE / f"{name}_peer.py")]
        for name in names
    }


def build(name: str, folder: Path) -> list[str]:
    say(f"building {name}")
    peer = PEERS[name]
    environment = {key: value for key, value in os.environ.items() if not key.endswith("RUSTFLAGS")}
    if peer.rustflags:
        environment["RUSTFLAGS"] = peer.rustflags
    # cornu's dependencies may have changed since the program's lock file was written.
    locked = [] if name == "cornu" else ["--locked"]
    target = folder / "target"
    run(["cargo", "build", "--quiet", "--release", *locked, "--target-dir", target], cwd=HERE / name, env=environment)
    return [str(target / "release" / f"{name}_peer")]


def run(command: list, **options) -> None:
    if subprocess.run(command, **options).returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")


def measure(command: list[str], limit: int, seed: int, log: Path) -> dict:
    """What the program prints, and its largest resident set."""
    command = [*command, str(REPOSITORY / "data/mnist"), str(limit), str(seed)]
    # Nothing keeps a program from taking all cores.
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}\n{log.read_text()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return json.loads(output.splitlines()[-1]) | {"peak_mb": usage.ru_maxrss * unit / 1e6}


def markdown(runs: dict[str, list[dict]], limit: int) -> str:
    def median(name: str, key: str) -> float:
        return statistics.median(result[key] for result in runs[name])

    def ratio(name: str, key: str) -> str:
        return f"{median(name, key) / median('cornu', key):.2f}" if "cornu" in runs else ""

    def spread(name: str, key: str, digits: int) -> str:
        values = [result[key] for result in runs[name]]
        return f"{median(name, key):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"

    predictions = f"{min(limit, 10_000):,} predictions, s"
    header = ["", "epoch, s", "ratio", predictions, "ratio", "one prediction, µs", "ratio", "peak, MB", "accuracy", "rounds"]
    rows = [
        [
            PEERS[name].title,
            spread(name, "epoch_s", 1 if limit == ALL else 2),
            ratio(name, "epoch_s"),
            spread(name, "predict_10000_s", 2),
            ratio(name, "predict_10000_s"),
            spread(name, "predict_one_us", 0),
            ratio(name, "predict_one_us"),
            f"{median(name, 'peak_mb'):.0f}",
            f"{100 * median(name, 'accuracy'):.2f} %",
            str(len(results)),
        ]
        for name, results in runs.items()
    ]
    settings = [[PEERS[name].title, versions(name), results[0]["setting"]] for name, results in runs.items()]
    return f"""# cornu and its peers

Made by `python3 benches/peers/run.py` on {datetime.date.today()}; [README.md](README.md) tells how, and how to read it.

{table(header, rows)}

Medians (least to most) over the rounds; the ratio is to cornu's median, above 1 where cornu is faster. An epoch has {limit:,}
images. The accuracy is that on the test images after this one epoch, the median over the seeds.

- {machine()}
- {commit()}
- {run_output("rustc", "--version")}; Python {platform.python_version()}

{table(["", "version", "setting"], settings)}
"""


def table(header: list[str], rows: list[list[str]]) -> str:
    """Columns are padded, so that it reads well as text."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = [header, ["-" * width for width in widths], *rows]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths)] for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)


def versions(name: str) -> str:
    peer = PEERS[name]
    if peer.crate:
        lock = tomllib.loads((HERE / name / "Cargo.lock").read_text())
        return next(package["version"] for package in lock["package"] if package["name"] == peer.crate)
    pinned = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().split())
    return ", ".join(f"{package} {pinned[package]}" for package in peer.packages)


def machine() -> str:
    """The processor, the cores and the memory; what of it the system does not tell is left out."""
    parts = []
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpuinfo.exists():
        text = cpuinfo.read_text()
        parts += re.findall(r"^model name\s*: (.*)$", text, re.MULTILINE)[:1]
        flags = set(re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)[1].split())
        parts += [flag.upper() for flag in ("avx2", "fma", "avx512f") if flag in flags]
    else:
        parts.append(platform.processor() or platform.machine())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts.append(f"{cores} cores")
    if meminfo.exists():
        kibibytes = int(re.search(r"^MemTotal:\s*(\d+)", meminfo.read_text(), re.MULTILINE)[1])
        parts.append(f"{kibibytes / 2**20:.0f} GiB")
    return ", ".join([*parts, platform.system()])


def commit() -> str:
    if not shutil.which("git") or not (hash := run_output("git", "rev-parse", "--short", "HEAD")):
        return "cornu: commit unknown"
    changed = " with changes" if run_output("git", "status", "--porcelain", "--", "src", "Cargo.toml") else ""
    return f"cornu: commit {hash}{changed}"


def run_output(*command: str) -> str:
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
