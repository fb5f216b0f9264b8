"""Compares networks: localisation, dissection, inversion, and recognition of their class images by another network.

python experiments/networks.py                     three ConvNets that differ in their first layer, synthetic data set
python experiments/networks.py --on Photographs
    --common 'data=ilsvrc data.root=PATH data.limit=100 concepts=broden concepts.root=PATH
              model@judge=efficientnet_lite0'
    'SqueezeNet features.12: model=squeezenet model.weights=FILE'

A network is `NAME LAYER: OVERRIDES`; LAYER is dissected and inverted. Writes networks.csv beside this file (a row per
data, network and number, with interval and artifact; `report.networks` shows it) and the same as networks.md. Rows of
other networks stay, and what is computed already is free.
"""

import argparse
import csv
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from deepinside.report.external_tables import comparisons

HERE = Path(__file__).resolve().parent
DRAWN = "model=convnet_micro train.limit=3000 train.epochs=12 data.limit=100 model@judge=convnet_micro"
NETWORKS = (  # a small training each
    "ConvNet, 11x11 / 4, relu5: model.kernel=11 model.stride=4",
    "AlexNet-style, two columns, relu5: model.kernel=11 model.stride=4 model.groups=2",
    "ZFNet-style, 7x7 / 2, relu5: model.kernel=7 model.stride=2",
)
STAGES = {  # what is run, and which of its numbers are taken: metric -> title
    "run=localise localise=best": {
        "top1_classification_error": "top-1 error",
        "class_known_localisation_error": "localisation error, class known",
        "whole_image.class_known_localisation_error": "the whole image as box",
    },
    "run=dissect dissect.layers=[{layer}]": {
        "{layer}.unique_detectors_above_null": "unique detectors above permuted labels"
    },
    "run=visualise method=[inversion] method.inversion.layers=[{layer}] method.inversion.images=4 visualise.images=1 "
    "visualise.measured=1": {"inversion.{layer}.optimised.feature_error": "inversion error"},
    "run=visualise method=[am_best] visualise.images=1 visualise.measured=1 visualise.classes={classes}": {
        "am_best.judge_top5": "class images in the judge's first five"
    },
}
COLUMNS = ("on", "network", "number", "value", "unit", "n", "ci_low", "ci_high", "artifact")


def computed(words: list[str]) -> Path:
    """Runs a stage, or finds what it made.

    Args:
        words: overrides.

    Returns:
        The artifact's folder.

    Raises:
        SystemExit: if the run fails; its message is printed above.
    """
    command = [sys.executable, "-m", "deepinside", *words]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"failed: deepinside {shlex.join(words)}")
    said = [line for line in run.stdout.splitlines() if line.startswith("artifact: ")]
    return Path(said[-1].removeprefix("artifact: "))


def numbers(network: str, on: str, common: str, classes: str) -> Iterator[dict]:
    """The numbers of a network.

    Args:
        network: `NAME LAYER: OVERRIDES`.
        on: name of the data.
        common: overrides of all.
        classes: to draw, a list in brackets.

    Yields:
        A row of `networks.csv` each.
    """
    title, _, own = network.partition(": ")
    name, _, layer = title.rpartition(" ")
    for stage, metrics in STAGES.items():
        words = [*shlex.split(stage.format(layer=layer, classes=classes)), *shlex.split(common), *shlex.split(own)]
        folder = computed(words)
        with (folder / "table.csv").open(newline="", encoding="utf-8") as file:
            rows = {row["metric"]: row for row in csv.DictReader(file)}
        for metric, number in metrics.items():
            row = rows[metric.format(layer=layer)]
            taken = {column: row[column] for column in COLUMNS[3:-1]}
            yield {
                "on": on,
                "network": name.rstrip(","),
                "number": number,
                **taken,
                "artifact": f"{folder.parent.name}/{folder.name}",
            }


def table(path: Path) -> str:
    """The networks as Markdown: networks down, numbers across, a table for each data.

    Args:
        path: of `networks.csv`.

    Returns:
        Markdown.
    """
    parts = []
    for one in comparisons(path)[0]:
        lines = [f"## {one.on}\n", f"| network | {' | '.join(one.numbers)} |", f"|{'---|' * (len(one.numbers) + 1)}"]
        lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in one.networks]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def main() -> None:
    """Computes what is missing and writes the table; rows of networks.csv that are not requested stay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help="NAME LAYER: OVERRIDES")
    parser.add_argument("--on", default="The synthetic data set", help="name of the data")
    parser.add_argument("--common", default=DRAWN, help="overrides of all networks")
    parser.add_argument("--classes", default="[0,2,4,6,8,10,12,14,16,18]", help="to draw")
    asked = parser.parse_args()
    rows = [row for network in asked.networks for row in numbers(network, asked.on, asked.common, asked.classes)]
    path, new = HERE / "networks.csv", {(row["on"], row["network"]) for row in rows}
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [*(row for row in csv.DictReader(file) if (row["on"], row["network"]) not in new), *rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (HERE / "networks.md").write_text(f"# Networks compared\n\n{table(path)}", encoding="utf-8")
    print(table(path))


if __name__ == "__main__":
    main()
