"""Becomes a server that dies with its parent, under a user id that PostgreSQL accepts."""

import contextlib
import ctypes
import os
import signal
import sys

NOBODY = 65534
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


def step_down(folder: str) -> None:
    """As root, which initdb and postgres refuse: become nobody in a namespace of our own, else really nobody.

    The namespace comes first because in it the programs and the folder may lie where only root can read.
    """
    if libc.unshare(CLONE_NEWUSER) == 0:
        for file, line in (("setgroups", "deny"), ("uid_map", f"{NOBODY} 0 1"), ("gid_map", f"{NOBODY} 0 1")):
            with open(f"/proc/self/{file}", "w") as target:
                target.write(line)
        return
    for parent, _, files in os.walk(folder):
        for file in (".", *files):
            os.chown(f"{parent}/{file}", NOBODY, NOBODY, follow_symlinks=False)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def main(parent: int, folder: str, rights: str, program: list[str]) -> None:
    """Called with the parent's process id, the server's folder, nobody or same, the program and its arguments.

    Does not return; a failure is one sentence on stderr and exit status 126.
    """
    try:
        if rights == "nobody" and os.getuid() == 0:
            step_down(folder)
        os.chdir(folder)
        # Only now: a change of user id takes the death signal back.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
        os.execv(program[0], program)
    except OSError as why:
        with contextlib.suppress(OSError):
            os.write(2, f"cannot start {program[0]}: {why}\n".encode())
        os._exit(126)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
