"""`without_secrets`: messages of any client's errors, without keys and passwords."""

from __future__ import annotations

import re

_MASK = "***"
# patterns are compiled when first used, so that `import runoff` is quick
# a URL may contain a password, and a key in its query or fragment
_URL = r"(\w+://)(?:[^/\s@'\"]*@)?([^\s?#'\"]*)(?:\?[^\s'\"]*)?(?:#[^\s'\"=]*=[^\s'\"]*)?"
_NAMES = (
    r"[\w-]{0,40}(?:api[-_ ]?key|(?:access|auth|refresh|id|session|security)[-_]?token"
    r"|pass(?:word|wd)|passphrase|pwd|client[-_]?secret|(?:secret|private|access|account|shared)[-_]?(?:access[-_]?"
    r")?key)"
)
# `name=value`, `name: value`, `"name": "value"`, and the headers' names
_NAMED = rf"(?i)(\b{_NAMES}['\"]?\s*[:=]\s*(?:b?['\"])?)([^\s'\",;&)}}\]]+)"
_PLAINLY_NAMED = (
    r"(?i)(\b(?:token|secret|sig|signature)(?:=|['\"]\s*:\s*b?)['\"]?)([^\s'\",;&)}}\]]+)"
)
_HEADER = (
    r"(?i)(\b(?:proxy-)?authorization['\"]?\s*[:=]\s*(?:b?['\"])?"
    r"(?:(?:bearer|basic|token|digest)\s+)?)"
    r"(?!(?:bearer|basic|token|digest)\s)([^\s'\",;)}\]]{8,})"
)
_SCHEME = r"(?i)(\b(?:bearer|basic)\s+)((?=[^\s'\",;)}\]]*\d)[^\s'\",;)}\]]{8,})"
# as some vendors write their keys, and JSON Web Tokens
_KEY = (
    r"\b()(?:(?:sk|pk|rk)-[\w-]{16,}|(?:hf|ghp|gho|ghs|jina|pcsk)_\w{16,}|xox[a-z]-[\w-]{10,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)"
)


def without_secrets(text: str) -> str:
    """Return a text with everything removed that is named or written like a secret.

    URLs lose password, query, and a fragment with values; `password=`, `api_key:` and the like, and
    an `Authorization` header, have `***` for their value.
    """
    text = re.sub(_URL, r"\1\2", text)
    for pattern in (_HEADER, _SCHEME, _NAMED, _PLAINLY_NAMED, _KEY):
        text = re.sub(pattern, rf"\1{_MASK}", text)
    return text
