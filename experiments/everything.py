"""Measures everything again that the tables of this repository say, part by part, and writes cards and tables.

    DATA="data.root=IMAGENETTE concepts.root=BRODEN photographs.ilsvrc=ILSVRC photographs.squeezenet=FILE"
    python experiments/everything.py $DATA                 # says what there is to do and how long it takes, does it
    python experiments/everything.py $DATA --plan          # says so alone
    python experiments/everything.py $DATA --only reproduce size

It can be stopped at any time. A part that finished with this source code is not repeated (outputs/experiments keeps
the record), and one that was stopped finds what it had computed. A part that fails is named at the end, and the others
go on; one whose data are missing is left out. Benchmarks want a machine with nothing beside.
"""

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = {
    "data.root": "Imagenette",
    "concepts.root": "Broden",
    "photographs.ilsvrc": "ILSVRC's validation set with boxes",
    "photographs.squeezenet": "weights of SqueezeNet 1.0",
}
VARIABLES = ("IMAGENETTE", "BRODEN", "ILSVRC", "SQUEEZENET")  # of the shell, their paths
PHOTOGRAPHS = tuple(DATA)


@dataclass(frozen=True)
class Part:
    """What is measured together.

    Args:
        minutes: on two cores, with nothing computed before; measured in November and December 2026.
        writes: files that are new afterwards.
        commands: of bash; `$WORDS` are the words for the data, VARIABLES the paths.
        needs: words for data.
    """

    minutes: int
    writes: str
    commands: tuple[str, ...]
    needs: tuple[str, ...] = ()


_NUMBERS = "cp outputs/report/latest/results.csv experiments/{}.csv"  # all numbers of a page
_MADE = "$(deepinside {} | sed -n 's/^artifact: //p')"
_LOCALISE = 'run=localise data=ilsvrc data.root="$ILSVRC" model=squeezenet model.weights="$SQUEEZENET"'
_PAGE = "report.register=experiments/claims.csv"
_CLAIMS = "deepinside run=claims experiment=photographs seed=2 $WORDS"
_CONVNET = _MADE.format("run=train experiment=photographs $WORDS") + "/model.safetensors"
_ATTRIBUTION = '--ilsvrc "$ILSVRC" --imagenette "$IMAGENETTE" --squeezenet "$SQUEEZENET"'
_GROWTH = "python benchmarks/{0}.py --table benchmarks/{0}.csv --plot benchmarks/{0}.png"
_NETWORKS = "data=ilsvrc data.root=$ILSVRC data.limit=60 concepts=broden concepts.root=$BRODEN"
PARTS = {
    "reproduce": Part(
        10,
        "reproduce.csv, cards of figures and of the claims on the synthetic data set",
        (
            f"deepinside experiment=reproduce {_PAGE} report.benchmarks=benchmarks/results.csv",
            "python experiments/figures.py outputs/report/latest",
            _NUMBERS.format("reproduce"),
            "deepinside experiment=reproduce run=claims",
            "python experiments/cards.py outputs/claims/latest",
        ),
    ),
    "photographs": Part(
        110,
        "photographs.csv, cards of figures",
        (
            f"deepinside experiment=photographs {_PAGE} $WORDS",
            "python experiments/figures.py outputs/report/latest",
            _NUMBERS.format("photographs"),
        ),
        PHOTOGRAPHS,
    ),
    "future": Part(
        60,
        "future.csv",
        (
            f'deepinside experiment=future {_PAGE} report.growth=benchmarks/size.csv data.root="$IMAGENETTE" '
            'concepts.root="$BRODEN"',
            _NUMBERS.format("future"),
        ),
        PHOTOGRAPHS[:2],
    ),
    "localisation": Part(
        40,
        "localisation/results.csv",
        (
            f'python experiments/localisation/compare.py simonyan2013="{_MADE.format(_LOCALISE)}" '
            f'best="{_MADE.format(_LOCALISE + " localise=best")}" experiments/localisation/results.csv',
        ),
        PHOTOGRAPHS[2:],
    ),
    "claims": Part(
        1800,
        "claims.csv, identities.csv and the cards of claims",
        (_CLAIMS, "python experiments/cards.py outputs/claims/latest"),
        PHOTOGRAPHS,
    ),
    "attribution": Part(
        120,
        "attribution/results.csv",
        (f'python experiments/attribution/compare.py {_ATTRIBUTION} --convnet "{_CONVNET}"',),
        PHOTOGRAPHS,
    ),
    "networks": Part(
        40,
        "networks.csv and networks.md",
        (
            "python experiments/networks.py",
            'python experiments/networks.py --on "Photographs: 60 of ILSVRC\'s validation set, Broden" '
            f'--common "{_NETWORKS} model@judge=efficientnet_lite0" '
            '"SqueezeNet features.12: model=squeezenet model.weights=$SQUEEZENET"',
        ),
        PHOTOGRAPHS[1:],
    ),
    "benchmarks": Part(40, "benchmarks/results.csv", ("make benchmark",)),
    "growth": Part(30, "benchmarks/growth.csv and .png", (_GROWTH.format("growth"),)),
    "size": Part(6, "benchmarks/size.csv and .png", (_GROWTH.format("size"),)),
}


def source() -> str:
    """A digest of the code and of the settings: what another one has measured is measured again."""
    files = (file for folder in ("src", "conf") for file in (ROOT / folder).rglob("*"))
    known = sorted(file for file in files if file.suffix in {".py", ".yaml"})
    return hashlib.sha256(b"".join(file.read_bytes() for file in known)).hexdigest()[:16]


def record(name: str) -> Path:
    """The file that says by which code and from which data a part was measured."""
    return ROOT / "outputs" / "experiments" / f"{name}.json"


def finished(name: str, key: str) -> bool:
    """Whether a part has been measured by this code and from these data."""
    return record(name).exists() and json.loads(record(name).read_text(encoding="utf-8"))["key"] == key


def run(name: str, key: str, words: dict[str, str]) -> bool:
    """Runs the commands of a part, and records it if all of them succeed."""
    shell = {variable: words.get(word, "") for variable, word in zip(VARIABLES, DATA, strict=True)}
    shell["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    known = shlex.join(f"{word}={path}" for word, path in words.items())  # quoted, for paths may have spaces
    start = time.time()
    for command in (command.replace("$WORDS", known) for command in PARTS[name].commands):
        print(f"{name}: {command}", flush=True)
        if subprocess.run(["bash", "-c", command], cwd=ROOT, env=os.environ | shell, check=False).returncode:
            return False
    made = {"key": key, "minutes": round((time.time() - start) / 60, 1), "ended": time.strftime("%Y-%m-%d %H:%M")}
    record(name).parent.mkdir(parents=True, exist_ok=True)
    record(name).write_text(json.dumps(made) + "\n", encoding="utf-8")
    return True


def main() -> None:
    """Says what there is to do, and does it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help=", ".join(f"{word}=PATH ({what})" for word, what in DATA.items()))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--plan", action="store_true", help="say what there is to do, and stop")
    options = parser.parse_args()
    words = dict(word.partition("=")[::2] for word in options.words)
    if unknown := words.keys() - DATA.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; expected {', '.join(DATA)}")
    words = {word: str(Path(path).expanduser().resolve()) for word, path in words.items()}
    for word, path in words.items():
        if not Path(path).exists():
            parser.error(f"{word}: no such file or folder {path}; expected {DATA[word]}")
    key = f"{source()} {shlex.join(f'{word}={path}' for word, path in sorted(words.items()))}"
    todo, lacking = [], {}
    for name in options.only:
        part = PARTS[name]
        lacking |= {word: DATA[word] for word in part.needs if word not in words}
        state = "finished" if finished(name, key) else f"{part.minutes} min"
        if not words.keys() >= set(part.needs):
            state = "left out"
        elif state != "finished":
            todo.append(name)
        print(f"{name:14}{state:10}{part.writes}")
    for word, what in lacking.items():
        print(f"missing: {word}=PATH, {what}")
    hours = sum(PARTS[name].minutes for name in todo) / 60
    print(f"to do: {hours:.1f} hours on two cores, less what is computed already", flush=True)
    if options.plan:
        return
    failed = [name for name in todo if not run(name, key, words)]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}; the same command goes on with them")


if __name__ == "__main__":
    main()
