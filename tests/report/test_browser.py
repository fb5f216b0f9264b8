"""The page as a person meets it: in Chromium, by mouse, keyboard and thumb."""

import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from PIL import Image
from tests.report.artifacts import claims, config, world, write

from deepinside.stages import report

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed; it comes with the dev extra")
By = pytest.importorskip("selenium.webdriver.common.by").By
Select = pytest.importorskip("selenium.webdriver.support.select").Select
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver: apt install chromium-driver"),
]
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    page = outputs / "report" / "f0"
    page.mkdir(parents=True)
    settings = {"report": config(command=["train.epochs=3"]), "name": "tried", "machine": {"workers": 1}}
    inputs = world(outputs) | {"claims": claims(outputs)}
    sheets(inputs["dissect"], ("conv2", 29), ("conv1", 28))
    report.run(OmegaConf.create(settings), inputs, page)
    return (page / "index.html").as_uri()


def sheets(folder, *units):
    (folder / "atlas").mkdir()
    Image.new("RGB", (120, 20 * len(units)), "teal").save(folder / "atlas" / "all.webp")
    header = ("layer", "unit", "file", "left", "top", "width", "height", "images")
    places = [(layer, unit, "atlas/all.webp", 0, 20 * at, 120, 20, 6) for at, (layer, unit) in enumerate(units)]
    write(folder / "atlas.csv", [header, *places])


MANY = 25  # entries of the history; full, at 50, it drops entries between others


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(chromium, address):
    def at(width=1280, height=900, scheme="light"):
        if len(chromium.execute_cdp_cmd("Page.getNavigationHistory", {})["entries"]) > MANY:
            before = chromium.current_window_handle
            chromium.switch_to.new_window("tab")
            after = chromium.current_window_handle
            chromium.switch_to.window(before)
            chromium.close()
            chromium.switch_to.window(after)
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        chromium.get("about:blank")
        chromium.get(address)
        return chromium

    yield at
    assert chromium.get_log("browser") == []


def press(driver, key):
    webdriver.ActionChains(driver).send_keys(key).perform()


def card(driver, title):
    return driver.find_element(By.XPATH, f"//figure[figcaption/b[text()='{title}']]/a")


def click(driver, element):
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    element.click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 800, 1280, 1900])
def test_nothing_scrolls_sideways_and_all_pictures_load(opened, width, scheme):
    driver = opened(width, scheme=scheme)
    assert driver.execute_script(OVERFLOW) == 0
    for details in driver.find_elements(By.CSS_SELECTOR, "main details"):
        driver.execute_script("arguments[0].open = true", details)
    assert driver.execute_script(OVERFLOW) == 0
    broken = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert driver.execute_script(broken) == 0


def test_the_colours_follow_the_reader_and_can_be_read(opened):
    # WCAG 2.1, 1.4.3: 4.5 to 1 for text.
    contrast = """
        const light = (colour) => {
          const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((x) => x / 255)
            .map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = (one) => {
          const colour = getComputedStyle(one).backgroundColor;
          return colour !== "rgba(0, 0, 0, 0)" ? colour : behind(one.parentElement);
        };
        return [...document.querySelectorAll("main :is(p, th, td, a, summary, h2, b, small), nav a")]
          .filter((one) => one.textContent.trim() && one.offsetParent && !one.closest("dialog"))
          .map((one) => [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => b - a))
          .map(([more, less]) => (more + 0.05) / (less + 0.05))
          .reduce((a, b) => Math.min(a, b));
    """
    background = "return getComputedStyle(document.body).backgroundColor"
    colours = set()
    for scheme in ("light", "dark"):
        driver = opened(scheme=scheme)
        assert driver.execute_script(contrast) >= 4.5
        colours.add(driver.execute_script(background))
    assert len(colours) == 2


def test_a_picture_is_enlarged_and_the_keys_walk_through_its_gallery(opened):
    driver = opened()
    dialog = driver.find_element(By.ID, "zoom")
    assert not dialog.is_displayed()
    click(driver, card(driver, "unit 6"))
    title, place = (driver.find_element(By.ID, f"zoom-{part}") for part in ("title", "place"))
    assert (dialog.is_displayed(), title.text, place.text) == (True, "unit 6", "4 of 4")
    assert driver.find_element(By.ID, "zoom-image").get_attribute("src").startswith("data:image/png")
    assert (
        driver.find_element(By.ID, "zoom-file")
        .get_attribute("href")
        .endswith("/dissect/d0/pictures/unit_conv1_0006.png")
    )
    press(driver, webdriver.Keys.ARROW_RIGHT)
    assert (title.text, place.text) == ("unit 0", "1 of 4")
    press(driver, webdriver.Keys.ARROW_LEFT)
    press(driver, webdriver.Keys.ARROW_LEFT)
    assert title.text == "unit 4"
    driver.find_element(By.ID, "zoom-next").click()
    assert title.text == "unit 6"
    press(driver, webdriver.Keys.ESCAPE)
    assert not dialog.is_displayed()
    assert driver.switch_to.active_element == card(driver, "unit 6")
    press(driver, webdriver.Keys.ENTER)
    assert dialog.is_displayed()
    driver.find_element(By.ID, "zoom-close").click()
    assert not dialog.is_displayed()


def test_a_lone_picture_cannot_be_turned_and_fits_a_phone(opened):
    driver = opened(390, 844)
    click(driver, card(driver, "a real cat"))
    assert not driver.find_element(By.ID, "zoom-next").is_displayed()
    box = driver.find_element(By.ID, "zoom-image").rect
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert driver.execute_script(OVERFLOW) == 0


def test_the_keyboard_reaches_the_content_first(opened):
    driver = opened()
    press(driver, webdriver.Keys.TAB)
    assert driver.switch_to.active_element.text == "Skip to the content"
    press(driver, webdriver.Keys.ENTER)
    assert driver.switch_to.active_element.get_attribute("id") == "content"


def test_the_menu_of_a_phone_leads_to_a_section_and_closes(opened):
    driver = opened(390, 844)
    link = driver.find_element(By.XPATH, "//nav//a[text()='Dissection']")
    assert not link.is_displayed()
    driver.find_element(By.CSS_SELECTOR, ".menu summary").click()
    link.click()
    assert not link.is_displayed()
    assert driver.current_url.endswith("dissection")
    assert opened(1280).find_element(By.XPATH, "//nav//a[text()='Dissection']").is_displayed()


def test_fingerprints_can_be_copied(opened):
    driver = opened()
    driver.execute_script("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    click(driver, driver.find_element(By.CSS_SELECTOR, "#artifact-localise .copy"))
    assert driver.execute_script("return window.copied") == "a0"
    driver.execute_script("navigator.clipboard.writeText = async () => { throw new Error('not allowed'); }")
    click(driver, driver.find_element(By.CSS_SELECTOR, "#artifact-train .copy"))
    assert driver.find_element(By.ID, "status").get_attribute("textContent") == "Copied"


def shown(driver, table):
    rows = driver.find_elements(By.CSS_SELECTOR, f"#{table} tbody tr")
    return [row.find_element(By.CSS_SELECTOR, "td").text.split("\n")[0] for row in rows if row.is_displayed()]


def matches(driver, table):
    return driver.find_element(By.CSS_SELECTOR, f"#{table} .matches").text


def choose(driver, table, title, value):
    label = driver.find_element(By.XPATH, f"//*[@id='{table}']//label[contains(., '{title}')]")
    Select(label.find_element(By.TAG_NAME, "select")).select_by_value(value)


def test_claims_are_filtered_by_verdict_world_and_words(opened):
    driver, table = opened(), "claims-table"
    assert (len(shown(driver, table)), matches(driver, table)) == (2, "2 numbers")
    choose(driver, table, "Verdict", "supported")
    assert (shown(driver, table), matches(driver, table)) == (["Maps lie on it"], "1 of 2 numbers")
    choose(driver, table, "Data set", "ILSVRC")
    assert (shown(driver, table), matches(driver, table)) == ([], "0 of 2 numbers")
    click(driver, driver.find_element(By.CSS_SELECTOR, f"#{table} .nothing .clear"))
    assert len(shown(driver, table)) == 2
    assert driver.switch_to.active_element.get_attribute("type") == "search"
    press(driver, "s13 BOXES")
    assert shown(driver, table) == ["Boxes win"]


def test_what_decides_nothing_is_collapsed(opened):
    driver = opened()
    undecided, lacking = driver.find_elements(By.CSS_SELECTOR, "#claims details.rest")
    assert (undecided.get_attribute("open"), lacking.text) == (None, "1 needs data")
    click(driver, undecided.find_element(By.TAG_NAME, "summary"))
    assert "Units <detect> it" in undecided.text


def test_a_count_of_verdicts_filters_its_claims(opened):
    driver, table = opened(), "claims-table"
    button = driver.find_element(By.XPATH, "//div[h3[contains(., 'ILSVRC')]]//button[contains(., 'contradicted')]")
    click(driver, button)
    assert shown(driver, table) == ["Boxes win"]
    none = driver.find_element(By.XPATH, "//div[h3[contains(., 'ILSVRC')]]//button[contains(., 'supported')]")
    assert not none.is_enabled()


def test_a_table_is_sorted_by_its_heading_and_says_so(opened):
    driver, table = opened(), "claims-table"
    heading = driver.find_element(By.XPATH, f"//*[@id='{table}']//th[contains(., 'Difference')]")
    click(driver, heading.find_element(By.TAG_NAME, "button"))
    assert heading.get_attribute("aria-sort") == "descending"
    assert shown(driver, table) == ["Boxes win", "Maps lie on it"]
    press(driver, webdriver.Keys.ENTER)  # the keyboard is still on the heading
    assert heading.get_attribute("aria-sort") == "ascending"
    assert shown(driver, table) == ["Maps lie on it", "Boxes win"]
    verdict = driver.find_element(By.XPATH, f"//*[@id='{table}']//th[contains(., 'Verdict')]/button")
    click(driver, verdict)
    assert heading.get_attribute("aria-sort") is None
    assert shown(driver, table) == ["Maps lie on it", "Boxes win"]


def test_evidence_is_one_click_away(opened):
    driver = opened()
    click(driver, driver.find_element(By.XPATH, "//*[@id='claims-table']//a[text()='Localisation']"))
    assert driver.current_url.endswith("#artifact-localise")


def test_units_are_found_by_concept_layer_and_overlap(opened):
    driver, table = opened(), "artifact-dissect-atlas"
    assert (len(shown(driver, table)), matches(driver, table)) == (20, "30 units, the first 20 shown")
    click(driver, driver.find_element(By.CSS_SELECTOR, f"#{table} .further"))
    assert (len(shown(driver, table)), matches(driver, table)) == (30, "30 units")
    zebra = driver.find_element(By.CSS_SELECTOR, f"#{table} [data-term='zebra']")
    click(driver, zebra)
    assert zebra.get_attribute("aria-pressed") == "true"
    assert shown(driver, table)[:2] == ["conv2 27", "conv1 24"]
    choose(driver, table, "Layer", "conv1")
    assert shown(driver, table)[:2] == ["conv1 24", "conv1 18"]
    slider = driver.find_element(By.CSS_SELECTOR, f"#{table} input[type=range]")
    driver.execute_script("arguments[0].value = 0.5; arguments[0].dispatchEvent(new Event('input'))", slider)
    assert shown(driver, table) == ["conv1 24"]  # IoU 24 / 40
    assert driver.find_element(By.CSS_SELECTOR, f"#{table} output").text == "0.5"


def entry(driver):
    return driver.find_element(By.CSS_SELECTOR, ".entry:target")


def test_a_unit_opens_with_all_about_it_and_the_way_back_gives_the_focus_back(opened):
    driver, table = opened(), "artifact-dissect-atlas"
    press_clear = driver.find_element(By.CSS_SELECTOR, f"#{table} input[type=search]")
    click(driver, press_clear)
    press(driver, "leg zebra conv1 6")
    link = driver.find_element(By.XPATH, f"//*[@id='{table}']//a[text()='conv1 6']")
    assert link.find_element(By.TAG_NAME, "img").get_attribute("src").startswith("data:image/png")
    click(driver, link)
    assert driver.current_url.endswith("#unit/conv1/6")
    assert driver.switch_to.active_element == entry(driver)
    assert "conv1, unit 6" in entry(driver).text
    assert "zebra (object)" in entry(driver).text
    assert entry(driver).find_element(By.CSS_SELECTOR, "figure img").is_displayed()  # its card
    press(driver, webdriver.Keys.ESCAPE)
    wait(driver, lambda: not driver.find_elements(By.CSS_SELECTOR, ".entry:target"))
    assert driver.switch_to.active_element == link
    assert press_clear.get_attribute("value") == "leg zebra conv1 6"  # the filter is still there


def wait(driver, condition):
    WebDriverWait(driver, 5).until(lambda _: condition())


def test_an_address_opens_its_image_and_the_way_back_leads_to_the_page(opened, address):
    driver = opened()
    driver.get(f"{address}#image/chelsea")
    assert [one.text for one in entry(driver).find_elements(By.CSS_SELECTOR, ".panes p")] == ["image", "saliency"]
    image, map_ = (one.rect for one in entry(driver).find_elements(By.CSS_SELECTOR, ".panes img"))
    assert (image["y"], image["width"], image["height"]) == (map_["y"], map_["width"], map_["height"])
    click(driver, entry(driver).find_element(By.CSS_SELECTOR, ".figures a"))
    assert driver.current_url.endswith("#figure/visualise.photos.lite/0")
    assert not driver.find_elements(By.CSS_SELECTOR, ".entry:target")
    driver.back()
    wait(driver, lambda: entry(driver).is_displayed())
    click(driver, entry(driver).find_element(By.CSS_SELECTOR, ".back"))
    wait(driver, lambda: not driver.find_elements(By.CSS_SELECTOR, ".entry:target"))


def test_a_filter_is_an_address_and_the_way_back_undoes_it(opened):
    driver, table = opened(), "claims-table"
    choose(driver, table, "Verdict", "supported")
    there = driver.current_url
    assert there.endswith("#table/claims-table?Verdict=supported")
    choose(driver, table, "Data set", "ILSVRC")
    assert shown(driver, table) == []
    driver.back()
    wait(driver, lambda: shown(driver, table) == ["Maps lie on it"])
    driver.back()
    wait(driver, lambda: len(shown(driver, table)) == 2)
    driver.get("about:blank")
    driver.get(there)
    assert shown(driver, table) == ["Maps lie on it"]


def test_the_way_back_closes_an_enlarged_figure(opened):
    driver = opened()
    click(driver, card(driver, "unit 6"))
    assert driver.current_url.endswith("#figure/dissect/unit_conv1_0006")
    driver.back()
    wait(driver, lambda: not driver.find_element(By.ID, "zoom").is_displayed())
    assert "#" not in driver.current_url


def test_a_table_is_saved_from_the_page_as_it_is_filtered(opened):
    driver, table = opened(), "artifact-localise-boxes"
    choose(driver, table, "Drawn", "best")
    driver.execute_script("URL.createObjectURL = (file) => { window.saved = file; return '#top'; }")
    driver.execute_script("HTMLAnchorElement.prototype.click = function () { window.name = this.download; }")
    click(driver, driver.find_element(By.CSS_SELECTOR, f"#{table} .csv"))
    text = driver.execute_async_script("saved.text().then(arguments[0])")
    header, *rows = text.splitlines()
    assert header.startswith("Image,True class,IoU of the box,")
    assert rows == ["img_24,mug,0.96,0.25,0.5,right,first,best"]
    assert driver.execute_script("return window.name") == "section-localisation-every-image.csv"


def test_the_pictures_of_a_unit_are_enlarged_and_the_keys_walk_through_the_rows(opened):
    driver, table = opened(), "artifact-dissect-atlas"
    strips = driver.find_elements(By.CSS_SELECTOR, f"#{table} a.strip")
    assert [strip.get_attribute("data-title").split(":")[0] for strip in strips] == ["conv2 unit 29", "conv1 unit 28"]
    assert strips[0].find_element(By.TAG_NAME, "img").get_attribute("alt").startswith("The images with its highest")
    click(driver, strips[0])
    title = driver.find_element(By.ID, "zoom-title")
    assert title.text.startswith("conv2 unit 29: ")
    press(driver, webdriver.Keys.ARROW_RIGHT)
    assert title.text.startswith("conv1 unit 28: ")
    assert driver.find_element(By.ID, "zoom-file").get_attribute("href").endswith("/dissect/d0/atlas/all.webp")
    press(driver, webdriver.Keys.ESCAPE)
    assert driver.switch_to.active_element == strips[1]
    choose(driver, table, "Layer", "conv2")
    click(driver, strips[0])
    assert driver.find_element(By.ID, "zoom-place").text == "1 of 1"  # only of rows that fit the filter


def test_localised_images_are_browsed_by_how_good_they_are(opened):
    driver, table = opened(), "artifact-localise-boxes"
    choose(driver, table, "Drawn", "best")
    assert shown(driver, table) == ["img_24"]
    click(driver, driver.find_element(By.XPATH, f"//*[@id='{table}']//a[text()='img_24']"))
    assert driver.current_url.endswith("#image/img_24")
    assert entry(driver).find_element(By.CSS_SELECTOR, "figcaption b").text == "mug, IoU 0.96"
    assert "0.960" in entry(driver).find_element(By.CSS_SELECTOR, ".facts").text


def test_the_figure_at_the_top_goes_from_the_image_to_its_map(opened):
    driver = opened()
    slider = driver.find_element(By.CSS_SELECTOR, ".overlay input")
    image, map_ = driver.find_elements(By.CSS_SELECTOR, ".overlay img")
    assert (image.location, image.size) == (map_.location, map_.size)
    for value in (0, 100):
        driver.execute_script(f"arguments[0].value = {value}; arguments[0].dispatchEvent(new Event('input'))", slider)
        assert map_.value_of_css_property("opacity") == f"{value / 100:g}"


def test_the_first_screen_answers_what_was_looked_at_and_found(opened):
    driver = opened(1280, 900)
    questions = driver.find_elements(By.CSS_SELECTOR, ".answers dt")
    assert [one.text for one in questions] == [
        "What was looked at", "Which network", "What was found", "How sure it is", "What failed",
    ]  # fmt: skip
    for one in (*questions, driver.find_element(By.CSS_SELECTOR, ".papers")):
        assert one.location["y"] + one.size["height"] <= 900


def test_a_table_is_a_list_of_cards_on_a_phone(opened):
    driver, table = opened(390, 844), "claims-table"
    cell = driver.find_element(By.CSS_SELECTOR, f"#{table} tbody td")
    assert cell.get_attribute("role") == "cell"  # laid out as a block, it is still a cell to a screen reader
    assert cell.rect["width"] > 300
    assert driver.execute_script(OVERFLOW) == 0


def test_links_beside_the_page_resolve(opened, address):
    driver = opened()
    links = driver.execute_script("return [...document.querySelectorAll('a')].map((a) => a.href.baseVal ?? a.href)")
    files = {link.split("#")[0] for link in links if not link.startswith(("https:", "data:"))} - {address, ""}
    assert [file for file in files if not Path(file.removeprefix("file://")).exists()] == []
    assert len(files) > 12


def test_it_can_be_read_without_its_script(chromium, opened):
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver = opened()
        assert driver.find_element(By.ID, "found").is_displayed()
        assert card(driver, "unit 6").is_displayed()
        assert len(shown(driver, "artifact-dissect-atlas")) == 30
        assert not driver.find_element(By.CSS_SELECTOR, ".filters").is_displayed()
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
