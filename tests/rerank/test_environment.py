"""What proxies and certificates of the environment do to requests."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import pytest
from servers import good, serving

pytest.importorskip("httpx")

from runoff.errors import InvalidArgument, PermanentError
from runoff.rerank import HTTPRerank
from runoff.rerank._remote.environment import is_loopback
from runoff.rerank._remote.transport import failed

NAMES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
BROKEN = {
    "no socksio": ({"ALL_PROXY": "socks5://127.0.0.1:9"}, ["ALL_PROXY", "httpx[socks]"]),
    "brackets": ({"NO_PROXY": "localhost,[::1]"}, ["NO_PROXY", "without brackets"]),
    "scheme": ({"HTTPS_PROXY": "foo://me:hunter2@x"}, ["HTTPS_PROXY"]),
    "certificates": (
        {"SSL_CERT_FILE": "/nonexistent"},
        ["SSL_CERT_FILE=/nonexistent", "No such file"],
    ),
}


def run(url, environment):
    """Score in a fresh interpreter; return what it wrote: the scores, or the error."""
    code = f"""
    from runoff.errors import PermanentError
    from runoff.rerank import HTTPRerank
    try:
        scores = HTTPRerank({url!r}, dialect="jina", model="m").score([("q", "text")])
        print("scored", scores.scored.all())
    except PermanentError as error:
        print("permanent", error)
    """
    kept = {name: value for name, value in os.environ.items() if name.upper() not in NAMES}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", BROKEN)
def test_what_the_environment_breaks_is_permanent_and_named(name):
    """A missing package, brackets, a scheme or a missing file: the error names the variable."""
    if name == "no socksio" and importlib.util.find_spec("socksio"):
        pytest.skip("socksio is installed")
    environment, named = BROKEN[name]
    said = run("https://rerank.invalid", environment)
    assert said.startswith("permanent m: ")
    assert all(one in said for one in named)
    assert "hunter2" not in said


@pytest.mark.parametrize("name", BROKEN)
def test_plain_http_on_this_machine_needs_none_of_it(name):
    """A server on loopback answers, whatever is wrong with proxies and certificates."""
    with serving(lambda asked: (200, good(asked.body["documents"]))) as server:
        assert run(server.url, BROKEN[name][0]) == "scored True\n"


@pytest.mark.parametrize(
    "host", ["a..b", ".a", "x" * 64 + ".com", "\u0378.com", "xn--zzzzzz---", "xn--\u0378"]
)
def test_a_host_that_no_server_can_have_is_refused(host):
    """An empty or too long part, or malformed IDNA, is an error of the argument, before any use."""
    with pytest.raises(InvalidArgument, match=r"^url="):
        HTTPRerank(f"http://{host}/rerank", dialect="jina", model="m")


@pytest.mark.parametrize(
    "host", ["m\u00fcnchen.de", "a.b.", "[::1]:80", "10.0.0.1", "a_b", "xn--mnchen-3ya.de"]
)
def test_a_host_that_servers_have_is_taken(host):
    """Letters that IDNA knows, a final dot, addresses and underscores are fine."""
    assert HTTPRerank(f"http://{host}", dialect="jina", model="m").url == f"http://{host}"


def test_a_name_that_the_resolver_cannot_write_is_permanent():
    """What no name server can be asked is an error of the url, not of the connection."""
    error = failed(UnicodeError("label empty or too long"), "m")
    assert isinstance(error, PermanentError)
    assert "url cannot be used" in str(error)


def test_loopback_is_known_by_name_and_by_address():
    """The name localhost, its subdomains, 127.0.0.0/8 and ::1; no other names."""
    assert all(map(is_loopback, ("localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1")))
    others = ("localhost.example", "10.0.0.1", "127.0.0.1.example", "::2", "")
    assert not any(map(is_loopback, others))
