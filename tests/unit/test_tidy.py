"""The house style as a test: what can be checked is checked, and an exception has its reason here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in ("gateway", "connectors", "simulators", "api")
    for path in (ROOT / folder).rglob("*.py")
)
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))

FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 320

BANNED = {
    "asyncio.create_task": "every task lives in a TaskGroup",
    "asyncio.ensure_future": "every task lives in a TaskGroup",
    "asyncio.wait_for": "can swallow a cancel on Python 3.11: use asyncio.timeout",
    "asyncio.get_event_loop": "use asyncio.get_running_loop",
    "time.sleep": "blocks the event loop",
    "threading.Thread": "no threads of our own",
    "os._exit": "nothing is cleaned up",
}
CLOCKS = ("time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "random.random", "random.uniform")
"""What a module must be handed, so that a test can decide it."""

MAY_CALL = {
    ("simulators/lifetime.py", "threading.Thread"): "only a blocking read sees the end of standard input everywhere",
}
MAY_CATCH_BROADLY = {
    "gateway/supervise.py": "runs things again whatever ended them",
    "api/problems.py": "a bug in an answer is an answer 500",
    "gateway/historian/answering.py": "hands on to another process what went wrong",
}
MAY_PRINT = {
    "gateway/cli/": "commands speak on standard output",
    "gateway/bench/": "its processes tell each other their ports there",
    "simulators/__main__.py": "is a command",
}
MAY_READ_THE_CLOCK = {
    "gateway/clock.py": "is the clock",
    "gateway/bench/": "measures",
    "gateway/cli/": "commands show people what time it is",
    "simulators/": "strangers to the gateway, with a clock of their own",
}


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def allowed(path: Path, where: dict[str, str]) -> bool:
    return path.as_posix().startswith(tuple(where))


def called(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a module calls, as it is written."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def broad(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches whatever comes, and does not hand it on."""
    names = set() if handler.type is None else set(re.findall(r"\w+", ast.unparse(handler.type)))
    last = handler.body[-1]
    hands_on = isinstance(last, ast.Raise) and last.exc is None
    return (handler.type is None or bool(names & {"Exception", "BaseException"})) and not hands_on


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 60
    assert len(TESTS) > 30


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=str)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    text = ast.get_docstring(tree(path))
    assert text, f"{path} has no docstring"
    assert text.splitlines()[0].endswith((".", ":")), f"{path}: the first line is a sentence"


def test_functions_fit_on_a_screen_and_modules_in_a_head() -> None:
    long = [
        f"{path}:{node.lineno}: {node.name} has {lines} lines"
        for path in [*SOURCES, *TESTS]
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    long += [
        f"{path} has {lines} lines"
        for path in SOURCES
        if (lines := (ROOT / path).read_text(encoding="utf-8").count("\n")) > MODULE_LINES_MAX
    ]
    assert long == []


def test_nothing_banned_is_called() -> None:
    assert [
        f"{path}:{line}: {name}: {BANNED[name]}"
        for path in SOURCES
        for line, name in called(path)
        if name in BANNED and (path.as_posix(), name) not in MAY_CALL
    ] == []


def test_time_and_chance_come_in_as_arguments() -> None:
    assert [
        f"{path}:{line}: {name}"
        for path in SOURCES
        if not allowed(path, MAY_READ_THE_CLOCK)
        for line, name in called(path)
        if name in CLOCKS
    ] == []


def test_only_commands_print() -> None:
    assert [
        f"{path}:{line}"
        for path in SOURCES
        if not allowed(path, MAY_PRINT)
        for line, name in called(path)
        if name == "print"
    ] == []


def test_only_two_places_catch_broadly() -> None:
    assert [
        f"{path}:{node.lineno}"
        for path in SOURCES
        if not allowed(path, MAY_CATCH_BROADLY)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and broad(node)
    ] == []


def test_no_exception_is_swallowed_without_a_word() -> None:
    """`except X: pass` needs a comment that says why nothing is to be done."""
    silent = []
    for path in SOURCES:
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler) and [type(part) for part in node.body] == [ast.Pass]:
                words = lines[node.lineno - 1 : (node.end_lineno or node.lineno)]
                silent += [] if any("#" in line for line in words) else [f"{path}:{node.lineno}"]
    assert silent == []


def test_nothing_is_left_to_do() -> None:
    mark = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
    texts = [*SOURCES, *TESTS]
    assert [
        f"{path}:{number}"
        for path in texts
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        if mark.search(line)
    ] == []


def test_a_module_of_the_model_knows_numpy_and_the_standard_library_only() -> None:
    outside = re.compile(
        r"^\s*(?:from|import) (?!gateway\.model\b|numpy\b)(gateway|connectors|api|pydantic|sqlalchemy|orjson)"
    )
    assert [
        f"{path}:{number}"
        for path in SOURCES
        if path.as_posix().startswith("gateway/model/")
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        if outside.match(line)
    ] == []
