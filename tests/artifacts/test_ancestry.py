from deepinside.artifacts import ancestry, artifact


def make(outputs, stage, config, **inputs):
    names = {role: path.name for role, path in inputs.items()}
    made_from = {"stage": stage, "config": config, "inputs": names}
    return artifact.make(outputs / stage, made_from, lambda out: (out / "a").touch(), dict)[0]


def test_settings_come_down_from_all_inputs(tmp_path):
    prepare = make(tmp_path, "prepare", {"data": {"name": "drawn", "draw": {"size": 96}}})
    train = make(tmp_path, "train", {"model": {"name": "mini"}}, pictures=prepare)
    own = {"localise": {"level": 0.95}, "data": {"limit": 5}}
    whole = {
        "localise": {"level": 0.95},
        "data": {"name": "drawn", "draw": {"size": 96}, "limit": 5},
        "model": {"name": "mini"},
    }
    assert ancestry.settings(own, [train]) == whole
    assert ancestry.inherit(make(tmp_path, "localise", own, network=train, pictures=prepare)) == whole
    assert own == {"localise": {"level": 0.95}, "data": {"limit": 5}}


def test_what_differs_between_inputs_is_said_and_ones_own_wins(tmp_path):
    one = make(tmp_path, "load", {"model": {"name": "a", "fit": False}, "data": {"limit": 1}})
    two = make(tmp_path, "load", {"model": {"name": "b", "fit": False}, "data": {"limit": 2}})
    merged = ancestry.settings({"data": {"limit": 3}}, [one, two])
    assert merged == {"model": {"name": "several", "fit": False}, "data": {"limit": 3}}


def test_an_input_that_is_gone_is_passed_over(tmp_path):
    assert ancestry.settings({"a": 1}, [tmp_path / "prepare" / "0123"]) == {"a": 1}
