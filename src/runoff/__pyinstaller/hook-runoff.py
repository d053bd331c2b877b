"""What PyInstaller cannot see: modules that are imported by name, and the demo's questions."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules


def _bundled(name: str) -> bool:
    return not name.startswith(("runoff.testing", "runoff.__pyinstaller"))


datas = collect_data_files("runoff")
hiddenimports = [
    *collect_submodules("runoff", _bundled, on_error="ignore"),
    *collect_submodules("bm25s", on_error="ignore"),
    "onnxruntime",
    "runoff_models",
]
