"""What waits for the state of the last run begins once, when that is there."""

from twin import lifecycle


def test_what_waits_for_the_state_begins_once_and_in_order() -> None:
    begun: list[str] = []
    lifecycle.when_restored(lambda: begun.append("first"))
    lifecycle.when_restored(lambda: begun.append("second"))
    assert begun == []
    lifecycle.restored()
    lifecycle.restored()
    assert begun == ["first", "second"]
