"""One model process: loads one version, warms up with its example, answers on its socket until it is stopped.

Started by `host` as `python -m gimbal.predictive.serving.child`; user models block and leak, so they live here.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa

from gimbal.kernel.errors import GimbalError, Upstream
from gimbal.predictive.flavors.loading import Predictor, load
from gimbal.predictive.flavors.model import manifest_of
from gimbal.predictive.flavors.rows import example_rows
from gimbal.predictive.serving import wire

_log = logging.getLogger(__name__)
REFUSED = 3
"""Exit code of a model that may not or cannot be loaded: trying again would not help."""
STUCK = 4
"""Exit code of a process whose model did not answer in time."""
_GRACE_S = 2.0


class ModelServer:
    """Answers requests one at a time per model: most libraries are not safe for more."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._one = asyncio.Lock()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while (asked := await wire.read_request(reader)) is not None:
                async with self._one:
                    if reader.at_eof():
                        break  # the caller went while it stood in line
                    answer = await self._within(*asked)
                await wire.send_answer(writer, answer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the caller has gone, or the process stops
        finally:
            writer.close()

    async def _within(self, rows: pa.Table, limit_s: float) -> pa.Table | GimbalError:
        """Answer; end the process when the model takes longer than its caller waits.

        A thread cannot be stopped, and behind one that hangs every later request would wait: the host starts anew.
        """
        work = asyncio.create_task(asyncio.to_thread(self._answer, rows))
        done, _ = await asyncio.wait({work}, timeout=limit_s)
        if not done:
            _log.error("the model did not answer %d rows within %g s: this process ends", rows.num_rows, limit_s)
            os._exit(STUCK)
        return work.result()

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

    async def finish(self) -> None:
        """Return when the request in work is answered, or after the grace."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S), self._one:
                pass


async def run(path: Path, predictor: Predictor, say: Callable[[str], None]) -> None:
    """Serve on a socket until SIGTERM; say `ready` once it takes requests."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    model = ModelServer(predictor)
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(model.serve, path=str(path), limit=1 << 20)
    say("ready")
    await stop.wait()
    server.close()
    path.unlink(missing_ok=True)
    await model.finish()


def leave_with_host() -> None:
    """End this process when the host does, which holds the other end of standard input; blocks until then."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2 * _GRACE_S)
    os._exit(1)  # a model that hangs would keep the process for good


def speaker() -> Callable[[str], None]:
    """Return what writes a line to the host, and keep standard output for that: what models print goes to the log."""
    out = os.dup(1)
    os.dup2(2, 1)

    def say(line: str) -> None:
        os.write(out, f"{' '.join(line.split())[:2000]}\n".encode())

    return say


def main() -> int:
    """Load and serve: arguments are the folder of the files and the socket."""
    say = speaker()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor, which stops us in order
    threading.Thread(target=leave_with_host, daemon=True).start()
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
        say(f"refused {error.message}")
        return REFUSED
    except Exception as problem:  # noqa: BLE001 - whatever the user's model raises is a reason
        _log.exception("the model cannot be loaded")
        say(f"refused It fails on its own example: {type(problem).__name__}: {problem}")
        return REFUSED
    asyncio.run(run(path, predictor, say))
    return 0


if __name__ == "__main__":
    # Not `sys.exit`: a model's threads that do not end would keep the interpreter.
    code = main()
    logging.shutdown()
    os._exit(code)
