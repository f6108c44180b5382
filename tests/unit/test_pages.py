"""Pages are run as their readers would: what is saved, what is run, where it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import pages
from tests.support.dev_process import environment
from tests.support.pages import Page

PAGE = """\
# A page

Save this as `greeting.txt`:

```text
hello
```

```sh
cat greeting.txt
cd /
```

Not a command:

```json
{}
```

```sh
pwd
false
echo never
```
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "page.md").write_text(PAGE)
    return "page.md"


def test_blocks_run_in_one_shell_until_one_fails(page: str, tmp_path: Path) -> None:
    done = Page(page).run(tmp_path, environment())
    assert done.status != 0
    assert done.outputs == ["hello\n", "/\n"]


def test_what_differs_here_is_edited_and_left_out(page: str, tmp_path: Path) -> None:
    done = Page(page, lambda text: text.replace("hello", "hi")).run(tmp_path, environment(), without="pwd")
    assert (done.status, done.outputs, done.output) == (0, ["hi\n"], "hi\n")
