"""The compiler by itself: what a plan is made of, what it refuses, how it is kept."""

import ast
from pathlib import Path
from typing import Any

import pytest

from schema.documents.refused import Refused
from schema.errors import ValidationFailed
from schema.plan.build import Sight
from schema.plan.compile import Plan
from schema.plan.document import Document
from schema.surface import surface

ROOM = Path(__file__).parents[3] / "schema" / "plan"


def plan(text: str, sight: Sight = Sight.everything, **values: Any) -> Plan:
    document = Document(surface().catalog, text, None)
    return document.plan(document.coerced(values), sight)


def sql(text: str, sight: Sight = Sight.everything, **values: Any) -> tuple[str, ...]:
    found = plan(text, sight, **values).reads
    return found.statements if found else ()


def test_a_list_is_one_statement_and_each_nested_list_one_more() -> None:
    assert len(sql("{projects {nodes {applications {nodes {lastDeployment {id} deployments {totalCount}}}}}}")) == 3


def test_only_what_is_selected_is_read() -> None:
    (statement,) = sql("{applications {nodes {name}}}")
    assert statement.startswith("select t.name from (")


def test_what_is_skipped_and_what_is_null_leaves_no_trace_in_the_statement() -> None:
    text = "query($s: Boolean!, $status: ApplicationStatus) {applications(status: $status) {nodes {name image @skip(if: $s)}}}"
    assert sql(text, s=True) == sql("{applications {nodes {name}}}")


def test_a_page_size_is_a_literal() -> None:
    (statement,) = sql("query($n: Int) {applications(first: $n) {nodes {name}}}", n=7)
    assert "limit 8" in statement


def test_somebody_who_sees_some_projects_never_scans_the_others() -> None:
    few, many = sql("{deployments {nodes {id}}}", Sight.some)
    for statement in (few, many):
        assert "unnest((select $1::uuid[])::uuid[]) p(id) cross join lateral" in statement
        assert "y.project_id = p.id" in statement
    assert "limit 1) y order by y.created_at desc, y.id desc limit 21) p(id)" in many


def test_nobody_reads_anything_without_logging_in() -> None:
    assert sql("{applications {nodes {id}} me {id}}", Sight.nothing) == ()


@pytest.mark.parametrize("arguments", ["first: 0", "first: -1", "first: 101", "last: 0", "first: 1, last: 1", 'first: 1, before: "x"'])
def test_a_page_that_cannot_be_is_refused_before_anything_runs(arguments: str) -> None:
    with pytest.raises(ValidationFailed):
        plan(f"{{applications({arguments}) {{nodes {{id}}}}}}")


def test_the_values_count_what_is_shown_of_each_row() -> None:
    inside = "applications(first: 5) {nodes {id name ports {containerPort}}}"
    ports = 50 * 10
    assert plan(f"{{projects(first: 10) {{nodes {{id {inside}}}}}}}").values == 1 + 10 * 2 + 10 * 1 + 50 * 3 + ports
    assert plan("{projects(first: 10) {nodes {id} totalCount}}").values == 2 + 10


@pytest.mark.parametrize(
    ("arguments", "values", "lines"),
    [("", {}, 1000), (", limit: 10000", {}, 10_000), (", limit: $n", {"n": 50}, 50), (", limit: $n", {}, 1000)],
)
def test_a_list_that_is_asked_for_is_as_long_as_is_asked_for(arguments: str, values: dict[str, int], lines: int) -> None:
    declared = "($n: Int! = 1000)" if "$n" in arguments else ""
    text = f'query{declared} {{deploymentLogs(id: "5"{arguments}) {{logs {{seq message}} lastSeq}}}}'
    assert plan(text, **values).values == 2 + 2 * lines


@pytest.mark.parametrize("root", ["queryType", "mutationType"])
def test_the_fields_of_a_root_are_counted_as_many_as_there_may_be(root: str) -> None:
    assert plan(f"{{__schema {{{root} {{fields {{name}}}}}}}}").values >= 5 * len(surface().catalog.root("mutation").fields)


def test_the_cost_counts_rows_and_sub_selects() -> None:
    assert plan("{projects(first: 10) {nodes {applications(first: 5) {nodes {lastDeployment {id}}}}}}").cost == 10 + 50 + 50


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("query($n: Int) {applications(first: $n) {nodes {id}}}", {"n": "1"}),
        ("query($n: Int) {applications(first: $n) {nodes {id}}}", {"n": 2**31}),
        ("query($s: ApplicationStatus) {applications(status: $s) {nodes {id}}}", {"s": "sleepy"}),
        ("query($s: [ApplicationStatus!]) {applications(statusIn: $s) {nodes {id}}}", {"s": [None]}),
        ("query($id: ID!) {application(id: $id) {id}}", {}),
        ("query($id: ID!) {application(id: $id) {id}}", {"id": None}),
        ("query($at: DateTime) {applications(createdFrom: $at) {nodes {id}}}", {"at": "yesterday"}),
    ],
)
def test_a_variable_of_the_wrong_type_is_refused(text: str, values: dict[str, Any]) -> None:
    document = Document(surface().catalog, text, None)
    with pytest.raises(Refused):
        document.coerced(values)


def test_response_keys_reach_the_source_as_literals_only() -> None:
    found = plan("{_x: applications {n__: nodes {__class__: name}}}").reads
    assert found is not None
    assert "'__class__': r[0]" in found.source


def test_the_compiler_stays_small() -> None:
    lines = 0
    for path in ROOM.glob("*.py"):
        text = path.read_text()
        lines += len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, f"{path.name}: {node.name}"
    assert lines < 2000
