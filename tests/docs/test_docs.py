"""The documentation agrees with the code, where a program can check it."""

import ast
import re
import sqlite3
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain, takewhile
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from cli.app import app
from cli.errors import ExitCode
from cli.settings import Settings
from machines.commands import COMMANDS
from machines.i18n import catalog_for
from store.database import prepare

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs/ARCHITECTURE.md").read_text()
DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "docs/ARCHITECTURE.md", *DECISIONS]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINES_OF_A_SCREEN = 45
LINES_OF_A_PAGE = 60


def rows(page: str, heading: str, first_column: str) -> list[list[str]]:
    """Return the cells of the table below a heading whose first column has this title."""
    section = page.split(f"\n{heading}\n", 1)[1]
    lines = section[section.index(f"\n| {first_column} |") + 1 :].splitlines()
    table = takewhile(lambda line: line.startswith("|"), lines[2:])
    cells = (re.split(r"(?<!\\)\|", line.strip("|")) for line in table)
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None or field.default == ():
        return ""
    if isinstance(field.default, float):
        return f"`{field.default:g}`"
    return f"`{field.default}`"


def test_the_readme_lists_every_variable_of_the_environment_with_its_default() -> None:
    shown = {row[0]: row[1] for row in rows(README, "### Configuration", "Variable")}
    read = {f"`{name.upper()}`": default_of(field) for name, field in Settings.model_fields.items()}
    assert shown == read


def test_the_readme_lists_every_command_of_a_chat_with_its_help_text() -> None:
    catalog = catalog_for("en", "Lambda")
    expected = [[f"`{catalog.usage(name)}`", catalog.format(f"help_{name}")] for name in COMMANDS]
    assert rows(README, "### Commands in a chat", "Command") == expected


def test_the_readme_lists_every_command_of_the_shell() -> None:
    shown = {row[0].strip("`") for row in rows(README, "### Commands of the shell", "Command")}
    registered = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback is not None
    }
    assert shown == registered


def test_the_readme_lists_every_exit_code() -> None:
    shown = [int(row[0]) for row in rows(README, "### Commands of the shell", "Exit code")]
    assert shown == [code.value for code in ExitCode]


def test_the_readme_fits_one_screen_before_its_reference() -> None:
    assert len(README.split("\n## Reference\n")[0].splitlines()) <= LINES_OF_A_SCREEN


def test_the_architecture_has_every_top_level_package() -> None:
    shown = {row[0].strip("`") for row in rows(ARCHITECTURE, "## Packages", "Package")}
    assert shown == {*PROJECT["tool"]["importlinter"]["root_packages"], "tests"}


def test_the_architecture_has_every_table_of_the_database() -> None:
    database = prepare(sqlite3.connect(":memory:", isolation_level=None))
    names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    tables = {row["name"] for row in database.execute(names)}
    database.close()
    shown = {row[0].strip("`") for row in rows(ARCHITECTURE, "## The database", "Table")}
    assert shown == tables


def test_the_architecture_links_every_decision_and_they_are_numbered_without_a_gap() -> None:
    assert [page.name[:4] for page in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]
    links = re.findall(r"^\| \[\d{4}\]\(decisions/([^)]+)\)", ARCHITECTURE, re.MULTILINE)
    assert links == [page.name for page in DECISIONS]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_one_page_of_context_decision_and_consequences(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert lines[0].startswith(f"# {page.name[:4]} ")
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == ["## Context", "## Decision", "## Consequences"]
    assert len(lines) <= LINES_OF_A_PAGE


def test_every_direct_dependency_has_its_reason() -> None:
    page = (ROOT / "docs/decisions/0009-dependencies.md").read_text()
    reasons = set(re.findall(r"^\| `([A-Za-z0-9-]+)` \| .+ \|$", page, re.MULTILINE))
    project = PROJECT["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    names = {re.split(r"[^A-Za-z0-9-]", each)[0] for each in wanted}
    assert reasons == names - {project["name"]}


def imported_packages() -> dict[str, Path]:
    """Return the top-level packages that the shipped ones import from elsewhere, each with a file."""
    shipped = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    found: dict[str, Path] = {}
    for file in chain.from_iterable((ROOT / package).rglob("*.py") for package in shipped):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Import(names=names):
                    found |= {alias.name.split(".")[0]: file for alias in names}
                case ast.ImportFrom(module=str(module), level=0):
                    found[module.split(".")[0]] = file
                case _:
                    pass
    return {
        name: file
        for name, file in found.items()
        if name not in sys.stdlib_module_names and name not in shipped
    }


def test_every_package_that_is_imported_is_declared() -> None:
    project = PROJECT["project"]
    wanted = chain(project["dependencies"], project["optional-dependencies"]["demo"])
    declared = {re.split(r"[^A-Za-z0-9-]", each)[0].lower() for each in wanted}
    known = packages_distributions()
    missing = {
        name: str(file.relative_to(ROOT))
        for name, file in imported_packages().items()
        if not declared & {each.lower() for each in known.get(name, [name])}
    }
    assert missing == {}


@pytest.mark.parametrize("name", ["aiosqlite", "matrix-nio"])
def test_a_dependency_whose_internals_are_used_has_an_upper_version(
    name: str,
) -> None:
    [wanted] = [each for each in PROJECT["project"]["dependencies"] if re.match(rf"{name}\b", each)]
    assert re.search(r"<\d+\.\d+$", wanted), wanted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_path_and_link_exists(page: Path) -> None:
    text = page.read_text()
    package = r"(?:actors|agent_platform|cli|config|docs|machines|matrix|sandbox|store|tests)"
    paths = re.findall(rf"`({package}/[a-z0-9_./]*)`", text)
    missing = [path for path in paths if not (ROOT / path).exists()]
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing += [link for link in links if not (page.parent / link).exists()]
    assert missing == []
