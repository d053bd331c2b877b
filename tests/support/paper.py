"""Readers of stores' filters, as their documentation says what they mean.

For stores that cannot be run: each returns whether a document's metadata passes a filter.
"""

import re


def several(value):
    """Return the values that a condition may meet: those of a list, or one."""
    return value if isinstance(value, list) else [value]


def same(one, other):
    """Compare as databases do: numbers by value, booleans and texts apart from them."""
    kinds = [
        bool if isinstance(v, bool) else str if isinstance(v, str) else float for v in (one, other)
    ]
    return kinds[0] is kinds[1] and one == other


def within(value, bounds):
    """Whether a number lies within bounds."""
    if isinstance(value, bool | str) or value is None:
        return False
    compare = {
        "gt": lambda bound: value > bound, "gte": lambda bound: value >= bound,
        "lt": lambda bound: value < bound, "lte": lambda bound: value <= bound,
    }  # fmt: skip
    return all(compare[name](bound) for name, bound in bounds.items())


def elastic(clause, metadata):
    """Read a clause of Elasticsearch or OpenSearch, with the mapping made for new fields."""
    ((kind, body),) = clause.items()
    if kind == "bool":
        must = [*body.get("filter", ()), *body.get("must", ())]
        should = body.get("should", ())
        good = all(elastic(one, metadata) for one in must)
        none = body.get("must_not")
        if none is not None and elastic(none, metadata):
            return False
        return good and (not should or any(elastic(one, metadata) for one in should))
    ((path, wanted),) = body.items()
    name, _, more = path.removeprefix("metadata.").partition(".")
    held = several(metadata[name]) if metadata.get(name) is not None else []
    if kind == "range":
        return any(within(one, wanted) for one in held)
    values = (
        wanted if kind == "terms" else [wanted["value"] if isinstance(wanted, dict) else wanted]
    )
    held = [one for one in held if isinstance(one, str) == bool(more)]
    return any(same(one, value) for one in held for value in values)


def mongo(query, metadata, under=""):
    """Read a query of MongoDB."""
    for name, wanted in query.items():
        if name in {"$and", "$or"}:
            each = [mongo(one, metadata, under) for one in wanted]
            if not (all(each) if name == "$and" else any(each)):
                return False
            continue
        held = several(metadata.get(name.removeprefix(under)))
        for operator, value in wanted.items():
            compare = {
                "$eq": lambda one, value=value: same(one, value),
                "$in": lambda one, value=value: any(same(one, each) for each in value),
            }.get(operator, lambda one, o=operator[1:], v=value: within(one, {o: v}))
            if not any(one is not None and compare(one) for one in held):
                return False
    return True


WEAVIATE = {
    "GREATER_THAN": "gt", "GREATER_THAN_EQUAL": "gte", "LESS_THAN": "lt", "LESS_THAN_EQUAL": "lte",
}  # fmt: skip


def weaviate(clause, metadata):
    """Read a filter of Weaviate's client."""
    inner = getattr(clause, "filters", None)
    if inner is not None:
        each = [weaviate(one, metadata) for one in inner]
        return any(each) if type(clause).__name__ == "_FilterOr" else all(each)
    held = several(metadata.get(clause.target))
    name = clause.operator.name
    if name in WEAVIATE:
        return any(within(one, {WEAVIATE[name]: clause.value}) for one in held)
    return any(same(one, value) for one in held for value in several(clause.value))


TAG = re.compile(r"@(\w+):\{(.*)\}").fullmatch
NUMBER = re.compile(r"@(\w+):\[(\(?)([^ ]+) (\(?)([^\]]+)\]").fullmatch


def redis(expression, metadata):
    """Read a filter expression of Redis, in the form that its client writes."""
    text = str(expression)
    if text == "*":
        return True
    left, right = getattr(expression, "_left", None), getattr(expression, "_right", None)
    if left is not None and right is not None:
        each = [redis(one, metadata) for one in (left, right)]
        return any(each) if expression._operator.name == "OR" else all(each)
    if found := TAG(text):
        words = [re.sub(r"\\(.)", r"\1", one).lower() for one in found[2].split("|")]
        return str(metadata.get(found[1])).lower() in words
    name, open_low, low, open_high, high = NUMBER(text).groups()
    value = metadata.get(name)
    if isinstance(value, bool | str) or value is None:
        return False
    above = value > float(low) if open_low else value >= float(low)
    below = value < float(high) if open_high else value <= float(high)
    return above and below
