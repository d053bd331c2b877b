"""What a `RunoffRerank` was made with, and what nodes look like from outside."""

from runoff.llama_index import RunoffRerank


def fields(rerank):
    return {
        name: getattr(rerank, name)
        for name in RunoffRerank.model_fields
        if name != "callback_manager"
    }


def snapshot(nodes):
    return [one.model_dump_json() for one in nodes]
