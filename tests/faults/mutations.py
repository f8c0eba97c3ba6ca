"""Damage to files, drawn at random from a seed: bits, cuts, moved pieces, pieces of other files, misleading words."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import numpy as np

_WORDS = (
    b"NaN",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"0",
    b"null",
    b"true",
    b"[[[[",
    b"{}",
    b'""',
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\t",
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"<",
    b"&x;",
    b"../",
    b"=1+1",
    b"9" * 5000,
    b"0x10",
    b"1_000",
    "\u202e".encode(),
    b"inf",
    b"[]",
    b"1.5",
    b"-0.0",
    b"'",
)


def mutate(data: bytes, rng: np.random.Generator, others: Sequence[bytes] = (), *, words: bool = False) -> bytes:
    """Return a file with one to four damages; `others` lend pieces, `words` are put in where files are text."""
    for _ in range(int(rng.integers(1, 5))):
        start, end = sorted(int(place) for place in rng.integers(0, len(data) + 1, 2))
        near = start + int(rng.integers(0, 64))
        kind = rng.integers(0, 9 if words else 7)
        if kind == 0 and data:  # a bit
            place = int(rng.integers(len(data)))
            data = data[:place] + bytes([data[place] ^ 1 << int(rng.integers(8))]) + data[place + 1 :]
        elif kind == 1:  # some bits of the head, where the format is
            head = bytearray(data)
            for place in rng.integers(0, max(1, min(len(head), 600)), int(rng.integers(1, 6))):
                if head:
                    head[place] = int(rng.integers(256))
            data = bytes(head)
        elif kind == 2:
            data = data[:end]
        elif kind == 3:  # a piece is missing
            data = data[:start] + data[near:]
        elif kind == 4:  # a piece is there twice
            data = data[:near] + data[start:]
        elif kind == 5:  # noise
            noise = rng.bytes(max(0, min(near, len(data)) - start))
            data = data[:start] + noise + data[start + len(noise) :]
        elif kind == 6 and others:  # the head of another file
            other, size = others[int(rng.integers(len(others)))], int(rng.integers(1, 2000))
            data = other[:size] + data[size:]
        elif kind > 6:
            word = _WORDS[int(rng.integers(len(_WORDS)))]
            data = data[:start] + word + data[start if kind == 7 else start + len(word) :]
    return data


def mutate_member(data: bytes, rng: np.random.Generator) -> bytes:
    """Return an archive that is whole, but for what one of its members holds."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[int(rng.integers(len(members)))]
    members[name] = mutate(members[name], rng, words=name.endswith(".json"))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return packed.getvalue()
