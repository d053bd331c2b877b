"""The explorer in a notebook: the same page as an anywidget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runoff.errors import MissingExtra
from runoff.report._explorer.explorer import status_of
from runoff.report._explorer.params import as_object, as_text
from runoff.report._explorer.static_files import static

try:
    import anywidget
except ModuleNotFoundError as missing:
    raise MissingExtra("anywidget", "explore") from missing

if TYPE_CHECKING:
    from runoff.report._explorer.explorer import Explorer


class ExplorerWidget(anywidget.AnyWidget):
    """The page in a notebook; it asks the kernel and waits while a cell runs.

    Args:
        explorer: answers the questions.
    """

    _esm = static("explorer.js")
    _css = static("explorer.css")

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        super().__init__()
        self.on_msg(self._asked)

    def __repr__(self) -> str:
        """Return what a notebook shows without a kernel; Jupyter cuts it after 110 characters."""
        return 'Explorer: run this cell to open it; explore("page.html") writes a page for others'

    def _asked(self, _widget: object, content: object, _buffers: object) -> None:
        """Answer a message `{id, method, path, body}` by `{id, status, body}`."""
        identity = content.get("id") if isinstance(content, dict) else None
        status, body = 200, None
        try:
            given = as_object(content, ("id", "method", "path", "body"))
            method, path = (as_text(name, given.get(name)) for name in ("method", "path"))
            body = self._explorer.answer(method, path, given.get("body"))
        except Exception as error:  # noqa: BLE001 - each has a status, and the page shows it
            status, sentence = status_of(error)
            body = {"error": sentence}
        self.send({"id": identity, "status": status, "body": body})


def widget(explorer: Explorer) -> Any:  # noqa: ANN401 - an anywidget, which has no types
    """Return the widget that a notebook shows."""
    return ExplorerWidget(explorer)
