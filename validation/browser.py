"""A browser without a window, for tests of pages and of the viewer: Chromium with its driver, driven by selenium."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import io
import shutil
from collections.abc import Iterator
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)  # fmt: skip

#: How long a page may take to do something: Chromium draws without a graphics card, on a machine that others use.
SECONDS = 60.0

#: A PNG, in base64, of an <img> or <canvas>.
CONTENT = """const c = document.createElement('canvas'), e = arguments[0];
c.width = e.naturalWidth || e.width; c.height = e.naturalHeight || e.height;
c.getContext('2d').drawImage(e, 0, 0);
return c.toDataURL('image/png').split(',')[1];"""


def missing() -> str:
    """What a browser lacks here; "" if it can be started."""
    if importlib.util.find_spec("selenium") is None:
        return "needs selenium"
    if not any(shutil.which(name) for name in NAMES) or shutil.which("chromedriver") is None:
        return "needs chromium and chromedriver"
    return ""


@contextlib.contextmanager
def opened(address: str, width: int = 1400, height: int = 900, dark: bool = False) -> Iterator[Any]:
    """A driver of selenium at an address, in a window of this size; `dark`: as one who prefers dark colours."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = next(path for name in NAMES if (path := shutil.which(name)))
    for flag in (*FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.set_script_timeout(SECONDS)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)  # windows have a least width
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        driver.get(address)
        yield driver
    finally:
        driver.quit()


def pixels(driver: Any, element: Any) -> Any:
    """(H, W, 3) codes of an <img> or <canvas> of the page."""
    import numpy as np
    from PIL import Image

    content = base64.b64decode(driver.execute_script(CONTENT, element))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def until(driver: Any, condition: Any, seconds: float = SECONDS) -> Any:
    """The first value of `condition()` that is true; TimeoutException after so many seconds."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds, poll_frequency=0.1).until(lambda _: condition())
