"""What `doctor` runs in a process of its own, to be ended at a limit: push a file of a few bytes, pull it, delete it."""

import sys
import tempfile
import uuid
from pathlib import Path

from trimtab import settings
from trimtab.errors import TrimtabError, Unfit
from trimtab.ops.dvc_objects import Objects, file_md5, remote


def probe() -> str:
    """Try the DVC remote of the environment.

    Raises:
        Unfit: It gives back other bytes.
    """
    with tempfile.TemporaryDirectory() as folder, remote(settings.read()) as objects:
        path = Path(folder) / "probe"
        path.write_text(f"trimtab ops doctor {uuid.uuid4()}\n", encoding="utf-8")  # two at once do not meet
        md5 = file_md5(path)
        objects.put(path, md5)
        objects.get(md5, Path(folder) / "pulled")
        return "a probe was pushed and pulled" + _gone(objects, md5)


def _gone(objects: Objects, md5: str) -> str:
    try:
        objects.remove(md5)
    except (NotImplementedError, Unfit):
        return f"; it stays there as {md5}: DVC deletes nothing on this kind of remote"
    return ", and is gone again"


if __name__ == "__main__":
    try:
        print(probe())
    except TrimtabError as error:
        sys.exit(f"ERROR: {error}")
    except Exception as error:  # a driver fails in any way it likes
        told = " ".join(str(error).split()) or "no reason given"
        sys.exit(f"ERROR: {type(error).__name__}: {told}")
