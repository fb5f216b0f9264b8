"""Training one inverter so that it can be killed and go on: what the invert stage is glued from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning import Callback, LightningModule, Trainer

from deepinside.data.datamodule import Pictures
from deepinside.progress import track
from deepinside.stages.fitting import _quiet, _torch_state, placed
from deepinside.stages.inversion import Inversion


class KeepInversion(Callback):
    """Leaves `history.csv` and the state to resume from after every epoch, each written in one step; shows progress.

    Args:
        folder: to write to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """What goes into the checkpoint.

        Returns:
            The history.
        """
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up the history of a checkpoint.

        Args:
            state_dict: as `state_dict` left it.
        """
        self.rows = list(state_dict["rows"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the progress where the run stands.

        Args:
            trainer: of the run.
            pl_module: the inversion.
        """
        assert isinstance(pl_module, Inversion)
        left = (int(trainer.max_epochs or 0) - trainer.current_epoch) * int(trainer.num_training_batches)
        self.steps = track(range(left), f"invert {pl_module.name}")

    def on_train_batch_end(self, *_: Any) -> None:
        """One step further.

        Args:
            *_: what Lightning says about it.
        """
        next(self.steps, None)

    def on_train_end(self, *_: Any) -> None:
        """Ends the progress; what follows shows its own.

        Args:
            *_: what Lightning says about it.
        """
        self.steps.close()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes everything.

        Args:
            trainer: of the run.
            pl_module: the inversion.
        """
        assert isinstance(pl_module, Inversion)
        self.rows.append({"epoch": trainer.current_epoch + 1, **pl_module.measured()})
        pd.DataFrame(self.rows).to_csv(self.folder / "history.csv", index=False, lineterminator="\n")
        trainer.save_checkpoint(self.folder / "last.tmp")
        (self.folder / "last.tmp").replace(self.folder / "last.ckpt")  # last of all: what is resumed has left the rest


def train_inverter(
    inversion: Inversion, pictures: Pictures, folder: Path, *, epochs: int, device: str = "auto"
) -> pd.DataFrame:
    """Trains an inverter, from its last whole epoch where the folder holds one.

    Args:
        inversion: its module is changed, and frozen when done.
        pictures: to learn from, and those held out.
        folder: gets `history.csv` and `last.ckpt`.
        epochs: how many.
        device: `cpu`, `cuda` or `auto`.

    Returns:
        A row per epoch: its losses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "last.ckpt"
    with _quiet(), _torch_state():
        runner = Trainer(
            max_epochs=epochs,
            callbacks=[KeepInversion(folder)],
            default_root_dir=folder,
            deterministic="warn",
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            logger=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            **placed(device),
        )
        runner.fit(inversion, pictures, ckpt_path=str(checkpoint) if checkpoint.exists() else None, weights_only=True)
    inversion.module.requires_grad_(False).eval().to(inversion.frozen[0].device)
    return pd.read_csv(folder / "history.csv")
