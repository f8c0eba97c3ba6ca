"""First step of an evaluation: raw scores of a run, and of baselines fitted on its training trailers, to a folder."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from genre_classifier.config import EvaluationConfig
from genre_classifier.dataset.cuts import find_cuts
from genre_classifier.dataset.encoded import FOLDER
from genre_classifier.dataset.encoding import encode_trailers
from genre_classifier.dataset.heard import require_sound
from genre_classifier.dataset.sense_features import COLOURS, Features, sense_features, senses_of
from genre_classifier.dataset.splits import SPLIT_NAMES, read_splits, splits_of_trailers
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.evaluation import baselines
from genre_classifier.evaluation.clip_scores import score_clips
from genre_classifier.evaluation.score_folder import (
    ScoredTrailer,
    ScoreFolder,
    ScoringUnderWay,
    read_encoded,
    read_fingerprint,
    read_score_folder,
    write_score_index,
)
from genre_classifier.network.senses import MOVEMENT, PICTURES, SOUND
from genre_classifier.run_folder.layout import MODEL, SPLITS
from genre_classifier.run_folder.run import Run
from genre_classifier.tagging.scores import scores_table, write_scores
from preprocessing.base.errors import InputError
from preprocessing.base.files import file_facts
from preprocessing.clips import load_clip, read_clip_config, sound_path
from preprocessing.processes.pool import check_options

logger = logging.getLogger(__name__)

EVERY_SPLIT = "all"


def split_of_trailers(run: Run, trailers: Sequence[Trailer]) -> dict[int, str | None]:
    """Return the split of each trailer in the run, found by source, or by id where the run recorded no source.

    None for a trailer that the run never saw.
    """
    table = splits_of_trailers(trailers, read_splits(run.path / SPLITS))
    found = dict(zip(table["trailer_id"], table["split"], strict=True))
    return {trailer.trailer_id: found.get(trailer.trailer_id) for trailer in trailers}


def score_run(
    run: Run,
    clips: Path,
    trailers: Sequence[Trailer],
    out: Path,
    *,
    split: str = "test",
    only: Sequence[Trailer] | None = None,
    again: bool = False,
    config: EvaluationConfig | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: Callable[[int], None] | None = None,
    on_frames: Callable[[int], None] | None = None,
) -> ScoreFolder:
    """Score trailers with a run and with baselines, and keep the scores in a folder.

    Parameters
    ----------
    run : Run
    clips : Path
        Clips folder.
    trailers : sequence of Trailer
        Of these clips, labelled with the run's genres, which the baselines learn from.
    out : Path
        Scores folder. What lies there is used as it is when model, clips and split are the same; a scoring of these
        that was interrupted goes on with the next trailer.
    split : str
        train, validation, test, or all: every labelled clip, the run's own training trailers included.
    only : sequence of Trailer, optional
        What to score instead of a split, to compare two runs on the same trailers.
    again : bool
        Score even if the folder is up to date.
    config : EvaluationConfig, optional
        For the seed of the baselines.
    jobs : int, optional
        Clips at once, each in a process of its own; by default as many as there are cores. Fewer where clips or memory
        are fewer.
    scheduler : str, optional
        Address of a Dask scheduler, `tcp://host:port`; its workers must see run, clips and scores folder under the same
        names.
    on_start, on_frames : callable, optional
        Told the number of frames to encode, to score, and to read for baselines; frames done.

    Raises
    ------
    InputError
        If no trailer belongs to the split, or the clips do not fit the run, or were made without the sound that it
        hears.
    """
    check_options(jobs=jobs, scheduler=scheduler)
    config = config or EvaluationConfig()
    splits = split_of_trailers(run, [*trailers, *(only or ())])
    wanted = _wanted(run, clips, trailers, splits, split) if only is None else list(only)
    _check_size(run, wanted)
    _note_other_preprocessing(run, clips)
    training = [trailer for trailer in trailers if splits[trailer.trailer_id] == "train"]
    has = run.model_config
    if has.sound_encoder is not None:
        require_sound(clips, list(dict.fromkeys(trailer.trailer_id for trailer in (*wanted, *training))))
    facts = {trailer.clip: file_facts(trailer.clip) for trailer in (*wanted, *training)}
    durations = {trailer.source: trailer.duration for trailer in wanted}
    split_of_source = {trailer.source: splits[trailer.trailer_id] for trailer in wanted}
    run_name, clips_name = run.path.resolve().name, os.fspath(Path(clips).resolve())
    of_split = split if only is None else EVERY_SPLIT
    before = read_encoded(out)
    kept = None if again else _whole(out, _fingerprint(run, wanted, training, facts, config.seed, before), run.genres)
    senses = [MOVEMENT, *[PICTURES] * (has.encoder is not None), *[SOUND] * (has.sound_encoder is not None)]
    names = baselines.possible(senses) if training else []
    if kept and set(kept.baselines) == set(names):
        kept = dataclasses.replace(
            kept,
            run=run_name,
            split=of_split,
            clips=clips_name,
            thresholds=run.thresholds,
            temperatures=run.temperatures,
            exclusive=run.exclusive,
            trailers=tuple(
                dataclasses.replace(trailer, duration=durations[trailer.source], split=split_of_source[trailer.source])
                for trailer in kept.trailers
            ),
        )
        write_score_index(out, kept)
        return kept
    encoded = encode_trailers(
        [*wanted, *training],
        clips,
        run.encoder,
        looks_per_second=run.model_config.encoder_fps,
        sound_encoder=run.sound_encoder,
        jobs=jobs,
        scheduler=scheduler,
        on_start=on_start,
        on_frames=on_frames,
    )
    wanted, training = encoded[: len(wanted)], encoded[len(wanted) :]
    used = tuple(
        dict.fromkeys(path.parent.name for one in encoded for path in (one.encoded, one.looks, one.heard) if path)
    )
    fingerprint = _fingerprint(run, wanted, training, facts, config.seed, used)
    under_way = ScoringUnderWay(out, fingerprint, run.genres, again=again)
    missing = [trailer for trailer in wanted if under_way.find(trailer.trailer_id) is None]
    if on_start:
        on_start(sum(len(trailer.times) for trailer in missing))
    if there := len(wanted) - len(missing):
        logger.info(f"{there} of {len(wanted)} trailers were scored before and are not scored again")
    places = [under_way.place(trailer.trailer_id) for trailer in missing]
    for trailer, frames in zip(missing, score_clips(run, missing, places, jobs=jobs, scheduler=scheduler), strict=True):
        under_way.require_unchanged({trailer.clip: facts[trailer.clip]})
        if on_frames:
            on_frames(frames)
    scores = {trailer.source: under_way.read(trailer.trailer_id) for trailer in wanted}
    folder = ScoreFolder(
        run=run_name,
        split=of_split,
        clips=clips_name,
        fingerprint=fingerprint,
        encoded=used,
        thresholds=run.thresholds,
        temperatures=run.temperatures,
        exclusive=run.exclusive,
        training_prevalence=_prevalence(training, run.genres),
        trailers=tuple(_describe(trailer, splits[trailer.trailer_id]) for trailer in wanted),
        scores=scores,
        baselines=_baseline_scores(
            names, training, wanted, run, config.seed, under_way, on_start=on_start, on_frames=on_frames
        ),
    )
    under_way.require_unchanged(facts)
    under_way.finish(folder)
    return folder


def _whole(out: Path, fingerprint: str, genres: Sequence[str]) -> ScoreFolder | None:
    """Return the scores folder at `out` if it is of this fingerprint and these genres, and undamaged."""
    if read_fingerprint(out) != fingerprint:
        return None
    try:
        folder = read_score_folder(out)
    except InputError:
        return None
    return folder if folder.genres == tuple(genres) else None


def _wanted(
    run: Run,
    clips: Path,
    trailers: Sequence[Trailer],
    splits: dict[int, str | None],
    split: str,
) -> list[Trailer]:
    if split == EVERY_SPLIT:
        found = list(trailers)
    else:
        found = [trailer for trailer in trailers if splits[trailer.trailer_id] == split]
    if found:
        return found
    counts = {name: sum(1 for of in splits.values() if of == name) for name in SPLIT_NAMES}
    unseen = sum(1 for of in splits.values() if of is None)
    counted = ", ".join(f"{name} {number}" for name, number in counts.items())
    raise InputError(
        f"{run.path / SPLITS}: no labelled clip of {clips} is in the split {split!r} (labelled clips: {counted}, never "
        f"seen by the run {unseen}); choose another --split, such as {EVERY_SPLIT}"
    )


def _check_size(run: Run, trailers: Sequence[Trailer]) -> None:
    expected = (run.model_config.rows, run.model_config.cols)
    for trailer in trailers:
        if (trailer.rows, trailer.cols) != expected:
            raise InputError(
                f"{trailer.clip}: expected frames of {expected[0]}x{expected[1]} pixels, as the run {run.path} was "
                f"trained on, found {trailer.rows}x{trailer.cols}; preprocess with --size {expected[0]}"
            )


def _note_other_preprocessing(run: Run, clips: Path) -> None:
    """Say where the clips were made otherwise than those that the run learned from."""
    recorded, own = read_clip_config(clips), run.clip_config.of_pictures()
    found = {} if recorded is None else recorded.of_pictures()
    differ = [f"{name} {value}, not {own[name]}" for name, value in found.items() if value != own[name]]
    if differ:
        logger.warning(f"{clips}: made otherwise than the clips of the run {run.path}: {'; '.join(differ)}")


def _fingerprint(
    run: Run,
    wanted: Sequence[Trailer],
    training: Sequence[Trailer],
    facts: dict[Path, dict[str, int]],
    seed: int,
    encoded: Sequence[str],
) -> str:
    """Return a digest of all that scores depend on: `encoded` names the folders of what encoders made of the clips."""
    digest = hashlib.sha256((run.path / MODEL).read_bytes())
    for group in (wanted, training):
        for trailer in group:
            clips = trailer.clip.parent
            beside = [clips / FOLDER / name / trailer.clip.name for name in encoded]
            if run.model_config.sound_encoder is not None:
                beside.append(sound_path(clips, trailer.trailer_id))
            made = [file_facts(path) if path.is_file() else {} for path in beside]
            known = "|".join(str(value) for found in (facts[trailer.clip], *made) for value in found.values())
            digest.update(f"{trailer.trailer_id}|{trailer.source}|{known}\n".encode())
        digest.update(b"--")
    for trailer in training:  # the baselines learn from the labels
        digest.update(repr(trailer.group).encode())
        digest.update(np.packbits(trailer.targets > 0).tobytes() + np.packbits(trailer.labelled).tobytes())
    digest.update(str(seed).encode())
    return digest.hexdigest()


def _prevalence(training: Sequence[Trailer], genres: Sequence[str]) -> dict[str, float] | None:
    """Return the share of each genre over all labelled training frames."""
    if not training:
        return None
    shares = np.concatenate([trailer.targets[trailer.labelled] > 0.5 for trailer in training]).mean(axis=0)
    return {genre: float(share) for genre, share in zip(genres, shares.astype(np.float32), strict=True)}


def _baseline_scores(
    names: Sequence[str],
    training: Sequence[Trailer],
    wanted: Sequence[Trailer],
    run: Run,
    seed: int,
    under_way: ScoringUnderWay,
    *,
    on_start: Callable[[int], None] | None,
    on_frames: Callable[[int], None] | None,
) -> dict[str, dict[str, pd.DataFrame]]:
    """Score with baselines, each of which is fitted only if a trailer's scores are missing.

    What takes time is the pixels, which are read once for colours and once for movement.
    """
    grey = run.model_config.grey_channels
    reads_pixels = {COLOURS, MOVEMENT} & {sense for name in names for sense in baselines.RECIPES[name].senses}
    if on_start and reads_pixels:
        on_start(len(reads_pixels) * sum(len(trailer.times) for trailer in (*training, *wanted)))

    def found_in(sense: str, trailer: Trailer) -> Features:
        features = sense_features(sense, trailer, grey_channels=grey)
        if on_frames and sense in reads_pixels:
            on_frames(len(trailer.times))
        return features

    movement_of = functools.cache(functools.partial(found_in, MOVEMENT))  # few numbers, of many pixels

    def features_of(name: str, trailer: Trailer) -> dict[str, Features]:
        return {
            sense: movement_of(trailer) if sense == MOVEMENT else found_in(sense, trailer)
            for sense in baselines.RECIPES[name].senses
            if sense in (COLOURS, *senses_of(trailer))
        }

    found: dict[str, dict[str, pd.DataFrame]] = {}
    for name in names:
        fitted, found[name] = None, {}
        for trailer in wanted:
            table = under_way.find(trailer.trailer_id, baseline=name)
            if table is None:
                if fitted is None:
                    fitted = baselines.fit(
                        name,
                        [features_of(name, one) for one in training],
                        [one.times for one in training],
                        [one.targets for one in training],
                        labelled=[one.labelled for one in training],
                        groups=[one.group for one in training],
                        seed=seed,
                    )
                table = scores_table(trailer.times, fitted.score(features_of(name, trailer), trailer.times), run.genres)
                write_scores(under_way.place(trailer.trailer_id, baseline=name), table)
            found[name][trailer.source] = table
    return found


def _describe(trailer: Trailer, split: str | None) -> ScoredTrailer:
    width, height = trailer.video_size or (trailer.cols, trailer.rows)
    cuts = find_cuts(load_clip(trailer.clip), trailer.times)
    return ScoredTrailer(
        trailer_id=trailer.trailer_id,
        source=trailer.source,
        split=split,
        cuts=tuple(float(cut) for cut in cuts),
        width=width,
        height=height,
        duration=trailer.duration,
    )
