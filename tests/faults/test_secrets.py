"""What a run leaves names no key, no person and no folder of theirs."""

import getpass
import os
from pathlib import Path

import pytest
from tests.faults.harness import RUNS, laid, start

KEY = "0123456789abcdef0123456789abcdef01234567"
PERSON = "zaphod"


def told(outputs: Path) -> dict[str, bytes]:
    """All files and names in the outputs, the half-finished and the hidden ones too."""
    files = {path: path.read_bytes() for path in outputs.rglob("*") if path.is_file()}
    assert len(files) > 10
    return {str(path.relative_to(outputs)): content for path, content in files.items()}


@pytest.mark.parametrize("mode", ["disabled", pytest.param("offline", marks=pytest.mark.slow)])
def test_no_key_no_person_and_no_home_folder(tmp_path: Path, mode: str) -> None:
    home = tmp_path / "home" / PERSON
    place = laid(home / "work")
    variables = {"WANDB_API_KEY": KEY, "HOME": str(home), "USER": PERSON, "LOGNAME": PERSON}
    done = start(RUNS["localise"], "outputs", place, mode=mode, **variables)
    said = "".join(done.communicate())
    assert done.returncode == 0, said
    secrets = [KEY.encode(), PERSON.encode(), os.fsencode(tmp_path), os.fsencode(Path.home()) + b"/"]
    if len(getpass.getuser()) > 4:  # `root` is a word of other things
        secrets.append(getpass.getuser().encode())
    for name, whole in {"the log": said.encode(), **told(place / "outputs")}.items():
        # W&B's own journal says where the files lie that `wandb sync` takes, and nothing else of the machine.
        content = whole.replace(os.fsencode(place), b"") if name.startswith("wandb/") else whole
        for secret in secrets:
            assert secret not in content, f"{name} tells {secret!r}"
            assert secret.decode() not in name
