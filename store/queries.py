"""The SQL of this package, read from the named statements in `sql/*.sql`."""

import re
from importlib.resources import files


def _load() -> dict[str, str]:
    statements: dict[str, str] = {}
    for file in sorted(files("store").joinpath("sql").iterdir(), key=lambda entry: entry.name):
        parts = re.split(r"^-- name: (\w+)\n", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for name, sql in zip(parts[1::2], parts[2::2], strict=True):
            if name in statements:
                raise ValueError(f"{file.name}: the statement {name} is defined twice")
            statements[name] = sql.strip().rstrip(";")
    return statements


SQL = _load()
"""Statement name → SQL with named parameters."""
