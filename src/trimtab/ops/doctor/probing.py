"""Push a file of a few bytes to the DVC remote, pull it and delete it, in a process that `doctor` can end."""

import sys
import tempfile
import uuid
from pathlib import Path

from trimtab import files, settings
from trimtab.errors import TrimtabError, Unfit
from trimtab.ops.dvc_objects import Objects, remote


def probe() -> str:
    """Try the DVC remote that the environment names.

    Raises:
        Unfit: It returns other bytes.
    """
    with tempfile.TemporaryDirectory() as folder, remote(settings.read()) as objects:
        path = Path(folder) / "probe"
        path.write_text(f"trimtab doctor {uuid.uuid4()}\n", encoding="utf-8")  # two probes at once differ
        md5 = files.digest(path, "md5")
        objects.put(path, md5)
        objects.get(md5, Path(folder) / "pulled")
        return "a probe was pushed and pulled" + _remove(objects, md5)


def _remove(objects: Objects, md5: str) -> str:
    try:
        objects.remove(md5)
    except (NotImplementedError, Unfit):
        return f"; it stays there as {md5}, because DVC cannot delete from this kind of remote"
    return ", and deleted again"


if __name__ == "__main__":
    try:
        print(probe())
    except TrimtabError as error:
        sys.exit(f"ERROR: {error}")
    except Exception as error:  # drivers raise errors of any kind
        sys.exit(f"ERROR: {type(error).__name__}: {' '.join(str(error).split()) or 'no reason given'}")
