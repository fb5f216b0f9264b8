"""The command line: compose, check everything early, run, say where the result lies."""

import logging
import os
import sys
from pathlib import Path

from deepinside import configuration

USAGE = {"verify": "deepinside verify PATH", "diff": "deepinside diff PATH PATH"}


def main() -> None:
    """`deepinside run=<stage> ...`, `deepinside verify PATH`, `deepinside diff PATH PATH`."""
    try:
        sys.exit(_dispatched(sys.argv[1:]))
    except (ValueError, KeyError, OSError, ImportError, configuration.HydraException) as error:
        if os.environ.get("DEEPINSIDE_TRACE"):
            logging.exception("deepinside failed")
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        sys.exit(f"deepinside: {message}\n(DEEPINSIDE_TRACE=1 shows where in the code)")


def _dispatched(arguments: list[str]) -> int:
    if arguments and arguments[0] in USAGE:
        return _inspect(*arguments)
    configuration.check_overrides(arguments)
    configuration.main(_run)
    return 0


def _inspect(command: str, *paths: str) -> int:
    from deepinside import artifact
    from deepinside.difference import difference

    folders = [Path(path) for path in paths]
    if len(folders) != (1 if command == "verify" else 2):
        raise ValueError(f"expected {USAGE[command]}, got {len(folders)} paths")
    if command == "verify":
        problems = artifact.verify(folders[0])
        print(
            "\n".join(problems)
            or f"{folders[0]}: {len(artifact.read_manifest(folders[0])['files'])} files, all as made"
        )
        return bool(problems)
    rows = difference(*folders)
    for kind, key, left, right in rows:
        print(f"{kind:10}  {key:44}  {left}  |  {right}")
    print(f"{len(rows)} differences")
    return 0


def _run(cfg: "configuration.DictConfig", command: list[str]) -> None:
    from deepinside import pipeline
    from deepinside.report import summary

    planner = pipeline.Planner(Path(cfg.outputs))
    folder = pipeline.execute(configuration.planned(planner, cfg, command))
    for line in summary.lines(folder):
        print(line)
    print(f"artifact: {folder}")


if __name__ == "__main__":
    logging.captureWarnings(capture=True)
    main()
