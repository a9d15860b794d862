"""What happens during the run, and when."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.verify.soak import versions
from tests.verify.soak.world import World

STORE_AWAY_SECONDS, MLFLOW_AWAY_SECONDS = 30, 120
FOLLOW_SECONDS = 15
"""Within which a promoted version must answer."""
AFTER_PROMOTION_SECONDS = 5


@dataclass
class Timeline:
    """Faults and promotions at parts of the run; a short run has shorter faults.

    The first promotion comes while the log's store is away. `phases` says from when to when things were so, `faults`
    what was not as it should be.
    """

    world: World
    seconds: float
    phases: dict[str, tuple[float, float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def play(self) -> None:
        """Let all of it happen; returns at the end of the run, or when the last of it is over."""
        begin = time.monotonic()
        with self._phase("all of it"):
            for part, event in self._events():
                _sleep_until(begin + part * self.seconds)
                event()
            _sleep_until(begin + self.seconds)

    def _events(self) -> Iterator[tuple[float, Callable[[], None]]]:
        yield 0.2, self._lose_store
        yield 0.4, self._lose_mlflow
        yield 0.7, lambda: self._promote(2)
        yield 0.85, lambda: self._promote(3)

    def _lose_store(self) -> None:
        away = min(STORE_AWAY_SECONDS, 0.05 * self.seconds)
        with self._phase("the log's store away"):
            begin = time.monotonic()
            self.world.store.kill()
            print("the log's store was killed", flush=True)
            _sleep_until(begin + away / 2)
            self._promote(1)
            _sleep_until(begin + away)
            self.world.store.start()
        print(f"the log's store is back, {self.world.waiting()} records wait", flush=True)

    def _lose_mlflow(self) -> None:
        with self._phase("MLflow away"):
            begin = time.monotonic()
            self.world.mlflow.stop()
            print("MLflow was stopped", flush=True)
            _sleep_until(begin + min(MLFLOW_AWAY_SECONDS, 0.2 * self.seconds))
            self.world.mlflow.start()
        print("MLflow is back", flush=True)

    def _promote(self, number: int) -> None:
        version = self.world.made[number].version
        versions.promote(self.world.loop, version)
        begin = time.monotonic()
        self.phases[f"promotion of {version}"] = (begin, begin + AFTER_PROMOTION_SECONDS)
        while self.world.ready().get("version") != version:
            if time.monotonic() - begin > FOLLOW_SECONDS:
                self.faults.append(
                    f"version {version} did not answer within {FOLLOW_SECONDS} s of its promotion"
                )
                return
            time.sleep(0.1)
        print(f"version {version} answers {time.monotonic() - begin:.1f} s after its promotion", flush=True)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.phases[name] = (begin, time.monotonic())


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
