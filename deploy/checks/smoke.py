"""`make smoke URL=`: does the service live, has it a model, and does it answer one row?"""

import sys

from service import Failed, ask, row, session


def main(url: str) -> None:
    """Ask `/healthz`, `/readyz`, `/model` and one `/predict`; ends with 1 at the first that does not hold."""
    client = session()
    ask(client, url, "/healthz")
    ready = ask(client, url, "/readyz")
    model = ask(client, url, "/model")
    answer = ask(client, url, "/predict", {"rows": [row(model["row"])]})
    found = answer.get("predictions", [])
    if len(found) != 1:
        raise Failed(f"{url}/predict", "one prediction", found)
    print(f"OK {url}: version {ready['version']} lives, is ready and answers: {found[0]}")


if __name__ == "__main__":
    main(sys.argv[1])
