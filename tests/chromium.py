"""A headless Chromium, driven by its DevTools protocol over a pipe; no package is needed."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
]
# the protocol is at descriptors 3 and 4
START = """import os, sys
theirs, ours, *words = sys.argv[1:]
os.dup2(int(theirs), 3)
os.dup2(int(ours), 4)
os.execv(words[0], words)"""
PATIENCE = 60  # seconds


class Chromium:
    """One tab of a browser of its own.

    Args:
        folder: an empty one for its profile and downloads.
        size: width and height of the window in CSS pixels.
    """

    def __init__(self, folder: Path, *, size: tuple[int, int] = (1280, 900)) -> None:
        self.downloads = folder / "downloads"
        theirs, self._out = os.pipe()
        self._in, ours = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in (theirs, ours)]
        words = [str(PROGRAM), *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, *map(str, ends), *words],
            pass_fds=ends,
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        for end in ends:
            os.close(end)
        os.close(theirs)
        os.close(ours)
        self._rest, self._last, self._session = b"", 0, None
        self.requests: list[str] = []  # addresses that the page asked for
        self.errors: list[str] = []  # uncaught ones of the page's scripts
        self._session = self._attach()
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        self.resize(*size)
        self.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def _attach(self) -> str:
        while True:
            for target in self.call("Target.getTargets")["targetInfos"]:
                if target["type"] == "page":
                    given = {"targetId": target["targetId"], "flatten": True}
                    return self.call("Target.attachToTarget", **given)["sessionId"]
            time.sleep(0.05)

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._in)
        os.close(self._out)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def call(self, method: str, **params: object) -> dict:
        """Return the result of a method of the protocol."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(answer["params"]["exceptionDetails"]))
            if answer.get("id") == self._last:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _next(self) -> dict:
        while b"\0" not in self._rest:
            assert select.select([self._in], [], [], PATIENCE)[0], "Chromium is silent"
            block = os.read(self._in, 2**20)
            assert block, "Chromium ended"
            self._rest += block
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def run(self, script: str):
        """Return the value of an expression in the page; a promise is awaited."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, script: str, *, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        tried = f"(() => {{ try {{ return Boolean({script}) }} catch {{ return false }} }})()"
        self.wait_until(lambda: self.run(tried), seconds=seconds, what=script)

    def wait_until(
        self, is_true: Callable[[], bool], *, seconds: float = 60, what: str = ""
    ) -> None:
        """Wait until a function returns True."""
        end = time.monotonic() + seconds
        while not is_true():
            assert time.monotonic() < end, f"{what} is not true; errors: {self.errors}"
            time.sleep(0.05)

    def drop(self, selector: str, file: Path) -> None:
        """Drop a file on an element, as from a folder of the desktop."""
        box = f"document.querySelector({selector!r}).getBoundingClientRect()"
        x, y = self.run(f"[{box}.x + {box}.width / 2, {box}.y + {box}.height / 2]")
        data = {"items": [], "files": [str(file.resolve())], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def canvas(self, expression: str) -> np.ndarray:
        """Return RGBA, (H, W, 4) uint8, of a canvas that a script finds."""
        width, height, pixels = self.run(f"""(() => {{
            const canvas = {expression};
            const context = canvas.getContext("2d");
            const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
            let text = "";
            for (let i = 0; i < data.length; i += 32768)
              text += String.fromCharCode(...data.subarray(i, i + 32768));
            return [canvas.width, canvas.height, btoa(text)];
        }})()""")
        return np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(height, width, 4)

    def screenshot(self, file: Path) -> None:
        content = self.call("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(content))
