"""Every SQL statement is used, every used statement exists, and each fits the current schema."""

import re
import sqlite3
from pathlib import Path

import pytest

import store
from store import writing
from store.database import prepare
from store.queries import SQL

SOURCES = [path.read_text(encoding="utf-8") for path in Path(store.__file__).parent.glob("*.py")]


def test_every_statement_is_used_by_its_name():
    used = {name for source in SOURCES for name in re.findall(r'SQL\["(\w+)"\]', source)}
    assert set(SQL) - used == set(writing._PRUNES)


def test_every_name_that_is_used_has_its_statement():
    used = {name for source in SOURCES for name in re.findall(r'SQL\["(\w+)"\]', source)}
    assert used
    assert used <= set(SQL)


@pytest.mark.parametrize("name", sorted(SQL))
def test_a_statement_fits_the_schema(name, path):
    raw = prepare(sqlite3.connect(path, isolation_level=None))
    values = dict.fromkeys(re.findall(r":(\w+)", SQL[name]), 1)
    raw.execute(f"EXPLAIN {SQL[name]}", values).fetchall()
    raw.close()


def test_there_is_no_sql_in_the_code():
    verbs = r'"\s*(SELECT|INSERT|UPDATE|DELETE)\b'
    assert [found for source in SOURCES for found in re.findall(verbs, source)] == []
