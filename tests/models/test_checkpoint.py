import hashlib
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from deepinside.artifacts.digest import file_digest
from deepinside.models.checkpoint import load_weights, read_weights, save_weights


def net(width=4):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(width, 2))


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", ["zip", "old", "plain"])
def test_a_pickle_that_wants_to_run_code_is_refused_and_does_not_run(tmp_path, protocol):
    evil, witness = tmp_path / "evil.pt", tmp_path / "witness"
    content = {"state_dict": {"0.weight": torch.zeros(1)}, "bomb": Bomb(witness)}
    if protocol == "plain":
        evil.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, evil, _use_new_zipfile_serialization=protocol == "zip")
    with pytest.raises(ValueError, match=r"evil\.pt.*(?s:.*)safetensors") as told:
        read_weights(evil)
    assert "refused" in str(told.value) or protocol == "plain"
    assert not witness.exists()


def test_broken_and_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights at .*nowhere\.pt: pass model\.weights=FILE"):
        read_weights(tmp_path / "nowhere.pt")
    (tmp_path / "a.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(ValueError, match=r"a\.safetensors is not a complete safetensors file"):
        read_weights(tmp_path / "a.safetensors")
    for name, content in (("empty.pt", b""), ("text.pt", b"not weights at all"), ("cut.pt", b"PK\x03\x04abc")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            read_weights(tmp_path / name)
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"list\.pt holds list, not a state dict"):
        read_weights(tmp_path / "list.pt")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_broken_weights_are_refused_by_name(tmp_path, bad, suffix):
    state = net().state_dict()
    state["1.running_var"][2] = bad
    path = tmp_path / f"w.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    with pytest.raises(ValueError, match=rf"w\.{suffix} holds NaN or infinite weights in 1\.running_var:"):
        read_weights(path)


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "network.module.", "module.model."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict"])
def test_wrappers_and_prefixes_come_off(tmp_path, prefix, wrapper):
    source, target = net(), net()
    state = {prefix + key: value for key, value in source.state_dict().items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    for key, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[key], value), key


def test_half_precision_becomes_single_and_counters_stay_whole(tmp_path):
    state = {key: value.half() if value.is_floating_point() else value for key, value in net().state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    read = read_weights(tmp_path / "w.safetensors")
    assert {value.dtype for key, value in read.items() if "num_batches" not in key} == {torch.float32}
    assert read["1.num_batches_tracked"].dtype == torch.int64
    assert torch.equal(read["0.weight"], state["0.weight"].float())


def test_another_architecture_is_told_key_by_key(tmp_path):
    torch.save(net(5).state_dict() | {"extra.weight": torch.zeros(1)}, tmp_path / "w.pt")
    target = net(4)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(ValueError, match="another architecture than Sequential") as told:
        load_weights(target, tmp_path / "w.pt")
    assert "not part of this network: extra.weight" in str(told.value)
    assert "0.weight (expected (4, 3, 3, 3), got (5, 3, 3, 3))" in str(told.value)
    assert "and 2 more" in str(told.value)  # conv 2, norm 4, linear 1: five of seven are shown
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())
    torch.save({"a": torch.zeros(1)}, tmp_path / "v.pt")
    with pytest.raises(
        ValueError, match=r"missing: 0\.weight, 0\.bias, 1\.weight, 1\.bias, 1\.running_mean and 3 more"
    ):
        load_weights(target, tmp_path / "v.pt")


def test_counters_may_be_missing_as_in_old_files(tmp_path):
    state = {key: value for key, value in net().state_dict().items() if "num_batches" not in key}
    torch.save(state, tmp_path / "w.pt")
    load_weights(net(), tmp_path / "w.pt")


def test_the_same_weights_give_the_same_bytes(tmp_path):
    module = net()
    save_weights(module, tmp_path / "a.safetensors")
    save_weights(module.to(memory_format=torch.channels_last), tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert (
        file_digest(tmp_path / "a.safetensors") == hashlib.sha256((tmp_path / "b.safetensors").read_bytes()).hexdigest()
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]
