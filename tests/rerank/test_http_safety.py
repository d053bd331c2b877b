"""What HTTPRerank keeps to itself, what it lets go of, and how it shares a process."""

import copy
import dataclasses
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import time
import traceback

import pytest
from servers import certificate, good, serving

import runoff
from runoff.deadline import Deadline
from runoff.errors import (
    AuthenticationFailed,
    BadReply,
    InvalidArgument,
    PermanentError,
    RequestRejected,
    RunoffError,
)
from runoff.rerank import CohereRerank, HTTPRerank, Retries
from runoff.scores import Passage
from runoff.testing.chaos import FAULTS, ChaosServer

PLANTED = "sk-planted-0123456789abcdef"
PAIRS = [("green tea", text) for text in ("green tea", "a river", "tea")]


def make(url, dialect="jina", **arguments):
    arguments = {"model": "m", "api_key": PLANTED, "circuit": None} | arguments
    return HTTPRerank(url, dialect=dialect, **arguments)


@pytest.fixture
def server():
    with ChaosServer() as chaos:
        yield chaos


def test_a_redirect_is_not_followed(server):
    """The second host is never asked, so it never gets key or texts; the error names it."""
    server.fault = FAULTS["redirect"]
    with pytest.raises(BadReply, match="redirects to localhost; redirects are not followed"):
        make(server.url).score(PAIRS)
    assert server.elsewhere.requests == []


@pytest.mark.parametrize("status", [400, 401, 402, 404, 405, 422, 429, 500, 200])
@pytest.mark.parametrize("kind", ["text", "callable", "environment", "header"])
def test_a_server_that_repeats_the_key_does_not_make_us_do_so(status, kind, monkeypatch):
    """Neither error, notes nor traceback contains the secrets that were sent."""

    def answer(asked):
        sent = " ".join(asked.headers.get(one, "") for one in ("authorization", "api-key"))
        return status, {"message": f"{sent} {'x' * 120} {sent}", "results": sent}

    monkeypatch.setenv("JINA_API_KEY", PLANTED if kind == "environment" else "")
    given = {
        "text": {"api_key": PLANTED},
        "callable": {"api_key": lambda: PLANTED},
        "environment": {"api_key": None},
        "header": {"api_key": None, "headers": {"api-key": PLANTED}},
    }[kind]
    with serving(answer) as server:
        scorer = make(server.url, retries=Retries(1), **given)
        with pytest.raises(RunoffError) as caught:
            scorer.score(PAIRS[:1])
        assert PLANTED in " ".join(server.asked[0].headers.values())
    said = "".join(traceback.format_exception(caught.value))
    assert PLANTED[:12] not in said
    assert PLANTED[:12] not in repr(scorer) + str(scorer)
    assert status == 200 or str(status) in str(caught.value)


def test_nothing_of_the_texts_is_in_an_error_of_form():
    """A FastAPI server repeats the body it could not read; the error has only the complaint."""
    said = {"detail": [{"loc": ["body"], "msg": "not a list", "input": {"documents": ["secret"]}}]}
    with serving(lambda _: (422, said)) as server, pytest.raises(RequestRejected) as caught:
        make(server.url).score(PAIRS[:1])
    assert str(caught.value) == "m answered 422: not a list"


def test_neither_repr_nor_pickle_holds_a_secret():
    """Key and headers are neither shown nor pickled."""
    scorer = make("http://host/rerank", headers={"api-key": PLANTED + "h"})
    for text in (repr(scorer), str(scorer), f"{scorer!r:}", repr([scorer])):
        assert PLANTED not in text
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert PLANTED.encode() not in pickle.dumps(scorer, protocol)
    assert PLANTED not in repr(dataclasses.asdict(scorer))
    assert PLANTED not in scorer.cache_key


@pytest.mark.parametrize(
    "query",
    [
        f"key={PLANTED}", "x=1&api_key=a", "sig=a", "subscription-key=a", "accessToken=a",
        "code=a", f"x={PLANTED}", "x=0123456789abcdef0123456789abcdef", "KEY",
    ],
)  # fmt: skip
@pytest.mark.parametrize("sign", ["?", "#"])
def test_a_key_in_a_url_is_refused_without_being_shown(query, sign, monkeypatch):
    """A URL is logged and saved: the error names the parameter and the remedy."""
    if (query, sign) == ("KEY", "#"):
        pytest.skip("the name of a part of a page")
    url = f"http://host/rerank{sign}{query}"
    monkeypatch.setenv("CO_API_URL", url)
    ways = [lambda: make(url), lambda: CohereRerank(api_key="k", base_url=url)]
    ways.append(lambda: CohereRerank(api_key="k").score(PAIRS))
    for way in ways:
        with pytest.raises(InvalidArgument, match=r"api_key=.*headers=") as caught:
            way()
        assert PLANTED not in f"{caught.value} {caught.value.value}"


@pytest.mark.parametrize(
    "query",
    ["api-version=2024-05-01-preview", "deployment=rerank-v2-2024-eu-west", "region=eu", "n=3", ""],
)
def test_other_parameters_of_a_url_are_taken(query):
    """What Azure and others ask for is no secret."""
    assert make(f"http://host/rerank?{query}").url.endswith(query)


def test_an_unpickled_scorer_reads_the_environment_or_says_so(server, monkeypatch):
    """The key is left out: it is read from the environment, and without one the error says so."""
    monkeypatch.delenv("JINA_API_KEY", raising=False)
    back = pickle.loads(pickle.dumps(make(server.url)))
    with pytest.raises(AuthenticationFailed, match=r"not copied .* set JINA_API_KEY"):
        back.score(PAIRS)
    assert server.requests == []
    monkeypatch.setenv("JINA_API_KEY", "from the environment")
    assert back.score(PAIRS).scored.all()
    assert server.requests[-1].headers["authorization"] == "Bearer from the environment"


def test_copies_within_a_process_keep_key_and_headers(server):
    """copy, deepcopy and `dataclasses.replace` send what the original sends."""
    scorer = make(server.url, headers={"x-tenant": "tenant-7"})
    copies = [
        copy.copy(scorer),
        copy.deepcopy(scorer),
        dataclasses.replace(scorer, batch=7),
        dataclasses.replace(scorer, dialect="cohere"),
    ]
    for one in copies:
        one.score(PAIRS)
    assert {one.headers["authorization"] for one in server.requests} == {f"Bearer {PLANTED}"}
    assert {one.headers["x-tenant"] for one in server.requests} == {"tenant-7"}
    assert (copies[0], copies[1]) == (scorer, scorer)
    assert len({scorer, *copies[:2]}) == 1


def test_replace_with_another_dialect_reads_its_variable(server, monkeypatch):
    """The key of the environment is that of the dialect in use."""
    monkeypatch.setenv("JINA_API_KEY", "jina")
    monkeypatch.setenv("COHERE_API_KEY", "cohere")
    scorer = make(server.url, api_key=None)
    for one in (scorer, dataclasses.replace(scorer, dialect="cohere")):
        one.score(PAIRS)
    sent = [one.headers["authorization"] for one in server.requests]
    assert sent == ["Bearer jina", "Bearer cohere"]


def test_who_asks_is_said(server):
    """Requests carry runoff's name and version, and ask for JSON as it is."""
    make(server.url).score(PAIRS)
    headers = server.requests[0].headers
    assert headers["user-agent"] == f"runoff/{runoff.__version__}"
    assert (headers["accept"], headers["accept-encoding"]) == ("application/json", "identity")
    assert headers["content-type"] == "application/json"


def test_cookies_are_not_kept():
    """What a server sets for one caller is not sent for the next."""

    def answer(asked):
        return 200, good(asked.body["documents"]), {"Set-Cookie": "session=1; Path=/"}

    with serving(answer) as server:
        for _ in range(2):
            make(server.url).score(PAIRS)
        assert ["cookie" in one.headers for one in server.asked] == [False, False]


def run(code, **environment):
    """Run code in a fresh interpreter; return what it wrote."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_proxies_of_the_environment_are_used():
    """HTTP_PROXY is honoured, as by every other client."""

    def answer(asked):
        return 200, good(asked.body["documents"])

    with serving(answer) as proxy:
        run(
            """
            from runoff.rerank import HTTPRerank
            scorer = HTTPRerank("http://rerank.invalid", dialect="jina", model="m")
            assert scorer.score([("q", "text")]).scored.all()
            """,
            HTTP_PROXY=proxy.url,
            NO_PROXY="",
        )
        assert [one.path for one in proxy.asked] == ["http://rerank.invalid/v1/rerank"]


def test_a_process_ends_at_once_beside_a_hanging_request(server):
    """Threads and requests that hang keep no interpreter alive, and nothing is written at exit."""
    server.fault = FAULTS["hang"]
    code = f"""if True:
        import threading
        from runoff.rerank import HTTPRerank
        scorer = HTTPRerank({server.url!r}, dialect="tei")
        for _ in range(3):
            threading.Thread(target=scorer.score, args=([("q", "t")],), daemon=True).start()
        input()
        """
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len([one for one in server.requests if one.fault == "hang"]) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    _, err = process.communicate("\n", timeout=15)  # a request has 30 s
    assert (process.returncode, err) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_and_its_parent_both_go_on(server):
    """A child made by fork has a loop and connections of its own, and the parent keeps its."""
    scorer = make(server.url)
    before = scorer.score(PAIRS)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    for _ in range(2):
        child = context.Process(target=lambda: results.put(scorer.score(PAIRS).values.tolist()))
        child.start()
        child.join(20)
        assert child.exitcode == 0
        assert results.get() == before.values.tolist()
        assert scorer.score(PAIRS, deadline=Deadline(5)).scored.all()
    numbers = [one.connection for one in server.requests]
    assert numbers == [1, 2, 1, 3, 1]


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    try:
        made = certificate(tmp_path_factory.mktemp("tls"))
    except FileNotFoundError:
        pytest.skip("needs the openssl command")
    return made


def test_a_private_authority_is_trusted_when_named(tls):
    """`ca=` names a file of authorities, and without it a self-signed server is refused.

    That is no passing fault: it raises, names the remedy, is tried once and sends nothing.
    """
    file, context = tls
    with serving(lambda asked: (200, good(asked.body["documents"])), context=context) as server:
        assert make(server.url, ca=file).score(PAIRS).scored.all()
        assert make(server.url, ca=str(file)).score(PAIRS).scored.all()
        asked = len(server.asked)
        with pytest.raises(PermanentError, match=r"certificate is not trusted.*with ca="):
            make(server.url).score(PAIRS)
        assert len(server.asked) == asked


def test_a_file_that_holds_no_authority_is_named(tmp_path):
    """A file that is not a certificate is a wrong argument, on first use."""
    (tmp_path / "ca.pem").write_text("no certificate")
    scorer = make("https://127.0.0.1:9", ca=tmp_path / "ca.pem")
    with pytest.raises(InvalidArgument, match=r"ca=.*certificate authorities in PEM"):
        scorer.score(PAIRS)


def test_nothing_is_imported_before_it_is_needed():
    """Neither `import runoff` nor `import runoff.rerank` loads httpx, cohere or asyncio's peers."""
    out = run(
        """
        import sys
        import runoff, runoff.rerank
        print([one for one in ("httpx", "cohere", "pydantic", "ssl") if one in sys.modules])
        """
    )
    assert out.strip() == "[]"


@pytest.mark.parametrize("name", ["HTTPRerank", "CohereRerank"])
def test_a_missing_extra_is_named(name):
    """Without httpx the error names the command that brings it."""
    extra = {"HTTPRerank": "http", "CohereRerank": "cohere"}[name]
    run(
        f"""
        import sys
        sys.modules["httpx"] = sys.modules["cohere"] = None
        import runoff.rerank
        from runoff.errors import MissingExtra
        try:
            runoff.rerank.{name}
        except MissingExtra as error:
            assert 'pip install "runoff[{extra}]"' in str(error), error
        else:
            raise SystemExit("no error")
        """
    )


def test_passages_come_from_spans():
    """Spans of the reply are passages, best first; those outside the text sent are left out."""
    spans = [
        {"start": 0, "end": 5, "score": 0.1},
        {"start": 6, "end": 9, "score": 0.9},
        {"start": 6, "end": 10, "score": 0.9},
        {"start": 3, "end": 3, "score": 0.9},
        {"start": -1, "end": 3, "score": 0.9},
        {"start": 0, "end": 5},
    ]
    results = [{"index": 0, "relevance_score": 0.5, "relevant_spans": spans}]
    with serving(lambda _: (200, {"results": results})) as server:
        scores = make(server.url, "cohere").score([("tea", "green tea")])
    assert scores.passages == ((Passage(6, 9, 0.9), Passage(0, 5, 0.1)),)


def test_a_tls_context_is_made_once_per_authority(tls):
    """Callers that name the same file share client and connections."""
    from runoff.rerank._remote import transport

    file, _ = tls
    assert transport.client(str(file)) is transport.client(str(file))
    assert transport.client(str(file)) is not transport.client()
