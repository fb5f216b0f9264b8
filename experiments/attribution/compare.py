"""Attribution methods on three networks and two sets of photographs, part by part, and one table of all parts.

    python experiments/attribution/compare.py --ilsvrc PATH --imagenette PATH --squeezenet FILE --convnet FILE
    python experiments/attribution/compare.py --ilsvrc PATH --squeezenet FILE --only squeezenet.ilsvrc
    python experiments/attribution/compare.py --join outputs/benchmark/ID ...      # results.csv from artifacts alone

A part is a network on a data set; finished parts are not computed again, and an interrupted one continues. The methods
are those of METHODS; those of other libraries run where they are installed (pip install 'deepinside[guests]').
"""

import argparse
import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
METHODS = (
    "saliency", "guided", "deconvnet", "input_x_gradient", "smooth_grad", "integrated_gradients", "grad_cam",
    "occlusion", "rise", "captum.DeepLift", "zennit.EpsilonPlus", "centre", "noise", "sobel",
)  # fmt: skip
SAMPLED = ("smooth_grad", "integrated_gradients", "occlusion", "rise")  # on the sample alone: 50 to 1,000 passes a map
COLUMNS = ("network", "data", "method", "metric", "value", "unit", "n", "ci_low", "ci_high", "artifact")
NULLS = ("untrained", "other_image")


def methods(network: str) -> list[str]:
    """Those that are installed and that apply to the network."""
    found = [name for name in METHODS if "." not in name or importlib.util.find_spec(name.split(".")[0])]
    # EfficientNet uses its rectifiers more than once, which captum and zennit cannot follow.
    return [name for name in found if "." not in name or network != "efficientnet_lite0"]


def parts(options: argparse.Namespace) -> dict[str, list[str]]:
    """Name of a part -> words of its command."""
    data = {}
    if options.ilsvrc:
        data["ilsvrc"] = ["data=ilsvrc", f"data.root={options.ilsvrc}", f"data.limit={options.limit}"]
    if options.imagenette:
        data["imagenette"] = ["data=imagenette", f"data.root={options.imagenette}"]
    networks = {"efficientnet_lite0": ["model=efficientnet_lite0"]}
    if options.squeezenet:
        networks["squeezenet"] = ["model=squeezenet", f"model.weights={options.squeezenet}"]
    if options.convnet:
        networks["convnet_imagenette"] = ["model=convnet_imagenette", f"model.weights={options.convnet}"]
    found = {
        f"{network}.{name}": [
            *chosen,
            *words,
            f"benchmark.methods=[{','.join(methods(network))}]",
            f"benchmark.sampled=[{','.join(SAMPLED)}]",
        ]
        for network, chosen in networks.items()
        for name, words in data.items()
        if (network, name) != ("convnet_imagenette", "ilsvrc")  # knows ten classes
    }
    return {name: words for name, words in found.items() if not options.only or name in options.only}


def rows(folder: Path) -> list[dict[str, str]]:
    """The numbers of one artifact."""
    made = json.loads((folder / "manifest.json").read_text())
    settings = made["made_from"]["config"] if "config" in made["made_from"] else made["made_from"]
    names = sorted(settings["benchmark"]["methods"], key=len, reverse=True)
    about = dict(line.split("=", 1) for line in made["record"]["command"] if "=" in line)
    found = []
    with (folder / "table.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            method = next((name for name in names if row["metric"].startswith(f"{name}.")), "")
            own = {"network": about["model"], "data": about["data"], "method": method}
            metric = row["metric"].removeprefix(f"{method}.") if method else row["metric"]
            found.append({**row, **own, "metric": metric, "artifact": f"{folder.parent.name}/{folder.name}"})
    return found


def write(folders: list[Path], out: Path) -> None:
    """Joins artifacts with the parts that are in the table already; a part that came again replaces the old one."""
    new = [row for folder in folders for row in rows(folder)]
    again = {(row["network"], row["data"]) for row in new}
    old = list(csv.DictReader(out.open(newline=""))) if out.exists() else []
    kept = [row for row in old if (row["network"], row["data"]) not in again]
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*kept, *new])


def main() -> None:
    """Runs the parts and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("ilsvrc", "imagenette", "squeezenet", "convnet"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--limit", type=int, default=200, help="of ILSVRC's photographs")
    parser.add_argument("--only", action="append", help="a part, e.g. squeezenet.ilsvrc; can be repeated")
    parser.add_argument("--join", nargs="*", type=Path, help="finished artifacts, instead of running")
    parser.add_argument("--out", type=Path, default=HERE / "results.csv")
    options, further = parser.parse_known_args()
    if options.join:
        write(options.join, options.out)
        return
    for name, words in parts(options).items():
        print(name, flush=True)
        command = [sys.executable, "-m", "deepinside", "run=benchmark", *words, *further]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        write([Path(done.stdout.splitlines()[-1].removeprefix("artifact: "))], options.out)


if __name__ == "__main__":
    main()
