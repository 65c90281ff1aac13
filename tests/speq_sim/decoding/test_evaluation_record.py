"""A record goes on where an earlier run ended, if the settings are the same."""

import json

import numpy as np
import pytest
from decoding_models import random_model

from speq_sim.decoding import ModelError
from speq_sim.decoding.evaluation.record import Record, digest_of_model, digest_of_texts

SETTINGS = {"tokens": 8, "policy": "fixed"}


def written(path):
    record = Record(SETTINGS)
    record.model("toy", {"digest": "1"})
    record.codec("toy", "bsfp", {"activations": "bfp6"})["prompts"]["a-1"] = {"accepted": 3}
    path.write_text(json.dumps(record.as_dict()))
    return path


def test_results_are_there_again(tmp_path):
    path = written(tmp_path / "a.json")
    record = Record(SETTINGS, path)
    record.model("toy", {"digest": "1"})
    assert record.codec("toy", "bsfp", {"activations": "bfp6"})["prompts"]["a-1"]["accepted"] == 3
    assert record.as_dict() == json.loads(path.read_text())


def test_a_missing_file_is_an_empty_record(tmp_path):
    assert Record(SETTINGS, tmp_path / "none.json").models == {}


def test_other_settings_are_an_error(tmp_path):
    path = written(tmp_path / "a.json")
    with pytest.raises(ModelError, match=r"a\.json has other settings .*tokens: 8, now 9"):
        Record(SETTINGS | {"tokens": 9}, path)
    with pytest.raises(ModelError, match=r"threshold: None, now 0\.5"):
        Record(SETTINGS | {"threshold": 0.5}, path)
    record = Record(SETTINGS, path)
    with pytest.raises(ModelError, match=r"model toy \(digest: 1, now 2\)"):
        record.model("toy", {"digest": "2"})
    with pytest.raises(ModelError, match="codec bsfp of toy"):
        record.codec("toy", "bsfp", {"activations": "bfp8"})


@pytest.mark.parametrize("text", ["", "[]", '{"settings": {}}', "\xff", '{"settings": 1}'])
def test_another_file_is_left_alone(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=r"a\.json is no record"):
        Record(SETTINGS, path)
    assert path.read_bytes() == text.encode("latin-1")


def test_digests_change_with_a_weight_and_a_text():
    weights = random_model(1)
    first = digest_of_model(weights)
    assert first == digest_of_model(random_model(1))
    values = weights.matrices["layer.0.q"]
    values[0, 0] = np.nextafter(values[0, 0], np.float16(9))
    assert digest_of_model(weights) != first
    assert digest_of_texts(["a", "b"]) != digest_of_texts(["ab"])
