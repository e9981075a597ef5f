"""The processors' counters by a daemon, with joules worked by hand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from lost_counter import check_reset_and_given_up
from zeusd_server import Daemon, zeusd

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.cpu import zeusd as client
from eco2ai_callbacks.meters.cpu.rapl import of_zones
from eco2ai_callbacks.testing import BARE_METAL, Clock


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    # A path of a socket has 107 characters at most.
    with zeusd(tmp_path_factory.mktemp("z") / "s") as daemon:
        yield daemon


def test_the_daemon_s_counters_add_up(daemon: Daemon) -> None:
    """Packages from 1 J to 41 J and from 2 J to 32 J: 70 J; memory from 0.5 J to 4.5 J: 4 J."""
    clock = Clock()
    cpu, dram = of_zones(client.locate(daemon.path), BARE_METAL, clock, name="zeusd", method="rapl-zeusd")
    assert dram is not None
    clock.advance(1.0)
    daemon.cpu_uj = {0: 41_000_000, 1: 32_000_000}
    daemon.dram_uj = {0: 4_500_000}
    assert cpu.interval(1.0, 1.0) == (70.0, 0.0)
    assert dram.read() == {"ram": 4.0}
    assert cpu.method.name == "rapl-zeusd"
    assert daemon.asked[0] == "/discover"
    assert daemon.asked[-1] == "/cpu/get_cumulative_energy?cpu_ids=0&cpu=false&dram=true"


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"garbage", "Expecting value"),
        (200, b"[1]", "the daemon's answer is no object"),
        (200, b"{}", "it does not answer as zeusd does"),
        (200, b'{"cpu_ids": ["0"]}', "it does not answer as zeusd does"),
        (200, b'{"cpu_ids": []}', "reads no processor"),
        (403, b"", "the daemon answers 403"),
        (500, b"", "the daemon answers 500"),
    ],
    ids=["garbage", "list", "empty", "text", "none", "forbidden", "broken"],
)
def test_another_answer_is_refused_with_the_fix(daemon: Daemon, status: int, body: bytes, why: str) -> None:
    daemon.say = status, body
    with pytest.raises(MeterUnavailable, match=why) as caught:
        client.locate(daemon.path)
    assert "API group" in (caught.value.hint or "")


@pytest.mark.parametrize("body", [b"{}", b'{"0": 7}', b'{"0": {"cpu_energy_uj": null}}'], ids=range(3))
def test_an_energy_that_is_none_raises(daemon: Daemon, body: bytes) -> None:
    zone = client.locate(daemon.path)[0]
    daemon.say = 200, body
    with pytest.raises(ValueError, match="not a number"):
        zone.read_uj()


def test_a_daemon_that_is_gone_is_given_up_and_one_that_restarted_was_reset(daemon: Daemon) -> None:
    clock = Clock()
    daemon.cpu_uj, daemon.dram_uj = {0: 900_000_000}, {}
    cpu, _ = of_zones(client.locate(daemon.path), BARE_METAL, clock, name="zeusd", method="rapl-zeusd")
    check_reset_and_given_up(
        cpu, clock, "zeusd", lambda: daemon.cpu_uj.update({0: 5_000_000}), lambda: daemon.path.unlink()
    )


def test_a_daemon_that_hangs_is_waited_for_no_longer_than_a_second(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_TIMEOUT_S", 0.01)
    path = tmp_path_factory.mktemp("z") / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        with pytest.raises(MeterUnavailable, match="timed out"):
            client.locate(path)


def test_what_does_not_speak_http_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("z") / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        with pytest.raises(MeterUnavailable, match="refused"):
            client.locate(path)
    with pytest.raises(MeterUnavailable, match="No such file"):
        client.locate(path.with_name("none"))


def test_a_daemon_that_reads_nothing_after_all_is_refused(daemon: Daemon) -> None:
    zones = client.locate(daemon.path)
    daemon.say = 500, b""
    with pytest.raises(MeterUnavailable, match=r"unreadable: .*the daemon answers 500") as caught:
        of_zones(zones, BARE_METAL, Clock(), name="zeusd", method="rapl-zeusd")
    assert "API group" in (caught.value.hint or "")


def test_an_answer_of_another_protocol_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("z") / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def talk() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"220 ready\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(MeterUnavailable, match="no answer of HTTP"):
            client.locate(path)
        thread.join()
