"""Reads what the callback TensorBoard has written with TensorBoard's own reader, and compares it with the CSVLogger's file.

    python data-scripts/check_tensorboard.py LOGS LOG.CSV

Both are of one training, whose callbacks were TensorBoard::new("LOGS") and CSVLogger::new("LOG.CSV"). The reader checks the checksums.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader


def scalars(folder):
    """{tag: [(step, value)]}"""
    accumulator = EventAccumulator(str(folder)).Reload()
    tags = accumulator.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in tags}


def main():
    logs, table = map(Path, sys.argv[1:])
    with table.open() as file:
        rows = list(csv.DictReader(file))
    read = {"": scalars(logs / "train"), "val_": {}}
    if "val_loss" in rows[0]:
        read["val_"] = scalars(logs / "validation")
    for name in rows[0].keys() - {"epoch"}:
        prefix = "val_" if name.startswith("val_") else ""
        expected = [(int(row["epoch"]), np.float32(row[name])) for row in rows]
        actual = read[prefix].pop(f"epoch_{name.removeprefix('val_')}")
        np.testing.assert_array_equal(actual, expected, name)
    assert list(read[""]) == ["epoch_learning_rate"] and not read["val_"], read
    assert len(read[""]["epoch_learning_rate"]) == len(rows)
    for file in logs.glob("*/*tfevents*"):
        assert next(EventFileLoader(str(file)).Load()).file_version == "brain.Event:2", file
    print(f"{len(rows)} epochs, {len(rows[0]) - 1} figures: as TensorBoard reads them")


if __name__ == "__main__":
    main()
