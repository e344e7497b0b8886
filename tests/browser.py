"""Headless Chromium over its debugging pipe, without any library."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--remote-debugging-pipe",
)
GRAPHICS = (
    *(flag for flag in FLAGS if flag != "--disable-gpu"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
)
"""WebGL by software."""


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@dataclass
class Page:
    """One tab: commands out, events in."""

    reader: Any
    writer: Any
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _count: int = 0

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._count += 1
        message: dict[str, object] = {"id": self._count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.writer.write(json.dumps(message).encode() + b"\0")
        self.writer.flush()
        while (answer := self._read()).get("id") != self._count:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def wait_for(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._read())

    def evaluate(self, expression: str) -> Any:
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        return result["result"].get("value")

    def open(self, path: Path, *, width: int = 1280, dark: bool = False) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.as_uri())
        self.wait_for("Page.loadEventFired")

    def _read(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self.reader.read(1)) != b"\0":
            assert byte, "the browser ended"
            data += byte
        return json.loads(data)


def list_faults(page: Page) -> list[str]:
    """Return what the console said and what was asked of a network."""
    faults = []
    for event in page.events:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded":
                faults.append(str(parameters)[:500])
            case "Network.requestWillBeSent":
                url = parameters["request"]["url"]
                if not url.startswith(("file:", "data:")):
                    faults.append(url)
    return faults


@contextmanager
def open_browser(
    executable: str, profile: Path, *, flags: tuple[str, ...] = FLAGS
) -> Iterator[Page]:
    """Yield a page; the browser is ended afterwards."""
    from_us, to_us = os.pipe(), os.pipe()
    # The browser reads commands from its descriptor 3 and answers on 4.
    pipes = f'exec "$0" "$@" 3<&{from_us[0]} 4>&{to_us[1]}'
    process = subprocess.Popen(
        ["bash", "-c", pipes, executable, *flags, f"--user-data-dir={profile}"],
        pass_fds=(from_us[0], to_us[1]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(from_us[0])
    os.close(to_us[1])
    try:
        with os.fdopen(to_us[0], "rb") as reader, os.fdopen(from_us[1], "wb") as writer:
            yield Page(reader, writer)
    finally:
        process.terminate()
        process.wait(timeout=20)


def point_at(page: Page, figure: str, x: float, y: float) -> str:
    """Move the pointer to a place of a plot, in shares from below left; return what is read."""
    box = page.evaluate(
        f"""(() => {{
          const box = document.querySelector({figure!r});
          box.scrollIntoView({{ block: "center", behavior: "instant" }});
          const r = box.querySelector(".u-over").getBoundingClientRect();
          return [r.left, r.top, r.width, r.height];
        }})()"""
    )
    left, top = box[0] + x * box[2], box[1] + (1 - y) * box[3]
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=left, y=top)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    return page.evaluate(f"document.querySelector({figure!r} + ' .readout').textContent")


def press(page: Page, key: str) -> str:
    """Press a key; return what the plot that has the focus reads out."""
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)
    return page.evaluate("document.activeElement.parentElement.querySelector('output').textContent")
