"""The command ``eco2ai run``, through real processes and a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from logcheck import by_run, check_whole, rows

from eco2ai_callbacks.cli import child

pytestmark = pytest.mark.skipif(not child.available(), reason="this system cannot wait without reaping")

RUN = [sys.executable, "-m", "eco2ai_callbacks", "run"]
LIMIT_S = 60.0

# Works for so many CPU seconds and says how many it, with its children, has used in all.
BURN = """
import resource, sys, time
while time.process_time() < float(sys.argv[1]): pass
"""
TELL = """
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(each.ru_utime + each.ru_stime for each in used))
"""


def run(*command: str, options: tuple[str, ...] = ("--region", "FR"), **kwargs: Any) -> Any:
    return subprocess.run([*RUN, *options, "--", *command], capture_output=True, text=True, timeout=LIMIT_S, **kwargs)


def started(*command: str, **kwargs: Any) -> Any:
    return subprocess.Popen(
        [*RUN, "--region", "FR", "--", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs
    )


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def watts(found: list[dict[str, Any]]) -> float:
    match = re.search(r"([\d.]+) W per busy thread", found[-1]["attribution"]["cpu"])
    assert match, found[-1]["attribution"]
    return float(match[1])


def cpu_j(found: list[dict[str, Any]]) -> float:
    return sum(row["joules"]["cpu"] for row in found if row["event"] in ("epoch", "stage", "stop"))


# --- what is measured -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        f"{BURN}{TELL}",
        "import resource, subprocess, sys\n"
        f"for _ in range(25): subprocess.run([sys.executable, '-S', '-c', {BURN!r}, '0.03'])\n{TELL}",
        "import resource, subprocess, sys\n"
        f"all = [subprocess.Popen([sys.executable, '-S', '-c', {BURN!r}, '0.4']) for _ in range(2)]\n"
        f"for each in all: each.wait()\n{TELL}",
    ],
    ids=["one process", "many short children", "children side by side"],
)
def test_the_energy_is_the_cpu_time_of_the_whole_tree(script: str) -> None:
    # The formula that is linear in CPU time, on any machine.
    done = run(sys.executable, "-c", script, "0.8", options=("--region", "FR", "--cpu-model", "paper", "-q"))
    assert done.returncode == 0, done.stderr
    found = rows()
    check_whole(found)
    # What the command uses after it has said so: the end of an interpreter.
    assert cpu_j(found) / watts(found) == pytest.approx(float(done.stdout), rel=0.03, abs=0.02)


def test_a_command_that_is_over_at_once_is_measured_from_its_first_instant() -> None:
    done = run("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; times")
    minutes, seconds = re.findall(r"(\d+)m([\d.]+)s", done.stdout)[0]
    found = rows()
    check_whole(found)
    assert found[-1]["joules"]["cpu"] > 0
    assert found[-1]["joules"]["cpu"] / watts(found) >= float(minutes) * 60 + float(seconds) - 0.011  # ticks


def test_a_command_that_sleeps_uses_next_to_nothing() -> None:
    assert run("sleep", "0.5").returncode == 0
    found = rows()
    assert 0.5 <= found[-1]["total"]["seconds"] < 1.5
    assert cpu_j(found) / watts(found) < 0.02


def test_memory_is_known_though_the_process_is_gone_at_the_end() -> None:
    hold = "import time; held = bytearray(400 << 20); time.sleep(1.5)"
    options = ("--cpu-model", "paper", "--ram-w-per-gib", "1")
    assert run(*python(hold), options=options).returncode == 0
    found = rows()
    ram = sum(row["joules"]["ram"] for row in found if row["event"] == "stop")
    assert ram / found[-1]["total"]["seconds"] == pytest.approx(400 / 1024, rel=0.45)


def test_a_tracker_inside_names_the_command_as_its_parent() -> None:
    inner = "from eco2ai_callbacks import track\nwith track(region='FR', project='inner'): sum(range(10**6))"
    assert run(*python(inner)).returncode == 0
    found = by_run(rows())
    outer, inside = (
        next(r for r in found.values() if (r[0]["project"] == "inner") is which) for which in (False, True)
    )
    check_whole(rows())
    assert {row["parent"] for row in inside} == {outer[0]["run"]}
    assert outer[0]["parent"] is None
    assert outer[-1]["total"]["energy_kwh"] > inside[-1]["total"]["energy_kwh"] > 0


# --- what is passed through -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "ended"), [(0, "finished"), (1, "exit code 1"), (77, "exit code 77")])
def test_the_exit_code_is_the_commands(code: int, ended: str) -> None:
    assert run("sh", "-c", f"exit {code}").returncode == code
    assert rows()[-1]["ended"] == ended


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGINT", "SIGSEGV"])
def test_a_command_that_a_signal_ends_gives_128_and_its_number(name: str) -> None:
    number = getattr(signal, name)
    done = run("sh", "-c", f"ulimit -c 0; kill -{name[3:]} $$")
    assert done.returncode == 128 + number
    assert rows()[-1]["ended"] == f"ended by {name}"
    assert done.stderr.splitlines()[-1].startswith("eco2ai: ")


def test_a_command_that_is_not_there_is_said_in_one_sentence() -> None:
    done = run("no-such-command-here", "x")
    assert done.returncode == 127
    assert done.stderr.splitlines() == ["eco2ai run: no-such-command-here was not found"]
    assert not Path("eco2ai.jsonl").exists()


def test_a_file_that_may_not_be_run_is_said_in_one_sentence() -> None:
    Path("data.txt").write_text("nothing to run")
    done = run("./data.txt")
    assert done.returncode == 126
    assert len(done.stderr.splitlines()) == 1
    assert "./data.txt cannot be run" in done.stderr


def test_a_script_whose_interpreter_is_missing_is_said_too() -> None:
    script = Path("script")
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    done = run("./script", options=("-q",))
    assert done.returncode == 127
    assert done.stderr.splitlines() == ["eco2ai run: the command cannot be run: No such file or directory"]
    assert rows()[-1]["ended"] == "not started"


def test_a_script_without_an_interpreter_line_is_the_shells() -> None:
    script = Path("script")
    script.write_text('echo "with $1"; exit 3\n')
    script.chmod(0o755)
    done = run("./script", "two words")
    assert (done.returncode, done.stdout) == (3, "with two words\n")


def test_input_output_and_arguments_are_the_commands_own() -> None:
    done = run("sh", "-c", 'cat; echo "$0 $1" >&2', "a b", "--region", input="through\n")
    assert done.stdout == "through\n"
    said = done.stderr.splitlines()
    assert said[0] == "a b --region"
    assert [line.startswith("eco2ai: ") for line in said] == [False, True]


def test_large_input_through_a_pipe_arrives_whole() -> None:
    done = run("wc", "-c", options=("--quiet",), input="x" * 1_000_000)
    assert done.stdout.strip() == "1000000"
    assert done.stderr == ""


def test_signal_settings_and_open_files_are_those_of_a_plain_start() -> None:
    show = ["sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l"]

    def told(text: str) -> list[int]:
        blocked, ignored, files = text.splitlines()
        # Signals 32 and 33 are the C library's own.
        return [*(int(line.split()[1], 16) & 0x7FFFFFFF for line in (blocked, ignored)), int(files)]

    plain = subprocess.run(show, capture_output=True, text=True).stdout
    assert told(run(*show).stdout) == told(plain)


def test_options_are_the_settings_and_a_wrong_one_is_named() -> None:
    options = ("--project", "mine", "--log-file", "mine.jsonl", "--pue", "1.5", "--price", '{"0:00-24:00": 0.2}')
    assert run("true", options=options, env=os.environ | {"ECO2AI_REGION": "FR"}).returncode == 0
    found = rows("mine.jsonl")
    assert {row["project"] for row in found} == {"mine"}
    assert found[-1]["pue"] == 1.5
    assert found[-1]["cost"] > 0
    assert found[-1]["intensity"]["region"].startswith("FR")
    wrong = run("touch", "made", options=("--scope", "galaxy"))
    assert wrong.returncode == 2
    assert "'process' or 'machine'" in wrong.stderr
    assert not Path("made").exists()


def test_nothing_to_run_is_a_question_of_usage() -> None:
    done = subprocess.run(RUN, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Usage:" in done.stderr


# --- signals --------------------------------------------------------------------------------------------------------

# Says which signals it gets, and ends after the one that is named.
LISTENS = """
import os, signal, sys, time
def heard(number, frame):
    os.write(1, f"{signal.Signals(number).name}\\n".encode())  # a print may interrupt one
    if signal.Signals(number).name == sys.argv[1]:
        time.sleep(0.3)
        sys.exit(5)
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGWINCH"):
    signal.signal(getattr(signal, name), heard)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGWINCH"])
def test_a_signal_to_us_alone_reaches_the_command_once(name: str) -> None:
    process = started(sys.executable, "-c", LISTENS, name)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=LIMIT_S)
    assert out.splitlines() == [name]
    assert process.returncode == 5
    assert err.splitlines()[-1].startswith("eco2ai: ")
    check_whole(rows())


def test_a_command_that_sends_a_signal_to_its_group_gets_it_once() -> None:
    script = LISTENS.replace('print("ready", flush=True)', "import os; os.kill(0, signal.SIGUSR1)")
    done = run(sys.executable, "-c", script, "SIGUSR1", start_new_session=True)
    assert done.stdout.splitlines() == ["SIGUSR1"]
    assert done.returncode == 5


def test_a_signal_that_we_ignore_is_ignored_by_the_command() -> None:
    show = "import signal; print(signal.getsignal(signal.SIGHUP).name, flush=True); input()"
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *RUN, "-q", "--", *python(show)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "SIG_IGN\n"
    process.send_signal(signal.SIGHUP)
    process.communicate("\n", timeout=LIMIT_S)
    assert process.returncode == 0


# --- the terminal ---------------------------------------------------------------------------------------------------


class Terminal:
    """A shell with job control, or a command, at a terminal of its own."""

    def __init__(self, *command: str) -> None:
        self._master, slave = pty.openpty()
        take = (
            "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
        )
        self._process = subprocess.Popen(
            [*python(take), *command], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.seen = ""
        self._read = 0

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until something is shown, behind what was waited for before."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            if match := re.compile(pattern).search(self.seen, self._read):
                self._read = match.end()
                return match
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self._master, 4096).decode(errors="replace")
                except OSError:  # Linux's way of saying that nobody has it open any more
                    break
        raise AssertionError(f"{pattern!r} was not shown: {self.seen!r}")

    def hang_up(self) -> None:
        os.close(self._master)
        self._master = -1

    def ended(self) -> int:
        """Wait for the end, and give the exit code."""
        code = self._process.wait(timeout=LIMIT_S)
        if self._master >= 0:
            os.close(self._master)
        return code


def test_the_command_has_the_terminal() -> None:
    script = "import os; print([os.isatty(n) for n in (0, 1, 2)], os.tcgetpgrp(0) == os.getpgrp())"
    terminal = Terminal(*RUN, "--region", "FR", "--", *python(f"{script}; print(input()[::-1])"))
    terminal.until(r"\[True, True, True\] True")
    terminal.type("drawer\n")
    terminal.until(r"reward")
    terminal.until(r"eco2ai: .*CO2e")
    assert terminal.ended() == 0


def test_ctrl_c_reaches_the_command_once_and_our_line_is_printed() -> None:
    terminal = Terminal(*RUN, "--region", "FR", "--", sys.executable, "-c", LISTENS, "SIGINT")
    terminal.until("ready")
    terminal.type("\x03")
    terminal.until(r"eco2ai: .*CO2e")
    assert terminal.ended() == 5
    assert terminal.seen.count("SIGINT") == 1
    assert rows()[-1]["ended"] == "exit code 5"


def test_ctrl_c_ends_a_command_that_does_not_care() -> None:
    # Not a shell's script: a shell that is just starting a program waits for that to end before it heeds the signal.
    script = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_DFL); print('ready', flush=True); time.sleep(60)"
    )
    terminal = Terminal(*RUN, "--region", "FR", "--", *python(script))
    terminal.until("ready")
    terminal.type("\x03")
    terminal.until(r"eco2ai: .*ended by SIGINT")
    assert terminal.ended() == 130


def test_a_shell_can_stop_the_command_and_go_on_with_it() -> None:
    terminal = Terminal("bash", "--norc", "-i")
    command = " ".join([*RUN, "--region", "FR", "--", "sh", "-c", "'echo ready; read x; echo got $x'"])
    terminal.type(f"PS1='> '; {command}\n")
    terminal.until("ready\r")
    terminal.type("\x1a")
    terminal.until("Stopped")
    terminal.type("jobs -l\n")
    terminal.until(r"Stopped[^\n]*eco2ai_callbacks")
    terminal.type("fg\n")
    terminal.until("eco2ai_callbacks run")
    terminal.type("this\n")
    terminal.until("got this")
    terminal.until(r"eco2ai: .*CO2e")
    terminal.type("exit 9\n")
    assert terminal.ended() == 9
    check_whole(rows())


def test_a_terminal_that_hangs_up_ends_the_command() -> None:
    terminal = Terminal(
        *RUN, "--region", "FR", "--", *python("import time; print('ready', flush=True); time.sleep(60)")
    )
    terminal.until("ready")
    terminal.hang_up()
    assert terminal.ended() == 129
    assert rows()[-1]["ended"] == "ended by SIGHUP"
