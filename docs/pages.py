"""Pages of the site that are not files of docs/: README, its neighbours, the list of decision
records, dbt's page of the tables, which `make docs` writes before, and the reference."""

import importlib.util
from pathlib import Path
from types import ModuleType

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

TABLES = Path(".dbt_docs", "static_index.html")


def _reference(root: Path) -> ModuleType:
    """docs/reference.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("reference", root / "docs" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_files(files: Files, config: MkDocsConfig) -> Files:
    root = Path(config.config_file_path).parent
    beside = {
        name: (root / name).read_text(encoding="utf-8").replace("](docs/", "](")
        for name in (
            *("README.md", "README.zh.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
            "LICENSE",
        )
    }
    beside["README.zh.md"] = beside["README.zh.md"].replace("](README.md)", "](index.md)")
    readme = beside.pop("README.md")
    records = sorted((root / "docs" / "decisions").glob("*.md"))
    titles = [record.read_text(encoding="utf-8").splitlines()[0] for record in records]
    entries = [
        f"- [{title.removeprefix('# ')}]({record.name})"
        for title, record in zip(titles, records, strict=True)
    ]
    pages = {
        "index.md": readme.replace("](decisions/)", "](decisions/index.md)"),
        "decisions/index.md": "\n".join(["# Decisions", "", *entries]),
        "dbt/index.html": (root / TABLES).read_text(encoding="utf-8"),
    }
    for name, content in {**pages, **_reference(root).pages(root), **beside}.items():
        files.append(File.generated(config, name, content=content))
    return files
