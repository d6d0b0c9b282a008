"""docs/reference/roles.md is what its generator makes."""

from benchmarks import roles as page


def test_page_is_up_to_date():
    """Else: python -m benchmarks.roles."""
    assert page.PAGE.read_text(encoding="utf-8") == page.made()
