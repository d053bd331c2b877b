"""Test classes that every source, fusion, scorer and reranker must pass.

Subclass one in your tests and implement `make`; pytest then runs the whole contract:

```python
from runoff.testing.contracts import PairScorerContract


class TestMyScorer(PairScorerContract):
    def make(self):
        return MyScorer()
```

Each test's docstring states the fact it proves; a failure says what the contract requires. The only
requirement is pytest.
"""

from runoff.testing._contracts.base import Contract  # noqa: F401 - it was public once
from runoff.testing._contracts.fusion import FusionContract
from runoff.testing._contracts.recall import RecallSourceContract
from runoff.testing._contracts.reranker import RerankerContract
from runoff.testing._contracts.scorer import PairScorerContract

__all__ = [
    "FusionContract",
    "PairScorerContract",
    "RecallSourceContract",
    "RerankerContract",
]
