"""Acquisition: entropy and margin by hand, distances against brute force, and an order without twins side by side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_classifier.evaluation.suggestions.acquisition import (
    frame_entropy,
    frame_margin,
    nearest_distances,
    standardise,
    suggestion_order,
)


def test_entropy_and_margin_of_known_scores():
    scores = np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.5], [0.25, 0.75, 1.0], [0.9, 0.2, 0.1]], dtype=np.float32)
    quarter = 0.8112781244591328  # bits of a coin that falls on one side three times of four
    assert frame_entropy(scores)[:3] == pytest.approx([0, 1, 2 * quarter / 3], abs=1e-7)
    assert frame_margin(scores) == pytest.approx([1, 0, 0.25, 0.7], abs=1e-7)
    assert frame_margin(scores[:, :1]) == pytest.approx([1, 0, 0.5, 0.8], abs=1e-6)  # against "not this genre"


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 5))
def test_entropy_and_margin_are_shares_and_know_no_order_of_genres(seed, frames, genres):
    scores = np.random.default_rng(seed).random((frames, genres))
    for measure in (frame_entropy, frame_margin):
        found = measure(scores)
        assert found.shape == (frames,)
        assert ((found >= 0) & (found <= 1 + 1e-12)).all()
        np.testing.assert_allclose(found, measure(scores[:, ::-1]), atol=1e-12)
    np.testing.assert_allclose(frame_entropy(scores), frame_entropy(1 - scores), atol=1e-9)


def test_every_kind_of_feature_counts_alike_whatever_its_unit_and_number():
    rng = np.random.default_rng(0)
    many, few = rng.normal(size=(500, 40)), 1000 * rng.normal(size=(500, 3)) + 7
    scaled = standardise([many, few])
    gaps = np.square(scaled[:-1] - scaled[1:])
    assert gaps[:, :40].sum(axis=1).mean() == pytest.approx(gaps[:, 40:].sum(axis=1).mean(), rel=0.15)
    assert np.sqrt(gaps.sum(axis=1).mean()) == pytest.approx(np.sqrt(2), rel=0.1)  # two draws, in deviations
    assert (standardise([np.full((4, 2), 0.1, dtype=np.float32)]) == 0).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(0, 5), st.integers(1, 8))
def test_the_order_is_that_of_its_definition(seed, candidates, labelled, count):
    rng = np.random.default_rng(seed)
    entropy, margin = rng.random(candidates), rng.random(candidates)
    points, known = rng.normal(size=(candidates, 3)), rng.normal(size=(labelled, 3))
    order = suggestion_order(entropy, margin, points, known, count=count)
    assert len(order.chosen) == min(count, candidates)
    assert len(set(order.chosen.tolist())) == len(order.chosen)
    left = list(range(candidates))
    for step, pick in enumerate(order.chosen):
        centres = [*known, *points[order.chosen[:step]]]
        distances = [min((np.linalg.norm(points[row] - one) for one in centres), default=0.0) for row in left]
        ranks = [np.argsort(np.argsort(values)) for values in (entropy[left], -margin[left], distances)]
        if centres:
            assert order.distance[step] == pytest.approx(distances[left.index(pick)])
            of = order.nearest[step]
            centre = known[of] if of < labelled else points[of - labelled]
            assert np.linalg.norm(points[pick] - centre) == pytest.approx(order.distance[step])
        else:
            ranks[2] = np.zeros(len(left))
            assert np.isnan(order.distance[step])
            assert order.nearest[step] == -1
        value = (ranks[0] + ranks[1]) / 2 + ranks[2]
        assert value[left.index(pick)] == value.max()
        left.remove(pick)


def test_a_twin_of_the_first_suggestion_does_not_follow_it():
    # Two twins, by far the least sure; the others are a little sure, and each another one.
    points = np.array([[5.0, 5.0], [5.0, 5.0], [-5.0, 5.0], [5.0, -5.0], [-5.0, -5.0], [0.0, 0.1]])
    entropy = np.array([0.9, 0.89, 0.5, 0.45, 0.4, 0.1])
    order = suggestion_order(entropy, 1 - entropy, points, np.zeros((1, 2)))
    assert order.chosen[0] == 0
    assert order.chosen[1] == 2
    twin = order.chosen.tolist().index(1)
    assert twin >= 3
    assert order.distance[twin] == 0
    assert order.nearest[twin] == 1 + 0


def test_distances_without_a_centre():
    distance, nearest = nearest_distances(np.zeros((3, 2)), np.zeros((0, 2)))
    assert np.isinf(distance).all()
    assert (nearest == -1).all()
