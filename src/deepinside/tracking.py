"""The W&B mirror: one run per stage that computes, one artifact per output. The artifact folder stays the record.

Everything that W&B writes lies in `<root>/wandb`, one folder per run: `offline-run-<time>-<stage>-<fingerprint>` holds
the transaction log, copies of the pictures and tables shown, and in `staging` the files of the artifact as hard links
(copies where the file system has none), so that they cost no space and outlive the renaming of the artifact. An offline
run needs all of it until it is uploaded:

    WANDB_DIR=outputs wandb sync     uploads the offline runs, from where they lie (paths in the log are absolute)
    WANDB_DIR=outputs wandb clean    removes what was uploaded; `--include-unsynced` the rest

An online run drops its `staging` once everything is on the server. The run's id is `<stage>-<fingerprint>`, so the same
computation synced twice is still one run.
"""

import csv
import itertools
import logging
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from deepinside.artifact import MANIFEST, read_manifest
from deepinside.records import Table

MODES = ("online", "offline", "disabled")
KINDS = ("dataset", "model", "maps", "table", "report")
_NAMING = ("data", "concepts", "model", "method")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How much is shown and how long is waited; as in `conf/wandb/offline.yaml`.

    Args:
        upload_mb: a dataset above this size, in megabytes, is mirrored without its deeper folders.
        pictures: shown per run, spread evenly over the groups.
        rows: shown per table, from the top.
        start_s: patience for the server at the start, in seconds.
        finish_s: patience for the upload at the end, in seconds.
    """

    upload_mb: float = 200.0
    pictures: int = 100
    rows: int = 1000
    start_s: float = 30.0
    finish_s: float = 600.0


_LIMITS = Limits()


@dataclass(frozen=True)
class _Job:
    stage: str
    kind: str
    fingerprint: str
    config: dict[str, Any]
    inputs: dict[str, Path]
    mode: str
    project: str
    entity: str | None
    group: str
    root: Path
    limits: Limits

    @property
    def id(self) -> str:
        return f"{self.stage}-{self.fingerprint}"

    @property
    def scratch(self) -> Path:
        return self.root / "wandb" / f"scratch-{self.id}"

    @property
    def lineage(self) -> dict[str, Any]:
        inputs = {stage: folder.resolve().name for stage, folder in sorted(self.inputs.items())}
        return {"stage": self.stage, "fingerprint": self.fingerprint, "inputs": inputs}


@contextmanager
def tracked(
    *,
    stage: str,
    kind: str,
    fingerprint: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, Path],
    mode: str,
    project: str,
    entity: str | None,
    group: str,
    root: Path,
    limits: Limits = _LIMITS,
) -> Iterator["Run"]:
    """A W&B run around a stage that computes. Whatever W&B does, the stage goes on and keeps its result.

    Args:
        stage: name of the stage, the run's job type.
        kind: type of its artifact: dataset, model, maps, table or report.
        fingerprint: of the artifact, which becomes its alias.
        config: the stage's own configuration, as its manifest has it; plain values.
        inputs: stage -> finished artifact folder.
        mode: `online`, `offline` (no account needed) or `disabled` (wandb is not even imported).
        project: of W&B.
        entity: user or team of W&B; None for the account's own.
        group: the experiment.
        root: the outputs folder; W&B writes into `wandb` in it and nowhere else.
        limits: how much is shown and how long is waited.

    Yields:
        The run: give it curves while you compute, and the artifact folder when that is complete.

    Raises:
        ValueError: for an unknown mode or kind.
    """
    for word, known in ((mode, MODES), (kind, KINDS)):
        if word not in known:
            raise ValueError(f"expected one of {', '.join(known)}, got {word!r}")
    whole, root = _plain(config), root.absolute()
    job = _Job(stage, kind, fingerprint, whole, dict(inputs), mode, project, entity, group, root, limits)
    run = Run(job)
    with _environment(job):
        failed = True
        try:
            run.begin()
            yield run
            failed = False
        finally:
            run.end(failed)


@contextmanager
def _environment(job: _Job) -> Iterator[None]:
    """Sets W&B's variables for the time of the run. Offline, the user's own (account, tags, host) are hidden."""
    scratch = str(job.scratch)
    ours = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    ours |= dict.fromkeys(("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_ARTIFACT_DIR"), scratch)
    if job.mode == "offline":
        ours["WANDB_CONFIG_DIR"] = scratch  # online, the address of one's own server lies in the user's
    before = {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}
    hidden = before if job.mode == "offline" else ()
    try:
        for name in hidden:
            del os.environ[name]
        os.environ.update(ours)
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            del os.environ[name]
        os.environ.update(before)


class Run:
    """One stage as W&B sees it; silent where W&B is disabled or has failed. Made by `tracked`."""

    def __init__(self, job: _Job) -> None:
        self._job = job
        self._run: Any = None
        self._healthy = job.mode != "disabled"
        self._owner = False
        self._curves = False

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Adds a point to the run's curves.

        Args:
            metrics: name -> value.
            step: of the training; may not decrease.
        """
        self._curves = True
        if self._healthy:
            self._attempt("a curve", lambda: self._run.log(dict(metrics), step=step))

    def log(self, out: Path) -> None:
        """Mirrors a complete artifact: the folder, its numbers, curves, tables and pictures.

        The manifest stays out, for it records the time and the platform; the run's configuration says the rest.
        `history.csv` (a column `step` or `epoch`, others numbers) becomes curves unless `log_metrics` drew them.

        Args:
            out: the folder, under its final name or not yet.
        """
        parts = {"the artifact": self._log_artifact, "the numbers": self._log_numbers, "what is shown": self._log_media}
        for what, part in parts.items():
            if self._healthy:
                self._attempt(what, partial(part, out))

    def begin(self) -> None:
        """Starts the run and, where there is a server, declares its inputs."""
        if self._healthy:
            self._attempt("the start of the run", self._begin)

    def end(self, failed: bool) -> None:
        """Closes the run and W&B's service and removes what nobody needs any more.

        Args:
            failed: whether the stage did.
        """
        if self._run is not None:
            self._attempt("the end of the run", lambda: self._run.finish(exit_code=int(failed)))
        if self._owner:
            self._attempt("the end of its service", _teardown)
        if self._healthy and self._job.mode == "online":
            shutil.rmtree(self._folder / "staging", ignore_errors=True)
        shutil.rmtree(self._job.scratch, ignore_errors=True)

    def _attempt(self, what: str, act: Callable[[], object]) -> None:
        try:
            act()
        except (Exception, SystemExit) as error:  # no failure of the mirror may harm the stage
            if self._healthy:
                _log.warning(
                    "W&B gave up at %s (%s). The result is complete without it. For the next time: check the network "
                    "and `wandb login`, or choose wandb=offline or wandb=disabled",
                    *(what, _sentence(error)),
                )
            self._healthy = False

    def _begin(self) -> None:
        import wandb

        job = self._job
        job.scratch.mkdir(parents=True, exist_ok=True)
        self._owner = wandb.setup().most_recent_active_run is None  # else a run of the caller's needs the service
        self._run = wandb.init(
            project=job.project,
            entity=job.entity,
            group=job.group,
            job_type=job.stage,
            id=job.id,
            name=f"{job.stage}-{job.fingerprint[:8]}",
            config=job.config | job.lineage,
            mode=job.mode,  # type: ignore[arg-type]
            resume="allow" if job.mode == "online" else None,
            reinit="create_new",  # beside a run of the caller's, not instead of it
            settings=wandb.Settings(**_settings(job)),
        )
        os.environ["WANDB_DATA_DIR"] = str(self._folder / "staging")
        if job.mode == "online":
            _log.info("W&B run: %s", self._run.url)
            for stage, folder in sorted(job.inputs.items()):
                self._use(stage, folder)

    @property
    def _folder(self) -> Path:
        return Path(self._run.dir).parent

    def _use(self, stage: str, folder: Path) -> None:
        try:
            manifest = read_manifest(folder)
            name = artifact_name(stage, manifest["made_from"]["config"])
            self._run.use_artifact(f"{name}:{manifest['fingerprint']}")
        except Exception as error:  # an input that was computed offline is not on the server yet
            _log.warning("W&B lacks the input %s (%s); the run's config names it all the same", stage, _sentence(error))

    def _log_artifact(self, out: Path) -> None:
        import wandb

        job = self._job
        files, left_out = _chosen(out, job)
        staged = self._folder / "staging" / "files"
        for file in files:
            _link(out / file, staged / file)
        metadata = job.lineage | ({"files_left_out": left_out} if left_out else {})
        artifact = wandb.Artifact(artifact_name(job.stage, job.config), type=job.kind, metadata=metadata)
        artifact.add_dir(str(staged), policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact, aliases=[job.fingerprint])

    def _log_numbers(self, out: Path) -> None:
        if (out / "table.csv").exists():
            self._run.summary.update(_numbers(Table.read(out)))
        if (out / "history.csv").exists() and not self._curves:
            for step, metrics in _points(out / "history.csv"):
                self._run.log(metrics, step=step)

    def _log_media(self, out: Path) -> None:
        import wandb

        shown: dict[str, Any] = {}
        for file in sorted(set(out.glob("*.csv")) - {out / "pictures.csv"}):
            columns, rows = _rows(file, self._job.limits.rows)
            shown[f"tables/{file.stem}"] = wandb.Table(columns=columns, data=rows, allow_mixed_types=True)
        for group, pictures in _pictures(out, self._job.limits.pictures).items():
            shown[f"pictures/{group}"] = [
                wandb.Image(str(out / file), caption=f"{title}. {caption}") for file, title, caption in pictures
            ]
        if shown:
            self._run.log(shown)


def artifact_name(stage: str, config: Mapping[str, Any]) -> str:
    """The name of a stage's artifact in W&B: the stage and the names of the data and network that it worked on.

    Args:
        stage: that made it.
        config: of the stage, as in its manifest.

    Returns:
        For instance `train-miniature-convnet_mini`.
    """
    groups = [config.get(group) for group in _NAMING]
    names = [str(group["name"]) for group in groups if isinstance(group, Mapping) and group.get("name")]
    return re.sub(r"[^A-Za-z0-9_.-]", "_", "-".join([stage, *names]))[:128]


def _settings(job: _Job) -> dict[str, Any]:
    """Nothing about the machine, the person or the code; nothing on the terminal."""
    return {
        "root_dir": str(job.root),
        "use_dot_wandb": False,
        "symlink": False,
        "silent": True,
        "console": "off",
        "host": "",
        "disable_git": True,
        "disable_code": True,
        "save_code": False,
        "label_disable": True,  # would read the main script
        "sagemaker_disable": True,
        "x_disable_meta": True,
        "x_disable_machine_info": True,
        "x_disable_stats": True,
        "x_save_requirements": False,
        "init_timeout": job.limits.start_s,
        "finish_timeout": job.limits.finish_s,
        "finish_timeout_raises": True,
    }


def _teardown() -> None:
    import wandb

    wandb.teardown()


def _plain(value: Any) -> Any:
    """JSON values; of an absolute path only its last name, for the rest is about the machine."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, PurePath) or (isinstance(value, str) and PurePath(value).is_absolute()):
        return PurePath(value).name
    return value


def _chosen(out: Path, job: _Job) -> tuple[list[str], int]:
    """What of a folder goes into the artifact, and how many files do not: the photographs of a large dataset."""
    every = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*")) if path.is_file()}
    every.pop(MANIFEST, None)
    size = sum(path.stat().st_size for path in every.values())
    if job.kind != "dataset" or size <= job.limits.upload_mb * 1e6:
        return list(every), 0
    few = [name for name in every if "/" not in name or name.startswith("pictures/")]
    return few, len(every) - len(few)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _numbers(table: Table) -> dict[str, float]:
    numbers = {}
    for row in table.rows:
        numbers[row.metric] = row.value
        ends = {"ci_low": row.ci_low, "ci_high": row.ci_high}
        numbers |= {f"{row.metric}/{end}": value for end, value in ends.items() if not math.isnan(value)}
    return numbers


def _cell(text: str) -> float | int | str | None:
    if not text:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _rows(file: Path, most: int | None = None) -> tuple[list[str], list[list]]:
    with file.open(newline="", encoding="utf-8") as stream:
        lines = csv.reader(stream)
        columns = next(lines, [])
        rows = [[_cell(text) for text in line] for line in itertools.islice(lines, most)]
        if next(lines, None) is not None:
            _log.info("W&B shows the first %d rows of %s; the artifact has all", most, file.name)
    return columns, rows


def _points(history: Path) -> Iterator[tuple[int, dict[str, float]]]:
    columns, rows = _rows(history)
    for number, row in enumerate(rows):
        cells = {name: cell for name, cell in zip(columns, row, strict=True) if isinstance(cell, int | float)}
        yield int(cells.pop("step", cells.get("epoch", number))), cells


def _pictures(out: Path, most: int) -> dict[str, list[tuple[str, str, str]]]:
    """Group -> (file, title, caption), the same number of each group and `most` in all."""
    if not (out / "pictures.csv").exists():
        return {}
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for row in _rows(out / "pictures.csv")[1]:
        file, group, title, caption = map(str, row)
        groups.setdefault(re.sub(r"[^ A-Za-z0-9_.-]", "_", group), []).append((file, title, caption))
    share = max(1, most // max(1, len(groups)))
    return {group: pictures[:share] for group, pictures in itertools.islice(groups.items(), most)}
