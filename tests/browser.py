"""A real headless Chromium, driven over WebDriver's HTTP with the standard library alone."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.5
START_SECONDS = 30
COMMANDS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "driver": ("chromedriver",),
}


def browser_missing() -> str:
    """Why no browser can be opened here; empty where one can."""
    missing = [name for name, known in COMMANDS.items() if not any(map(shutil.which, known))]
    if not missing:
        return ""
    return f"no {' and '.join(missing)} here; on Debian: apt install chromium chromium-driver"


class Browser:
    """One window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return _call(method, f"{self._session}/{path}", body)

    def open(self, address: str) -> None:
        self._call("POST", "url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """What the page's own JavaScript returns."""
        return self._call("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str) -> Any:
        """What the page's own JavaScript passes to its last argument."""
        return self._call("POST", "execute/async", {"script": script, "args": []})

    def text(self) -> str:
        """What a reader sees of the page."""
        return str(self.run("return document.body ? document.body.innerText : ''"))

    def wait_for(
        self, words: Sequence[str], *, least: int | None = None, seconds: float = 60
    ) -> str:
        """The page's text as soon as all the words, or the `least` number of them, stand in it.

        Raises
        ------
        AssertionError
            With what stands there instead.
        """
        deadline = time.monotonic() + seconds
        while True:
            shown = self.text()
            missing = [word for word in words if word not in shown]
            if len(words) - len(missing) >= (len(words) if least is None else least):
                return shown
            if time.monotonic() > deadline:
                raise AssertionError(f"not on the page after {seconds} s: {missing}\n{shown}")
            time.sleep(POLL_SECONDS)

    def click(self, css: str, words: str = "", *, seconds: float = 60) -> None:
        """Click the element, the first with these words in it, once it is there and enabled.

        Raises
        ------
        AssertionError
            If it is not.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = self.run(
                "return [...document.querySelectorAll(arguments[0])].find("
                "one => !one.disabled && one.innerText.includes(arguments[1]))",
                *(css, words),
            )
            if found:
                # Boxes of Dagster's switches are invisible: a reader clicks what is drawn of them.
                self.run("arguments[0].click()", found)
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"no {css} with {words!r}\n{self.text()}")
            time.sleep(POLL_SECONDS)

    def take_newest_window(self) -> None:
        """Go on in the window that a link has opened last."""
        self._call("POST", "window", {"handle": self._call("GET", "window/handles")[-1]})

    def emulate(self, width: int, height: int, *, dark: bool = False) -> None:
        """Show pages as a screen of that size, in CSS pixels, and of that theme does."""
        for command, values in (
            (
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
            ),
            (
                "Emulation.setEmulatedMedia",
                {
                    "features": [
                        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
                    ]
                },
            ),
        ):
            self._call("POST", "goog/cdp/execute", {"cmd": command, "params": values})

    def complaints(self) -> list[str]:
        """What the pages' console has reported since it was last asked."""
        return [entry["message"] for entry in self._call("POST", "se/log", {"type": "browser"})]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "screenshot")))


def _call(method: str, address: str, body: dict[str, Any] | None = None) -> Any:
    data = None if method in {"GET", "DELETE"} else json.dumps(body or {}).encode()
    request = urllib.request.Request(
        address, data, {"Content-Type": "application/json"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.load(error)["value"]["message"]) from error


@contextmanager
def browser(folder: Path, width: int = 1600, height: int = 1000) -> Iterator[Browser]:
    """A browser with a profile and a log in the folder; closed at the end."""
    program = next(path for path in map(shutil.which, COMMANDS["chromium"]) if path)
    options = {
        "binary": program,
        "args": [
            *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
            *(f"--window-size={width},{height}", f"--user-data-dir={folder / 'profile'}"),
        ],
    }
    log = folder / "chromedriver.log"
    with log.open("w") as words:
        driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=words, stderr=subprocess.STDOUT
        )
        try:
            address = f"http://127.0.0.1:{_port(log)}"
            session = _call(
                "POST",
                f"{address}/session",
                {
                    "capabilities": {
                        "alwaysMatch": {
                            "goog:chromeOptions": options,
                            "goog:loggingPrefs": {"browser": "ALL"},
                        }
                    }
                },
            )["sessionId"]
            try:
                yield Browser(f"{address}/session/{session}")
            finally:
                _call("DELETE", f"{address}/session/{session}")
        finally:
            driver.terminate()
            driver.wait(timeout=30)


def _port(log: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = re.search(r"started successfully on port (\d+)", log.read_text())
        if found:
            return int(found[1])
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"chromedriver did not start: {log.read_text()}")
