"""`make load URL=`: a short load of single rows, held to a 99th percentile and to an error budget."""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from service import Failed, ask, row, session


def main() -> None:
    """Ends with 1 when a limit is passed."""
    wanted = _arguments()
    schema = ask(session(), wanted.url, "/model")["row"]
    end = time.monotonic() + wanted.seconds
    with ThreadPoolExecutor(wanted.clients) as pool:
        found = list(pool.map(lambda _: _client(wanted.url, schema, end), range(wanted.clients)))
    times = sorted(one for client, _ in found for one in client)
    failures = [failure for _, errors in found for failure in errors]
    share = len(failures) / max(1, len(times) + len(failures))
    if share > wanted.max_errors or not times:
        raise Failed(wanted.url, f"at most {wanted.max_errors:.2%} failures", f"{share:.2%}, the first: {failures[:1]}")
    p99 = 1000 * times[int(0.99 * (len(times) - 1))]
    if p99 > wanted.p99_ms:
        raise Failed(wanted.url, f"a 99th percentile of at most {wanted.p99_ms:g} ms", f"{p99:.1f} ms of {len(times)} requests")
    print(f"OK {wanted.url}: {len(times)} requests, p99 {p99:.1f} ms, failures {share:.2%}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    for name, kind in (("--seconds", float), ("--clients", int), ("--p99-ms", float), ("--max-errors", float)):
        parser.add_argument(name, type=kind, required=True)
    return parser.parse_args()


def _client(url: str, schema: dict, end: float) -> tuple[list[float], list[str]]:
    client, times, errors = session(), [], []
    while time.monotonic() < end:
        began = time.perf_counter()
        try:
            ask(client, url, "/predict", {"rows": [row(schema)]})
        except Failed as error:
            errors.append(str(error))
        else:
            times.append(time.perf_counter() - began)
    return times, errors


if __name__ == "__main__":
    main()
