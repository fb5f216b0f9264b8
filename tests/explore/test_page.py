"""The page as a person meets it, in Chromium, with files that nobody should open."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from tests.explore.shared import HOSTILE, photograph, words

pytest.importorskip("panel", reason="panel is not installed; it comes with the app extra")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed; it comes with the dev extra")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

httpclient = pytest.importorskip("tornado.httpclient")
websocket = pytest.importorskip("tornado.websocket")

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver: apt install chromium-driver"),
]
PATIENCE = 60  # seconds, on a machine that does other things
FIND = """
const all = (root) => [...root.querySelectorAll('*')].flatMap((e) => e.shadowRoot ? [e, ...all(e.shadowRoot)] : [e]);
return all(document).filter((e) => e.matches(arguments[0]));
"""
SHOWN = """
const all = (root) => [...root.querySelectorAll('*')].flatMap((e) => e.shadowRoot ? [e, ...all(e.shadowRoot)] : [e]);
return all(document).filter((e) => e.matches(arguments[0])).map((e) => e.src || e.textContent);
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, here = tmp_path_factory.mktemp("explore"), tmp_path_factory.mktemp("here")
    command = [sys.executable, "-m", "deepinside", "explore", *words(folder), "--port", "0", "--no-browser"]
    process = subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, text=True, env=os.environ)
    yield re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert list(here.iterdir()) == []  # nothing was written


@pytest.fixture(scope="module")
def page(server, tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = f"--user-data-dir={tmp_path_factory.mktemp('profile')}"
    for switch in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", profile):
        options.add_argument(switch)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_window_size(1280, 900)
    driver.get(server)
    wait(driver, lambda: len(shown(driver, "img[alt='its map']")) == 2)
    yield driver
    driver.quit()


def shown(driver, selector):
    return driver.execute_script(SHOWN, selector)


def wait(driver, condition):
    WebDriverWait(driver, PATIENCE).until(lambda _: condition())


def drop(driver, path):
    driver.execute_script(FIND, "input[type=file]")[0].send_keys(str(path))


def test_two_maps_with_scores_patches_stimulus_and_a_command(page):
    wait(page, lambda: len(shown(page, "img[alt='preferred stimulus']")) == 2)
    assert len(shown(page, "img[alt='patch']")) >= 2
    assert len(shown(page, "meter")) == 10
    left, right = shown(page, "pre")
    assert 'method="saliency"' in left
    assert 'method="guided"' in right


def test_a_choice_changes_its_side_only(page):
    left, right = shown(page, "img[alt='its map']")
    script = "arguments[0].value = 'input_x_gradient'; arguments[0].dispatchEvent(new Event('change'))"
    methods = [one for one in page.execute_script(FIND, "select") if "input_x_gradient" in one.text]
    page.execute_script(script, methods[0])
    wait(page, lambda: shown(page, "img[alt='its map']")[0] != left)
    assert shown(page, "img[alt='its map']")[1] == right
    assert 'method="input_x_gradient"' in shown(page, "pre")[0]


@pytest.mark.parametrize("name", [name for name in HOSTILE if "/" not in name])
def test_a_hostile_file_gets_a_message_and_changes_nothing(page, tmp_path, name):
    content, message = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    before = shown(page, "pre")
    drop(page, tmp_path / name)
    wait(page, lambda: any(message in one and one.startswith(name) for one in shown(page, "[role=alert]")))
    assert shown(page, "pre") == before
    assert not shown(page, "img[src=x]")


def test_a_file_that_is_too_large_is_refused_by_the_page(page, tmp_path):
    (tmp_path / "large.jpg").write_bytes(bytes(2**24 + 1000))
    drop(page, tmp_path / "large.jpg")
    wait(page, lambda: any("too large" in one for one in shown(page, ".filepond--file-status-main")))


def test_a_photograph_replaces_the_example_on_both_sides(page, tmp_path):
    (tmp_path / "mine.jpg").write_bytes(photograph(7, "JPEG"))
    before = shown(page, "img[alt='its map']")
    drop(page, tmp_path / "mine.jpg")
    wait(page, lambda: all('"mine.jpg"' in one for one in shown(page, "pre")))
    wait(page, lambda: not set(before) & set(shown(page, "img[alt='its map']")))
    assert not any("expected" in one for one in shown(page, "[role=alert]"))


def test_everything_comes_from_this_machine(page, server):
    script = "return performance.getEntriesByType('resource').map((e) => new URL(e.name).origin + '/')"
    assert set(page.execute_script(script)) == {server}


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_as_wide_as_the_screen(page, width):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1"])
def test_pages_of_other_origins_are_refused(server, origin):
    request = httpclient.HTTPRequest(server.replace("http", "ws") + "ws", headers={"Origin": origin})

    async def connect():
        await websocket.websocket_connect(request, subprotocols=["bokeh", "token"])

    with pytest.raises(httpclient.HTTPClientError, match="403"):
        asyncio.run(connect())
