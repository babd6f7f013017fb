"""One model process: loads one version, warms up with its example, answers on its socket until it is stopped.

Started by `host` as `python -m gimbal.predictive.serving.child`; user models block and leak, so they live here.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import msgspec
import pyarrow as pa

from gimbal.kernel.errors import GimbalError, Upstream
from gimbal.predictive.flavors.loading import Predictor, load
from gimbal.predictive.flavors.model import ModelManifest, manifest_of
from gimbal.predictive.serving import wire

_log = logging.getLogger(__name__)
REFUSED = 3
"""Exit code of a model that may not or cannot be loaded: trying again would not help."""


def example_rows(manifest: ModelManifest) -> pa.Table:
    """Return the example of a manifest as rows of its signature's types."""
    kinds = {"FP64": pa.float64(), "INT64": pa.int64(), "BOOL": pa.bool_(), "BYTES": pa.string()}
    columns = {s.name: pa.array(manifest.example.get(s.name, []), kinds[s.datatype]) for s in manifest.signature.inputs}
    return pa.table(columns)


class ModelServer:
    """Answers requests one at a time per model: most libraries are not safe for more."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._one = asyncio.Lock()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while (rows := await wire.read_request(reader)) is not None:
                async with self._one:
                    answer = await asyncio.to_thread(self._answer, rows)
                await wire.send_answer(writer, answer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the caller has gone, or the process stops
        finally:
            writer.close()

    def _answer(self, rows: pa.Table) -> pa.Table | GimbalError:
        try:
            return self._predictor.predict(rows)
        except GimbalError as error:
            return error
        except Exception as problem:  # noqa: BLE001 - whatever the user's model raises is an answer
            _log.exception("the model failed")
            return Upstream(
                f"The model failed: {type(problem).__name__}: {str(problem)[:500]}", todo="See the model's log."
            )


async def _run(path: Path, predictor: Predictor) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def watch() -> None:
        # The host holds the other end of standard input: when it dies, so does this process.
        while os.read(0, 1):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, daemon=True).start()
    model = ModelServer(predictor)
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(model.serve, path=str(path), limit=1 << 20)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()
    path.unlink(missing_ok=True)


def main() -> int:
    """Load and serve: arguments are the folder of the files and the socket."""
    logging.basicConfig(level="INFO", format="%(asctime)s model   %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    folder, path = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        wanted = msgspec.json.decode((folder / "wanted.json").read_bytes(), type=wire.Wanted)
        manifest = manifest_of(wanted.manifest)
        predictor = load(manifest, folder / "files")
        rows = example_rows(manifest)
        if rows.num_rows:
            predictor.predict(rows)
    except GimbalError as error:
        sys.stdout.write(f"refused {error}\n")
        return REFUSED
    asyncio.run(_run(path, predictor))
    return 0


if __name__ == "__main__":
    sys.exit(main())
