"""Models of the Hugging Face Hub: only the needed files, from the cache when offline."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING

from runoff._onnx.files import SETTINGS
from runoff._util import optout
from runoff.errors import ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TIMEOUT = 10.0  # seconds to learn what a repository holds
_DISK = {
    errno.EACCES,
    errno.EDQUOT,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_name(model: str) -> bool:
    """Whether a text has the form of a Hub name, `"org/name"`."""
    return _NAME.fullmatch(model) is not None


def fetch(
    model: str,
    *,
    wanted: Callable[[Sequence[str]], list[str]],
    revision: str | None,
    cache_dir: Path | None,
    local_files_only: bool,
) -> Path:
    """Return the directory of a model, after downloading missing files.

    Without network, and with `HF_HUB_OFFLINE=1` or `local_files_only`, only the cache is used.

    Args:
        model: its name, `"org/name"`.
        wanted: a function from the names of all its files to patterns of those to download; it
            raises `ModelNotFound` where a needed file is missing.
        revision: branch, tag or commit; None is the main branch.
        cache_dir: where models are kept; None is the Hub's own default.
        local_files_only: never use the network.

    Raises:
        ModelNotFound: no such model or revision, no fitting files, neither network nor cached
            files, or a cache that cannot be written.
    """
    optout.apply()
    import huggingface_hub  # noqa: PLC0415 - half a second that only Hub models cost
    from huggingface_hub import constants  # noqa: PLC0415 - as above

    patterns: list[str] | None = None
    unreachable: Exception | None = None
    offline = local_files_only or constants.HF_HUB_OFFLINE
    if not offline:
        try:
            # not list_repo_files, which tries for half a minute where there is no network
            about = huggingface_hub.HfApi().model_info(model, revision=revision, timeout=_TIMEOUT)
        except Exception as error:  # noqa: BLE001 - its HTTP client differs by version; see below
            unreachable = error
        else:
            listed = [one.rfilename for one in about.siblings or ()]
            patterns = wanted(listed)
    try:
        directory = huggingface_hub.snapshot_download(
            model,
            revision=revision,
            cache_dir=cache_dir,
            allow_patterns=patterns or [*SETTINGS],
            local_files_only=patterns is None,
        )
    except Exception as error:  # noqa: BLE001 - as above, and every failure here has a name
        msg = _explain(model, revision, unreachable or error, offline=offline)
        raise ModelNotFound(msg) from (unreachable or error)
    return Path(directory)


def _explain(model: str, revision: str | None, error: Exception, *, offline: bool) -> str:
    wanted = model if revision is None else f"{model} at {revision}"
    if offline:
        return (
            f"{wanted}: it is not in the Hugging Face cache and the network is switched off "
            f'(HF_HUB_OFFLINE or local_files_only): run "hf download {model}" once with network, '
            "or name the directory that holds the model"
        )
    kinds = {kind.__name__ for kind in type(error).__mro__}  # their module differs by version
    if "GatedRepoError" in kinds:
        return f'{wanted}: access is restricted: ask for it on its page, then "hf auth login"'
    if kinds & {"RepositoryNotFoundError", "RevisionNotFoundError"}:
        return f"{wanted}: the Hugging Face Hub has no such model or revision (or it is private)"
    if isinstance(error, OSError) and error.errno in _DISK:
        return (
            f"{wanted}: the Hugging Face cache cannot be written ({error}): free some space there "
            "or name another folder with cache_dir= or HF_HOME"
        )
    summary = str(error).partition("\n")[0]
    return (
        f"{wanted}: the Hugging Face Hub cannot be reached and the model is not in the cache "
        f"({type(error).__name__}: {summary})"
    )
