"""The linear paths of a network: logistic regression on the trailers that are learned from (scikit-learn).

The score of a weakly labelled trailer is the mean of its frames' logits (`weak = mean`), and the mean of a linear
function is that function of the mean: regression on means over time is the linear path, for frames and trailers alike.
A trailer labelled in intervals gives one mean for each set of genres that it shows.

Each sense is regressed by itself, and the logits are added, each without the share of the genre, which counts once: on
fights, moods and film trailers alike that was better than one regression on all of them. Trailers of one group, such as
those of a collection, are alike in more than their genres: while the regression is fitted, each group has a bias of its
own.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import keras
import numpy as np

from genre_classifier.dataset.sense_features import sense_features, set_means
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.metrics.regression import fit_components, fit_regression, prior_logits
from genre_classifier.network.model import GenreModel

logger = logging.getLogger(__name__)


def start_from_regression(model: GenreModel, trailers: Sequence[Trailer]) -> None:
    """Fit the linear paths of a model, and set them.

    Parameters
    ----------
    model : GenreModel
        With `linear_paths`.
    trailers : sequence of Trailer
        To learn from, with what its encoders see.
    """
    assert model.senses is not None
    exclusive = model.config.one_genre_per_frame
    sets = [np.unique(trailer.targets[trailer.labelled] > 0, axis=0) for trailer in trailers]
    y_true = np.concatenate(sets)
    sizes = Counter(trailer.group for trailer in trailers)
    shared = [trailer.group if sizes[trailer.group] > 1 else "" for trailer in trailers]
    groups = np.repeat(shared, [len(own) for own in sets])  # of each sample
    prior = prior_logits(y_true, exclusive=exclusive)
    model.senses.total.prior.assign(prior)
    for sense, path in model.senses.paths.items():
        parts = []
        for trailer, labels in zip(trailers, sets, strict=True):
            same = [((trailer.targets > 0) == one).all(axis=1) & trailer.labelled for one in labels]
            parts.append(set_means(sense_features(sense, trailer), same, kinds=len(path.widths)))
        means = np.concatenate(parts)  # (samples, features)
        known = means[:, sum(path.widths)] > 0
        if not known.any():
            logger.warning(f"no training trailer has {sense}: nothing is learned from it")
            continue
        places = np.cumsum([0, *path.widths])
        for number, (kernel, shift) in enumerate(zip(path.kernels, path.shifts, strict=True)):
            samples = means[means[:, places[-1] + number] > 0, places[number] : places[number + 1]]
            if not len(samples):
                continue  # such a kind of features stays as it is, and says nothing
            for weight, value in zip((kernel, shift), fit_components(samples, kernel.shape[1]), strict=True):
                weight.assign(value)
        x = np.asarray(path.reduce(keras.ops.convert_to_tensor(means[known].astype(np.float32))))
        kernel, bias = fit_regression(x, y_true[known], exclusive=exclusive, groups=groups[known])
        path.linear_kernel.assign(kernel)
        path.linear_bias.assign(bias - prior)
