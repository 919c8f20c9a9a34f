"""A long Markdown text of numbered sections, which show at once if one is missing or repeated."""

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


def long_text(chars: int) -> str:
    """Return a Markdown text of whole sections, at least `chars` (at most `MAX_CHARS`) long."""
    wanted = min(chars, MAX_CHARS)
    parts = ["# A long text\n\n"]
    length = len(parts[0])
    while length < wanted or len(parts) == 1:
        n = len(parts)
        parts.append(_SECTION.format(n=n, square=n * n))
        length += len(parts[-1])
    parts.append(f"The end, after {len(parts) - 1} sections.")
    return "".join(parts)
