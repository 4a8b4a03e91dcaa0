"""Tag paths are MQTT topics and URLs as they stand."""

import pytest

from gateway.model import Tag
from gateway.model.tag import check_path


def test_a_path_is_the_asset_and_the_name() -> None:
    assert Tag("acme/dresden/filler", "spindle/speed").path == "acme/dresden/filler/spindle/speed"


@pytest.mark.parametrize("path", ["a", "a/b-c/d_e/0", "_maintenance/bearing_rms"])
def test_paths_of_allowed_segments_pass(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    ("path", "segment"),
    [
        ("", ""), ("a//b", ""), ("/a", ""), ("a/", ""), ("a/B", "B"), ("a/+/b", "+"), ("a/#", "#"), ("a/b c", "b c"),
        ("a/ü", "ü"), ("a/b\n", "b\n"), ("a/..", ".."), ("a/$sys", "$sys"),
    ],
)  # fmt: skip
def test_the_segment_that_is_wrong_is_named(path: str, segment: str) -> None:
    with pytest.raises(ValueError, match="must be lower-case letters") as caught:
        check_path(path)
    assert f"segment {segment!r}" in str(caught.value)


@pytest.mark.parametrize(("asset", "name"), [("A", "x"), ("a", "X"), ("", "x"), ("a", "")])
def test_a_tag_checks_both(asset: str, name: str) -> None:
    with pytest.raises(ValueError, match="segment"):
        Tag(asset, name)
