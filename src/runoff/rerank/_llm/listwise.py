"""`ListwiseLLM`: a language model reads several documents at once and puts them in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from runoff._util.arguments import count
from runoff._util.display import html_by
from runoff._util.faults import reason_of
from runoff._util.messages import config_repr, error_text, number_of
from runoff._util.text import text_key, units, utf8
from runoff._waiting import workers
from runoff._waiting.drive import run, run_async
from runoff.deadline import Deadline
from runoff.errors import InvalidArgument
from runoff.rerank._foreign import order_only, read_by
from runoff.rerank._llm.model import llm_name, model_of
from runoff.rerank._llm.prompt import filled, inside, prompt_of
from runoff.rerank._llm.ranking import is_ranking, permutation, windows
from runoff.rerank._pairs import check_queries
from runoff.scores import ModelIdentity, Usage
from runoff.types import Ranked, Reranking

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from runoff._waiting.drive import Asking
    from runoff.rerank._llm.model import Model
    from runoff.types import Candidate, Query


@dataclass(frozen=True, slots=True)
class ListwiseLLM:
    """A reranker that asks a language model for the order of several documents at once.

    ```python
    TwoStage({"bm25": bm25}, reranker=ListwiseLLM(init_chat_model("openai:gpt-5-mini")), window=20)
    ```

    The model orders the last `at_once` candidates; then `step` places further up as many again, of
    which the best of the first time are now a part; and so on to the top, once. This is RankGPT's
    sliding window (Sun et al. 2023, "Is ChatGPT Good at Search?"), whose paper reads 20 at once in
    steps of 10. So `n` candidates take `1 + ceil((n - at_once) / step)` calls, one after another.

    There are no scores: `rerank_score` is 1 / rank and `pair_score` is None, so neither a blend, a
    threshold, a cache nor a cascade's margin applies, and each is refused.

    A reply must be a ranking, `[3] > [1] > [2]`, or end with a line that is one. Documents that it
    leaves out come behind those it names, in the order they had, and a note counts them. A reply
    without a ranking, or with the number of a document that does not exist, leaves its documents in
    the order they had, and so does a call that fails temporarily; the answer is then degraded. At
    the deadline the order found so far is returned, degraded too.

    Attributes:
        llm: a LangChain chat model, a LlamaIndex LLM, or a callable from text to text; an `async
            def` is awaited by `arerank` and refused by `rerank`.
        at_once: how many documents one prompt has.
        step: how many places the next prompt begins further up; below `at_once`.
        length: how many words are read of a document, from its start; of a script without spaces,
            how many letters. A longer one is reported as truncated.
        prompt: a file with your own prompt, with the placeholders `{query}` and `{documents}`.

    Raises:
        InvalidArgument: an argument has an invalid value.
    """

    llm: object = field(repr=False)
    _: KW_ONLY
    at_once: int = 20
    step: int = 10
    length: int = 300
    prompt: str | PathLike[str] | None = None
    _prompt: str = field(init=False, repr=False, compare=False)

    _repr_html_ = html_by("configured_html", "_notebook")

    def __repr__(self) -> str:
        """Show the model's name, as its own `repr` may hold a key, and what is not default."""
        rest = config_repr(self).partition("(")[2]
        return f"ListwiseLLM({self.name!r}{', ' * (rest != ')')}{rest}"

    def __post_init__(self) -> None:
        """Check the arguments, and read the prompt."""
        self._model()
        for name in ("at_once", "step", "length"):
            object.__setattr__(self, name, count(name, getattr(self, name)))
        if self.at_once < 2:  # noqa: PLR2004 - one document has no order
            raise InvalidArgument("at_once", self.at_once, "must be 2 or more")
        if self.step >= self.at_once:
            remedy = (
                f"must be below at_once ({self.at_once}): the best of one prompt are repeated in "
                "the next"
            )
            raise InvalidArgument("step", self.step, remedy)
        places = ("{query}", "{documents}")
        text = prompt_of(self.prompt, "runoff.rerank._llm", "rank.txt", places)
        object.__setattr__(self, "_prompt", text)

    @property
    def name(self) -> str:
        """The model's name."""
        return llm_name(self.llm)

    @property
    def model(self) -> str:
        """The model's name."""
        return self.name

    @property
    def prompt_text(self) -> str:
        """The prompt as it was read."""
        return self._prompt

    @property
    def keeps_deadline(self) -> bool:
        """True: at the deadline it returns the order found so far."""
        return True

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Ask the model for the order; see the class.

        Raises:
            RequestRejected: the query is blank.
            InvalidArgument: the callable can only be awaited.
            Exception: an error of the model that is not temporary.
        """
        return run(self._asking(query, candidates, deadline or Deadline()))

    async def arerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Do what `rerank` does without blocking the event loop.

        A model without an asynchronous method of its own runs in the bounded pool of threads.
        """
        return await run_async(self._asking(query, candidates, deadline or Deadline()))

    def _model(self) -> Model:
        model = model_of(self.llm, is_ranking)
        if model is None:
            remedy = (
                "must be a LangChain chat model, a LlamaIndex LLM, or a callable from text to text"
            )
            raise InvalidArgument("llm", self.llm, remedy)
        return model

    def _asking(
        self, query: Query, candidates: Sequence[Candidate], deadline: Deadline
    ) -> Asking[Reranking]:
        if not candidates:
            return Reranking(())
        check_queries(self.name, (query.text,))
        model = self._model()
        texts = [_cut(one.document.text, self.length) for one in candidates]
        # a single candidate has an order without being asked about
        many = len(candidates)
        spans = [*windows(many, self.at_once, self.step)] if many > 1 else []
        state = _State(many)
        for start, end in spans:
            try:
                deadline.check(self.name)
                prompt = self._filled(query.text, [texts[at] for at in state.order[start:end]])
                call = partial(model.say, prompt)
                acall = partial(model.asay, prompt) if model.is_async else None
                state.calls += 1
                with read_by(self.name):
                    said = yield from workers.within(call, acall, deadline, self.name)
                state.add(start, end, *said)
            except Exception as error:
                if not reason_of(error):
                    raise
                state.faults.append(error)
        cut = [
            len(text) < len(one.document.text) for text, one in zip(texts, candidates, strict=True)
        ]
        return self._reranking(candidates, cut, state, len(spans))

    def _filled(self, query: str, texts: Sequence[str]) -> str:
        documents = "\n\n".join(
            f'<document number="{number}">\n{inside(text)}\n</document>'
            for number, text in enumerate(texts, 1)
        )
        values = {"{query}": inside(query), "{documents}": documents}
        return utf8(filled(self._prompt, values))

    def _reranking(
        self, candidates: Sequence[Candidate], cut: Sequence[bool], state: _State, prompts: int
    ) -> Reranking:
        detail = ""
        if state.faults:
            said = "; ".join(dict.fromkeys(map(error_text, state.faults)))
            unread = len(candidates) - len(state.read)
            detail = f"{self.name} answered {state.answered} of {prompts} prompts with an order"
            detail += (
                f", and {number_of(unread, 'candidate was', 'candidates were')} only in the others"
                * bool(unread)
            )
            detail += f" ({said})"
        lost = bool(state.faults) and not state.read
        notes = [] if lost else [order_only(self.name), *state.notes(self.name)]
        return Reranking(
            tuple(
                Ranked(candidates[at], 1 / rank, truncated=cut[at])
                for rank, at in enumerate(() if lost else state.order, 1)
            ),
            tuple(candidates) if lost else (),
            model=ModelIdentity(self.name, text_key(self._prompt).removeprefix("text:")[:12]),
            usage=Usage(state.pairs, state.tokens, requests=state.calls),
            reason=reason_of(state.faults[0]) if state.faults else "",
            detail=detail,
            notes=tuple(notes),
        )


class _State:
    """The order so far, and how it came about."""

    def __init__(self, many: int) -> None:
        self.order = list(range(many))
        self.read: set[int] = set()
        self.calls = self.answered = self.pairs = 0
        self.tokens: int | None = None
        self.faults: list[Exception] = []
        self.counted: Counter[str] = Counter()

    def add(self, start: int, end: int, reply: object, tokens: int | None) -> None:
        """Order the places of one prompt as its reply says.

        Raises:
            BadReply: it has no order.
        """
        some = self.order[start:end]
        self.pairs += len(some)
        if tokens is not None:
            self.tokens = (self.tokens or 0) + tokens
        found = permutation(reply, len(some))
        self.answered += 1
        self.order[start:end] = [some[place] for place in found.places]
        self.read.update(some)
        self.counted.update(missing=found.missing, repeated=found.repeated)

    def notes(self, name: str) -> list[str]:
        """Return what replies lack that does not make the answer degraded."""
        missing, repeated = self.counted["missing"], self.counted["repeated"]
        behind = (
            f"{name} left {number_of(missing, 'document')} out of its rankings: "
            f"{'it follows in its' if missing == 1 else 'they follow in their'} previous order"
        )
        again = f"{name} ranked {number_of(repeated, 'document')} twice: the better place counts"
        return [behind] * bool(missing) + [again] * bool(repeated)


def _cut(text: str, length: int) -> str:
    """Return the first words of a text."""
    end = next(islice(units(text), length, None), None)
    return text if end is None else text[:end].rstrip()
