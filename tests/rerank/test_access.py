"""Keys and headers that do not leak."""

import copy
import pickle

import pytest
from pydantic import SecretStr

from runoff.errors import AuthenticationFailed, InvalidArgument
from runoff.rerank._remote.access import Access, Headers, Key, Secret, as_headers, as_key, masked

PLANTED = "sk-planted-0123456789"


def test_a_key_is_neither_shown_nor_pickled():
    """Neither repr, str, format nor pickle of a key or of headers contains it."""
    for holder in (Key(PLANTED), Headers({"Api-Key": PLANTED})):
        for text in (repr(holder), str(holder), f"{holder}", repr([holder]), repr({"k": holder})):
            assert PLANTED not in text
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert PLANTED.encode() not in pickle.dumps(holder, protocol)


def test_copies_keep_the_key():
    """Copies within the process keep it."""
    key = Key(PLANTED)
    assert copy.copy(key).read("me") == copy.deepcopy(key).read("me") == PLANTED


def test_the_environment_is_read_in_order(monkeypatch):
    """The first variable that is set is read, at each use, and one that is given comes before."""
    monkeypatch.delenv("ONE", raising=False)
    monkeypatch.setenv("TWO", "second")
    key = as_key(None, ("ONE", "TWO"))
    assert key.read("me") == "second"
    monkeypatch.setenv("ONE", " first\n")
    assert key.read("me") == "first"
    assert as_key("given", ("ONE",)).read("me") == "given"


def test_a_missing_key_says_where_it_would_be_read(monkeypatch):
    """A key that is needed and missing names the argument and the variables."""
    monkeypatch.delenv("ONE", raising=False)
    with pytest.raises(AuthenticationFailed, match="it has no key: give api_key= or set ONE"):
        as_key(None, ("ONE",), needed=True).read("model")
    assert as_key(None, ("ONE",)).read("model") is None


def test_a_key_left_behind_is_missed(monkeypatch):
    """After unpickling, the key is read from the environment; without one the error says why."""
    monkeypatch.delenv("ONE", raising=False)
    back = pickle.loads(pickle.dumps(as_key(PLANTED, ("ONE",))))
    with pytest.raises(AuthenticationFailed, match="not copied to this process"):
        back.read("model")
    monkeypatch.setenv("ONE", "again")
    assert pickle.loads(pickle.dumps(back)).read("model") == "again"


def test_a_key_may_be_a_callable_or_a_secret():
    """A callable is asked each time; pydantic's SecretStr is understood."""
    keys = iter(("one", "two"))
    rotating = as_key(lambda: next(keys))
    assert (rotating.read("me"), rotating.read("me")) == ("one", "two")
    assert as_key(SecretStr(PLANTED)).read("me") == PLANTED


@pytest.mark.parametrize("wrong", ["", 5, b"bytes"])
def test_what_is_no_key_is_refused_without_being_shown(wrong):
    """The error names the argument and not the value."""
    with pytest.raises(InvalidArgument, match=r"api_key='\*\*\*'"):
        as_key(wrong)


def test_what_a_server_repeats_is_masked():
    """The key and headers are masked in a server's message; short headers are not secrets."""
    sent = {"authorization": f"Bearer {PLANTED}", "Api-Key": "head-planted", "n": "1"}
    assert masked(f"bad {PLANTED} head-planted 1", Secret(sent)) == "bad *** *** 1"


async def test_a_request_carries_both():
    """Headers and key are sent, and an Authorization of the user's own takes the key's place."""
    access = Access(Key(PLANTED), Headers({"X": "y"}))
    sent = await access.sent("me")
    assert sent.reveal() == {"X": "y", "Authorization": f"Bearer {PLANTED}"}
    assert repr(sent) == "***"
    assert await Access(Key(None), Headers()).sent("me") == Secret({})
    own = {"authorization": "Basic abc"}
    assert await Access(Key(PLANTED), Headers(own)).sent("me") == Secret(own)


async def test_headers_left_behind_are_missed():
    """After unpickling, a request without its headers is not sent; copies within a process work."""
    headers = as_headers({"Api-Key": PLANTED})
    assert copy.deepcopy(headers) == copy.copy(headers) == {"Api-Key": PLANTED}
    back = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(headers))))
    with pytest.raises(AuthenticationFailed, match="headers were not copied to this process"):
        await Access(Key(None), back).sent("me")
    none = pickle.loads(pickle.dumps(as_headers({})))
    assert await Access(Key(None), none).sent("me") == Secret({})


@pytest.mark.parametrize("wrong", [{"a": 1}, {"a": "b\nc"}, {"ü": "b"}, [("a", "b")], "a: b"])
def test_what_are_no_headers_is_refused_without_being_shown(wrong):
    """What could not be sent is refused at once."""
    with pytest.raises(InvalidArgument, match=r"headers='\*\*\*'"):
        as_headers(wrong)


@pytest.mark.parametrize("value", ["", "  ", None, 5])
def test_a_callable_that_returns_no_key_is_an_error(value):
    """This is an error: the request is not sent without a key, and the environment is not read."""
    with pytest.raises(
        AuthenticationFailed, match=r"callable api_key= returned .* in place of a key"
    ):
        as_key(lambda: value).read("me")


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown():
    """A key pasted with a line break or another script's letter is refused before it is sent."""
    for key in ("sk-pla\nnted", "sk-plänted"):
        with pytest.raises(AuthenticationFailed, match="copy it again") as caught:
            as_key(key).read("me")
        assert "pl" not in str(caught.value).removeprefix("me: its key contains characters")


def test_a_callable_may_return_a_secret():
    """A callable may return an object that wraps the secret."""
    assert as_key(lambda: SecretStr(PLANTED)).read("me") == PLANTED


def test_a_key_given_on_looks_where_its_new_owner_does(monkeypatch):
    """`dataclasses.replace` with another dialect reads that dialect's variables."""
    monkeypatch.setenv("TWO", "second")
    assert as_key(as_key(None, ("ONE",)), ("TWO",)).read("me") == "second"
    assert as_key(as_key(PLANTED, ("ONE",)), ("TWO",)).read("me") == PLANTED
