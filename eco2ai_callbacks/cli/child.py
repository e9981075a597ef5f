"""A command as a child process: held before it starts, sent the signals of this process, and readable at its end."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType

# A shell's exit codes for a command that exists and cannot be run, and for one that does not exist.
NOT_RUNNABLE, NOT_FOUND = 126, 127
# A shell adds this to N for the exit code of a command that was ended by signal N.
BY_SIGNAL = 128

# Signals that are forwarded where they were sent to this process alone.
_PASSED = frozenset(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTSTP", "SIGCONT", "SIGWINCH")
    if hasattr(signal, name)
)
# Signals by which a terminal stops a job: a shell waits until this process has stopped too.
_STOPPED_BY = frozenset(getattr(signal, name, None) for name in ("SIGTSTP", "SIGTTIN", "SIGTTOU"))
# Python ignores these signals; a program that it starts expects their default action.
_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ")
# Checks get less and less frequent: a short command gets some, and a long one costs next to nothing.
_FIRST_LOOK_S, _SLOWER, _LAST_LOOK_S = 0.02, 1.5, 1.0


class Refused(Exception):
    """A command that cannot be run.

    Args:
        reason: The reason, as one sentence.
        code: A shell's exit code for it.
    """

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


def available() -> bool:
    """Return whether this system can wait for a child and keep it readable, so that what it has used is not lost."""
    return all(hasattr(os, name) for name in ("fork", "waitid")) and hasattr(signal, "sigtimedwait")


def check(command: Sequence[str]) -> None:
    """Check that a command exists and can be run, by the system's own rules.

    Raises:
        Refused: It does not exist, or cannot be run.
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

    It shares standard input, output and error, the terminal, the process group and the session with this process. A
    terminal sends its signals to both, and this one survives them. A signal to this process alone is forwarded. One
    that a process sends to the whole group reaches the command twice: it cannot be seen that it arrived already.

    Args:
        command: The program and its arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        watched = _PASSED | {signal.SIGCHLD}
        # Blocked, not handled: they are received one by one, with their sender. Threads that are started later block
        # them too.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        # Where SIGCHLD is ignored, children leave nothing to wait for.
        on_child = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        held, self._gate = os.pipe()
        self._verdict, told = os.pipe()
        self._watched = watched
        self.pid: int = os.fork()
        if self.pid == 0:
            os.close(self._gate)
            _become(command, held, told, mask, on_child)
        os.close(held)
        os.close(told)

    def release(self) -> None:
        """Start the command.

        Raises:
            Refused: The system cannot run it.
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
        """Wait for the command to end, and return a shell's exit code; its process stays readable until :meth:`reap`.

        Args:
            look: Called less and less often while the command runs.
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
        """Reap the command's process."""
        os.waitpid(self.pid, 0)

    def _stop_with_it(self) -> None:
        stopped = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG)
        if stopped is not None and stopped.si_status in _STOPPED_BY:
            os.kill(os.getpid(), signal.SIGSTOP)

    def _is_for_us_alone(self, came: signal.struct_siginfo) -> bool:
        if came.si_code > 0:  # from the kernel: a terminal's keys and size go to the whole group, ...
            # ... but a hang-up goes to the session's leader alone.
            return came.si_signo == signal.SIGHUP and os.getsid(0) == os.getpid()
        return came.si_pid != self.pid  # else the command has sent it to its group, and had it itself


def _become(
    command: Sequence[str],
    held: int,
    told: int,
    mask: Iterable[int],
    on_child: Callable[[int, FrameType | None], object] | int | signal.Handlers | None,
) -> None:
    """Wait for the release, and execute the command with the signal actions that this process began with.

    Called in the child; does not return.
    """
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
    # A script without an interpreter line: execvp(3) of every C library runs it with the shell.
    os.execv("/bin/sh", ["/bin/sh", shutil.which(command[0]) or command[0], *command[1:]])
