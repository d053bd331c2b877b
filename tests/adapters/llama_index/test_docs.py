import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "llama-index.md"


def test_every_example_on_the_page_runs(index, nodes, llm, embed_model, tmp_path, capsys):
    """The documentation's code works as it stands, in the order it is read."""
    pytest.importorskip("runoff_models")
    from llama_index.core.schema import TextNode

    from runoff.errors import RunoffError
    from runoff.rerank import CrossEncoder

    try:
        CrossEncoder().warmup()
    except RunoffError as error:
        pytest.skip(f"the embedded model is not there: {error}")
    names = {
        "index": index,
        "nodes": nodes,
        "llm": llm,
        "embed_model": embed_model,
        "folder": tmp_path / "hybrid",
        "TextNode": TextNode,
    }
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 7
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert [one.node_id for one in names["answer"].source_nodes].count("sort") == 1
    assert "sort" in capsys.readouterr().out
    assert {one.metadata["number"] for one in names["some"]} <= set(range(5))
    assert len(names["nodes_out"]) >= 1
    assert names["again"].retrieve("csv")
