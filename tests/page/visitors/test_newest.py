"""The newest of each visitor wins, and an end of what was replaced changes nothing."""

from decoding.page.visitors.newest import Newest


def test_what_is_asked_later_replaces_what_is_under_way():
    newest, first, second = Newest(), object(), object()
    assert newest.put("ann", first) is None
    assert newest.is_newest("ann", first)
    assert newest.put("ann", second) is first
    assert not newest.is_newest("ann", first)
    assert newest.get("ann") is second


def test_an_end_is_that_of_the_newest_alone():
    newest, first, second = Newest(), object(), object()
    newest.put("ann", first)
    newest.put("ann", second)
    newest.forget("ann", first)
    assert newest.items() == [("ann", second)]
    newest.forget("ann", second)
    newest.forget("ann", second)
    assert (len(newest), newest.get("ann")) == (0, None)


def test_visitors_do_not_replace_each_other():
    newest, hers, his = Newest(), object(), object()
    newest.put("ann", hers)
    assert newest.put("bob", his) is None
    assert newest.is_newest("ann", hers)
    assert newest.is_newest("bob", his)
