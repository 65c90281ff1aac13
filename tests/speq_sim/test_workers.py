"""Workers: the same results in this process, in worker processes and behind an address."""

import os
import time

import pytest
from distributed import LocalCluster

from speq_sim.parallel import WorkerError, map_batches, workers


def double(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return 2 * number


def process(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


@pytest.fixture(scope="module")
def local():
    with workers(None, 2) as client:
        yield client


@pytest.fixture(params=["here", "workers"])
def client(request):
    return None if request.param == "here" else request.getfixturevalue("local")


@pytest.mark.parametrize("batches", [[], [3], list(range(50))])
def test_every_batch_comes_back_with_its_result(client, batches):
    found = list(map_batches(client, double, batches))
    assert sorted(found) == [(batch, 2 * batch) for batch in batches]


def test_progress_is_told_of_each_batch_when_those_before_are_done(client):
    told = []
    for number, _ in enumerate(map_batches(client, double, [1, 2, 3], told.append), start=1):
        assert len(told) == number
    assert told == [1, 2, 3]


def test_this_process_keeps_the_order():
    with workers(None, 0) as client:
        assert client is None
        assert list(map_batches(client, double, [5, 3, 4])) == [(5, 10), (3, 6), (4, 8)]


def test_an_error_of_a_batch_comes_out(client):
    with pytest.raises(ValueError, match="-1 is negative"):
        list(map_batches(client, double, [1, -1, 2]))
    assert len(list(map_batches(client, double, [1, 2]))) == 2


def test_leaving_early_drops_what_waits(client):
    found = map_batches(client, double, range(1000))
    next(found)
    found.close()
    assert list(map_batches(client, double, [7])) == [(7, 14)]


def test_workers_are_other_processes(local):
    found = {pid for _, pid in map_batches(local, process, range(20))}
    assert len(found) == 2
    assert os.getpid() not in found


def test_workers_behind_an_address_leave_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as c,
        workers(c.scheduler_address) as client,
    ):
        assert sorted(map_batches(client, double, [1, 2])) == [(1, 2), (2, 4)]
    with workers(None, 1) as client:
        assert list(map_batches(client, double, [1])) == [(1, 2)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense"])
def test_an_address_without_answer_is_one_error(address):
    begin = time.monotonic()
    with (
        pytest.raises(WorkerError, match=rf"no Dask scheduler answers at {address} within 0.5 s"),
        workers(address, seconds=0.5),
    ):
        pass
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("scheduler", "count", "message"),
    [
        ("tcp://127.0.0.1:1", 2, "2 workers are asked for beside the scheduler tcp://127.0.0.1:1"),
        (None, -1, "number of workers is -1, but must be 0 or more"),
    ],
)
def test_bad_numbers_are_one_error(scheduler, count, message):
    with pytest.raises(WorkerError, match=message), workers(scheduler, count):
        pass
