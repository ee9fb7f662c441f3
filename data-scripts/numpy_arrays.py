"""Arrays as NumPy writes them, tests/fixtures/numpy: what Tensor::read_npy and Npz must read, and what they must refuse."""

import pathlib

import numpy as np

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "numpy"


def main():
    FIXTURES.mkdir(parents=True, exist_ok=True)

    def save(name, array, **arguments):
        np.save(FIXTURES / f"{name}.npy", array, **arguments)

    numbers = np.arange(24).reshape(2, 3, 4)
    for dtype in ("f2", "f4", "f8", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"):
        save(dtype, numbers.astype(dtype))
    save("big_endian", numbers.astype(">f4"))
    save("fortran", np.asfortranarray(numbers.astype("f4")))
    save("bool", np.array([True, False]))
    save("scalar", np.float32(2.5))
    save("empty", np.zeros((0, 3), "f4"))
    with open(FIXTURES / "version2.npy", "wb") as file:
        np.lib.format.write_array(file, numbers.astype("f4"), version=(2, 0))
    np.savez(FIXTURES / "plain.npz", x=numbers.astype("f4"), y=np.array([1, 300]))
    np.savez_compressed(FIXTURES / "compressed.npz", x=numbers.astype("f4"), y=np.array([1, 300]))

    # What is refused.
    save("complex", np.zeros(2, "c8"))
    save("string", np.array(["ab", "c"]))
    save("object", np.array([{}, None], dtype=object), allow_pickle=True)
    save("record", np.zeros(2, [("a", "f4"), ("b", "i4")]))
    save("rank7", np.zeros([1] * 7, "f4"))
    np.savez_compressed(FIXTURES / "bomb.npz", x=np.zeros(5_000_000))


if __name__ == "__main__":
    main()
