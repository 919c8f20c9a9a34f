"""A long Markdown text of numbered sections in two languages, which show at once if one is missing or repeated."""

DEFAULT_CHARS = 2_000
MAX_CHARS = 400_000

_SECTION = """\
## Section {n}

This is section {n}. It has **bold** and *italic* words, `code`, and a
[link](https://example.org/{n}); what looks like a <b>tag</b> or an @room is only text.

1. first point of section {n}
2. second point of section {n}

| quantity | value |
|----------|------:|
| number   | {n} |
| square   | {square} |

```python
def section_{n}() -> int:
    # The square is {square}.
    return {n} * {n}
```

> Section {n} ends here.

"""

_RUSSIAN_SECTION = """\
## Раздел {n}

Это раздел {n}. В нём есть **жирный** и *наклонный* текст, `код` и
[ссылка](https://example.org/{n}); то, что похоже на <b>тег</b> или @room, — просто текст.

1. первый пункт раздела {n}
2. второй пункт раздела {n}

| величина | значение |
|----------|---------:|
| число    | {n} |
| квадрат  | {square} |

```python
def section_{n}() -> int:
    # Квадрат равен {square}.
    return {n} * {n}
```

> Здесь раздел {n} заканчивается.

"""
_PARTS = {
    "en": ("# A long text\n\n", _SECTION, "The end, after {count} sections."),
    "ru": ("# Длинный текст\n\n", _RUSSIAN_SECTION, "Конец. Всего разделов: {count}."),
}
"""The title, a section and the end in each language."""


def long_text(chars: int, locale: str = "en") -> str:
    """Return a Markdown text of whole sections, at least `chars` (at most `MAX_CHARS`) long."""
    wanted = min(chars, MAX_CHARS)
    title, section, end = _PARTS[locale]
    parts = [title]
    length = len(parts[0])
    while length < wanted or len(parts) == 1:
        n = len(parts)
        parts.append(section.format(n=n, square=n * n))
        length += len(parts[-1])
    parts.append(end.format(count=len(parts) - 1))
    return "".join(parts)
