"""What a system reads with its own settings, of the candidates of a deeper search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff.fusion._suited import suited
from runoff.pipeline import _stages as stages
from runoff.pipeline._stages import as_grouping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff.pipeline import TwoStage
    from runoff.types import Hit


def own_reading(pipeline: TwoStage, rankings: Mapping[str, Sequence[Hit]]) -> set[str]:
    """Return the keys of the candidates that the pipeline's reranker reads.

    Args:
        pipeline: the pipeline.
        rankings: what each source found at the pipeline's depth or deeper.
    """
    every = {name: hits[: pipeline.depth] for name, hits in rankings.items()}
    heads = stages.fuse(every, suited(pipeline.fusion, every)[0])
    grouping = as_grouping(pipeline.group)
    if grouping is not None:
        heads = grouping.group(heads)
    return {one.key for one in stages.split(heads, pipeline.window).readable}
