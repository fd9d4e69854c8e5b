"""Base64 of bodies: whatever the standard library says of a text, ours says."""

import base64
import random

import pytest

from vision_runtime.body import from_base64

CHARACTERS = "ABCDwxyz0189+/=\n -_é\x00"


def judged(text: str) -> bytes | type[Exception]:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        return type(error)


def texts(count: int) -> list[str]:
    """Half of them any characters, half base64 with some of them changed."""
    chance = random.Random(3)  # noqa: S311  # no secret
    found: list[str] = []
    for _ in range(count):
        found.append("".join(chance.choices(CHARACTERS, k=chance.randrange(14))))
        letters = list(base64.b64encode(chance.randbytes(chance.randrange(80))).decode())
        for _ in range(chance.randrange(3)):
            if letters:
                letters[chance.randrange(len(letters))] = chance.choice(CHARACTERS)
        found.append("".join(letters) + "=" * chance.choice((0, 0, 1, 2)))
    return found


def test_every_text_is_read_or_refused_as_the_standard_library_does() -> None:
    seen = {"read": 0, "refused": 0}
    for text in texts(10_000):
        expected = judged(text)
        if isinstance(expected, bytes):
            assert from_base64(text) == expected, text
            seen["read"] += 1
        else:
            with pytest.raises(expected):
                from_base64(text)
            seen["refused"] += 1
    assert min(seen.values()) > 1000
