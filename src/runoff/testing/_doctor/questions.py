"""Questions whose answer any English second stage can distinguish from the others' answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from runoff.errors import InvalidArgument

QUESTIONS: Mapping[str, str] = MappingProxyType({
    "How long should green tea steep?": (
        "Green tea should steep for two minutes; a longer steep makes green tea bitter."
    ),
    "Which river flows through Vienna and Budapest?": (
        "The Danube is the river that flows through Vienna, Bratislava, Budapest and Belgrade."
    ),
    "Why does a pendulum clock lose time in summer?": (
        "In summer heat makes the pendulum longer, so that a pendulum clock loses time."
    ),
    "What gives rye bread its sour taste?": (
        "Rye bread gets its sour taste from lactic acid bacteria in the sourdough."
    ),
    "How do bees tell each other where flowers are?": (
        "Bees dance on the comb to tell each other where flowers are and how far away."
    ),
    "Who painted the ceiling of the Sistine Chapel?": (
        "Michelangelo painted the ceiling of the Sistine Chapel between 1508 and 1512."
    ),
    "How does a bicycle dynamo make electricity?": (
        "A bicycle dynamo makes electricity as the wheel turns a magnet inside a coil."
    ),
    "What causes the tides of the ocean?": (
        "The tides of the ocean are caused by the pull of the moon, and less by the sun's."
    ),
    "When were the first printed books made in Europe?": (
        "The first printed books in Europe were made by Gutenberg in Mainz around 1455."
    ),
    "What do glass blowers use to colour glass?": (
        "Glass blowers colour glass with metal oxides: cobalt for blue, copper for green."
    ),
})  # fmt: skip

FILLER = (
    "The minutes of the meeting list those who came and those who sent their apologies. "
    "The second item on the agenda was put off until the next meeting in the spring. "
    "A vote on the new rules for the parking area was taken and passed without debate. "
)
"""Sentences that answer none of the questions."""

_FEWEST = 4


def checked(questions: object) -> Mapping[str, str]:
    """Return the questions with their answers.

    Raises:
        InvalidArgument: they are not a mapping of at least four texts to different texts.
    """
    if questions is None:
        return QUESTIONS
    remedy = "must map at least four questions to texts that answer them, all different"
    if not isinstance(questions, Mapping) or len(questions) < _FEWEST:
        raise InvalidArgument("questions", questions, remedy)
    texts = [*questions, *questions.values()]
    if not all(isinstance(one, str) and one.strip() for one in texts):
        raise InvalidArgument("questions", questions, remedy)
    if len(set(questions.values())) < len(questions):
        raise InvalidArgument("questions", questions, remedy)
    return questions
