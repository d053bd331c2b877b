"""A small recording with judgments, and an explorer of it."""

import numpy as np
from recorded import documents, pipeline, questions

from runoff.evaluation import Collection, record
from runoff.report._explorer.opened import opened

SCRIPT = "<script>alert('x')</script>"


def collection(many=12, seed=0):
    """Queries with random grades of about 8 documents each, 0 to 3, and the documents."""
    asked = questions(many).queries
    found = {one.doc_id: one for one in documents()}
    draw = np.random.default_rng(seed)
    qrels = {
        one: {
            str(doc_id): int(draw.integers(0, 4))
            for doc_id in draw.choice(list(found), 8, replace=False)
        }
        for one in asked
    }
    labels = {one: {"language": ("de", "en")[at % 2]} for at, one in enumerate(asked)}
    return Collection(asked, qrels, found, labels, name="tides")


def recording(many=12, **options):
    return record(pipeline(**options), questions(many), 30, window=60, texts=True, progress=False)


def explorer(many=12, *, judged=True, **parts):
    given = collection(many) if judged else None
    return opened(recording=recording(many), collection=given, **parts)
