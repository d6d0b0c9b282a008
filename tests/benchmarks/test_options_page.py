"""docs/reference/options.md is what its generator makes, and every option says what it does."""

import dataclasses

from benchmarks import options_page as page
from pbdr.pathspace.options import PathspaceOptions


def test_page_is_up_to_date():
    """Else: python -m benchmarks.options_page."""
    assert page.PAGE.read_text(encoding="utf-8") == page.made()


def test_every_option_is_documented_where_it_is_declared():
    for option in dataclasses.fields(PathspaceOptions):
        assert option.metadata["what"].endswith(".") and option.metadata["when"].endswith("."), option.name
