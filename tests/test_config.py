"""Every configuration: its JSON form gives it back, and what is not allowed is one line that says what is."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from genre_classifier.config import (
    Augmentation,
    EncoderConfig,
    EvaluationConfig,
    ExportConfig,
    ModelConfig,
    SegmentConfig,
    SyntheticConfig,
    TrainingConfig,
)
from genre_classifier.genres import GENRES
from genre_classifier.moving_squares.config import SquaresConfig
from preprocessing.base.errors import InputError
from preprocessing.base.options import Options, Value, values_of
from preprocessing.config import ClipConfig, CopyConfig

CONFIGS = (
    Augmentation,
    ClipConfig,
    CopyConfig,
    EncoderConfig,
    EvaluationConfig,
    ExportConfig,
    ModelConfig,
    SegmentConfig,
    SquaresConfig,
    SyntheticConfig,
    TrainingConfig,
)


def allowed(value: Value) -> st.SearchStrategy[Any]:
    """Return the values that a field's description allows."""
    least, most = (value.limits.get(closed, value.limits.get(open_)) for closed, open_ in (("ge", "gt"), ("le", "lt")))
    ends = {"exclude_min": "gt" in value.limits, "exclude_max": "lt" in value.limits}
    one: st.SearchStrategy[Any] = {
        bool: st.booleans(),
        str: st.sampled_from(value.choices or GENRES),
        int: st.integers(least, most and most - ("lt" in value.limits)),
        float: st.floats(least, most, **(ends if value.kind is float else {})),
    }[value.kind]
    if value.several:
        one = st.lists(one, min_size=1, max_size=3).map(tuple)
    return st.none() | one if value.may_be_none else one


@st.composite
def configurations(draw: st.DrawFn) -> Options:
    """Return a configuration of any class with a few fields changed."""
    config_class = draw(st.sampled_from(CONFIGS))
    values = values_of(config_class)
    names = draw(st.lists(st.sampled_from(sorted(values)), max_size=4, unique=True))
    try:
        return config_class(**{name: draw(allowed(values[name])) for name in names})
    except InputError:  # fields that do not go together
        reject()


@given(configurations())
def test_the_json_form_gives_back_the_same(config: Options) -> None:
    text = json.dumps(config.to_dict(), allow_nan=False)
    again = type(config).from_dict(json.loads(text))
    assert again == config
    assert hash(again) == hash(config)
    assert json.dumps(again.to_dict()) == text
    assert dataclasses.replace(config) == config == pickle.loads(pickle.dumps(config))


@pytest.mark.parametrize("config_class", CONFIGS)
def test_every_field_says_what_it_is_and_takes_no_other_type(config_class: type[Options]) -> None:
    for name, value in values_of(config_class).items():
        assert value.meaning.endswith("."), name
        wrongs = ["", b"x", {}, math.nan, math.inf, -1, 1e30, 10**30, [None], "1", True, None, 1.5, np.float32(0.5)]
        for wrong in wrongs:
            try:
                made = getattr(config_class.from_dict({name: wrong}), name)
            except InputError as error:
                message = str(error)
                assert message.startswith(
                    (f"{name} must ", "movie must be below unseen", "frames of ", "encoded frames of ", f"{name} needs")
                )
                assert message.isprintable()
                assert len(message) < 200
            else:
                kinds = (value.kind, type(None)) if value.may_be_none else (value.kind,)
                assert type(made) in kinds, (name, wrong)
                assert made == wrong
                assert not isinstance(made, int | float) or abs(made) < 2**32


@pytest.mark.parametrize("config_class", CONFIGS)
def test_a_configuration_stays_as_it_was_made(config_class: type[Options]) -> None:
    config = config_class()
    for field in dataclasses.fields(config):
        assert getattr(config_class, field.name) == field.default == getattr(config, field.name)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config, field.name, field.default)
    with pytest.raises(InputError, match=r"options \['nonsense'\] are not known to this version; expected \['"):
        config_class(nonsense=1)
    with pytest.raises(InputError, match=f"{config_class.__name__}: expected options by name, found 3"):
        Options.from_dict.__func__(config_class, 3)


def test_lists_become_tuples_and_whole_numbers_numbers() -> None:
    config = ModelConfig(trunk_filters=[2, 3], norm_epsilon=1)
    assert (config.trunk_filters, config.norm_epsilon) == ((2, 3), 1.0)
    assert config.to_dict()["trunk_filters"] == [2, 3]


@pytest.mark.parametrize(
    ("config_class", "fields", "message"),
    [
        (TrainingConfig, {"epochs": 0}, "epochs must be at least 1, got 0"),
        (TrainingConfig, {"epochs": "3"}, "epochs must be a whole number of at least 1; got '3'"),
        (TrainingConfig, {"epochs": True}, "epochs must be a whole number of at least 1; got True"),
        (TrainingConfig, {"epochs": 2**32}, "epochs must be at least 1 and below 4294967296, got 4294967296"),
        (TrainingConfig, {"learning_rate": math.inf}, "learning_rate must be above 0 and below 4294967296, got inf"),
        (TrainingConfig, {"patience": "x"}, "patience must be a whole number of at least 1, or none; got 'x'"),
        (TrainingConfig, {"zoom": 1}, "zoom must be at least 0 and below 1, got 1"),
        (TrainingConfig, {"schedule": "sine"}, "schedule must be one of auto, constant, cosine; got 'sine'"),
        (TrainingConfig, {"flip": 1}, "flip must be true or false; got 1"),
        (TrainingConfig, {"chunk": 0}, "chunk must be at least 1 frame, got 0"),
        (ModelConfig, {"kernel_size": 32}, "kernel_size must be from 1 to 31 pixels, got 32"),
        (ModelConfig, {"trunk_filters": [1, 0]}, "trunk_filters must each be at least 1, got 0"),
        (ModelConfig, {"trunk_filters": []}, "trunk_filters must hold at least one value; got none"),
        (ModelConfig, {"trunk_filters": [1]}, "trunk_filters and trunk_pools must pair up, got 1 and 2 of them"),
        (EncoderConfig, {"motion_size": 7}, "motion_size must be a multiple of encoder_cells = 2, got 7"),
        (ModelConfig, {"motion_size": 7}, "motion_size must be a multiple of encoder_cells = 2, got 7"),
        (ModelConfig, {"rows": 11}, "frames of 11x400 are too small: this network pools 12 pixels into one"),
        (ClipConfig, {"size": 9000}, "size must be from 1 to 8192 pixels, got 9000"),
        (ClipConfig, {"fps": 0}, "fps must be above 0 and at most 10000 frames per second, got 0"),
        (SyntheticConfig, {"shot_seconds": [1]}, "shot_seconds must be 2 numbers above 0 seconds; got [1]"),
        (SyntheticConfig, {"shot_seconds": [1, 2, 3]}, "shot_seconds must be 2 numbers above 0 seconds; got [1, 2, 3]"),
        (EvaluationConfig, {"tiou": [0.0]}, "tiou must each be above 0 and at most 1, got 0.0"),
        (ExportConfig, {"subset": 3}, "subset must be text; got 3"),
        (SquaresConfig, {"kernel": 4}, "kernel must be odd, got 4"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_is_allowed(
    config_class: type[Options], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        config_class.from_dict(fields)
    assert str(caught.value) == message


def test_a_position_is_a_name() -> None:
    with pytest.raises(InputError, match="off_ratio must be above 0 and at most 1, got 3"):
        SegmentConfig(1, 3)
    with pytest.raises(InputError, match="SegmentConfig: expected at most 4 options, got more"):
        SegmentConfig(1, 1, 1, 1, 1)
