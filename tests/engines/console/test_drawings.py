"""Drawings that the server makes itself: lineage graphs, sparklines, waterfalls, text differences."""

from gimbal.engines.console import diff, graph, svg


def nodes(*names):
    return [graph.Node(id=name, title=name) for name in names]


def edges(*pairs):
    return [graph.Edge(source=one, target=other) for one, other in pairs]


def test_layers_go_from_what_was_used_to_what_used_it():
    plan = graph.layout(nodes("m", "run", "ds"), edges(("ds", "run"), ("run", "m")))
    assert plan.layers == [["ds"], ["run"], ["m"]]


def test_an_input_without_inputs_stands_right_before_its_use():
    plan = graph.layout(nodes("a", "b", "c", "late"), edges(("a", "b"), ("b", "c"), ("late", "c")))
    assert "late" in plan.layers[1]


def test_a_long_arrow_gets_a_way_point_in_each_layer_between():
    plan = graph.layout(nodes("a", "b", "c"), edges(("a", "b"), ("b", "c"), ("a", "c")))
    assert [len(row) for row in plan.layers] == [1, 2, 1]
    assert sorted(len(path) for path in plan.paths) == [2, 2, 3]


def test_a_circle_and_an_arrow_to_nowhere_are_left_out():
    plan = graph.layout(nodes("a", "b"), edges(("a", "b"), ("b", "a"), ("a", "gone"), ("a", "b")))
    assert plan.layers == [["a"], ["b"]]
    assert plan.paths == [["a", "b"]]


def test_crossing_arrows_are_untangled():
    plan = graph.layout(nodes("a", "b", "x", "y"), edges(("a", "y"), ("b", "x")))
    left, right = plan.layers
    partner = {"a": "y", "b": "x"}
    assert [partner[name] for name in left] == right


def test_graph_escapes_names_and_links_nodes():
    drawn = graph.render([graph.Node(id="a", title="<b>", href="/x?a=1&b=2", current=True)], [])
    assert "<b>" not in drawn
    assert 'href="/x?a=1&amp;b=2"' in drawn
    assert "graph-current" in drawn


def test_circles_and_counts_are_drawn_where_they_are_asked_for():
    there = graph.Edge(source="a", target="b", note="3×")
    back = graph.Edge(source="b", target="a", note="then 1×", loose=True)
    itself = graph.Edge(source="a", target="a", note="2×")
    gone = graph.Edge(source="a", target="gone", note="9×")
    some = nodes("a", "b")

    plain = graph.render(some, [there, back, itself, gone])
    drawn = graph.render(some, [there, back, itself, gone], circles=True)

    assert (plain.count("graph-head"), drawn.count("graph-head"), drawn.count("graph-loose")) == (1, 3, 1)
    assert all(word in drawn for word in ("3×", "then 1×", "2×"))
    assert "9×" not in drawn


def test_an_empty_graph_is_drawn_as_nothing():
    assert graph.layout([], []).layers == []
    assert graph.render([], []).startswith("<svg")


def test_sparkline_leaves_a_gap_for_what_is_missing():
    drawn = svg.sparkline([1.0, 2.0, None, 3.0, 4.0])
    assert drawn.count("<polyline") == 2
    assert "no data" in svg.sparkline([None, float("nan")])
    assert drawn == svg.sparkline([1.0, 2.0, float("nan"), 3.0, 4.0])


def test_a_flat_sparkline_runs_through_the_middle():
    assert "14.0" in svg.sparkline([5.0, 5.0])


def test_waterfall_bar_stays_inside_and_can_be_seen():
    assert 'x="250.0" y="3" width="500.0"' in svg.waterfall_bar(1_250, 1_750, 1_000, 2_000)
    assert 'x="997.0" y="3" width="3.0"' in svg.waterfall_bar(2_000, 2_000, 1_000, 2_000)
    assert 'x="0.0"' in svg.waterfall_bar(0, 0, 0, 0)
    assert svg.waterfall_axis(2_000_000) == [0, 0.5, 1.0, 1.5, 2.0]


def test_diff_numbers_both_sides_and_leaves_out_what_is_equal():
    before = "\n".join(f"line {i}" for i in range(20))
    rows = diff.lines(before, before.replace("line 10", "line ten"), context=1)
    assert [(row.mark, row.text, row.before, row.after) for row in rows] == [
        ("gap", "9 equal lines", None, None),
        ("same", "line 9", 10, 10),
        ("del", "line 10", 11, None),
        ("add", "line ten", None, 11),
        ("same", "line 11", 12, 12),
        ("gap", "8 equal lines", None, None),
    ]
    assert diff.lines("same", "same") == []
