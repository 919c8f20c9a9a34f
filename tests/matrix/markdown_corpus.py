"""Texts of any length whose cost grows faster than their length, at least in some Markdown parser."""

from collections.abc import Callable, Iterator

REPEATED = (
    ">", "> ", ">a\n", "> a\n\n", "- ", "- a\n", "- a\n\n", "-\n", "- -\n", "> - ", "1. ", "1. a\n",
    "+ a\n  ", "*", "****", "*a*", "**a** ", "**a *b ", "a**b", "*_", "_a_b_", "_a __b ", "~~a ",
    "~~a*b~~", "***a**b*", "*a\n", "*\u0301", "\u200b*", "a\u0301", "[", "[[[[", "[a](", "[a][",
    "[a][b]", "[a](\\(", '[a](b "', "[a](<b", "[a](http://x) ", "![", "![![", "![a", "[![", "[]", "]",
    "[a]: ", "[a]: x\n\n", "[a]: http://x\n", "`", "``a`", "` `` ", "```\n", "````\n```\n", "~~~", "<",
    "<a:", "<a@b.c>", "<http://a.b>", "<http://é.b> ", "<!--", "<b>\n", "&", "&#1", "&amp;", "\\",
    "\\\n", "|", "|-", "|a\n", "|a\n|-\n", "|-\n|-\n", "|a|b\n|-|-\n", "a|\n", "a\n", "a\n=", "# a\n",
    "---\n", "    a\n", " ", "\t", "\n", "a ", "\x00", "\ud800", "\u2028",
    "$", "$$", "$a", "$a$", "\\(", "\\[", "\\[\n", "$$\n", "$$a\n", "$$a$$\n", "`$$`\n", "> $$\n", "- [ ] ",
)  # fmt: skip
"""Units that are repeated to fill a text."""


def _reference(url_chars: int, use: str) -> Callable[[int], str]:
    def text(size: int) -> str:
        defined = f"[a]: http://x.y/{'z' * min(url_chars, size // 2)}\n\n"
        return defined + use * ((size - len(defined)) // len(use))

    return text


BUILT: dict[str, Callable[[int], str]] = {
    "a long link used often": _reference(8_000, "[a]"),
    "a link half as long as the text": _reference(10**9, "[a] "),
    "a long image used often": _reference(1_000, "![a]"),
    "a reference and open brackets": _reference(1, "["),
    "a reference and open labels": _reference(1, "[b][a"),
    "brackets around brackets": lambda size: "[" * (size // 2) + "a" + "]" * (size // 2),
    "many brackets around brackets": lambda size: ("[" * 30 + "a" + "]" * 30) * (size // 61),
    "links in links": lambda size: "[" * (size // 5) + "a" + "](x)" * (size // 5),
    "images in images": lambda size: ("![" * 30 + "a" + "](http://x)" * 30) * (size // 400),
    "quotes with lazy lines": lambda size: "> " * 38 + "a\n" + "a\n" * (size // 2),
    "many quotes with lazy lines": lambda size: (">" * 38 + "a\n" + "a\n" * 10) * (size // 60),
    "lists in lists": lambda size: "".join(
        f"{'  ' * (depth % 30)}- a\n" for depth in range(size // 32)
    ),
    "a table whose rows are filled up": lambda size: (
        "|a" * 60 + "\n" + "|-" * 60 + "\n" + "x\n" * (size // 2)
    ),
    "a table as wide as it is long": lambda size: (
        "|a" * (size // 4) + "\n" + "|-" * (size // 4) + "\n" + "x\n" * 50
    ),
    "a label that never ends": lambda size: "[" + "a\n" * (size // 2),
    "a heading of many lines": lambda size: "a\n" * (size // 2) + "===",
    "emphasis opened, then closed": lambda size: (
        "*a **b ***c " * (size // 24) + "a* b** c*** " * (size // 24)
    ),
    "code of all lengths": lambda size: "".join(
        "`" * n + "a" for n in range(int((2 * size) ** 0.5))
    ),
    "a link of escapes": lambda size: "[a](http://x/" + "&amp;" * (size // 5) + ")",
    "a host of many labels": lambda size: "[a](http://" + "é." * (size // 3) + "/)",
    "a language of angle brackets": lambda size: "```x" + "<" * size + "\nx\n```",
    "links in the text of a link": lambda size: (
        "[" + "**<http://a> " * (size // 13) + "](http://b)"
    ),
    "one long word": lambda size: "a" * size,
}


def corpus(size: int) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each case, with about the given length."""
    for unit in REPEATED:
        yield f"{unit!r} repeated", unit * (size // len(unit.encode("utf-8", "surrogatepass")))
    for name, build in BUILT.items():
        yield name, build(size)[:size]
