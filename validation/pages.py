"""Pages that pbdr writes, read again."""

from __future__ import annotations

from html.parser import HTMLParser


class Addresses(HTMLParser):
    """Collects every src and href, and checks that tags are balanced."""

    VOID = frozenset(("meta", "img", "br", "path", "use", "line", "rect", "circle", "input"))

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
            self.open.pop()
