"""Reading ahead of the decoder: in order, and within the memory."""

from tests.lambda_src.dataset_world import Functions


def test_memory_bounds_how_far_reading_goes_ahead(functions: Functions) -> None:
    window = functions.modules["preprocess"].window
    largest = 32 << 20
    assert window({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"}, largest) == 4
    assert window({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"}, largest) == 13
    assert window({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "10240"}, largest) == 16


def test_reading_ahead_keeps_the_order_and_the_bound(functions: Functions) -> None:
    read_ahead = functions.modules["preprocess"].make_shard.__globals__["read_ahead"]
    started: list[int] = []

    def read(item: int) -> int:
        started.append(item)
        return item * item

    taken = 0
    for item, result in read_ahead(read, range(100), 4):
        assert (item, result) == (taken, taken * taken)
        taken += 1
        assert len(started) <= taken + 3
    assert taken == 100
