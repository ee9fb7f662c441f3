"""Stops examples/serve under load, and counts: each request that was sent is answered, though nobody reads what the server tells.

    python stop.py PROGRAM [ARGUMENTS]        such as target/release/examples/serve model.safetensors

Needs Python alone.
"""

import asyncio
import collections
import json
import os
import random
import signal
import sys

CLIENTS = 64
BODY = json.dumps({"instances": [[i % 7 / 7 for i in range(784)]]}).encode()
REQUEST = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY


async def client(address, counts, rng):
    while True:
        try:
            reader, writer = await asyncio.open_connection(*address)
        except ConnectionError:
            return
        try:
            while True:
                counts["sent"] += 1
                writer.write(REQUEST)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                counts["answered " + head.split()[1].decode()] += 1
                if b"connection: close" in head:
                    break
                # Some requests are at once, some find the connection idle.
                if rng.random() < 0.2:
                    await asyncio.sleep(rng.random() * 0.05)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            counts[f"lost: {type(error).__name__}"] += 1
            return
        finally:
            writer.close()


async def main():
    lost = 0
    for sitting in range(5):
        reading, writing = os.pipe()
        command = [*sys.argv[1:], "--address", "127.0.0.1:0"]
        server = await asyncio.create_subprocess_exec(*command, stdout=writing, stderr=writing)
        os.close(writing)
        with open(reading) as lines:
            while not (line := next(lines, "")).startswith("listening"):
                assert line, "the server did not start"
                print(line, end="")
        host, port = line.split("//")[1].strip().split(":")
        counts = collections.Counter()
        clients = [client((host, int(port)), counts, random.Random(i)) for i in range(CLIENTS)]
        clients = [asyncio.ensure_future(client) for client in clients]
        await asyncio.sleep(1 + sitting * 0.1)
        server.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(server.wait(), 30)
        await asyncio.gather(*clients)
        print(f"exit code {code};", ", ".join(f"{name}: {n}" for name, n in counts.items()))
        assert code == 0, "it did not end as it should"
        lost += counts["sent"] - counts["answered 200"] - counts["answered 503"]
    print(f"{lost} lost")
    sys.exit(lost > 0)


asyncio.run(main())
