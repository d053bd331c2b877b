"""How the tokens of a text are counted, by what a user gave for it."""

from __future__ import annotations

import inspect
from collections.abc import Sized
from typing import TYPE_CHECKING, Any

from runoff._util.arguments import is_listed, is_whole
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

_BYTES_PER_TOKEN = 3  # fewer than the 4 of English prose: the budget should hold for code, too


def counting(count: object) -> Callable[[str], int]:
    """Return a function from a text to its number of tokens; see `pack`.

    Raises:
        InvalidArgument: it cannot count, or returned no number of tokens.
    """
    if count is None:
        return lambda text: -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)
    encode: Any = getattr(count, "encode", None)
    if encode is not None and hasattr(count, "get_vocab"):
        if getattr(count, "truncation", None) is not None:
            remedy = (
                "cuts long texts, so it does not count all of their tokens: call its "
                "no_truncation() first"
            )
            raise InvalidArgument("count", count, remedy)
        call: Callable[[str], Any] = lambda text: encode(text, add_special_tokens=False)  # noqa: E731
    elif callable(count):
        call = count
    else:
        remedy = "must be a callable from text to a number, a tokenizer of Hugging Face, or None"
        raise InvalidArgument("count", count, remedy)

    def counted(text: str) -> int:
        found = call(text)
        if inspect.iscoroutine(found):
            found.close()
            raise InvalidArgument("count", count, "must not be async: it is called, not awaited")
        # what tokenizers return has a length too, and cannot be iterated over
        listed = isinstance(found, Sized) and (is_listed(found) or hasattr(found, "ids"))
        number = len(found) if listed else found
        if not is_whole(number, 0):
            raise InvalidArgument("count", found, "must return a number of tokens or their list")
        return int(number)

    return counted
