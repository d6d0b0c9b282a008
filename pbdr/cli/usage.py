"""Words of the command line → a command. What is wrong with them is one line, as every other mistake is."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Sequence

import tyro

from ..errors import OptionError, closest
from ..job.hints import FLAGS
from .commands import COMMANDS, union
from .shared import Command

#: Commands whose words may be settings of a job.
JOBS = ("fit", "check", "resume", "demo", "view")
#: Where tyro's text on a mistake ends and its help begins.
_HELP = re.compile(r"^(Got errors:|Argument helptext:|For full helptext|─{3,})")


def parse(words: Sequence[str], description: str) -> tuple[Command, list[str]]:
    """Return the command, and the words that it does not know. OptionError for wrong words; SystemExit after printing help."""
    _check_command(words[0])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed: tuple[Command, list[str]] = tyro.cli(
                union(),
                prog="pbdr",
                description=description,
                args=words,
                return_unknown_args=True,
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise OptionError(_told(words, said.getvalue())) from None
    sys.stderr.write(said.getvalue())
    return parsed


def _check_command(word: str) -> None:
    """A wrong command gets the closest name."""
    if word.startswith("-") or word in COMMANDS:
        return
    near = closest(word, COMMANDS)
    hint = f"Closest: '{near[0]}'." if near else f"Commands: {', '.join(COMMANDS)}."
    raise OptionError(f"there is no command '{word}'. {hint} All: pbdr --help")


def _told(words: Sequence[str], text: str) -> str:
    """What tyro has said in a box, on one line: without its title, its help and its frame."""
    for word in words[1:] if words[0] in JOBS else ():
        key = word.lstrip("-").partition("=")[0]
        if word.startswith("--") and key in FLAGS:
            return f"--{key} is not an option here: {FLAGS[key]}"
    kept: list[str] = []
    for line in text.splitlines():
        inside = line.strip("│ ")
        if _HELP.match(inside):
            break
        if inside and not line.startswith(("╭", "╰")):
            kept.append(inside)
    if len(kept) > 1 and kept[0].startswith("Missing from"):
        kept = [f"{kept[1]} is missing"]
    what = " ".join(kept).rstrip(".") or "these words are not understood"
    command = f"pbdr {words[0]}" if words[0] in COMMANDS else "pbdr"
    return f"{command}: {what}. See {command} --help"
