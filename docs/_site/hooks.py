"""Hooks of MkDocs: pages from outside docs/, the API reference, and links that hold on the site."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# files of the repository that are pages of the site
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "notebooks/README.md": "notebooks/index.md",
}
NOTEBOOKS = [f"notebooks/{one.name}" for one in sorted(ROOT.glob("notebooks/*.ipynb"))]
LINK = re.compile(r"((?:\]\(|\bsrc=\"|\bsrcset=\"))(?![a-z]+:|#)([^)#\s\"]+)")

IN_HTML = re.compile(
    r"(<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=\")(?![a-z]+:|//)([^\"?#\s]+)"
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages of the API reference under its index."""
    pages = [{module: f"reference/{module}.md"} for module in _modules()]
    config.nav[-1]["Reference"].insert(1, {"API": ["reference/index.md", *pages]})
    return config


@event_priority(100)  # before the plugin that renders notebooks
def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the repository's own pages, and a page of reference for each public module."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for notebook in NOTEBOOKS:
        files.append(File(notebook, str(ROOT), config.site_dir, config.use_directory_urls))
    modules = _modules()
    rows = [f"- [`{module}`]({module}.md): {', '.join(names)}" for module, names in modules.items()]
    index = "# API\n\nEvery public name, by the module that it is imported from.\n\n"
    files.append(
        File.generated(config, "reference/index.md", content=index + "\n".join(rows) + "\n")
    )
    for module in modules:
        content = f"# `{module}`\n\n::: {module}\n    options:\n      show_root_heading: false\n"
        files.append(File.generated(config, f"reference/{module}.md", content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that hold in the repository into those that hold on the site."""
    outside = {page: page for page in NOTEBOOKS} | {page: source for source, page in PAGES.items()}
    source = outside.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    here = posixpath.dirname(source)

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, link[2]))
        if page.file.src_uri.startswith("reference/"):
            return link[0]
        known = PAGES.get(target, target.removeprefix("docs/"))
        found = files.get_file_from_path(known)
        if found is not None and link[1].startswith("src"):  # MkDocs leaves HTML as it is
            return link[1] + posixpath.relpath(found.url, page.url or ".")
        if found is not None:
            start = posixpath.dirname(page.file.src_uri)
            return link[1] + posixpath.relpath(known, start or ".")
        return f"{link[1]}{config.repo_url}/blob/main/{target}"

    return LINK.sub(moved, markdown)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Do the same for notebooks, which are HTML from the start."""
    if page.file.src_uri not in NOTEBOOKS:
        return html

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("notebooks", link[2]))
        found = files.get_file_from_path(PAGES.get(target, target.removeprefix("docs/")))
        if found is not None:
            return link[1] + posixpath.relpath(found.url, page.url) + "/" * found.url.endswith("/")
        return f"{link[1]}{config.repo_url}/blob/main/{target}"

    return IN_HTML.sub(moved, html)


def on_post_page(output: str, **_: object) -> str:
    """Keep the theme from asking GitHub for the stars of the repository."""
    return output.replace('data-md-component="source"', "")


def on_post_build(config: MkDocsConfig) -> None:
    """Stop at a link or picture without a target: MkDocs checks neither HTML nor notebooks."""
    site = Path(config.site_dir)
    for page in site.rglob("*.html"):
        for _, name in IN_HTML.findall(page.read_text("utf-8")):
            if not name.startswith("/") and not (page.parent / name).exists():
                raise PluginError(f"{page}: there is no {name}")


def _modules() -> dict[str, list[str]]:
    """Return the public names by module, as the tests pin them."""
    found: dict[str, list[str]] = {}
    for name in (ROOT / "tests" / "public_api.txt").read_text("utf-8").split():
        module, _, short = name.rpartition(".")
        found.setdefault(module, []).append(short)
    return found
