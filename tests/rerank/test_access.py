"""Keys and headers that do not leak."""

import copy
import pickle

import pytest
from pydantic import SecretStr

from runoff.errors import AuthenticationFailed, InvalidArgument
from runoff.rerank.access import Access, Headers, Key, as_key

PLANTED = "sk-planted-0123456789"


def test_a_key_is_neither_shown_nor_pickled():
    """Neither repr, str, format nor pickle of a key or of headers holds it."""
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
    """After unpickling, the environment stands in; without it the error says what happened."""
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


def test_what_a_server_repeats_is_masked(monkeypatch):
    """Key and headers are replaced in what a server says; short headers are no secrets."""
    monkeypatch.setenv("ONE", "env-planted")
    access = Access(Key(PLANTED, ("ONE",)), Headers({"Api-Key": "head-planted", "n": "1"}))
    said = access.masked(f"bad {PLANTED} env-planted head-planted 1")
    assert said == "bad *** *** *** 1"


def test_a_request_carries_both():
    """Headers and key are sent."""
    access = Access(Key(PLANTED), Headers({"X": "y"}))
    assert access.sent("me") == {"X": "y", "Authorization": f"Bearer {PLANTED}"}
    assert Access(Key(None), Headers()).sent("me") == {}
