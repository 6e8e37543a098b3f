"""Pages of the site that are not files of docs/: README, its neighbours, the list of decision
records, and dbt's page of the tables, which `make docs` writes before."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

TABLES = Path(".dbt_docs", "static_index.html")


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
    for name, content in {**pages, **beside}.items():
        files.append(File.generated(config, name, content=content))
    return files
