"""The whole pipeline: a table of stages, and what each depends on.

prepare ───► train ───► visualise
   └──────────┼───────► localise        every arrow is a finished artifact;
              ├───────► benchmark
              ├───────► diagnose
concepts ─────┴───────► dissect         the report takes them all
"""

from collections.abc import Callable
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf


@dataclass(frozen=True)
class Stage:
    """One row of the table; its work is `stages.<name>.run(cfg, inputs, out)`.

    Args:
        name: as in `run=<name>`.
        kind: type of its artifact on W&B.
        config: keys that can change the result; a stage receives no others, except seed, machine and these two:
        files: keys that name raw files or folders, which count by content and not by path;
        places: keys that name folders whose content is already represented by the inputs.
        inputs: configuration -> role -> name of the stage that makes the input; the role `judge` is played by a
            network of the configuration's group `judge`.
        whole: whether a worker of the engine computes the whole artifact; otherwise it computes batches, or nothing.
        together: whether the processes that `torchrun` started compute it together, while only the first one writes.
        seeded: whether the seed can change the result; otherwise all seeds share the artifact.
        lower: keys to lower when memory is insufficient.
    """

    name: str
    kind: str
    config: tuple[str, ...]
    files: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    inputs: Callable[[DictConfig], dict[str, str]] = lambda _cfg: {}
    whole: bool = False
    together: Callable[[DictConfig], bool] = lambda _cfg: False
    seeded: bool = True
    lower: str = "machine.workers"


def _pictures(_cfg: DictConfig) -> dict[str, str]:
    return {"prepare": "prepare"}


def _network(cfg: DictConfig) -> dict[str, str]:
    return {"network": "train" if cfg.model.fit and cfg.model.weights is None else "load"}


def _pictures_and_network(cfg: DictConfig) -> dict[str, str]:
    return _pictures(cfg) | _network(cfg)


def _seen(cfg: DictConfig) -> dict[str, str]:
    needed = {name for method in cfg.method.values() for name in method.get("needs", ())}
    judge = {"judge": _network(judging(cfg))["network"]} if cfg.judge else {}
    return _pictures_and_network(cfg) | {name: name for name in sorted(needed)} | judge


def _concepts_and_network(cfg: DictConfig) -> dict[str, str]:
    return {} if cfg.dissect.from_csv else {"concepts": "concepts"} | _network(cfg)


def _on_several_devices(cfg: DictConfig) -> bool:
    return cfg.train.trainer.devices * cfg.train.trainer.num_nodes > 1


_WEIGHTS = ("model.weights",)
_SHOWN = ("data.split", "data.limit")
_DATA, _CONCEPTS = ("data.root",), ("concepts.root",)

# fmt: off
_ROWS = (
    #     name         kind       may see                                        raw files       places      inputs
    Stage("prepare",   "dataset", ("data.name", "data.draw", "data.index"),      (*_DATA, "data.blacklist", "data.boxes"), seeded=False),
    Stage("concepts",  "dataset", ("concepts.name", "concepts.draw", "concepts.convert"), _CONCEPTS, seeded=False),
    Stage("train",     "model",   ("model", "train"),                            _WEIGHTS,       _DATA,      _pictures, whole=True, together=_on_several_devices, lower="train.batch_size"),
    Stage("load",      "model",   ("model",),                                    _WEIGHTS),
    Stage("invert",    "model",   ("invert",),                                   (),             _DATA,      _pictures_and_network, whole=True, lower="invert.batch_size"),
    Stage("visualise", "maps",    ("visualise", "method", *_SHOWN),              (),             _DATA + _CONCEPTS, _seen, lower="visualise.images"),
    Stage("localise",  "maps",    ("localise", *_SHOWN),                         (),             _DATA,      _pictures_and_network, lower="localise.batch_size"),
    Stage("benchmark", "table",   ("benchmark", *_SHOWN),                        (),             _DATA,      _pictures_and_network, lower="benchmark.batch_size"),
    Stage("dissect",   "table",   ("dissect", "concepts.limit"),                 ("dissect.from_csv",), _CONCEPTS, _concepts_and_network, lower="dissect.batch_size"),
    Stage("diagnose",  "table",   ("diagnose", *_SHOWN),                         (),             _DATA,      _pictures_and_network, lower="diagnose.batch_size"),
    Stage("score",     "table",   ("score", "data.split"),                       ("predictions", "score.blacklist"), _DATA, _pictures),
    Stage("claims",    "table",   ("claims",)),
    Stage("sweep",     "table",   ("sweep.stage", "sweep.grid", "sweep.metrics", "sweep.repeats", "sweep.says", "sweep.set_aside", "name")),
    Stage("report",    "report",  ("report", "name"), ("report.benchmarks", "report.networks", "report.register")),
)
# fmt: on
STAGES = {stage.name: stage for stage in _ROWS}


def judging(cfg: DictConfig) -> DictConfig:
    """A copy of the configuration whose group `model` is its group `judge`."""
    return OmegaConf.merge(cfg, {"model": None}, {"model": cfg.judge})  # type: ignore[return-value]
