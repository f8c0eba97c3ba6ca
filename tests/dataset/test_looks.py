"""Looks of an encoder at videos: held until the next one, of the video that there is, or one line that says why not."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_classifier.config import Augmentation, EncoderConfig
from genre_classifier.dataset.encoding import (
    Encoders,
    LooksBeside,
    encode_folder,
    encode_trailers,
    look_at_videos,
    looks_folder,
)
from genre_classifier.dataset.looks import (
    HeldLooks,
    LooksUnderWay,
    encoder_of_process,
    open_looks,
    read_looks,
    write_looks,
)
from genre_classifier.dataset.sequence import TrailerSequence
from genre_classifier.dataset.trailers import load_trailers
from genre_classifier.network.encoder import build_encoder
from genre_classifier.network.encoder_engine import Engine
from genre_classifier.network.frame_encoder import FrameEncoder, with_change
from preprocessing.base.errors import InputError
from preprocessing.config import ClipConfig
from preprocessing.pipeline import preprocess_directory
from preprocessing.processes.sharing import SetupError
from tests.support.folders import contents
from tests.support.media import flat_frames, write_media
from tests.support.tiny_encoder import CHANNELS, SIZE, write_encoder
from tests.support.trailers import write_clips

times_of = st.lists(st.floats(0, 20, allow_subnormal=False), min_size=1, max_size=12, unique=True).map(sorted)


@given(times_of, times_of, st.data())
def test_each_look_holds_until_the_next_one(look_times, times, data):
    rng = np.random.default_rng(len(times))
    looks = rng.normal(size=(len(look_times), 3, 1, 1)).astype(np.float16)
    held = HeldLooks(looks, np.array(look_times), times)
    features, expected = with_change(looks.reshape(-1, 3)), []
    for time in times:
        before = [number for number, seen in enumerate(look_times) if seen <= time + 1e-6]
        expected.append(features[before[-1] if before else 0])
    assert held.shape == (len(times), 8)
    np.testing.assert_array_equal(held[:], np.stack(expected))
    start, stop = sorted(data.draw(st.tuples(st.integers(0, len(times)), st.integers(0, len(times)))))
    step = data.draw(st.integers(1, 3))
    np.testing.assert_array_equal(held[start:stop:step], held[:][start:stop:step])
    chosen = np.array(data.draw(st.lists(st.integers(0, len(times) - 1), max_size=5)), dtype=int)
    np.testing.assert_array_equal(held[chosen], held[:][chosen])


class Means(FrameEncoder):
    """Frames to the means of their colours."""

    rows = cols = 4
    channels, cells = 3, 1
    asked = 0

    @property
    def _outputs(self):
        def maps(batches):
            for batch in batches:
                self.asked += 1
                yield batch.astype(np.float32).mean(axis=(2, 3), keepdims=True)

        return maps


@given(times_of, times_of, st.data())
def test_looks_under_way_are_those_of_the_whole_video(look_times, times, data):
    rng = np.random.default_rng(len(times))
    pictures, encoder = rng.integers(0, 256, (len(look_times), 3, 4, 4), dtype=np.uint8), Means()
    expected = HeldLooks(encoder.encode(pictures), np.array(look_times), times)[:]
    under_way, found, taken = LooksUnderWay(encoder), [], 0
    for start in range(0, len(times), step := data.draw(st.integers(1, 4))):
        chunk = times[start : start + step]
        ready = sum(time <= chunk[-1] + 1e-6 for time in look_times)
        if start + step >= len(times):
            ready = len(look_times)
        ready = max(ready, taken, min(2, len(look_times)))  # the first look's change is that of the second
        under_way.take(list(zip(look_times[taken:ready], pictures[taken:ready], strict=True)))
        assert under_way.waiting == ready - taken
        assert under_way.can_tell == (len(look_times) > 1)
        under_way.look()
        taken = ready
        found.append(under_way.features(chunk))
    np.testing.assert_array_equal(np.concatenate(found), expected)


def test_looks_under_way_keep_only_the_last_ones():
    encoder = Means()
    under_way = LooksUnderWay(encoder)
    for second in range(100):
        under_way.take([(float(second), np.full((3, 4, 4), second, np.uint8))])
        under_way.look()
        under_way.features([second, second + 0.5])
        assert len(under_way._looks) <= 3
    assert encoder.asked == 100  # each was looked at once
    under_way.reset()
    under_way.take([(0.0, np.zeros((3, 4, 4), np.uint8))])
    assert not under_way.can_tell


def test_batches_hold_looks_beside_frames_and_pad_both(tmp_path):
    labels = write_clips(tmp_path, [4, 9, 6])
    trailers = []
    for trailer in load_trailers(tmp_path, labels):
        looks = np.random.default_rng(trailer.trailer_id).normal(size=(3, 2, 1, 1))
        place = tmp_path / "looks" / trailer.clip.name
        place.parent.mkdir(exist_ok=True)
        write_looks(place, looks.astype(np.float16), np.array([0.0, 0.3, 0.6]), sha256="")
        trailers.append(dataclasses.replace(trailer, looks=place))
    sequence = TrailerSequence(trailers, batch_size=3, shuffle=False)
    inputs, _, weights = sequence[0]
    assert (inputs["frames"].dtype, inputs["pictures"].dtype) == (np.int16, np.float16)
    assert inputs["pictures"].shape == (*inputs["frames"].shape[:2], 6)
    for row, trailer in enumerate(trailers):
        real = len(trailer.times)
        np.testing.assert_array_equal(inputs["frames"][row, :real], np.load(trailer.clip))
        np.testing.assert_array_equal(inputs["pictures"][row, :real], open_looks(trailer.looks, trailer.times)[:])
        assert (inputs["frames"][row, real:] == -1).all()
        assert not inputs["pictures"][row, real:].any()
        assert not weights[0][row, real:].any()
    # Crops keep the two side by side, and the ends that several processes pad too.
    crops = TrailerSequence(
        trailers, batch_size=2, augmentation=Augmentation(crop_frames=3, crops_per_epoch=1), share=(1, 2)
    )
    assert len(crops) == 2
    for index in range(2):
        inputs, _, weights = crops[index]
        assert inputs["frames"].shape[:2] == inputs["pictures"].shape[:2] == (1, 3)
    assert not inputs["pictures"].any()  # of three trailers, the second process has none in the second batch
    assert not np.stack(weights).any()


@pytest.mark.parametrize(("most", "expected"), [(None, 3), (2, 2), (1, 1), (9, 3)])
def test_an_epoch_has_so_many_crops_of_a_trailer_at_most(tmp_path, most, expected):
    trailers = load_trailers(tmp_path, write_clips(tmp_path, [9, 10]))
    sequence = TrailerSequence(trailers, augmentation=Augmentation(crop_frames=3, crops_per_epoch=most))
    assert len(sequence) == 2 * expected


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = write_encoder(tmp_path_factory.mktemp("encoder") / "tiny.keras")
    return build_encoder(EncoderConfig(encoder=str(path), encoder_cells=1, encoder_engine="keras"))


@pytest.fixture
def clips(tmp_path):
    """Return a clips folder of three videos of 25 frames per second, one of them of a single frame."""
    (tmp_path / "videos").mkdir()
    for number, frames in enumerate((30, 1, 45)):
        write_media(tmp_path / "videos" / f"{number}.mkv", flat_frames(frames, seed=number))
    config = ClipConfig(frames=1000, size=16, fps=10)
    preprocess_directory(tmp_path / "videos", tmp_path / "clips", config=config, jobs=1)
    return tmp_path / "clips"


def look(clips, encoder, **options):
    done = []
    places = look_at_videos(
        [f"{n}.mkv" for n in range(3)], clips, encoder, 2, **{"jobs": 1, **options, "on_looks": done.append}
    )
    return places, done


@pytest.mark.slow
def test_videos_are_looked_at_once_at_the_encoders_own_size(clips, encoder):
    assert (encoder.rows, encoder.cols) == (SIZE, SIZE)
    places, done = look(clips, encoder)
    assert sorted(done) == [1, 3, 4]  # at 0, 0.5, 1 and 1.5 seconds
    assert places["0.mkv"].parent == looks_folder(clips, encoder, 2) == clips / "encoded" / f"{encoder.digest[:16]}_2"
    looks, times = read_looks(clips.parent / "videos" / "2.mkv", encoder, 2)
    np.testing.assert_array_equal(np.load(places["2.mkv"]), looks)
    np.testing.assert_allclose(times, [0, 0.5, 1, 1.5], atol=0.03)
    assert (looks.dtype, looks.shape) == (np.float16, (4, CHANNELS, 1, 1))
    pixels = np.broadcast_to(flat_frames(45, seed=2)[25, 0, 0, :, None, None], (3, SIZE, SIZE))
    np.testing.assert_allclose(looks[2], encoder.encode(pixels[None].astype(np.uint8))[0], atol=0.02)
    before = {place: place.read_bytes() for place in places.values()}
    shutil.rmtree(clips.parent / "videos")  # nobody asks for them any more
    assert look(clips, encoder)[1] == []
    assert {place: place.read_bytes() for place in places.values()} == before


@pytest.fixture
def beside(clips, encoder, monkeypatch):
    """Return the same videos' clips in another folder, and what looks at the videos meanwhile, two frames at a time."""
    monkeypatch.setattr("genre_classifier.dataset.encoding.CHUNK", 2)
    other = clips.parent / "other"
    looks = LooksBeside(other, encoder, 2)

    def preprocess():
        config = ClipConfig(frames=1000, size=16, fps=10)
        preprocess_directory(clips.parent / "videos", other, config=config, jobs=2, beside=looks)
        return other

    return preprocess


@pytest.mark.slow
def test_looks_at_videos_while_they_are_decoded_for_their_clips_are_the_same(clips, encoder, beside):
    look(clips, encoder)
    other = beside()
    assert look(other, encoder)[1] == []  # nothing was left to do
    found, expected = contents(other), contents(clips)
    name = (looks_folder(clips, encoder, 2) / "encoder.keras").relative_to(clips).as_posix()
    assert found.pop(name)
    assert expected.pop(name)  # it names the moment at which it was written
    assert found == expected


@pytest.mark.slow
def test_a_video_whose_looks_fail_keeps_its_clip_and_is_looked_at_later(encoder, beside, monkeypatch):
    usual = encoder.encode
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "encode", lambda frames: usual(frames) if len(frames) > 1 else fail())
        other = beside()
    assert len(list(other.glob("trailer_*.npy"))) == 3
    assert sorted(path.name for path in looks_folder(other, encoder, 2).glob("trailer_*.npy")) == ["trailer_2.npy"]
    assert sorted(look(other, encoder)[1]) == [1, 3]


def fail():
    raise InputError("expected maps of finite numbers from the encoder, found others; use another encoder")


@pytest.mark.slow
def test_a_trailer_of_one_look_has_no_change(clips, encoder):
    places, _ = look(clips, encoder)
    held = open_looks(places["1.mkv"], np.array([0.0]))
    assert held.shape == (1, 2 * CHANNELS + 2)
    np.testing.assert_array_equal(held[:][0, -2:], [1, 0])
    assert not held[:][0, CHANNELS:-2].any()


@pytest.mark.slow
def test_what_is_damaged_or_missing_is_looked_at_again(clips, encoder):
    places, _ = look(clips, encoder)
    before = places["0.mkv"].read_bytes()
    for damage in (
        lambda path: path.unlink(),
        lambda path: path.write_bytes(before[:-9]),
        lambda path: path.with_suffix(".json").write_text("{}"),
        lambda path: path.with_name("times_0.npy").unlink(),
        lambda path: np.save(path, np.zeros((3, CHANNELS, 1, 1), np.float32)),
    ):
        damage(places["0.mkv"])
        assert look(clips, encoder)[1] == [3]
        assert places["0.mkv"].read_bytes() == before


@pytest.mark.slow
def test_another_video_than_that_of_the_clip_is_refused(clips, encoder):
    video = clips.parent / "videos" / "0.mkv"
    write_media(video, flat_frames(30, seed=9))
    with pytest.raises(InputError, match="expected the video that its clip was made from, found another one"):
        look(clips, encoder)
    preprocess_directory(clips.parent / "videos", clips, config=ClipConfig(frames=1000, size=16, fps=10), jobs=1)
    assert sorted(look(clips, encoder)[1])[-1] >= 3


@pytest.mark.slow
def test_a_video_that_is_replaced_while_it_is_looked_at_is_not_taken_for_the_old_one(clips, encoder, monkeypatch):
    video = clips.parent / "videos" / "0.mkv"
    before = video.read_bytes()

    def meanwhile(path, *arguments, **options):
        if path.name == video.name:
            write_media(video, flat_frames(30, seed=9))
        return read_looks(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("genre_classifier.dataset.looks.read_looks", meanwhile)
        with pytest.raises(InputError, match=r"0\.mkv: it changed while it was looked at"):
            look(clips, encoder)
    video.write_bytes(before)
    assert 3 in look(clips, encoder)[1]


@pytest.mark.slow
def test_videos_that_are_gone_are_named_and_those_that_moved_along_are_found(clips, encoder, tmp_path):
    video = clips.parent / "videos" / "2.mkv"
    video.rename(tmp_path / "away.mkv")
    with pytest.raises(
        InputError, match=r"videos: expected the video '2.mkv', of which .*clips has a clip, found none"
    ):
        look(clips, encoder)
    (tmp_path / "away.mkv").rename(video)
    (clips.parent / "videos").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="put it back, or run `preprocess` on the folder where the videos are now"):
        look(clips, encoder)
    (tmp_path / "elsewhere").rename(clips.parent / "videos")
    (tmp_path / "both").mkdir()
    for name in ("clips", "videos"):
        shutil.move(tmp_path / name, tmp_path / "both" / name)
    assert sorted(look(tmp_path / "both" / "clips", encoder)[1]) == [1, 3, 4]


def encode_what_can_be(clips, encoder):
    failed, started = {}, []
    options = {"on_failed": failed.__setitem__, "on_start": started.append}
    (count,) = encode_folder(clips, EncoderConfig(), encoders=Encoders(encoder, 2, None), jobs=1, **options).values()
    return count, failed, started[0]


def take_away(videos):
    (videos / "0.mkv").unlink()


def lead_nowhere(videos):
    (videos / "0.mkv").unlink()
    (videos / "0.mkv").symlink_to("nothing")


def replace(videos):
    write_media(videos / "0.mkv", flat_frames(30, seed=9))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (take_away, "expected the video '0.mkv', of which"),
        (lead_nowhere, r"0\.mkv: "),
        (replace, r"0\.mkv: expected the video that its clip was made from, found another one"),
    ],
)
def test_a_video_that_cannot_be_looked_at_stops_no_other(clips, encoder, harm, expected):
    harm(clips.parent / "videos")
    count, failed, _ = encode_what_can_be(clips, encoder)
    assert (count, list(failed)) == (2, ["0.mkv"])
    assert re.search(expected, str(failed["0.mkv"]))
    folder = looks_folder(clips, encoder, 2)
    assert sorted(path.name for path in folder.glob("trailer_*.npy")) == ["trailer_1.npy", "trailer_2.npy"]
    # Again there is nothing to do, also where no video is left.
    assert encode_what_can_be(clips, encoder)[0] == 2
    shutil.rmtree(clips.parent / "videos")
    count, failed, looks = encode_what_can_be(clips, encoder)
    assert (count, list(failed), looks) == (2, ["0.mkv"], 0)


@pytest.mark.slow
def test_where_no_video_can_be_looked_at_it_is_one_error(clips, encoder):
    (clips.parent / "videos").rename(clips.parent / "elsewhere")
    with pytest.raises(InputError, match="put it back, or run `preprocess` on the folder where the videos are now"):
        encode_what_can_be(clips, encoder)


@pytest.mark.slow
def test_a_video_with_another_name_is_found_by_its_digest(clips, encoder):
    videos = clips.parent / "videos"
    (videos / "2.mkv").rename(videos / "renamed.mkv")
    preprocess_directory(videos, clips, config=ClipConfig(frames=1000, size=16, fps=10), jobs=1)
    places, done = look(clips, encoder)
    assert sorted(done) == [1, 3, 4]
    looks, _ = read_looks(videos / "renamed.mkv", encoder, 2)
    np.testing.assert_array_equal(np.load(places["2.mkv"]), looks)


@pytest.mark.slow
def test_messages_call_the_folder_of_the_videos_by_its_short_name(clips, encoder, monkeypatch):
    monkeypatch.chdir(clips.parent)
    (clips.parent / "videos" / "2.mkv").unlink()
    with pytest.raises(InputError, match=r"^videos: expected the video '2\.mkv', of which clips has a clip"):
        look(Path("clips"), encoder)


@pytest.mark.slow
def test_clips_behind_a_link_find_their_videos(tmp_path, encoder):
    (tmp_path / "videos").mkdir()
    write_media(tmp_path / "videos" / "0.mkv", flat_frames(10))
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "clips").symlink_to(tmp_path / "disk" / "deep")
    preprocess_directory(tmp_path / "videos", tmp_path / "clips", config=ClipConfig(frames=9, size=16), jobs=1)
    found = look_at_videos(["0.mkv"], tmp_path / "clips", encoder, 2, jobs=1)
    assert found["0.mkv"].is_file()


@pytest.mark.slow
def test_clips_that_do_not_say_where_their_videos_are_are_refused(clips, encoder):
    config = json.loads((clips / "preprocessing.json").read_text())
    del config["trailers"]
    (clips / "preprocessing.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="expected a folder that says where its videos are, found none; run `preproc"):
        look(clips, encoder)


@pytest.mark.slow
def test_a_child_process_takes_what_its_parent_has_converted(encoder):
    pytest.importorskip("openvino")
    engine = Engine("openvino", "float32")
    frames = np.random.default_rng(0).integers(0, 256, (3, 3, SIZE, SIZE), dtype=np.uint8)
    expected = encoder.on(engine).encode(frames)
    found = encoder_of_process({"encoder": "is not read", "digest": encoder.digest, "engine": list(engine)})
    np.testing.assert_array_equal(found.encode(frames), expected)
    with pytest.raises(SetupError, match="is not read"):
        encoder_of_process({"encoder": "is not read", "digest": "of another", "engine": list(engine)})


@pytest.mark.slow
def test_hand_made_clips_have_no_video_to_look_at(tmp_path, encoder):
    labels = write_clips(tmp_path, [4, 5])
    trailers = load_trailers(tmp_path, labels)
    with pytest.raises(InputError, match="expected a folder that says where its videos are"):
        encode_trailers(trailers, tmp_path, encoder, looks_per_second=2, jobs=1)
