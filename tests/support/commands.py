"""The `runoff` command line, run in this process or in one of its own."""

import contextlib
import importlib
import io
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from runoff.cli import app

ENVIRONMENT = {"NO_COLOR": "1", "COLUMNS": "200"}


@dataclass(frozen=True)
class Done:
    """What a command left behind, named as in `subprocess`."""

    returncode: int
    stdout: str
    stderr: str


def runoff(*arguments, cwd=None, **env):
    """Run a command in this process; what it changes of the process is undone."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    log, code = logging.getLogger("runoff"), 0
    level, loaded, path = log.level, set(sys.modules), [*sys.path]
    with (
        mock.patch.dict(os.environ, {**ENVIRONMENT, **env}),
        mock.patch.object(sys, "argv", ["runoff", *map(str, arguments)]),
        mock.patch.object(sys, "excepthook", sys.excepthook),
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        importlib.invalidate_caches()
        try:
            app()
        except SystemExit as ended:
            code = ended.code or 0
        finally:
            log.setLevel(level)
            sys.path[:] = path
            here = str(Path.cwd())
            for name in set(sys.modules) - loaded:  # the user's own, from the current folder
                ours = name.partition(".")[0] in ("runoff", "runoff_models")
                if not ours and str(getattr(sys.modules[name], "__file__", "")).startswith(here):
                    del sys.modules[name]
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return Done(code, *texts)


def runoff_process(*arguments, cwd=None, **env):
    """Run a command in a process of its own, which imports what this one imports."""
    return subprocess.run(
        [sys.executable, "-c", "from runoff.cli import app; app()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env={
            **os.environ,
            **ENVIRONMENT,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **env,
        },
    )
