"""The W&B mirror: one run per stage that computes, one artifact per output. The artifact folder remains the record.

Everything that W&B writes is in `<root>/wandb`, one folder per run: `offline-run-<time>-<stage>-<fingerprint>` contains
the transaction log, copies of the images and tables shown, and in `staging` the files of the artifact as hard links
(copies where the file system has none), so that they take no space and survive the renaming of the artifact. An offline
run needs all of it until it is uploaded:

    WANDB_DIR=outputs wandb sync     uploads the offline runs from their folder (paths in the log are absolute)
    WANDB_DIR=outputs wandb clean    removes what was uploaded; `--include-unsynced` the rest

An online run removes its `staging` once everything is on the server. The run's id is `<stage>-<fingerprint>`, so the
same computation synced twice is still one run.
"""

from deepinside.tracking.job import Limits, artifact_name
from deepinside.tracking.run import published
from deepinside.tracking.tracked import tracked

__all__ = ["Limits", "artifact_name", "published", "tracked"]
