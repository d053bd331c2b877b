"""Documents with fields as YAML, the form that Cohere recommends for its rerankers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from runoff._util.arguments import is_listed
from runoff._util.provenance import KEY
from runoff.errors import InvalidArgument, MissingExtra

if TYPE_CHECKING:
    from runoff.types import Document


@dataclass(frozen=True, slots=True)
class AsYAML:
    """What a reranker reads of a document: its metadata and its text as YAML, field by field.

    ```python
    Pointwise(CohereRerank(), text=AsYAML(["title", "author"]))
    ```

    Rerankers cut a long text at its end, so name important fields first. Absent fields are left
    out, and non-ASCII letters are not escaped. Values that YAML cannot express are written by
    `str`.

    Attributes:
        fields: names of metadata fields, in order; empty takes all that a document has.
        text: the name under which the text follows; an empty one leaves it out.

    Raises:
        InvalidArgument: a name is not a string, or is given twice.
        MissingExtra: PyYAML is not installed; raised on first use.
    """

    fields: tuple[str, ...] = ()
    _: KW_ONLY
    text: str = "text"

    def __post_init__(self) -> None:
        remedy = (
            "must list names of metadata fields, each once and none equal to the name of the text"
        )
        if not is_listed(self.fields):
            raise InvalidArgument("fields", self.fields, remedy)
        if not isinstance(self.text, str):
            named = "must be the name that the text gets, or empty to leave it out"
            raise InvalidArgument("text", self.text, named)
        names = tuple(self.fields)
        if not all(isinstance(name, str) and name for name in names):
            raise InvalidArgument("fields", self.fields, remedy)
        if len({*names, self.text}) <= len(names):
            raise InvalidArgument("fields", self.fields, remedy)
        object.__setattr__(self, "fields", names)

    def __call__(self, document: Document) -> str:
        try:
            import yaml  # noqa: PLC0415 - only structured documents need it
        except ImportError as error:
            raise MissingExtra("pyyaml", "cohere") from error
        names = self.fields or [name for name in document.metadata if name != KEY]
        held = {
            name: _plain(document.metadata[name])
            for name in names
            if document.metadata.get(name) is not None and name != self.text
        }
        if self.text:
            held[self.text] = document.text

        class Dumper(yaml.SafeDumper):
            """Writes texts of several lines unchanged, so that passages are found in them."""

        def text(dumper: Any, value: str) -> Any:  # noqa: ANN401 - PyYAML has no types here
            style = "|" if "\n" in value else None
            return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

        Dumper.add_representer(str, text)
        return str(
            yaml.dump(held, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=math.inf)
        )


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str | date):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return str(value)
