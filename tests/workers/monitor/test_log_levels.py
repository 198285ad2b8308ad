"""The ways in which programs say how serious a line is."""

import pytest

from workers.monitor.log_levels import level_of


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ('{"level":"warn","msg":"low"}', "warning"),
        ('{"level": "ERROR", "message": "an info line"}', "error"),
        ('{"time":1,"level":50,"msg":"pino"}', "error"),
        ('{"level":20}', "debug"),
        ('{"level":30}', "info"),
        ('{"level":40}', "warning"),
        ('{"severity":"CRITICAL"}', "error"),
        ('{"levelname":"DEBUG"}', "debug"),
        ('{"log.level":"error"}', "error"),
        ('{"@t":"2026","@l":"Warning"}', "warning"),
        ('{"t":{"$date":"2026"},"s":"W","c":"NETWORK"}', "warning"),
        ('{"level":true}', "info"),
        ('{"level":"loud"}', "info"),
        ('{"unfinished": ERROR', "error"),
        ('{"a":1}', "info"),
        ("time=2026-11-28T20:35:29Z level=error msg=boom", "error"),
        ('ts=1 level="warn" caller=main.go:1', "warning"),
        ("severity=debug", "debug"),
        ("level=loud", "info"),
        ("2026-11-28 12:00:00,123 ERROR [main] boom", "error"),
        ("INFO:     Uvicorn running", "info"),
        ("2026/11/28 12:00:00 [error] 12#12: *1 open() failed", "error"),
        ("2026-11-28 20:00:00.1 UTC [12] FATAL:  password authentication failed", "error"),
        ("2026-11-28T10:00:00Z 0 [Warning] mysqld: old", "warning"),
        ("Error: cannot find module", "error"),
        ("server: warning: deprecated", "warning"),
        ("12:00:00 | DEBUG | started", "debug"),
        ("E1128 20:35:29.123456       1 main.go:10] boom", "error"),
        ("W, [2026-11-28T12:00:00 #1]  careful", "warning"),
        ("<notice> ready", "info"),
        ("no error here", "info"),
        ("GET /errors 200", "info"),
        ("1:M 28 Nov 2026 20:00:00.000 * Ready to accept connections", "info"),
        ("", "info"),
        ("x" * 200 + " ERROR", "info"),
    ],
)
def test_the_level_is_the_one_that_the_line_says(line: str, level: str) -> None:
    assert level_of(line) == level


def test_objects_that_are_deeper_than_anybody_needs_are_plain_lines() -> None:
    assert level_of('{"level":' * 5000) == "info"
