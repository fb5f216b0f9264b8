"""One run of W&B; none of its failures affects the stage."""

import logging
import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from deepinside.artifacts import ancestry, excerpt
from deepinside.artifacts.artifact import MANIFEST, read_manifest
from deepinside.tracking.job import Job, artifact_name

COMPLETE = "complete"  # a file in the folder of an offline run that W&B took whole
_log = logging.getLogger(__name__)


class Run:
    """One stage on W&B; inactive where W&B is disabled or has failed. Made by `tracked`."""

    def __init__(self, job: Job) -> None:
        self.scratch = job.root / "wandb" / f"scratch-{job.id}"
        self._job = job
        self._run: Any = None
        self._healthy = job.mode != "disabled"
        self._owner = False
        self._drawn = False

    @property
    def whole(self) -> bool:
        """Whether W&B took everything so far."""
        return self._healthy

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Adds a point to the run's curves; `step` may not decrease."""
        self._drawn = True
        if self._healthy:
            self._attempt("a curve", lambda: self._run.log(dict(metrics), step=step))

    def log(self, out: Path) -> None:
        """Mirrors a complete artifact: the folder, its numbers, curves, tables and images.

        The manifest is excluded, because it records the time and the platform; the run's configuration has the rest.
        `history.csv` (a column `step` or `epoch`, others numbers) becomes curves unless `log_metrics` drew them.
        """
        parts = {
            "the artifact": self._log_artifact,
            "the numbers": self._log_numbers,
            "the upload of results": self._log_media,
        }
        for what, part in parts.items():
            if self._healthy:
                self._attempt(what, partial(part, out))

    def begin(self) -> None:
        """Starts the run and, with a server, declares its inputs."""
        if self._healthy:
            self._attempt("the start of the run", self._begin)

    def end(self, failed: bool) -> None:
        """Closes the run and W&B's service, and removes temporary files."""
        if self._run is not None:
            self._attempt(
                "the end of the run",
                lambda: self._run.finish(exit_code=int(failed or (self._job.replay and not self._healthy))),
            )
        if self._owner:
            self._attempt("the end of its service", _teardown)
        if self._run is not None and self._healthy and not failed:
            if self._job.mode == "online":
                shutil.rmtree(self._folder / "staging", ignore_errors=True)
            elif self._folder.is_dir():
                (self._folder / COMPLETE).touch()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _attempt(self, what: str, act: Callable[[], object]) -> None:
        try:
            act()
        except (Exception, SystemExit) as error:  # no failure of the mirror may harm the stage
            if self._healthy:
                _log.warning(
                    "W&B failed at %s (%s). The result is complete without it. Check the network and `wandb login`, or "
                    "choose wandb=offline or wandb=disabled",
                    *(what, _sentence(error)),
                )
            self._healthy = False

    def _begin(self) -> None:
        import wandb

        job = self._job
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._owner = wandb.setup().most_recent_active_run is None  # else a run of the caller's needs the service
        self._run = wandb.init(
            project=job.project,
            entity=job.entity,
            group=job.group,
            job_type=job.stage,
            id=job.id,
            name=f"{job.stage}-{job.fingerprint[:8]}",
            config=_plain(job.settings) | job.lineage,
            mode=job.mode,  # type: ignore[arg-type]
            resume="allow" if job.mode == "online" and not job.replay else None,  # None: a run of that id is replaced
            reinit="create_new",  # beside a run of the caller's, not instead of it
            settings=wandb.Settings(**_settings(job)),
        )
        os.environ["WANDB_DATA_DIR"] = str(self._folder / "staging")
        if job.mode == "online":
            _log.info("W&B run: %s", self._run.url)
            for folder in job.inputs.values():
                self._use(folder)

    @property
    def _folder(self) -> Path:
        return Path(self._run.dir).parent

    def _use(self, folder: Path) -> None:
        if self._job.replay and (folder / MANIFEST).exists():
            self._declare(folder)
            return
        from wandb.errors import Error

        try:
            self._declare(folder)
        except (Error, OSError, ValueError) as error:  # gone, or computed offline and not on the server yet
            _log.warning("W&B lacks the input %s (%s); the run's config names it", folder.name, _sentence(error))

    def _declare(self, folder: Path) -> None:
        manifest = read_manifest(folder)
        name = artifact_name(manifest["stage"], ancestry.inherit(folder))
        self._run.use_artifact(f"{name}:{manifest['fingerprint']}")

    def _log_artifact(self, out: Path) -> None:
        import wandb

        job = self._job
        every = excerpt.files(out)
        size = sum((out / file).stat().st_size for file in every)
        small = size <= job.limits.upload_mb * 1e6 and len(every) <= job.limits.upload_files
        whole = small or job.kind != "dataset"
        chosen = every if whole else excerpt.files(out, deep=False)
        staged = self._folder / "staging" / "files"
        for folder in {(staged / file).parent for file in chosen}:
            folder.mkdir(parents=True, exist_ok=True)
        for file in chosen:
            _link(out / file, staged / file)
        metadata = job.lineage if whole else job.lineage | {"files_left_out": len(every) - len(chosen)}
        artifact = wandb.Artifact(artifact_name(job.stage, job.settings), type=job.kind, metadata=metadata)
        artifact.add_dir(str(staged), policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact, aliases=[job.fingerprint])

    def _log_numbers(self, out: Path) -> None:
        self._run.summary.update(excerpt.numbers(out))
        if not self._drawn:
            for step, point in excerpt.curves(out):
                self._run.log(point, step=step)

    def _log_media(self, out: Path) -> None:
        import wandb

        shown: dict[str, Any] = {}
        for name, columns, rows in excerpt.tables(out, self._job.limits.rows):
            shown[f"tables/{name}"] = wandb.Table(columns=columns, data=rows, allow_mixed_types=True)  # type: ignore[arg-type]
        for group, pictures in excerpt.pictures(out, self._job.limits.pictures).items():
            shown[f"pictures/{re.sub(r'[^ A-Za-z0-9_.-]', '_', group)}"] = [
                wandb.Image(str(out / picture.file), caption=f"{picture.title}. {picture.caption}")
                for picture in pictures
            ]
        if (out / "index.html").exists():
            shown["page"] = wandb.Html(out / "index.html", inject=False)
        if shown:
            level = logging.root.manager.disable
            logging.disable(logging.WARNING)  # it warns of images of several sizes in one group
            try:
                self._run.log(shown)
            finally:
                logging.disable(level)


def _settings(job: Job) -> dict[str, Any]:
    # Nothing about the machine, the person or the code; nothing on the terminal.
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
    # JSON values; of an absolute path only its last name, for the rest is about the machine.
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, PurePath) or (isinstance(value, str) and PurePath(value).is_absolute()):
        return PurePath(value).name
    return value


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def published(
    *, stage: str, fingerprint: str, name: str, inputs: Collection[str], mode: str, project: str, entity: str | None,
    root: Path,
) -> bool:  # fmt: skip
    """Whether W&B has an artifact completely: its run ended well, the artifact exists, its inputs are declared.

    Args:
        stage: that made it.
        fingerprint: its alias.
        name: its name on W&B, see `artifact_name`.
        inputs: fingerprints of the artifacts that its run must have declared.
        mode: `online` asks the server, `offline` reads `<root>/wandb`.
        project: of W&B.
        entity: user or team of W&B; None for the account's own.
        root: the outputs folder.

    Raises:
        OSError: if the server does not respond or denies access.
    """
    if mode == "offline":
        return any((root / "wandb").glob(f"offline-run-*-{stage}-{fingerprint}/{COMPLETE}"))
    import wandb

    owner = {"entity": entity} if entity else {}
    place = "/".join([*owner.values(), project, name])
    try:
        api = wandb.Api(overrides={"project": project} | owner)
        run = api.run(f"{stage}-{fingerprint}")
        declared = {alias for used in run.used_artifacts() for alias in used.aliases}
        whole = run.state == "finished" and set(inputs) <= declared
        return whole and bool(api.artifact_exists(f"{place}:{fingerprint}"))
    except wandb.Error as error:
        if "could not find" in str(error).lower():
            return False
        raise OSError(
            f"W&B cannot say what it has ({' '.join(str(error).split())}): check the network, `wandb login`, "
            "and that the server is one of W&B's own"
        ) from error
