"""As many threads as there are processors, and a linear algebra that adds none of its own."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from logolens.io.threads import ONE_THREAD_EACH, processors


@pytest.fixture
def spread() -> ThreadpoolController:
    """Numpy's own pool of several threads; the test is skipped where there is none."""
    np.dot(np.ones(1), np.ones(1))
    control = ThreadpoolController()
    if min(pool_size(control), default=1) < 2:
        pytest.skip("needs a linear algebra that spreads over several processors")
    return control


def pool_size(control: ThreadpoolController) -> set[int]:
    """Of numpy's own library: OpenCV and others bring one each, which is loaded when they are."""
    found = control.select(user_api="blas").info()
    return {library["num_threads"] for library in found if "numpy" in library["filepath"]}


def test_processors_are_those_that_this_process_may_use() -> None:
    assert processors() >= 1
    if hasattr(os, "sched_getaffinity"):
        assert processors() == len(os.sched_getaffinity(0))


def test_inside_there_is_one_thread_and_outside_as_many_as_before(spread: ThreadpoolController) -> None:
    before = pool_size(spread)
    with ONE_THREAD_EACH:
        assert pool_size(spread) == {1}
        with ONE_THREAD_EACH:
            assert pool_size(spread) == {1}
        assert pool_size(spread) == {1}
    assert pool_size(spread) == before


def test_an_error_inside_leaves_as_many_as_before(spread: ThreadpoolController) -> None:
    before = pool_size(spread)
    with pytest.raises(RuntimeError, match="inside"), ONE_THREAD_EACH:
        raise RuntimeError("inside")
    assert pool_size(spread) == before


def test_the_last_thread_to_leave_puts_it_back(spread: ThreadpoolController) -> None:
    before = pool_size(spread)
    both, leave = threading.Barrier(2, timeout=240), threading.Event()

    def stay() -> None:
        with ONE_THREAD_EACH:
            both.wait()
            leave.wait(240)

    with ThreadPoolExecutor(1) as pool:
        staying = pool.submit(stay)
        with ONE_THREAD_EACH:
            both.wait()
        assert pool_size(spread) == {1}
        leave.set()
        staying.result()
    assert pool_size(spread) == before


def test_the_first_thread_to_come_need_not_be_the_last_to_leave(spread: ThreadpoolController) -> None:
    before = pool_size(spread)
    leave = threading.Event()
    inside = threading.Barrier(2, timeout=240)

    def stay() -> None:
        with ONE_THREAD_EACH:
            inside.wait()
            leave.wait(240)

    # Both threads live on, as those of a pool do.
    with ThreadPoolExecutor(2) as pool:
        with ONE_THREAD_EACH:
            staying = pool.submit(stay)
            inside.wait()
        leave.set()
        staying.result()
        assert pool_size(spread) == before
        with ONE_THREAD_EACH:
            assert pool_size(spread) == {1}
        assert pool_size(spread) == before


def test_many_threads_come_and_go(spread: ThreadpoolController) -> None:
    before = pool_size(spread)

    def work(number: int) -> set[int]:
        with ONE_THREAD_EACH:
            return pool_size(spread)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(200))) == [{1}] * 200
    assert pool_size(spread) == before
