"""`make smoke URL=`: check that the service is alive, has a model and predicts a row."""

import sys

from service import Failed, ask, row, session


def main(url: str) -> None:
    """Call `/healthz`, `/readyz`, `/model` and `/predict`; exit with 1 at the first failure."""
    client = session()
    ask(client, url, "/healthz")
    ready = ask(client, url, "/readyz")
    model = ask(client, url, "/model")
    answer = ask(client, url, "/predict", {"rows": [row(model["row"])]})
    predictions = answer.get("predictions", [])
    if len(predictions) != 1:
        raise Failed(f"{url}/predict", "one prediction", predictions)
    print(f"OK {url}: version {ready['version']} lives, is ready and answers: {predictions[0]}")


if __name__ == "__main__":
    main(sys.argv[1])
