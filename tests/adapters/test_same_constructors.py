"""The same option has the same name, default and type in both frameworks.

What only one framework has is listed here with the reason.
"""

import inspect
from pathlib import Path

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

from runoff import langchain, llama_index
from runoff.recall import BM25

LLAMA_INDEX_ALONE = {
    "RunoffRerank": {
        "metadata_mode": "LlamaIndex's nodes say which metadata is embedded; documents do not",
        "callback_manager": "LangChain hands its callbacks to each call",
    },
    "TwoStageRetriever": {
        "metadata_mode": "as above",
        "callback_manager": "as above",
        "verbose": "LlamaIndex's base class",
    },
    "HybridRetriever": {
        "index": "LlamaIndex keeps nodes in an index over a store; LangChain in the store itself",
        "metadata_mode": "as above",
        "callback_manager": "as above",
        "verbose": "as above",
    },
}
LANGCHAIN_ALONE = {
    "RunoffRerank": {},
    "TwoStageRetriever": {
        "id_key": "LangChain's stores invent ids, so a document's own may stand in its metadata",
        "translate_filter": "LangChain's stores share no language of filters; LlamaIndex's do",
        "filter": "LangChain's stores say filter; a config sets it for one call",
        "name": "LangChain's runnables",
        "tags": "LangChain's retrievers",
        "metadata": "LangChain's retrievers",
    },
    "HybridRetriever": {
        "vectorstore": "see index",
        "search_kwargs": "the arguments of a vector store's search",
        "search_type": "the kinds of search of a vector store",
        "translate_filter": "as above",
        "filter": "as above",
        "name": "as above",
        "tags": "as above",
        "metadata": "as above",
    },
}


def of_signature(kind):
    """Return name -> (default, type) of a LlamaIndex class, whose constructor is written out."""
    parameters = {}
    for owner in kind.__mro__:
        if owner.__module__.startswith("runoff.") and "__init__" in vars(owner):
            for one in inspect.signature(owner.__init__).parameters.values():
                if one.kind is not one.VAR_KEYWORD and one.name != "self":
                    parameters.setdefault(one.name, (one.default, one.annotation))
            if owner is not llama_index.HybridRetriever:  # it passes the rest on
                break
    if kind is llama_index.HybridRetriever:
        del parameters["retriever"], parameters["retrievers"]
    return parameters


def of_fields(kind):
    """Return name -> (default, type) of a LangChain class, which is a pydantic model."""
    written = {}
    for owner in reversed(kind.__mro__):
        written |= vars(owner).get("__annotations__", {})
    return {name: (one.default, written[name]) for name, one in kind.model_fields.items()}


def untyped(annotation):
    return str(annotation).removesuffix(" | None")


@pytest.mark.parametrize("name", ["RunoffRerank", "TwoStageRetriever", "HybridRetriever"])
class TestConstructors:
    def test_names_are_the_same(self, name):
        """Both frameworks have the same options, except for those listed above."""
        ours, theirs = of_signature(getattr(llama_index, name)), of_fields(getattr(langchain, name))
        assert ours.keys() - theirs.keys() == LLAMA_INDEX_ALONE[name].keys()
        assert theirs.keys() - ours.keys() == LANGCHAIN_ALONE[name].keys()
        assert {"reranker", "top_n", "window", "timeout", "blend"} <= ours.keys() & theirs.keys()

    def test_defaults_are_the_same(self, name):
        """An option that is left out has the same value in both."""
        ours, theirs = of_signature(getattr(llama_index, name)), of_fields(getattr(langchain, name))
        for option in ours.keys() & theirs.keys():
            assert ours[option][0] == theirs[option][0], option

    def test_types_are_the_same(self, name):
        """An option is annotated alike; `Filters` and `Retrievers` are each framework's own."""
        ours, theirs = of_signature(getattr(llama_index, name)), of_fields(getattr(langchain, name))
        for option in (ours.keys() & theirs.keys()) - {"bm25"}:
            assert ours[option][1] == theirs[option][1], option


@pytest.mark.parametrize("name", ["RunoffRerank", "TwoStageRetriever", "HybridRetriever"])
def test_every_option_is_documented(name):
    """The docstring of a class, or of the one it refers to, names each option."""
    for kind, options in (
        (getattr(llama_index, name), of_signature(getattr(llama_index, name))),
        (getattr(langchain, name), of_fields(getattr(langchain, name))),
    ):
        text = kind.__doc__
        if name == "HybridRetriever":  # its other options are as for its base
            text += (
                llama_index if "llama" in kind.__module__ else langchain
            ).TwoStageRetriever.__doc__
        for option in options.keys() - {"callback_manager", "verbose", "name", "tags", "metadata"}:
            assert option in text, (kind, option)


def test_two_stage_takes_the_same():
    """The target and top_n come first, by place or by name, and any option by name."""
    ours, theirs = map(inspect.signature, (llama_index.two_stage, langchain.two_stage))
    described = [
        [(one.name, one.kind, one.default) for one in signature.parameters.values()]
        for signature in (ours, theirs)
    ]
    assert described[0] == described[1]


@pytest.mark.parametrize("face", [llama_index, langchain], ids=lambda face: face.__name__)
class TestBlend:
    def test_none_is_off(self, face):
        """`blend=None` leaves the incoming order out; the default asks the scorer."""
        assert face.RunoffRerank(blend=None).stage.blend is None
        assert face.RunoffRerank().stage.blend == "auto"
        assert face.RunoffRerank(blend=0.25).stage.blend == 0.25

    def test_none_is_off_in_a_retriever(self, face):
        """A retriever reads `blend` as a reranker does."""
        source = BM25([("a", "one"), ("b", "two")])
        for given in (None, "auto", 0.25):
            retriever = face.TwoStageRetriever(retriever=source, blend=given)
            assert retriever.pipeline.reranker.blend == given


def test_results_without_provenance():
    """`provenance=False` leaves the key out, an earlier one too; scores are there all the same."""
    source = BM25([("a", "one tea"), ("b", "two teas")])
    ours = llama_index.TwoStageRetriever(source, provenance=False).retrieve("tea")
    theirs = langchain.TwoStageRetriever(source, provenance=False).invoke("tea")
    assert [set(one.node.metadata) for one in ours] == [set()] * len(ours)
    assert [set(one.metadata) for one in theirs] == [{"relevance_score"}] * len(theirs)
    marked = llama_index.TwoStageRetriever(source).retrieve("tea")
    plain = llama_index.RunoffRerank(provenance=False)
    again = plain.postprocess_nodes(marked, query_str="tea")
    assert "runoff" in marked[0].node.metadata
    assert again[0].score is not None
    assert "runoff" not in again[0].node.metadata
    documents = langchain.TwoStageRetriever(source).invoke("tea")
    kept = langchain.RunoffRerank(provenance=False).compress_documents(documents, "tea")
    assert "runoff" in documents[0].metadata
    assert set(kept[0].metadata) == {"relevance_score"}


def test_the_same_subject_has_the_same_file_name():
    """Both adapters have the same file names, except for subjects that one of them lacks."""
    ours, theirs = (
        {file.name for file in Path(face.__file__).parent.glob("*.py")}
        for face in (llama_index, langchain)
    )
    assert ours - theirs == {
        "_bm25.py",  # nodes on disk
        "_pickling.py",  # LangChain's stores have no callbacks
        "_saved_embedder.py",  # LangChain's hybrid retriever has no files of its own
        "_serialize.py",  # rerankers as JSON
        "_shown.py",  # LangChain has no engines
    }
    assert theirs - ours == {
        "_binding.py",  # what bind does
        "_listing.py",  # LlamaIndex's stores list their nodes themselves
        "_modes.py",  # LlamaIndex's retrievers name their mode
        "_own_filters.py",  # what bind and configurable fields hold
        "_scoring.py",  # distances told from similarities
        "_staged.py",  # LlamaIndex's hybrid retriever is a `TwoStageRetriever`
    }
