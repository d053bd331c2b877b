"""Faults of second stages and of sources, each made of one that is sound."""

import asyncio
import itertools
import math
import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from runoff.rerank._inner import as_inner
from runoff.scores import ScoreKind
from runoff.types import Document, Hit, Query

_numbers = itertools.count()
LOGIT, PROBABILITY = ScoreKind.LOGIT, ScoreKind.PROBABILITY


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def _by_place(scores, _):
    return sorted(scores, reverse=True)


def _normalised(scores, _):
    low, high = min(scores), max(scores)
    return [(score - low) / max(high - low, 1e-9) for score in scores]


def _noisy(scores, chance):
    spread = float(np.std(scores)) + 0.1
    return [score + spread * chance.gauss(0, 1) for score in scores]


def _drawn(scores, _):
    return [random.Random(str(score)).random() for score in scores]


def _each(function):
    return lambda scores, _: [function(score) for score in scores]


# fault to what it makes of a request's scores, and the kind it calls them
SCORES = {
    "distances": (_each(lambda score: -score), None),
    "yes and no swapped": (_each(lambda score: 1 - sigmoid(score)), PROBABILITY),
    "two sigmoids": (_each(lambda score: sigmoid(sigmoid(8 * score))), PROBABILITY),
    "logits called probabilities": (_each(lambda score: 12 * score - 6), PROBABILITY),
    "probabilities called logits": (_each(lambda score: sigmoid(4 * score)), LOGIT),
    "wrong template": (_drawn, None),
    "paired by place": (_by_place, None),
    "normalised in a request": (_normalised, PROBABILITY),
    "noise": (_noisy, None),
    "constant": (_each(lambda _: 0.5), None),
}


@dataclass(frozen=True)
class FaultyReranker:
    """A reranker with a fault."""

    inner: Any
    fault: str
    name: str = "faulty"
    chance: random.Random = field(default_factory=lambda: random.Random(1), compare=False)

    def rerank(self, query, candidates, *, deadline=None):
        given = list(candidates)
        if self.fault == "question ignored":
            query = Query("what is it?")
        if self.fault == "cut at 40 words":
            given = [replace(one, document=_cut(one.document)) for one in given]
        made = as_inner("inner", self.inner).rerank(query, given, deadline=deadline)
        own = {one.candidate.key: float(one.pair_score) for one in made.ordered}
        change, kind = SCORES.get(self.fault, (lambda scores, _: scores, None))
        scores = change([own[one.key] for one in candidates], self.chance)
        back = -1 if self.fault == "ties reversed" else 1
        places = sorted(range(len(scores)), key=lambda place: (-scores[place], back * place))
        found = {one.candidate.key: one for one in made.ordered}
        ordered = tuple(
            replace(found[one.key], candidate=one, rerank_score=score, pair_score=score)
            for one, score in ((candidates[place], scores[place]) for place in places)
        )
        if self.fault == "top 3":
            ordered = ordered[:3]
        return replace(made, ordered=ordered, kind=kind or made.kind)


def _cut(document):
    return replace(document, text=" ".join(document.text.split()[:40]))


RERANKER_FAULTS = {
    "distances": "orientation",
    "yes and no swapped": "orientation",
    "two sigmoids": "kind",
    "logits called probabilities": "kind",
    "probabilities called logits": "kind",
    "wrong template": "orientation",
    "question ignored": "question",
    "cut at 40 words": "long texts",
    "paired by place": "place",
    "normalised in a request": "neighbours",
    "noise": "noise",
    "constant": "constant",
    "ties reversed": "equal texts",
    "top 3": "kept",
}
"""Fault to the check that must name it."""


def _renamed(hits, names):
    return [
        Hit(replace(one.document, doc_id=str(new)), one.score)
        for one, new in zip(hits, names, strict=False)
    ]


# fault to what it makes of an answer
HITS = {
    "distances": lambda hits, _: [replace(one, score=-one.score) for one in hits],
    "unsorted": lambda hits, chance: chance.sample(hits, len(hits)),
    "new ids": lambda hits, _: _renamed(hits, _numbers),
    "ids twice": lambda hits, _: _renamed(hits, (number // 2 for number in itertools.count())),
    "no texts": lambda hits, _: [
        replace(one, document=Document(one.doc_id, "", one.document.metadata)) for one in hits
    ],
}
# fault to the depth asked for in place of a depth
DEPTHS = {
    "depth capped": lambda depth: min(depth, 4),
    "depth ignored": lambda depth: depth + 20,
    "farthest first": lambda _: 1000,
}


@dataclass(frozen=True)
class FaultySource:
    """A source with a fault."""

    inner: Any
    fault: str
    chance: random.Random = field(default_factory=lambda: random.Random(1), compare=False)

    def retrieve(self, query, *, depth, deadline=None):
        asked = query
        if self.fault in {"filters ignored", "filtered after the cut"}:
            asked = Query(query.text)
        wide = DEPTHS.get(self.fault, lambda depth: depth)(depth)
        hits = list(self.inner.retrieve(asked, depth=wide))
        if self.fault == "filtered after the cut" and query.filters is not None:
            return [one for one in hits if query.filters.matches(one.document.metadata)]
        if self.fault == "filters drop" and query.filters is not None:
            return hits[:1]
        if self.fault == "farthest first":
            return [replace(one, score=-one.score) for one in hits[::-1]][:depth]
        return HITS.get(self.fault, lambda hits, _: hits)(hits, self.chance)

    async def aretrieve(self, query, *, depth, deadline=None):
        await asyncio.sleep(0)
        hits = self.retrieve(query, depth=depth)
        return hits[::-1] if self.fault == "awaited otherwise" else hits


SOURCE_FAULTS = {
    "filters ignored": "filters",
    "filtered after the cut": "filters",
    "filters drop": "filters",
    "depth capped": "depth",
    "depth ignored": "depth",
    "farthest first": "orientation",
    "distances": "scores",
    "unsorted": "scores",
    "new ids": "ids",
    "ids twice": "ids",
    "no texts": "texts",
    "awaited otherwise": "async",
}
"""Fault to the check that must name it."""
