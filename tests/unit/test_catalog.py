"""Catalog: a number, once given, means the same tag for ever."""

import numpy as np
import pytest

from gateway.model import Catalog, Tag


def test_numbers_count_up_and_stay() -> None:
    catalog = Catalog([Tag("a/b", "x"), Tag("a/c", "y")])
    assert [catalog.number("a/b/x"), catalog.number("a/c/y")] == [0, 1]
    assert catalog.add(Tag("a/b", "z")) == 2
    assert catalog.add(Tag("a/b", "x", unit="bar")) == 0
    assert catalog[0].unit == "bar"
    assert len(catalog) == 3


def test_reserved_numbers_are_not_configured_until_they_are_added() -> None:
    catalog = Catalog()
    catalog.reserve("a", "old")
    catalog.reserve("a", "kept")
    assert catalog.add(Tag("a", "new")) == 2
    assert catalog.add(Tag("a", "kept", unit="bar")) == 1
    assert list(catalog) == [2, 1]
    assert ("a/old" in catalog, "a/kept" in catalog, "a/never" in catalog) == (False, True, False)
    assert [tag.name for tag in catalog.tags] == ["old", "kept", "new"]
    assert catalog.number("a/old") == 0


def test_a_path_is_one_tag_wherever_its_asset_ends() -> None:
    catalog = Catalog([Tag("a/b", "c/d")])
    assert catalog.add(Tag("a/b/c", "d", unit="bar")) == 0
    assert catalog.add(Tag("a", "b/c/d")) == 0
    assert (catalog.number("a/b/c/d"), len(catalog)) == (0, 1)
    assert ("a/b/c" in catalog, "a" in catalog, "/a/b/c/d" in catalog, "" in catalog) == (False,) * 4


def test_a_shadow_is_found_in_place_of_its_tag_by_whoever_looks_for_shadows() -> None:
    catalog = Catalog([Tag("a", "_alarm/x"), Tag("a", "_alarm/y"), Tag("a", "_shadow/alarm/x")])
    catalog.reserve("a", "_shadow/alarm/y")
    catalog.add(Tag("a/b", "_shadow/z"))
    view = catalog.shadows()
    assert [view.number(f"a/_alarm/{name}") for name in "xy"] == [2, 1], "one that was on trial once is none now"
    assert (view.number("a/b/z"), "a/b/z" in view, "a/b/z" in catalog) == (4, True, False)
    assert catalog.number("a/_alarm/x") == 0


def test_numbers_of_many_paths_are_columns() -> None:
    catalog = Catalog([Tag("a", "x"), Tag("a", "y"), Tag("a", "z")])
    numbers = catalog.numbers(["a/z", "a/x"])
    assert numbers.tolist() == [2, 0]
    assert numbers.dtype == np.uint32
    with pytest.raises(KeyError, match="a/none"):
        catalog.numbers(["a/x", "a/none"])
    with pytest.raises(KeyError):
        catalog.number("a")


def test_every_tag_knows_its_asset_whatever_the_number_of_tags() -> None:
    catalog = Catalog(Tag(f"asset{i % 7}", f"tag{i}") for i in range(2000))
    assert catalog.assets == [f"asset{i}" for i in range(7)]
    assert catalog.asset_of.tolist() == [i % 7 for i in range(2000)]


def test_assets_keep_the_numbers_that_were_reserved() -> None:
    catalog = Catalog()
    assert [catalog.reserve_asset(path) for path in ("old", "a", "old")] == [0, 1, 0]
    catalog.add(Tag("b", "x"))
    catalog.add(Tag("a", "x"))
    assert catalog.assets == ["old", "a", "b"]
    assert catalog.asset_of.tolist() == [2, 1]


def test_what_a_device_says_of_a_tag_fills_what_the_configuration_leaves_open() -> None:
    catalog = Catalog([Tag("a", "open"), Tag("a", "said", unit="bar", low=0.0, high=6.0, limits=(0.0, 5.0))])
    for number in (0, 1):
        catalog.describe(number, unit="Pa", description="in the bowl", low=-1.0, high=9.0)
    assert catalog[0] == Tag("a", "open", unit="Pa", description="in the bowl", low=-1.0, high=9.0)
    said = Tag("a", "said", unit="bar", description="in the bowl", low=0.0, high=6.0, limits=(0.0, 5.0))
    assert catalog[1] == said
    assert (catalog.version, list(catalog)) == (2, [0, 1])


def test_what_a_device_says_replaces_what_it_said_before_and_only_news_count() -> None:
    catalog = Catalog([Tag("a", "x"), Tag("a", "y")])
    catalog.describe(0, unit="Pa", low=0.0, high=1.0)
    catalog.describe(1)
    assert (catalog.version, catalog.changed(0), catalog.changed(1)) == (1, [0], [])
    catalog.describe(0, unit="Pa", low=0.0, high=1.0)
    assert catalog.version == 1
    catalog.describe(0, unit="bar")
    assert (catalog[0], catalog.changed(1)) == (Tag("a", "x", unit="bar"), [0])
    catalog.describe(0)
    assert (catalog[0], catalog.version) == (Tag("a", "x"), 3)
    catalog.describe(0, unit="Pa")
    assert catalog.add(Tag("a", "x", unit="mm")) == 0
    catalog.describe(0, unit="Pa")
    assert catalog[0].unit == "mm"


def test_a_successor_keeps_numbers_and_leaves_holes() -> None:
    catalog = Catalog([Tag("a", "kept"), Tag("a", "gone", device="saw"), Tag("a", "other")])
    catalog.describe(0, unit="bar")
    following = catalog.successor()
    numbers = [following.add(tag) for tag in (Tag("b", "new"), Tag("a", "kept"), Tag("a", "other", unit="Cel"))]
    differing = catalog.differing(following)
    assert (numbers, differing.tolist()) == ([3, 0, 2], [1, 2, 3])
    version = catalog.version
    catalog.become(following, differing)
    assert (list(catalog), catalog.changed(version), catalog.generation) == ([3, 0, 2], [1, 2, 3], 1)
    assert ("a/gone" in catalog, catalog[1].device, catalog.number("a/gone")) == (False, "saw", 1)
    assert (catalog[0].unit, catalog[2].unit, catalog.assets) == ("bar", "Cel", ["a", "b"])
    assert catalog.configured.tolist() == [True, False, True, True]
    assert catalog.asset_of.tolist() == [0, 0, 0, 1]


def test_a_tag_that_comes_back_has_its_number() -> None:
    catalog = Catalog([Tag("a", "x"), Tag("a", "y")])
    for names in (["x"], ["z", "x"], ["y"]):
        following = catalog.successor()
        for name in names:
            following.add(Tag("a", name))
        catalog.become(following, catalog.differing(following))
    assert [(number, catalog[number].name) for number in catalog] == [(1, "y")]
    assert [tag.name for tag in catalog.tags] == ["x", "y", "z"]
