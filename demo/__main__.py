"""`make demo`: start Gimbal, turn both rings, say what was found, stay up until Ctrl-C; `--check` exits instead.

An interrupted demo can be run again: every step finds what it left and goes on.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
from openai import OpenAIError

from demo import generative, predictive
from demo.story import Story
from gimbal import Client
from gimbal.kernel.errors import GimbalError

HOST, START_S = "127.0.0.1", 60.0


@contextlib.contextmanager
def gimbal_up(port: int, data: str) -> Iterator[str]:
    """Start Gimbal unless it answers already; yield its address; stop it again if it was started here."""
    url = f"http://{HOST}:{port}"
    if answers(url):
        print(f"Gimbal is up already on {url}; the demo uses it.")
        yield url
        return
    command = [sys.executable, "-m", "gimbal.faces.cli.main", "up", "--port", str(port), "--data", data]
    command += ["--grpc-port", "0"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        deadline = time.monotonic() + START_S
        while not answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("Gimbal did not start; the lines above say why.")
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def answers(url: str) -> bool:
    """Tell whether Gimbal answers."""
    try:
        return httpx.get(f"{url}/readyz", timeout=1).is_success
    except httpx.HTTPError:
        return False


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit when done, with 1 when a step failed")
    parser.add_argument("--port", type=int, default=int(os.environ.get("GIMBAL_SERVER_PORT", "8765")))
    parser.add_argument("--data", default=".gimbal")
    given = parser.parse_args()
    started = time.monotonic()
    with gimbal_up(given.port, given.data) as url, Client(url) as client:
        story = Story(url)
        failed = False
        for title, ring in (("The predictive ring", predictive.turn), ("The generative ring", generative.turn)):
            story.ring(title)
            try:
                ring(client, story)
            except (GimbalError, OpenAIError, httpx.HTTPError) as error:
                failed = True
                story.failed(error)
        story.close(time.monotonic() - started, whole=not failed)
        if given.check or failed:
            return int(failed)
        print("Gimbal stays up. Ctrl-C stops it.")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
