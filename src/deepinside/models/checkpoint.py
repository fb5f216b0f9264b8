"""Weights on disk: read without running anybody's code, checked against the network before they are loaded."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from deepinside.network import Network, Preprocessing

_PREFIXES = ("module.", "model.", "network.")
_SHOWN = 5
_LONGEST = 300  # characters of what other people's readers say
_TIED = 8  # so often one part of a file may be named


def existing(path: str | Path) -> Path:
    """The path of a weights file.

    Args:
        path: of the file; `~` is the home folder.

    Returns:
        The path.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    found = Path(path).expanduser()
    if not found.is_file():
        raise FileNotFoundError(
            f"no weights at {found}: pass model.weights=FILE (.safetensors, or a torch state dict), or "
            "model.weights=null to start from random weights"
        )
    return found


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Reads a state dict from a safetensors or torch file; no code in the file is run.

    Wrappers (`{"state_dict": ...}`) and common prefixes of all keys (`module.`, `model.`, `network.`) are removed, and
    half precision becomes float32.

    Args:
        path: the file.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        ValueError: if the file is of another kind, or contains code.
    """
    path = existing(path)
    stored = _safetensors(path) if _is_safetensors(path) else _torch_file(path)
    tensors = {name: _single(value) for name, value in _stripped(stored).items()}
    refuse_broken(tensors, path)
    return tensors


def refuse_broken(tensors: Mapping[str, Tensor], source: str | Path) -> None:
    """Lets only finite weights pass.

    Args:
        tensors: by name.
        source: the file, for the message.

    Raises:
        ValueError: if one is NaN or infinite.
    """
    broken = [name for name, value in tensors.items() if not bool(value.isfinite().all())]
    if broken:
        raise ValueError(f"{source} holds NaN or infinite weights in {_some(broken)}: use another checkpoint")


def _is_safetensors(path: Path) -> bool:
    # by content as well, since names lie: eight bytes of length, then JSON
    with path.open("rb") as file:
        start = file.read(9)
    return path.suffix == ".safetensors" or (len(start) == 9 and start[8:] == b"{")


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except Exception as error:  # a format of other people's, in a language that raises what it likes
        raise ValueError(
            f"{path} is not a complete safetensors file ({_short(error)}): download or write it again"
        ) from error


def _short(error: Exception) -> str:
    return str(error)[:_LONGEST]  # names in a broken file may be of any length


def _torch_file(path: Path) -> Mapping[str, Tensor]:
    try:
        _refuse_packed(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a broken pickle raises depends on where it breaks
        text, whole = _short(error), str(error).lower()
        if "weights_only" in whole or "unsupported" in whole:
            raise ValueError(
                f"{path} is a pickle with code or objects other than tensors, which is refused: "
                "if you trust it, load it yourself and save its state dict with safetensors.torch.save_file, "
                f"then pass that file as model.weights ({text.splitlines()[0]})"
            ) from error
        came = f"{type(error).__name__}: {text}"
        raise ValueError(f"{path} is neither a safetensors file nor a torch state dict ({came})") from error
    for key in ("state_dict", "model_state_dict"):
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
    if not isinstance(stored, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in stored.items()
    ):
        raise ValueError(f"{path} holds {type(stored).__name__}, not a state dict: save module.state_dict()")
    odd = [name for name, value in stored.items() if not _is_plain(value)]
    stated = sum(value.numel() * value.element_size() for value in stored.values())
    if odd or stated > _TIED * path.stat().st_size:
        what = (
            f"tensors that are not complete, dense and real ({_some(odd)})"
            if odd
            else f"{stated} bytes in a small file"
        )
        raise ValueError(f"{path} holds {what}: save module.state_dict() of a network on the CPU")
    return stored


def _refuse_packed(path: Path) -> None:
    # torch stores as it is; what is packed unpacks to a thousand times as much
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as parts:
            if sum(part.file_size for part in parts.infolist()) > path.stat().st_size:
                raise ValueError("its parts are packed")


def _is_plain(value: Tensor) -> bool:
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized or value.is_complex():
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()  # else one number, a million times


def _stripped(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # wrappers (DataParallel, Lightning) put a prefix before every key
    names = dict(stored)
    while names and (prefix := next((p for p in _PREFIXES if all(n.startswith(p) for n in names)), None)):
        names = {name.removeprefix(prefix): value for name, value in names.items()}
    return names


def _single(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], source: str | Path) -> None:
    """Puts weights into a network; every key and every shape must agree.

    Args:
        module: is changed.
        tensors: its state dict; counters of batch normalisation may be missing (files before torch 0.4.1).
        source: the file, for the message.

    Raises:
        ValueError: if a key is missing, left over or of another shape.
    """
    wanted = module.state_dict()
    missing = [n for n in wanted if n not in tensors and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in tensors if n not in wanted]
    shared = [n for n in wanted if n in tensors]
    shapes = [(n, tuple(wanted[n].shape), tuple(tensors[n].shape)) for n in shared]
    misshapen = [f"{n} (expected {want}, got {came})" for n, want, came in shapes if want != came]
    faults = (("missing", missing), ("not part of this network", unexpected), ("of another shape", misshapen))
    if any(names for _, names in faults):
        stated = "; ".join(f"{what}: {_some(names)}" for what, names in faults if names)
        raise ValueError(f"{source} is a checkpoint of another architecture than {type(module).__name__}: {stated}")
    module.load_state_dict({n: tensors.get(n, value) for n, value in wanted.items()})


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Loads the weights of a file into a network.

    Args:
        module: is changed.
        path: safetensors or torch state dict, checked as by `read_weights` and `load_tensors`.
    """
    load_tensors(module, read_weights(path), path)


def save_weights(module: nn.Module, path: str | Path) -> None:
    """Writes a state dict as safetensors: the same weights give the same bytes.

    Args:
        module: with the weights.
        path: of the file, which is replaced atomically.
    """
    path = Path(path)
    temporary = path.with_suffix(".tmp")
    save_file(
        {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}, temporary
    )
    temporary.replace(path)


_IMAGENET = 1000


def output_count(
    classes: Sequence[str] | None,
    tensors: Mapping[str, Tensor] | None,
    head: str,
    file: str | Path | None = None,
) -> int:
    """The number of classes of a network to build.

    Args:
        classes: their names, if the data have them.
        tensors: weights to load, if any.
        head: key of the last layer's bias.
        file: of the weights, for the message.

    Returns:
        The length of the bias in `tensors`; without weights the number of names, otherwise 1000.

    Raises:
        ValueError: if the weights have no such bias, or they and the names disagree.
    """
    if tensors is not None and head not in tensors:
        biases = [name for name in tensors if name.endswith("bias")]
        raise ValueError(
            f"{file or 'weights'}: expected {head!r}, the bias of the last layer, got {_some(biases) or 'no bias'}: "
            "this is a checkpoint of another architecture"
        )
    stored = None if tensors is None else len(tensors[head])
    if stored is not None and classes and stored != len(classes):
        raise ValueError(
            f"the weights are for {stored} classes ({head}), the data have {len(classes)}: "
            "use data with the network's classes, or model.weights=null to train on these"
        )
    return stored or (len(classes) if classes else _IMAGENET)


def class_names(classes: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """One name per output.

    Args:
        classes: names in the data.
        count: number of outputs.

    Returns:
        The data's names; without them ImageNet's for 1000 outputs (sorted by WordNet id), otherwise `class 0`, ...

    Raises:
        ValueError: if there are more or fewer names than outputs.
    """
    if classes:
        if len(classes) != count:
            raise ValueError(
                f"the network has {count} scores and the data have {len(classes)} classes "
                f"({', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''}): the numbers must be equal"
            )
        return tuple(classes)
    if count != _IMAGENET:
        return tuple(f"class {i}" for i in range(count))
    from torchvision.models._meta import _IMAGENET_CATEGORIES  # slow to import, and not always needed

    return tuple(_IMAGENET_CATEGORIES)


def assembled(
    module: Callable[[int], nn.Module],
    weights: str | Path | None,
    head: str,
    preprocessing: Preprocessing,
    classes: Sequence[str] | None,
    name: str,
) -> Network:
    """A network of an architecture of this package, with random or stored weights.

    Args:
        module: builds it, given the number of outputs.
        weights: safetensors or state-dict file; None or `random`: as `module` starts.
        head: key of the last layer's bias.
        preprocessing: of its images.
        classes: one name per output; None: as many outputs as `weights` has (1000 without), ImageNet's names for 1000.
        name: for titles.

    Returns:
        The network, frozen.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the weights are of another architecture or number of classes.
    """
    tensors = None if weights in {None, "random"} else read_weights(str(weights))
    count = output_count(classes, tensors, head, weights)
    built = module(count)
    if tensors is not None:
        load_tensors(built, tensors, str(weights))
    return Network(built, preprocessing, class_names(classes, count), name)
