"""What the environment adds to requests: proxies and certificate authorities."""

from __future__ import annotations

import errno
import ipaddress
import os
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runoff._util.messages import error_text
from runoff.errors import InvalidArgument, MissingExtra, PermanentError, PoolFull

try:
    import httpx
except ImportError as error:
    raise MissingExtra("httpx", "http") from error

if TYPE_CHECKING:
    from runoff.errors import RunoffError

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


def trusted(ca: str | None) -> ssl.SSLContext:
    """Return a TLS context that trusts a file of authorities, or the usual ones.

    Raises:
        InvalidArgument: the file cannot be read as certificates.
        PermanentError: the environment names certificates that cannot be read.
        PoolFull: the process has no file descriptor left.
    """
    try:
        return httpx.create_ssl_context() if ca is None else ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl's errors are some
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            msg = f"no file descriptor is left to read certificates: {error_text(error)}"
            raise PoolFull(msg) from error
        why = f"cannot be read as certificate authorities in PEM format: {error_text(error)}"
        if ca is not None:
            raise InvalidArgument("ca", ca, why) from error
        found = [f"{name}={os.environ[name]}" for name in _CERTIFICATES if os.environ.get(name)]
        msg = f"{' and '.join(found) or 'the default certificates'} {why}; correct it or unset it"
        raise PermanentError(msg) from error


def untrusting() -> ssl.SSLContext:
    """Return a TLS context that trusts nobody, for connections that do not use TLS."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def proxies_unusable(error: Exception) -> RunoffError:
    """Return the error for proxies that no client can be made with; names the variables."""
    names = [name for name in _PROXIES if _read(name)]
    if isinstance(error, ImportError):
        socks = [name for name in names if urlsplit(_read(name)).scheme.startswith("socks")]
        named = " and ".join(socks or names) or "the system"
        remedy = 'pip install "httpx[socks]"'
        return PermanentError(f"{named} names a SOCKS proxy, which needs socksio: {remedy}")
    if "[" in _read("NO_PROXY"):
        remedy = "write IPv6 addresses without brackets, such as ::1"
        return PermanentError(f"NO_PROXY cannot be used ({error_text(error)}): {remedy}")
    named = " or ".join(names) or "the proxies of the system"
    return PermanentError(f"{named} cannot be used ({error_text(error)}): correct or unset it")


def _read(name: str) -> str:
    return os.environ.get(name.lower()) or os.environ.get(name) or ""


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself, as far as its name says."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
