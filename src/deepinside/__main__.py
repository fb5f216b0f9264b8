"""The command line: compose, check everything early, run, print where the artifact is."""

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import deepinside
from deepinside import terminal

if TYPE_CHECKING:
    from deepinside.pipeline.configuration import DictConfig


def main() -> None:
    """`deepinside run=<stage> ...`, or one of `terminal.COMMANDS` and what follows it."""
    # A title that matplotlib's own font has no letters for shows boxes; the caption beside the picture has it in full.
    warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
    try:
        status = _dispatched(sys.argv[1:])
        sys.stdout.flush()
        sys.exit(status)
    except BrokenPipeError:  # whoever read, as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, KeyError, OSError, ImportError, MemoryError) as error:
        if os.environ.get("DEEPINSIDE_TRACE"):
            logging.exception("deepinside failed")
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        sys.exit(f"deepinside: {message}\n(DEEPINSIDE_TRACE=1 shows where in the code)")


def _dispatched(arguments: Sequence[str]) -> int:
    if list(arguments) == ["--version"]:  # Hydra would print its own
        print(f"deepinside {deepinside.__version__}")
        return 0
    if arguments and arguments[0] in terminal.COMMANDS:
        return terminal.run(arguments[0], arguments[1:])
    if {"--help", "-h"} & set(arguments):  # of the stage that is named, if one is
        return terminal.run("help", [word for word in arguments if word.startswith("run=")][-1:])
    from deepinside.pipeline import configuration  # Hydra is slow to import: not for the commands of the terminal

    sys.argv[1:] = arguments = configuration.current(arguments)  # where Hydra reads them
    try:
        configuration.check_overrides(arguments, terminal.COMMANDS)
        configuration.main(_run)
    except configuration.HydraException as error:
        raise ValueError(str(error)) from error
    return 0


def _run(cfg: "DictConfig", command: list[str]) -> None:
    from deepinside.pipeline.execution import execute, opened
    from deepinside.pipeline.plan import Planner, planned, settled
    from deepinside.report import summary

    planner = Planner(Path(cfg.outputs))
    if cfg.estimate:
        from deepinside.pipeline import estimate

        for line in estimate.lines(list(estimate.estimate(planned(planner, cfg, command)))):
            print(line)
        return
    with opened(cfg.machine):
        plan = (settled if cfg.run == "sweep" else planned)(planner, cfg, command)
        folder = execute(plan)
    for line in (*summary.lines(folder), *summary.places(folder)):
        print(line)
    print(f"artifact: {folder}")


if __name__ == "__main__":
    logging.captureWarnings(capture=True)
    main()
