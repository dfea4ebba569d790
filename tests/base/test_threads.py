"""Workers: whoever needs a result does the work that nobody has begun."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
import torch

from nerv_codec.base.threads import Workers, side_by_side


@pytest.fixture(params=[1, 2, 3])
def workers(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    with Workers() as found:
        yield found
    assert torch.get_num_threads() == request.param
    torch.set_num_threads(before)


def test_they_can_be_entered_again():
    """What nobody had begun with is done then; torch's setting is that of whoever enters."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        workers, hold = Workers(), threading.Event()
        with workers:
            held = [workers.begin(hold.wait, 0.2) for _ in range(3)]
            task = workers.begin(abs, -3)
        torch.set_num_threads(1)
        with workers:
            assert workers.result(task) == 3 and [one.result() for one in held] == [False] * 3
            assert workers.map(abs, [-1, -2]) == [1, 2]
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_results_come_in_order(workers):
    assert workers.map(lambda a, b: a - b, range(50), [1] * 50) == list(range(-1, 49))
    assert side_by_side(None, abs, [-2, 3]) == side_by_side(workers, abs, [-2, 3]) == [2, 3]


def test_a_task_is_done_once_whoever_asks(workers):
    done = []
    task = workers.begin(done.append, 1)
    askers = [threading.Thread(target=task.result) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert task.result() is None and done == [1]


def test_tasks_may_wait_for_earlier_ones(workers):
    """A chain that is longer than there are threads, asked for from its end."""
    tasks = [workers.begin(int)]
    for _ in range(40):
        tasks.append(workers.begin(lambda before: before.result() + 1, tasks[-1]))
    assert tasks[-1].result() == 40


def test_errors_reach_whoever_asks(workers):
    task = workers.begin(lambda: 1 // 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            task.result()
    with pytest.raises(ValueError, match="abc"):
        workers.map(int, ["1", "abc", "3"])


def test_what_is_done_keeps_nothing_of_what_it_was_done_with(workers):
    """Closures that know their own tasks, as those of a pipeline do, would wait for the collector of cycles."""

    class Picture:
        pass

    def pipeline():
        picture, tasks = Picture(), []
        tasks.append(workers.begin(lambda: (picture, tasks) and 1))
        assert tasks[0].result() == 1
        return weakref.ref(picture)

    gc.disable()
    try:
        assert pipeline()() is None
    finally:
        gc.enable()


def test_those_of_several_threads_leave_torch_as_the_first_found_it():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    inside, leave = threading.Event(), threading.Event()

    def work():
        with Workers():
            inside.set()
            leave.wait(10)

    seen = []
    try:
        with Workers():
            thread = threading.Thread(target=work)
            thread.start()
            inside.wait(10)
        leave.set()
        thread.join()
        new = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        new.start()
        new.join()
        assert (torch.get_num_threads(), seen) == (2, [2])
    finally:
        torch.set_num_threads(before)
