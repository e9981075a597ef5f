"""A command as a child process: held before it begins, its signals passed on, waited for and left to be looked at."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType

# What a shell answers for a command that is there and cannot be run, and for one that is not there.
NOT_RUNNABLE, NOT_FOUND = 126, 127
# A command that was ended by signal N answers this much more than N.
BY_SIGNAL = 128

# Signals that are passed on where they were sent to this process alone.
_PASSED = frozenset(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTSTP", "SIGCONT", "SIGWINCH")
    if hasattr(signal, name)
)
# The terminal's ways of stopping a job: a shell waits until this process has stopped too.
_STOPPED_BY = frozenset(getattr(signal, name, None) for name in ("SIGTSTP", "SIGTTIN", "SIGTTOU"))
# Python ignores these; a program that it starts expects that nobody does.
_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ")
# Looks follow each other ever more slowly: a short command gets some, and a long one costs next to nothing.
_FIRST_LOOK_S, _SLOWER, _LAST_LOOK_S = 0.02, 1.5, 1.0


class Refused(Exception):
    """A command that cannot be run.

    Args:
        reason: Why, as one sentence.
        code: The exit code that a shell gives for it.
    """

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


def available() -> bool:
    """Return whether this system can wait for a child without losing sight of what it has used."""
    return all(hasattr(os, name) for name in ("fork", "waitid")) and hasattr(signal, "sigtimedwait")


def check(command: Sequence[str]) -> None:
    """Look for a command as the system will.

    Raises:
        Refused: It is not there, or cannot be run.
    """
    name = command[0]
    if shutil.which(name):
        return
    folders = [""] if os.sep in name else os.get_exec_path()
    if any(Path(folder, name).exists() for folder in folders):
        raise Refused(f"{name} cannot be run: it is no program, or the right to execute it is missing", NOT_RUNNABLE)
    raise Refused(f"{name} was not found", NOT_FOUND)


class Child:
    """A command that is held, in a process of its own, until :meth:`release`.

    Standard input, output and error, the terminal, the process group and the session are this process's: a terminal
    sends its signals to both, and this one survives them. What is sent to this process alone is passed on. A signal
    that a process sends to the whole group reaches the command twice, for nothing tells that it had it already.

    Args:
        command: The program and its arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        watched = _PASSED | {signal.SIGCHLD}
        # Blocked, not handled: they are taken one by one, and who sent them is known. Threads that are started later
        # block them too.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        # Where it is ignored, children leave nothing to be waited for.
        on_child = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        held, self._gate = os.pipe()
        self._verdict, told = os.pipe()
        self._watched = watched
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._gate)
            _become(command, held, told, mask, on_child)
        os.close(held)
        os.close(told)

    def release(self) -> None:
        """Let the command begin.

        Raises:
            Refused: The system does not run it.
        """
        os.write(self._gate, b"!")
        os.close(self._gate)
        code = b"".join(iter(lambda: os.read(self._verdict, 16), b""))
        os.close(self._verdict)
        if code:
            number = int(code)
            missing = number in (errno.ENOENT, errno.ENOTDIR)
            raise Refused(f"the command cannot be run: {os.strerror(number)}", NOT_FOUND if missing else NOT_RUNNABLE)

    def wait(self, look: Callable[[], object]) -> int:
        """Wait for the command to end, and return what a shell would; it stays to be looked at until :meth:`reap`.

        Args:
            look: Called now and then.
        """
        pause = _FIRST_LOOK_S
        due = time.monotonic() + pause
        while True:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                return ended.si_status if ended.si_code == os.CLD_EXITED else BY_SIGNAL + ended.si_status
            self._stop_with_it()
            came = signal.sigtimedwait(self._watched, max(0.0, due - time.monotonic()))
            if came is None:
                look()
                pause = min(pause * _SLOWER, _LAST_LOOK_S)
                due = time.monotonic() + pause
            elif came.si_signo != signal.SIGCHLD and self._is_for_us_alone(came):
                os.kill(self.pid, came.si_signo)

    def reap(self) -> None:
        """Let the command's process go."""
        os.waitpid(self.pid, 0)

    def _stop_with_it(self) -> None:
        stopped = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG)
        if stopped is not None and stopped.si_status in _STOPPED_BY:
            os.kill(os.getpid(), signal.SIGSTOP)

    def _is_for_us_alone(self, came: signal.struct_siginfo) -> bool:
        if came.si_code > 0:  # the kernel's: a terminal's keys and size go to the whole group, ...
            # ... but that it was hung up is told to the session's leader alone.
            return came.si_signo == signal.SIGHUP and os.getsid(0) == os.getpid()
        return came.si_pid != self.pid  # else the command has sent it to its group, and had it itself


def _become(
    command: Sequence[str],
    held: int,
    told: int,
    mask: Iterable[int],
    on_child: Callable[[int, FrameType | None], object] | int | signal.Handlers | None,
) -> None:
    """In the child: wait to be released, and become the command with signals as this process found them."""
    try:
        if not os.read(held, 1):
            return  # the parent is gone
        signal.signal(signal.SIGCHLD, on_child)
        if callable(signal.getsignal(signal.SIGINT)):  # Python's own; where it was ignored, it stays so
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        for name in _IGNORED_BY_PYTHON:
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _execute(command)
    except OSError as error:
        os.write(told, str(error.errno).encode())
    finally:
        os._exit(NOT_FOUND)


def _execute(command: Sequence[str]) -> None:
    try:
        os.execvp(command[0], [*command])
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A script that does not name its interpreter: execvp(3) of every C library gives it to the shell.
    os.execv("/bin/sh", ["/bin/sh", shutil.which(command[0]) or command[0], *command[1:]])
