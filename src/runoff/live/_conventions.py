"""Every name that `signals` sends, with the version of the convention that it comes from.

- OpenTelemetry's semantic conventions for generative AI, 0.1.0 (status "Development"): the
  operation `retrieval`. They have none for reranking.
- OpenInference, 0.1.42: kinds of spans, and the attributes of retrievers and rerankers.
- What neither has is named `runoff.*`.
"""

from __future__ import annotations

# OpenTelemetry, general and generative AI 0.1.0
ERROR_TYPE = "error.type"
OPERATION = "gen_ai.operation.name"
TOP_K = "gen_ai.retrieval.top_k"
QUERY_TEXT = "gen_ai.retrieval.query.text"
DURATION = "gen_ai.retrieval.duration"  # a histogram, in seconds

# OpenInference 0.1.42
KIND = "openinference.span.kind"
INPUT = "input.value"
RETRIEVED = "retrieval.documents"
RERANKER_QUERY = "reranker.query"
RERANKER_MODEL = "reranker.model_name"
RERANKER_TOP_K = "reranker.top_k"
RERANKER_INPUT = "reranker.input_documents"
RERANKER_OUTPUT = "reranker.output_documents"
DOCUMENT = "document"  # `.id`, `.score` and `.content` below `retrieval.documents.0`

# attributes of runoff's
OUTCOME = "runoff.outcome"  # complete or degraded
DEGRADED = "runoff.degraded"  # stage, source and reason of what is missing
STAGE = "runoff.stage"
SOURCE = "runoff.source"
ENTERED = "runoff.candidates.entered"
LEFT = "runoff.candidates.left"
SCORED = "runoff.candidates.scored"
TOTAL = "runoff.candidates.readable"
BUDGET_MS = "runoff.deadline.budget_ms"
SPENT_SHARE = "runoff.deadline.spent_ratio"
LOAD_MS = "runoff.load_ms"

# metrics of runoff's; those of usage are attributes of a stage's span, too
ANSWERS = "runoff.answers"
DEGRADATIONS = "runoff.degradations"
STAGE_DURATION = "runoff.stage.duration"
CANDIDATES = "runoff.candidates"
DEADLINE = "runoff.deadline.spent"
TRUNCATED = "runoff.truncated"
PAIRS = "runoff.usage.pairs"
TOKENS = "runoff.usage.tokens"
BILLED = "runoff.usage.billed_units"
REQUESTS = "runoff.usage.requests"
CACHED = "runoff.usage.cached"
COST = "runoff.usage.cost"
