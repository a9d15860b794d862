"""`make load URL=`: send single rows for a short time and check the 99th percentile and the share of failures."""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from service import Failed, ask, row, session


def main() -> None:
    """Exit with 1 if a limit is exceeded."""
    arguments = _arguments()
    schema = ask(session(), arguments.url, "/model")["row"]
    end = time.monotonic() + arguments.seconds
    with ThreadPoolExecutor(arguments.clients) as pool:
        results = list(pool.map(lambda _: _client(arguments.url, schema, end), range(arguments.clients)))
    times = sorted(seconds for durations, _ in results for seconds in durations)
    failures = [failure for _, errors in results for failure in errors]
    share = len(failures) / max(1, len(times) + len(failures))
    if share > arguments.max_errors or not times:
        raise Failed(arguments.url, f"at most {arguments.max_errors:.2%} failures", f"{share:.2%}, the first: {failures[:1]}")
    p99 = 1000 * times[int(0.99 * (len(times) - 1))]
    if p99 > arguments.p99_ms:
        raise Failed(arguments.url, f"a 99th percentile of at most {arguments.p99_ms:g} ms", f"{p99:.1f} ms of {len(times)} requests")
    print(f"OK {arguments.url}: {len(times)} requests, p99 {p99:.1f} ms, failures {share:.2%}")


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
