"""JSON that anybody wrote: what is wrong with it, said in half a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from decoding.records.errors import DecodingError, TraceError
from decoding.records.json_text import file_content, parsed
from decoding.records.strict_json import RecordError


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[1,", "it is no JSON: Expecting value in line 1, column 4"),
        (b"[" * 1_000_000, "it is no JSON, or is nested too deep"),
        (b"[\xff]", "its byte 1 is not UTF-8"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "the field 'b' stands twice in one object"),
        (b"[NaN]", "NaN is no number of JSON"),
        (b"[-Infinity]", "-Infinity is no number of JSON"),
        (b"[" + b"9" * 5_000 + b"]", "it holds a number too large"),
    ],
    ids=range(7),
)
def test_half_a_sentence_on_what_is_wrong(content: bytes, told: str) -> None:
    with pytest.raises(RecordError) as caught:
        parsed(content)
    assert str(caught.value) == told


def test_what_is_right_is_read() -> None:
    assert parsed(b'\xef\xbb\xbf{"a": [1, 2.5, "\xed\xa0\x80", null]}') == {
        "a": [1, 2.5, "\ud800", None]
    }


def test_a_file_is_read_up_to_a_bound(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"0123456789")
    assert file_content(file, 4, "file 'a.json'", TraceError) == b"01234"
    assert file_content(file, 10, "file 'a.json'", TraceError) == b"0123456789"
    for path in (tmp_path, tmp_path / "none", Path("/dev/zero")):
        with pytest.raises(TraceError, match=r"^There is no thing\.$"):
            file_content(path, 4, "thing", TraceError)
    with pytest.raises(DecodingError) as caught:
        file_content(tmp_path, 4, "thing", DecodingError)
    assert type(caught.value) is DecodingError
