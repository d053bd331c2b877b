"""Test classes that any source, fusion, scorer and reranker must pass.

Subclass one in your tests, say how to make the part, and pytest runs the whole contract:

```python
from runoff.testing.contracts import PairScorerContract


class TestMyScorer(PairScorerContract):
    def make(self):
        return MyScorer()
```

Each test's docstring states the fact it proves; a failure says what the contract demands. Needs
pytest, and nothing else.
"""

from runoff.testing._contracts.base import Contract
from runoff.testing._contracts.fusion import FusionContract
from runoff.testing._contracts.recall import RecallSourceContract
from runoff.testing._contracts.reranker import RerankerContract
from runoff.testing._contracts.scorer import PairScorerContract

__all__ = [
    "Contract",
    "FusionContract",
    "PairScorerContract",
    "RecallSourceContract",
    "RerankerContract",
]
