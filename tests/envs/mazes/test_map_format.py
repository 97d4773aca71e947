"""Maps: one form from text and arrays, and a message that names the place of every fault."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.mazes.map_format import (
    check_border,
    check_reachable,
    distances_from,
    read_map,
    start_and_goal_cells,
)

ROWS = ("11111", "1r0g1", "11111")


@pytest.mark.parametrize(
    "given_map",
    [
        "11111\n1r0g1\n11111",
        "\n   11111\n   1r0g1\n   11111\n",
        ["11111", "1r0g1", "11111"],
        [[1, 1, 1, 1, 1], [1, "r", 0, "g", 1], [1, 1, 1, 1, 1]],
        np.array([list("11111"), list("1r0g1"), list("11111")]),
        (("1",) * 5, ("1", "r", "0", "g", "1"), ("1",) * 5),
    ],
)
def test_text_lists_and_arrays_read_alike(given_map: object) -> None:
    assert read_map(given_map) == ROWS


def test_integer_arrays() -> None:
    assert read_map(np.array([[1, 1], [0, 1]])) == ("11", "01")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "is empty"),
        ("", "is empty"),
        ([[]], "is empty"),
        (["111", "11"], r"ragged: row 1 \('11'\) has 2 cells but row 0 has 3"),
        (["111", "1x1", "111"], "has 'x' in row 1, column 1; allowed are '0', '1'"),
        ([[1, 1], [1, 2]], "has '2' in row 1, column 1"),
        ([[1, 1], [1, 0.5]], "has '0.5' in row 1, column 1"),
        (7, "must be a string or a list of rows"),
        (None, "must be a string or a list of rows"),
        ([1, 0, 1], "row 0 is 1 but must be"),
    ],
)
def test_bad_maps_name_the_place(bad: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_map(bad)
    assert str(error.value).startswith("maze_map")


def test_open_border() -> None:
    with pytest.raises(ValueError, match="open border: row 0, column 1 is '0'"):
        check_border(("101", "101", "111"))
    with pytest.raises(ValueError, match="open border: row 1, column 2 is 'g'"):
        check_border(("111", "10g", "111"))
    check_border(ROWS)


@pytest.mark.parametrize(
    ("rows", "starts", "goals"),
    [
        (("000",), {0, 1, 2}, {0, 1, 2}),
        (("0r0",), {1}, {0, 2}),
        (("0g0",), {0, 2}, {1}),
        (("r0g",), {0}, {2}),
        (("0cc",), {1, 2}, {1, 2}),
        (("rcg",), {0, 1}, {1, 2}),
        (("rc0",), {0, 1}, {1}),
    ],
)
def test_letters_say_where_episodes_start_and_end(rows: tuple[str, ...], starts: set[int], goals: set[int]) -> None:
    found = start_and_goal_cells(rows)
    assert tuple({j for _, j in cells} for cells in found) == (starts, goals)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("111",), "no free cell"),
        (("1r1",), "no cell for the goal"),
        (("g11",), "no cell for the start"),
        (("1c1",), "row 0, column 1, may also be the goal"),
        (("101",), "row 0, column 1, may also be the goal"),
        (("1cg",), "row 0, column 1, may also be the goal"),
    ],
)
def test_maps_without_start_or_goal(rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        start_and_goal_cells(rows)


def test_unreachable_goal_names_both_cells() -> None:
    rows = ("11111", "1r1g1", "11111")
    starts, goals = start_and_goal_cells(rows)
    with pytest.raises(ValueError, match="goal in row 1, column 3 cannot be reached from the start in row 1"):
        check_reachable(rows, starts, goals)
    with pytest.raises(ValueError, match="start in row 3, column 1 cannot be reached"):
        check_reachable(("1111", "1rg1", "1111", "1r11", "1111"), [(1, 1), (3, 1)], [(1, 2)])


def test_diagonals_are_no_way() -> None:
    rows = ("1111", "1r11", "11g1", "1111")
    with pytest.raises(ValueError, match="cannot be reached"):
        check_reachable(rows, *start_and_goal_cells(rows))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.randoms(use_true_random=False))
def test_distances_are_networkxs(height: int, width: int, chance: object) -> None:
    rows = ["".join("1" if chance.random() < 0.35 else "0" for _ in range(width)) for _ in range(height)]
    graph = nx.grid_2d_graph(height, width)
    graph.remove_nodes_from([(i, j) for i in range(height) for j in range(width) if rows[i][j] == "1"])
    for cell in list(graph)[:3]:
        assert distances_from(rows, cell) == nx.single_source_shortest_path_length(graph, cell)


@given(st.lists(st.text("01rgcx", max_size=4), max_size=4))
def test_reading_gives_a_rectangle_of_known_symbols_or_a_value_error(lines: list[str]) -> None:
    try:
        rows = read_map(lines)
    except ValueError as error:
        assert "maze_map" in str(error)
    else:
        assert list(rows) == lines
        assert {len(row) for row in rows} == {len(lines[0])}
        assert set("".join(rows)) <= set("01rgc")
