"""The block planner: every span read exactly once and whole, within all limits, never over a hole with others."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._modbus.blocks import BITS_MAX, Area, Block, Span, between, halves, plan

AREAS: list[Area] = ["coil", "discrete", "input", "holding"]


def spans_of(length: st.SearchStrategy[int]) -> st.SearchStrategy[Span]:
    return st.builds(Span, st.sampled_from(AREAS), st.one_of(st.integers(0, 300), st.integers(0, 65_000)), length)


SPANS = st.lists(spans_of(st.sampled_from([1, 1, 2, 4, 20])), max_size=40)
HOLES = st.sets(st.tuples(st.sampled_from(AREAS), st.integers(0, 320)), max_size=8)


def addresses(part: Span | Block) -> set[int]:
    return set(range(part.start, part.start + part.count))


def limit(area: Area, registers_max: int) -> int:
    return BITS_MAX if area in ("coil", "discrete") else registers_max


def widest_gap(block: Block, spans: list[Span]) -> int:
    """The longest run of addresses of a block that no member needs."""
    read = addresses(block)
    for i in block.members:
        read -= addresses(spans[i])
    longest = run = 0
    for address in range(block.start, block.start + block.count):
        run = run + 1 if address in read else 0
        longest = max(longest, run)
    return longest


@settings(deadline=None, max_examples=400)
@given(SPANS, st.integers(0, 125), st.integers(20, 125), HOLES)
def test_every_span_is_read_once_and_whole_within_all_limits(
    spans: list[Span], gap: int, registers_max: int, holes: set[tuple[Area, int]]
) -> None:
    blocks = plan(spans, gap=gap, registers_max=registers_max, holes=holes)
    assert sorted(i for block in blocks for i in block.members) == list(range(len(spans)))
    for block in blocks:
        members = [spans[i] for i in block.members]
        assert {span.area for span in members} == {block.area}
        assert all(addresses(span) <= addresses(block) for span in members)
        assert block.count == len(addresses(block)) <= limit(block.area, registers_max)
        assert block.start == min(span.start for span in members)
        assert block.start + block.count == max(span.stop for span in members)
        assert widest_gap(block, spans) <= gap * (16 if block.bits else 1)
        over = {address for area, address in holes if area == block.area} & addresses(block)
        assert not over or len(members) == 1


@settings(deadline=None, max_examples=200)
@given(SPANS, st.integers(20, 125))
def test_neighbours_go_together(spans: list[Span], registers_max: int) -> None:
    """No two blocks of one area could have been one: the plan has no request to spare."""
    blocks = plan(spans, gap=8, registers_max=registers_max)
    for one, other in itertools.pairwise(blocks):
        if one.area == other.area:
            far = other.start - (one.start + one.count) > 8 * (16 if one.bits else 1)
            first = min((spans[i] for i in other.members), key=lambda span: (span.start, span.count))
            too_long = first.stop - one.start > limit(one.area, registers_max)
            assert far or too_long


@settings(deadline=None, max_examples=100)
@given(SPANS)
def test_the_plan_does_not_depend_on_the_order_of_tags(spans: list[Span]) -> None:
    def shape(blocks: list[Block]) -> list[tuple[Area, int, int]]:
        return [(block.area, block.start, block.count) for block in blocks]

    assert shape(plan(spans)) == shape(plan(spans[::-1]))


@settings(deadline=None, max_examples=200)
@given(st.lists(spans_of(st.just(1)), min_size=2, max_size=30))
def test_halves_have_all_members_and_nothing_more(spans: list[Span]) -> None:
    for block in plan(spans, gap=8):
        if len(block.members) < 2:
            continue
        first, second = halves(block, spans)
        assert [*first.members, *second.members] == list(block.members)
        assert abs(len(first.members) - len(second.members)) <= 1
        for half in (first, second):
            assert addresses(half) <= addresses(block)
            assert half.area == block.area
        left = addresses(block) - addresses(first) - addresses(second)
        assert [(block.area, address) for address in sorted(left)] == [
            (block.area, address) for address in between(first, second)
        ]


def test_one_request_reads_what_lies_close_together() -> None:
    spans = [Span("holding", 0, 2), Span("holding", 10, 2), Span("holding", 21, 1), Span("input", 0, 1)]
    assert plan(spans, gap=8) == [
        Block("holding", 0, 12, (0, 1)), Block("holding", 21, 1, (2,)), Block("input", 0, 1, (3,)),
    ]  # fmt: skip


def test_a_thousand_registers_are_eight_requests() -> None:
    blocks = plan([Span("holding", n, 1) for n in range(1000)])
    assert [block.count for block in blocks] == [125] * 8


def test_a_value_is_never_cut_at_the_limit() -> None:
    blocks = plan([Span("holding", 2 * n, 2) for n in range(125)])
    assert [block.count for block in blocks] == [124, 124, 2]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (Span("holding", 0, 126), "needs 126 registers, 60 is the most"),
        (Span("input", 5, 61), "input:5 needs 61 registers"),
        (Span("holding", 65_535, 2), "does not fit into 0..65535"),
        (Span("holding", -1, 1), "does not fit into 0..65535"),
    ],
)
def test_a_span_that_no_request_can_hold_is_refused(span: Span, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan([Span("holding", 0, 1), span], registers_max=60)
