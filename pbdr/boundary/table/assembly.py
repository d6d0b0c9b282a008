"""The columns of the table, put together from what shapes give: once it stands, only what has changed is written anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import edges
from pbdr.geometry.edges import EdgeTable, Layout, Pairs
from pbdr.geometry.kind import Form, Kind, Part


@dataclass
class Block:
    """Rows that belong together, as those of one shape: its parts, made of `source`.

    `make` gives the parts, whose columns are dropped once they stand in the table; `shape`: what tells whether others fit into
    their place.
    """

    source: Any
    make: Callable[[], list[Part]]
    parts: list[Part] = field(default_factory=list)
    shape: tuple[Any, ...] = ()

    @staticmethod
    def of(source: Any, make: Callable[[], list[Part]]) -> Block:
        """The block that `make` gives now."""
        block = Block(source, make)
        block.refill()
        return block

    def refill(self) -> None:
        """Have the columns, which may have been dropped, made again."""
        if not self.parts or not all(part.columns for part in self.parts):
            self.parts = self.make()
        self.shape = tuple(
            (dr.width(p.columns["form"]), p.forms, p.wedges, p.pairs is not None, tuple(p.columns)) for p in self.parts
        )

    @property
    def forms(self) -> list[tuple[Form, ...]]:
        """Of the parts."""
        return [part.forms for part in self.parts]


@dataclass
class Assembly:
    """What stands in the table: blocks in order, columns of all rows, and of those with pairs, which come last."""

    blocks: list[Block] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    pairs: list[Any] = field(default_factory=list)

    def put(self, blocks: list[Block]) -> None:
        """Have these blocks in the table."""
        fits = [b.shape for b in self.blocks] == [b.shape for b in blocks]
        changed = [k for k, b in enumerate(blocks) if not fits or b is not self.blocks[k]]
        if fits and len(changed) <= len(blocks) // 2:
            self._write(blocks, changed)
        elif changed:
            self._join(blocks)
        dr.eval(self.columns, self.pairs)
        self.blocks = blocks
        for block in blocks:
            for part in block.parts:
                part.columns, part.pairs = {}, None

    def _join(self, blocks: list[Block]) -> None:
        """All anew."""
        for block in blocks:
            block.refill()
        parts = _in_order([part for block in blocks for part in block.parts])
        each = [edges.flat(part.columns) for part in parts]
        dr.eval(each)
        self.columns = edges.joined_flat(each)
        pairs = [part.pairs.flat() for part in parts if part.pairs is not None]
        self.pairs = [edges.concat(list(column)) for column in zip(*pairs, strict=True)]

    def _write(self, blocks: list[Block], changed: Sequence[int]) -> None:
        """Some blocks in place of what they were."""
        row, pair, places = 0, 0, {}
        order = [(k, n) for k, block in enumerate(blocks) for n in range(len(block.shape))]
        for k, n in sorted(order, key=lambda at: blocks[at[0]].shape[at[1]][3]):
            places[k, n] = row, pair
            row += blocks[k].shape[n][0]
            pair += blocks[k].shape[n][0] if blocks[k].shape[n][3] else 0
        # Copies: the table of the call before may be in use.
        columns, pairs = {name: type(x)(x) for name, x in self.columns.items()}, [type(x)(x) for x in self.pairs]
        for k in changed:
            for n, part in enumerate(blocks[k].parts):
                index = dr.arange(mi.UInt32, blocks[k].shape[n][0])
                at = index + dr.opaque(mi.UInt32, places[k, n][0])
                found = edges.flat(part.columns)
                for name, column in columns.items():
                    dr.scatter(column, found.get(name, 0), at)
                if part.pairs is not None:
                    at = index + dr.opaque(mi.UInt32, places[k, n][1])
                    for column, value in zip(pairs, part.pairs.flat(), strict=True):
                        dr.scatter(column, value, at)
        self.columns, self.pairs = columns, pairs


def table_of(pieces: Sequence[Assembly], moving: Any, instanced: bool, kinds: tuple[Kind, ...]) -> EdgeTable:
    """The table of these assemblies, one after the other; of those behind the first, all rows have pairs.

    `moving`: for every shape of the scene, 1 if it moves, else 0; `instanced`: the scene has instances; `kinds`: all that may have
    rows, the first one whether or not it has.
    """
    parts = [part for piece in pieces for block in piece.blocks for part in block.parts]
    found = edges.unflat(edges.joined_flat([piece.columns for piece in pieces]))
    paired = [piece.pairs for piece in pieces if piece.pairs]
    pairs = Pairs.unflat([edges.concat(list(column)) for column in zip(*paired, strict=True)]) if paired else None
    count = dr.width(found["form"])
    moves = dr.gather(mi.UInt32, moving, found["shape"])
    if pairs is not None:
        both = [dr.gather(mi.UInt32, moving, shape) for shape in pairs.shape]
        dr.eval(moves)
        dr.scatter(
            moves, both[0] | both[1], dr.arange(mi.UInt32, pairs.count) + dr.opaque(mi.UInt32, count - pairs.count)
        )
    moves = moves != 0
    dr.eval(found, pairs, moves)
    forms = frozenset(form for part in parts for form in part.forms)
    present = (kinds[0], *(kind for kind in kinds[1:] if not forms.isdisjoint(kind.forms)))
    return EdgeTable(
        count, found["form"], found["a"], found["b"], found["c"], found["d"], found["sign"],
        (found["face0"], found["face1"]), (found["corners0"], found["corners1"]), found["jump"], found["faint"],
        found["shape"], moves, Layout(present, forms, any(part.wedges for part in parts)), found["member"] if instanced else None,
        found.get("gap"), pairs,
    )  # fmt: skip


def _in_order(parts: list[Part]) -> list[Part]:
    """Those with pairs last."""
    return sorted(parts, key=lambda part: part.pairs is not None)
