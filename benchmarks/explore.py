"""From a choice to its map on the page of `deepinside explore`, in a browser: median and longest of several choices.

    OMP_NUM_THREADS=1 python benchmarks/explore.py model=squeezenet model.weights=FILE data.root=FOLDER

Needs Chromium and chromedriver, and the extras app and dev. Opening is from the address to both maps; a choice is from
the change of the menu to another map on that side.
"""

import argparse
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from record import machine
from selenium import webdriver
from selenium.webdriver.support.wait import WebDriverWait

METHODS = ("guided", "saliency", "deconvnet", "input_x_gradient", "grad_cam")
ALL = """
const all = (root) => [...root.querySelectorAll('*')].flatMap((e) => e.shadowRoot ? [e, ...all(e.shadowRoot)] : [e]);
"""
MAPS = ALL + """return all(document).filter((e) => e.matches("img[alt='its map']")).map((e) => e.src);"""
CHOOSE = (
    ALL
    + """
const menu = all(document).filter((e) => e.matches('select') && e.textContent.includes('input_x_gradient'))[0];
menu.value = arguments[0];
menu.dispatchEvent(new Event('change'));
"""
)


def browser(folder):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for switch in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"):
        options.add_argument(switch)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def maps(driver):
    return driver.execute_script(MAPS)


def until(driver, condition):
    WebDriverWait(driver, 120, poll_frequency=0.01).until(lambda _: condition())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="model=..., data.root=...")
    parser.add_argument("--rounds", type=int, default=3, help="of all methods")
    options = parser.parse_args()
    command = [sys.executable, "-m", "deepinside", "explore", *options.overrides, "--port", "0", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        driver = browser(folder)
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())[0]
            for name in ("opening", "opening again"):
                start = time.perf_counter()
                driver.get(address)
                until(driver, lambda: len(maps(driver)) == 2)
                print(f"{name}: {time.perf_counter() - start:.2f} s")
                time.sleep(30)  # patches and stimuli of both sides
            times = []
            for method in METHODS * options.rounds:
                before = maps(driver)[0]
                start = time.perf_counter()
                driver.execute_script(CHOOSE, method)
                until(driver, lambda before=before: maps(driver)[0] != before)
                times.append(time.perf_counter() - start)
                time.sleep(1)
            print(f"choice: median {statistics.median(times):.2f} s, longest {max(times):.2f} s of {len(times)}")
            print(machine(1))
        finally:
            driver.quit()
            server.send_signal(signal.SIGINT)
            server.wait(60)


if __name__ == "__main__":
    main()
